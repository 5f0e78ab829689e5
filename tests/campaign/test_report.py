"""The report as text: the honest sentence, the counts, and a page that nothing can break out of."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from report_views import (
    ANATASE,
    COLUMBITE,
    RUTILE,
    STAGES,
    campaign,
    candidate,
    judged,
    make,
    minerals,
    nothing_survived,
    property_verdict,
    stability_verdict,
    unreadable,
)

from bondwright.campaign.report import payload, render_page, write_report
from bondwright.campaign.report.asking import asked_effects
from bondwright.campaign.report.funnel import funnel_rows
from bondwright.campaign.report.headline import write_headline
from bondwright.campaign.report.page import embed_json
from bondwright.campaign.report.standing import find_standings, nearest
from bondwright.campaign.report.structures import density, drawing, largest_displacement
from bondwright.campaign.report.words import duration, number
from bondwright.campaign.view import CampaignView
from bondwright.errors import InputError
from bondwright.screen.condition import Effect
from bondwright.screen.verdict import Outcome, Verdict

NOVEL = Verdict("novelty", Outcome.PASSED, details={"unique": True})
HOSTILE = [
    "<script>window.broken = 1</script>",
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'>",
    "\"'`><svg onload=window.broken=1>",
    "<!--<script>",
    "{{ 7 * 7 }} {% raw %}",
    "naïve Ångström 𝕋𝕚𝕆₂ \u2028 \u2029 \u202e end",
]


class Page(HTMLParser):
    """The elements of a page, its scripts and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, dict[str, str | None], str]] = []
        self.text = ""
        self._inside: tuple[str, dict[str, str | None]] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = (tag, dict(attrs)) if tag in ("script", "style") else None
        if self._inside:
            self.raw.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside:
            tag, attributes, text = self.raw[-1]
            self.raw[-1] = (tag, attributes, text + data)
        else:
            self.text += data

    @property
    def data(self) -> dict:
        """Return the data that the page's scripts work on."""
        return json.loads(next(t for tag, a, t in self.raw if tag == "script" and a.get("type")))


def headline(view: CampaignView) -> str:
    found = write_headline(view, find_standings(view))
    return " ".join([found.sentence, *found.notes])


def test_headline_of_a_campaign_with_a_survivor() -> None:
    text = headline(minerals())
    assert text.startswith("1 of 5 candidates survived. It lies 0.021 eV/atom above the hull.")
    assert "a potential whose mean error is 0.063 eV/atom" in text
    assert "controls rutile and anatase came through" in text


def test_headline_when_nothing_survived_names_the_nearest_and_why() -> None:
    text = headline(nothing_survived())
    assert text.startswith("None of the 4 candidates survived. The nearest was near (TiO₂)")
    assert "rejected at stability: 0.310 eV/atom above the hull, limit 0.163." in text


def test_headline_of_an_empty_campaign() -> None:
    assert headline(campaign([])) == "This campaign holds no candidates yet."


def test_headline_when_nothing_could_be_read() -> None:
    views = [judged(unreadable(f"b{n}")) for n in range(3)] + [judged(unreadable("e", "empty"))]
    text = headline(campaign(views))
    assert text == (
        "None of the 4 candidates could be read. The most common reason: text ends too early, "
        "3 times."
    )
    assert headline(campaign(views[:1])) == (
        "The only candidate could not be read. The reason: text ends too early."
    )


def test_headline_says_when_the_campaign_has_not_ended() -> None:
    waiting = judged(candidate("waits", make(COLUMBITE)), [NOVEL])
    text = headline(campaign([waiting, judged(unreadable("broken"))]))
    assert text.startswith("None of the 2 candidates survived so far.")
    assert "1 candidate still waits to be judged." in text


def test_headline_counts_unknown_and_failed_apart_from_rejected() -> None:
    """Faults 30 and 35: an unknown is not a rejection, and a failure is no evidence."""
    unknown = Verdict("stability", Outcome.UNKNOWN, "element-outside-reference", "no Pu phases")
    failed = Verdict("stability", Outcome.FAILED, "not-converged", "500 steps were not enough")
    views = [
        judged(candidate("a", make(COLUMBITE)), [NOVEL, unknown]),
        judged(candidate("b", make(COLUMBITE)), [NOVEL, failed]),
    ]
    text = headline(campaign(views))
    assert "1 candidate could not be judged and 1 computation failed" in text
    assert "nothing against these candidates" in text
    rows = {r.summary.name: r for r in funnel_rows(campaign(views))}
    assert [(s.outcome, s.number) for s in rows["stability"].segments] == [
        ("unknown", 1),
        ("failed", 1),
    ]


def test_headline_warns_when_a_control_is_rejected_for_its_own_sake() -> None:
    bad = judged(
        candidate("rutile", make(RUTILE), control=True),
        [NOVEL, stability_verdict(0.5), property_verdict(1.8)],
    )
    text = headline(campaign([bad, judged(unreadable("broken"))]))
    assert "The control did not come through: rutile (stability: too far above the hull)" in text


def test_headline_does_not_praise_controls_that_are_not_through_yet() -> None:
    half = judged(candidate("rutile", make(RUTILE), control=True), [NOVEL])
    text = headline(campaign([half, judged(unreadable("broken"))]))
    assert "have not been through every stage yet" in text
    assert "came through" not in text


def test_warnings_of_a_stage_stand_beside_it() -> None:
    noted = {"warnings": {"read": [], "novelty": ["no reference was given."]}}
    view = campaign([judged(unreadable("broken"))], provenance=noted)
    assert {r.summary.name: r.warnings for r in funnel_rows(view) if r.warnings} == {
        "novelty": ["no reference was given."]
    }
    assert "Note: no reference was given." in Page(render_page(view)).text


def test_nearest_is_the_furthest_stage_then_the_smallest_hull_distance() -> None:
    view = nothing_survived()
    order = [c.candidate.name for c in nearest(view, find_standings(view), 10)]
    assert order == ["near", "far", "overlapping", "broken"]


def test_funnel_bars_share_one_scale_and_leave_controls_out() -> None:
    rows = funnel_rows(minerals())
    assert [r.summary.name for r in rows] == STAGES
    assert [r.summary.entered for r in rows] == [5, 4, 3, 1, 1]
    for row in rows:
        assert sum(s.width for s in row.segments) == pytest.approx(
            100 * row.summary.entered / 5, abs=0.01
        )
        assert sum(s.number for s in row.segments) == row.summary.entered
    assert {r.slug: r.number for r in rows[2].reasons} == {"duplicate": 1, "known": 1}
    assert rows[2].controls == {"rejected": 2}


def test_every_candidate_is_in_the_data_with_its_reason_and_message() -> None:
    view = minerals()
    rows = {r["name"]: r for r in Page(render_page(view)).data["rows"]}
    assert set(rows) == {c.candidate.name for c in view.candidates}
    assert rows["overlapping"]["reason"] == "short-contact"
    assert "0.90 Å" in rows["overlapping"]["message"]
    assert rows["broken"]["reason"] == "truncated"
    assert rows["columbite"]["outcome"] == "survived"
    assert rows["columbite"]["novel_structure"] is True
    assert rows["columbite"]["novel_composition"] is False
    assert rows["columbite"]["volume_change"] == pytest.approx(1.02**-3 - 1)
    assert rows["rutile"]["control"] is True
    assert rows["rutile"]["marks"][STAGES.index("novelty")] == "known"


def test_details_keep_every_sub_result_and_the_files() -> None:
    view = minerals()
    data = Page(render_page(view)).data
    survivor = view.survivors[0]
    full = data["details"][survivor.candidate.key]
    validity = next(v for v in full["verdicts"] if v["stage"] == "validity")
    assert validity["details"]["strict"].keys() == (
        survivor.verdicts["validity"].details["strict"].keys()
    )
    assert data["settings"][validity["settings"]]["settings"]["contact_factor"] == 0.7
    assert full["text"] == survivor.candidate.text
    assert full["measures"]["group"] == "Pbcn (60)"
    assert full["measures_relaxed"]["group"] == "Pbcn (60)"
    assert full["measures_relaxed"]["lengths"] == pytest.approx([4.541, 5.493, 4.906])
    # The same settings stand in the page once, not once per candidate.
    rows = [json.dumps(r, sort_keys=True) for r in data["settings"]]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("view", [minerals, nothing_survived, lambda: campaign([])])
def test_page_holds_no_reference_to_anything_outside(view) -> None:
    page = Page(render_page(view()))
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "img", "audio"}
        assert "src" not in attributes
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        if "href" in attributes:
            assert attributes["href"].startswith("#")


def test_policy_lets_exactly_our_scripts_run() -> None:
    page = Page(render_page(minerals()))
    policy = next(
        a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy
    for kind, rule in (("script", "script-src"), ("style", "style-src")):
        texts = [t for tag, a, t in page.raw if tag == kind and not a.get("type")]
        hashes = {
            "'sha256-" + base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() + "'"
            for t in texts
        }
        assert set(rules[rule].split()) == hashes


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    """Fault 70: names, formulas, messages and columns come from outside."""
    clean = Page(render_page(campaign([judged(unreadable("plain"))])))
    bad = unreadable(text, "truncated", text)
    bad = replace(bad, notes=(text,), extra={text: text}, origin=replace(bad.origin, source=text))
    view = campaign(
        [judged(bad)],
        name=text,
        description=text,
        provenance={text: {"inner": [text, {text: text}]}},
        targets={text: 1.0},
    )
    page = Page(render_page(view))
    assert text in page.data["rows"][0]["message"]
    assert [t for t, *_ in page.raw] == [t for t, *_ in clean.raw]
    allowed = {tag for tag, _ in clean.tags} | {"dl", "dt", "dd", "div", "h3"}
    assert {tag for tag, _ in page.tags} <= allowed
    assert all(not n.startswith("on") for _, a in page.tags for n in a)
    visible = text.replace("\u2028", "").replace("\u2029", "").replace("\u202e", "")
    assert visible in page.text


def test_json_cannot_end_its_element() -> None:
    data = {"a": "</script><!--<script>&\u2028\u2029", "b": "'\"", "c": "\ud800 lone"}
    text = embed_json(data)
    assert not re.search(r"[<>&\u2028\u2029]", text)
    back = json.loads(text)
    assert back["a"] == data["a"]
    assert back["b"] == data["b"]
    text.encode("utf-8")


def test_values_that_are_not_numbers_do_not_break_the_page() -> None:
    """An infinite or missing number in a sub-result is no JSON; the page must open all the same."""
    odd = Verdict(
        "stability",
        Outcome.FAILED,
        "not-finite",
        "energies were not finite",
        details={"energy": math.nan, "list": [math.inf, np.float64(1.5), np.int64(3)], "t": (1, 2)},
    )
    view = campaign([judged(candidate("odd", make(COLUMBITE)), [NOVEL, odd])])
    full = next(iter(Page(render_page(view)).data["details"].values()))
    details = next(v for v in full["verdicts"] if v["stage"] == "stability")["details"]
    assert details == {"energy": None, "list": [None, 1.5, 3], "t": [1, 2]}


def test_details_of_the_least_important_are_left_out_when_the_page_grows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payload, "DETAILS_BUDGET", 1000)
    view = minerals()
    html = render_page(view)
    data = Page(html).data
    kept = set(data["details"])
    always = {c.candidate.key for c in [*view.survivors, *view.controls]}
    assert always < kept
    assert len(kept) < len(view.candidates)
    assert len(data["rows"]) == len(view.candidates)
    assert "were left out" in html


def test_bonds_of_rutile_are_octahedra() -> None:
    atoms = make(RUTILE)
    drawn = drawing(atoms)
    assert drawn is not None
    bonds = np.array(drawn["bonds"]).reshape(-1, 5)
    neighbours = np.bincount(bonds[:, :2].ravel(), minlength=len(atoms))
    assert [neighbours[a.index] for a in atoms] == [6 if a.symbol == "Ti" else 3 for a in atoms]
    cell, xyz = np.array(drawn["cell"]).reshape(3, 3), np.array(drawn["xyz"]).reshape(-1, 3)
    ends = xyz[bonds[:, 1]] + bonds[:, 2:] - xyz[bonds[:, 0]]
    lengths = np.linalg.norm(ends @ cell, axis=1)
    # Howard et al. 1991: four bonds of 1.948 Å and two of 1.980 Å
    assert sorted(set(lengths.round(2))) == [1.95, 1.98]


@pytest.mark.parametrize(
    ("atoms", "per_atom"),
    [
        (bulk("Cu", cubic=True), 12),  # close-packed metal
        (bulk("Si", cubic=True), 4),  # covalent network
        (bulk("NaCl", "rocksalt", a=5.64, cubic=True), 6),  # ionic: no Na-Na, no Cl-Cl lines
    ],
)
def test_bonds_of_simple_crystals(atoms: Atoms, per_atom: int) -> None:
    drawn = drawing(atoms)
    assert drawn is not None
    bonds = np.array(drawn["bonds"]).reshape(-1, 5)
    ends = np.concatenate([bonds[:, 0], bonds[:, 1]])
    assert set(np.bincount(ends, minlength=len(atoms))) == {per_atom}


@pytest.mark.parametrize(
    "atoms",
    [
        Atoms("H", cell=[1e-3, 1e-3, 1e-3], pbc=True),
        Atoms("H", [[0, 0, math.nan]], cell=[3, 3, 3], pbc=True),
        Atoms("H"),
        Atoms(cell=[3, 3, 3], pbc=True),
        bulk("Cu", cubic=True) * (8, 8, 8),
    ],
    ids=["no volume", "not finite", "no cell", "no atoms", "too many atoms"],
)
def test_what_cannot_be_drawn_is_not_drawn_and_does_not_stop_the_page(atoms: Atoms) -> None:
    assert drawing(atoms) is None
    view = judged(unreadable("odd"))
    view = replace(view, candidate=replace(view.candidate, problem=None, atoms=atoms))
    assert len(Page(render_page(campaign([view]))).data["rows"]) == 1


def test_densities_of_real_minerals() -> None:
    # X-ray densities of the cells: rutile 4.25, anatase 3.89 g/cm3
    assert density(make(RUTILE)) == pytest.approx(4.25, abs=0.005)
    assert density(make(ANATASE)) == pytest.approx(3.89, abs=0.005)


def test_displacement_is_measured_without_strain_drift_and_wrapping() -> None:
    before = make(ANATASE)
    after = before.copy()
    after.set_cell(1.03 * before.cell.array, scale_atoms=True)
    after.positions += [0.4, -0.3, 9.0]
    after.wrap()
    assert largest_displacement(before, after) == pytest.approx(0.0, abs=1e-4)
    after.positions[5] += [0.0, 0.12, 0.0]
    share = 1 - 1 / len(after)  # the mean of all atoms, which counts as drift, moves along
    assert largest_displacement(before, after) == pytest.approx(0.12 * share, abs=1e-4)
    assert largest_displacement(before, make(RUTILE)) is None


def test_asking_is_answered_with_its_statistic() -> None:
    rng = np.random.default_rng(5)
    views = []
    for n in range(60):
        asked = 1.4998 if n % 2 else 4.5002
        c = candidate(f"c{n}", make(COLUMBITE), asked={"band_gap": asked})
        gap = property_verdict(float(rng.normal(2.0, 0.3)))
        views.append(judged(c, [NOVEL, stability_verdict(0.02), gap]))
    (answer,) = asked_effects(campaign(views))
    assert answer.effect.effect is Effect.NOT_SEEN
    assert [(r.label, r.made, len(r.values)) for r in answer.rows] == [
        ("1.5 eV", 30, 30),
        ("4.5 eV", 30, 30),
    ]
    html = render_page(campaign(views))
    assert answer.effect.conclusion in Page(html).text
    assert f"p-value {answer.effect.p_value:.2g}" in Page(html).text


def test_asking_is_judged_on_all_valid_structures_when_few_came_to_the_property_stage() -> None:
    (answer,) = asked_effects(minerals())
    assert answer.source == (
        "Estimated from the structures as received, of all 3 candidates that passed validity."
    )
    assert {r.label: len(r.values) for r in answer.rows} == {"nothing": 0, "1.5 eV": 1, "4.5 eV": 2}
    # PBE gaps of the TiO2 minerals lie between 1.8 (rutile) and 2.6 eV (columbite); the model's
    # error there is about 0.4 eV.
    assert all(1.0 < v < 3.4 for r in answer.rows for v in r.values)


def test_no_section_on_asking_when_nothing_was_asked() -> None:
    assert asked_effects(nothing_survived()) == []
    assert "Did asking" not in Page(render_page(nothing_survived())).text


def test_report_is_replaced_whole_and_a_missing_folder_is_explained(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    write_report(campaign([]), target)
    assert target.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(campaign([]), tmp_path / "file" / "report.html")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "under 1 ms"),
        (0.21, "210 ms"),
        (6.4, "6.4 s"),
        (59.7, "1 min 00 s"),
        (4182, "1 h 09 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0004, "0.000"), (-0.31, "−0.310"), (12345.6, "12\u202f345.600")]
)
def test_numbers_have_true_minus_signs_and_no_negative_zero(value: float, text: str) -> None:
    assert number(value, 3) == text
