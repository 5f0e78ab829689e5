"""What the report says of DFT: numbers, bonds in words and pictures, and who was not selected.

`dft_magnesia.json` holds the verdicts and bond tables of a real campaign of this program: MgO as
rock salt (control), wurtzite, zinc blende and CsCl (not selected), preset quick, GPAW 26.7.0.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_views import candidate, read_verdict

from bondwright.bonding.export import from_json, write_parquet
from bondwright.campaign.report import render_page
from bondwright.campaign.report.dft import DftSection, dft_section
from bondwright.campaign.report.funnel import funnel_rows
from bondwright.campaign.report.headline import write_headline
from bondwright.campaign.report.sources import sources_for
from bondwright.campaign.report.standing import find_standings
from bondwright.campaign.view import CampaignView, CandidateView, StageSummary
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.records import atoms_from_json

REAL = json.loads((Path(__file__).parent / "dft_magnesia.json").read_text("utf-8"))
ROCKSALT = REAL["control-rocksalt"]["bonds"]["structure"]


def magnesia(folder: Path, **changed: dict[str, Any]) -> CampaignView:
    """Return the real campaign, its tables of bonds in a folder; details may be changed by name."""
    views = []
    for name, kept in REAL.items():
        data = kept["verdict"]
        if name in changed:
            data = {**data, **changed[name]}
        verdict = Verdict.from_json(data)
        if kept["bonds"]:
            place = folder / kept["verdict"]["details"]["bonds"]["table"]
            write_parquet(place, from_json(kept["bonds"]))
        atoms = atoms_from_json(kept["bonds"]["structure"] if kept["bonds"] else ROCKSALT)
        made = candidate(name, atoms, control=name.startswith("control"))
        survived = verdict.outcome is Outcome.PASSED or verdict.reason == "not-selected"
        views.append(
            CandidateView(made, {"read": read_verdict(made), "dft": verdict}, None, survived)
        )
    entering = [c.verdicts["dft"] for c in views if not c.candidate.control]

    def tally(outcome: Outcome) -> dict[str, int]:
        reasons = [v.reason for v in entering if v.outcome is outcome]
        return {reason: reasons.count(reason) for reason in reasons}

    passed = sum(tally(Outcome.PASSED).values())
    stages = [
        StageSummary("read", 3, 3),
        StageSummary(
            "dft",
            3,
            passed,
            rejected=tally(Outcome.REJECTED),
            unknown=tally(Outcome.UNKNOWN),
            failed=tally(Outcome.FAILED),
        ),
    ]
    return CampaignView("magnesia", "", stages, views, {}, {})


def entries(section: DftSection) -> dict[str, Any]:
    return {entry.title.split(" ")[0]: entry for entry in section.entries}


def test_section_orders_by_energy_and_counts_who_was_left_out(tmp_path: Path) -> None:
    found = dft_section(magnesia(tmp_path), tmp_path)
    titles = [entry.title for entry in found.entries]
    assert titles == ["control-rocksalt (MgO)", "wurtzite (MgO)", "zincblende (MgO)"]
    assert [entry.control for entry in found.entries] == [True, False, False]
    assert (found.calculated, found.not_selected) == (2, 1)
    assert found.how == "gpaw 26.7.0, preset quick"
    assert len(found.hull_notes) == 1
    assert not found.hull_notes[0].startswith("unknown")


def test_bonds_of_the_picture_are_those_of_the_table(tmp_path: Path) -> None:
    rocksalt = entries(dft_section(magnesia(tmp_path), tmp_path))["control-rocksalt"]
    table = from_json(REAL["control-rocksalt"]["bonds"])
    bonds = rocksalt.record["bonds"]
    # Every bond is in one mark; rock salt has 6 equal nearest neighbours.
    assert sum(point[3] for point in bonds["points"]) == len(table)
    pair, length, strength, number = bonds["points"][0]
    assert (bonds["pairs"][pair], number) == ("Mg-O", 6)
    assert length == pytest.approx(float(table.length_A.min()), abs=1e-3)
    assert strength == pytest.approx(float(table.icohp_eV.max()), abs=0.02)
    assert rocksalt.strongest[0].number == 6
    assert "6 Mg-O bonds of 2.14 Å" in rocksalt.description


def test_drawn_bonds_have_the_lengths_of_the_table_after_wrapping(tmp_path: Path) -> None:
    view = magnesia(tmp_path)
    kept = REAL["wurtzite"]["bonds"]
    moved = from_json(kept)
    # Atoms outside the cell: images must count from where the view draws them.
    atoms = moved.atoms.copy()
    atoms.positions[0] += atoms.cell[0] - 2 * atoms.cell[2]
    shift = {0: (1, 0, -2)}
    image = moved.image.copy()
    for atom, cells in shift.items():
        image[moved.i == atom] += cells
        image[moved.j == atom] -= cells
    rebuilt = type(moved).build(atoms, moved.i, moved.j, image, moved.icohp_eV, moved.method)
    write_parquet(tmp_path / REAL["wurtzite"]["verdict"]["details"]["bonds"]["table"], rebuilt)
    drawn = entries(dft_section(view, tmp_path))["wurtzite"].record["drawn"]
    import numpy as np

    cell = np.array(drawn["cell"]).reshape(3, 3)
    places = np.array(drawn["xyz"]).reshape(-1, 3)
    rows = np.array(drawn["bonds"]).reshape(-1, 5)
    assert ((places >= -1e-5) & (places < 1 + 1e-5)).all()
    vectors = (places[rows[:, 1]] + rows[:, 2:] - places[rows[:, 0]]) @ cell
    lengths = np.sort(np.linalg.norm(vectors, axis=1))
    strong = np.sort(moved.length_A[np.argsort(-moved.icohp_eV)[:8]])
    assert len(drawn["strengths"]) == 8  # four neighbours of two Mg
    assert np.allclose(lengths, strong, atol=1e-3)


def test_funnel_and_headline_tell_not_selected_from_unknown(tmp_path: Path) -> None:
    view = magnesia(tmp_path)
    row = funnel_rows(view)[-1]
    assert [(s.outcome, s.number) for s in row.segments] == [("passed", 2), ("not-selected", 1)]
    assert [r.outcome for r in row.reasons] == ["not-selected"]
    headline = write_headline(view, find_standings(view))
    text = " ".join([headline.sentence, *headline.notes])
    assert text.startswith("3 of 3 candidates survived.")
    assert "DFT calculated the best 2; 1 was not selected for it." in text
    assert "wurtzite (MgO), lies 0.061 eV/atom above control-rocksalt" in text
    assert "could not be judged" not in text
    used = " ".join(source.used_for for source in sources_for(view))
    assert "GPAW" in used
    assert "COHP" in used


def test_control_that_was_too_large_for_dft_is_no_fault(tmp_path: Path) -> None:
    left_out = REAL["cscl"]["verdict"]
    view = magnesia(tmp_path, **{"control-rocksalt": left_out})
    text = " ".join(write_headline(view, find_standings(view)).notes)
    assert "did not come through" not in text


def test_failures_and_refused_labels_are_told_with_their_reason(tmp_path: Path) -> None:
    details = REAL["wurtzite"]["verdict"]["details"]
    spilled = {**details["bonds"], "accepted": False, "message": "the projection lost 9 %"}
    failed = {
        "outcome": "failed",
        "reason": "scf-not-converged",
        "message": "DFT: the SCF did not settle.",
        "details": {
            **REAL["zincblende"]["verdict"]["details"],
            "status": "not-converged",
            "corrections": [{"slug": "softer-mixing", "message": "", "changes": {}}],
            "energy_eV_per_atom": None,
            "relative_energy_eV_per_atom": None,
            "relative_to": None,
            "bonds": None,
        },
    }
    view = magnesia(
        tmp_path, wurtzite={"details": {**details, "bonds": spilled}}, zincblende=failed
    )
    found = entries(dft_section(view, tmp_path))
    assert found["wurtzite"].trouble == ("These values must not be used: the projection lost 9 %.")
    broken = found["zincblende"].record
    assert (broken["reason"], broken["corrections"]) == ("scf-not-converged", ["softer-mixing"])
    assert not {"relative", "energy", "bonds", "drawn"} & broken.keys()  # unknown, not zero
    assert "These values must not be used" in render_page(view, tmp_path)


def test_lost_table_leaves_the_sums(tmp_path: Path) -> None:
    view = magnesia(tmp_path)
    shutil.rmtree(tmp_path / "dft")
    rocksalt = entries(dft_section(view, tmp_path))["control-rocksalt"]
    assert "bonds" not in rocksalt.record
    assert rocksalt.trouble.startswith("The figure is missing:")
    assert rocksalt.pairs[0]["pair"] == "Mg-O"
    page = render_page(view, tmp_path)
    assert "Strong bonds by pair" in page
    assert str(tmp_path) not in page


def test_campaign_without_dft_says_nothing_of_it(tmp_path: Path) -> None:
    view = magnesia(tmp_path)
    plain = [replace(c, verdicts={"read": c.verdicts["read"]}) for c in view.candidates]
    page = render_page(replace(view, candidates=plain, stages=view.stages[:1]))
    assert 'id="dft"' not in page


@pytest.fixture(scope="module")
def browser(start_browser: Callable[[], Any]) -> Iterator[Any]:
    """A headless Chromium with an empty profile."""
    driver = start_browser()
    yield driver
    driver.quit()


@pytest.mark.browser
def test_page_draws_bonds_and_fits_a_narrow_window(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    path = tmp_path / "report.html"
    path.write_text(render_page(magnesia(tmp_path), tmp_path), "utf-8")
    browser.set_window_size(420, 900)
    browser.get(path.as_uri())
    wait = WebDriverWait(browser, 20)
    wait.until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    rows = browser.find_elements("css selector", "#dft-table tbody tr")
    assert [row.text.split()[0] for row in rows] == ["control-rocksalt", "wurtzite", "zincblende"]
    cards = browser.find_elements("css selector", ".bond-card")
    assert len(cards) == 3
    marks = cards[0].find_elements("css selector", ".bond-chart .chart .point")
    points = json.loads(
        browser.execute_script("return JSON.stringify(BW.data.dft[0].bonds.points)")
    )
    assert len(marks) == len(points)
    titles = {m.find_element("css selector", "title").get_attribute("textContent") for m in marks}
    assert any(t.startswith("6 Mg-O, 2.14") or t.startswith("6 Mg-O, 2.13") for t in titles)
    # Stronger is higher.
    tops = [m.rect["y"] for m in marks]
    assert tops == sorted(tops, reverse=True)
    view = cards[0].find_element("css selector", ".bond-view")
    browser.execute_script("arguments[0].scrollIntoView()", view)
    wait.until(lambda _: view.find_elements("css selector", "canvas"))
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(overflow) <= 0
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
