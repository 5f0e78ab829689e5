"""The dft stage in a campaign: who is computed, what is kept, what a kill costs. Real GPAW."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import psutil
import pytest
from ase import Atoms
from ase.build import bulk

from bondwright.campaign.codec import Record
from bondwright.campaign.driver import RunSummary, run_campaign
from bondwright.campaign.load import load_summary, load_view
from bondwright.campaign.report import write_report
from bondwright.campaign.selection import left_out
from bondwright.campaign.store import Store
from bondwright.campaign.view import CandidateView
from bondwright.errors import InputError
from bondwright.screen.dft import DftStageSettings
from bondwright.screen.verdict import Outcome, Verdict

# A cut-off and a mesh too coarse for physics keep one SCF below a second.
CONFIG = """
name = "silicon"

[[input]]
files = ["candidates.extxyz"]

[[input]]
files = ["controls/*.extxyz"]
control = true

[stages.validity]
enabled = false
[stages.novelty]
enabled = false
[stages.stability]
enabled = false
[stages.property]
enabled = false

[stages.dft]
best = 3
bonds = false
changes = { cutoff_eV = 200, kpoints = [3, 3, 3] }

[run]
workers = 1
"""


# The phase of silicon under pressure; PBE has it 0.3 eV/atom above diamond.
WHITE_TIN = Atoms(
    "Si4",
    scaled_positions=[[0, 0, 0], [0.5, 0, 0.25], [0.5, 0.5, 0.5], [0, 0.5, 0.75]],
    cell=[4.77, 4.77, 2.63],
    pbc=True,
)


def make_campaign(folder: Path) -> Path:
    """Write a campaign of silicon as diamond and as white tin, of astatine, and a fourth."""
    (folder / "controls").mkdir(parents=True)
    made = [
        bulk("Si", "diamond", a=5.2),
        WHITE_TIN,
        bulk("At", "fcc", a=4.5),  # GPAW has no data for it
        bulk("Si", "diamond", a=5.5),
    ]
    ase.io.write(folder / "candidates.extxyz", made)
    ase.io.write(folder / "controls" / "diamond.extxyz", bulk("Si", "diamond", a=5.47, cubic=True))
    (folder / "campaign.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that ran once from start to end."""
    folder = make_campaign(tmp_path_factory.mktemp("dft") / "silicon")
    assert run_campaign(folder).new["dft"] == 4
    return folder


def copy_of(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target / source.name))


def verdict(view: CandidateView) -> Verdict:
    return view.verdicts["dft"]


def records(folder: Path) -> dict[Path, int]:
    """Return the ground states that are kept, and when each was written (ns)."""
    names = (p for p in (folder / "dft").glob("*/relaxation/**/*.json") if len(p.stem) == 32)
    return {p: p.stat().st_mtime_ns for p in names}


def test_best_few_and_all_controls_are_computed(finished: Path) -> None:
    view = load_view(finished)
    relaxed, white_tin, astatine, fourth, control = view.candidates
    assert [verdict(c).outcome for c in view.candidates] == [
        Outcome.PASSED,
        Outcome.PASSED,
        Outcome.UNKNOWN,
        Outcome.UNKNOWN,
        Outcome.PASSED,
    ]
    assert verdict(astatine).reason == "no-paw-set"
    assert verdict(fourth).reason == "not-selected"
    # The same crystal from another cell has the same energy: 0.01 eV/atom for what the limits of
    # a quick relaxation leave.
    assert verdict(relaxed).value == pytest.approx(0.0, abs=0.01)
    assert verdict(relaxed).details["relative_to"] == control.candidate.name
    assert verdict(control).value == 0.0
    assert verdict(white_tin).value is not None
    assert 0.01 < verdict(white_tin).value < 0.5
    assert verdict(white_tin).details["band_gap_eV"] == 0
    assert relaxed.dft is not None
    assert control.dft is not None
    assert relaxed.dft.get_volume() == pytest.approx(control.dft.get_volume(), rel=0.03)
    assert (fourth.dft, astatine.dft) == (None, None)
    assert relaxed.relaxed is None  # there was no other relaxation


def test_those_left_out_are_counted_and_not_held_against_them(finished: Path) -> None:
    view = load_view(finished)
    stage = view.stages[-1]
    assert (stage.name, stage.entered, stage.passed, stage.waiting) == ("dft", 4, 2, 0)
    assert stage.unknown == {"no-paw-set": 1, "not-selected": 1}
    assert stage.seconds_per_candidate == pytest.approx(stage.seconds / 3)
    assert load_summary(finished)[-1] == stage
    assert [c.survived for c in view.candidates] == [True, True, False, True, True]
    assert [c.verified for c in view.candidates] == [True, True, False, False, True]
    assert len(view.survivors) == 3
    write_report(view, finished / "report.html")
    assert "dft" in (finished / "report.html").read_text("utf-8")


def test_second_run_does_nothing(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    before = load_view(folder)
    assert run_campaign(folder).idle
    assert [verdict(c) for c in load_view(folder).candidates] == [
        verdict(c) for c in before.candidates
    ]


def test_more_candidates_and_a_limit_repeat_nothing(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    before = records(folder)
    low, high = (verdict(c).value or 0.0 for c in load_view(folder).candidates[:2])
    limit = f"limit_eV_per_atom = {(low + high) / 2:.4f}"
    config = CONFIG.replace("best = 3", f"best = 0\n{limit}")
    (folder / "campaign.toml").write_text(config)
    summary = run_campaign(folder)
    assert summary.new["dft"] == 0
    assert load_summary(folder)[-1].unknown == {"not-selected": 4}
    config = CONFIG.replace("best = 3", f"best = 2\n{limit}")
    (folder / "campaign.toml").write_text(config)
    assert run_campaign(folder).new["dft"] == 0  # found again by their content
    stage = load_summary(folder)[-1]
    assert (stage.passed, stage.rejected) == (1, {"above-control": 1})
    rejected = load_view(folder).candidates[1]
    assert verdict(rejected).outcome is Outcome.REJECTED
    assert not rejected.survived
    assert records(folder) == before


def test_large_cells_are_left_out_controls_too(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    (folder / "campaign.toml").write_text(CONFIG.replace("best = 3", "best = 3\nmax_atoms = 1"))
    run_campaign(folder)
    reasons = {c.candidate.name: verdict(c).reason for c in load_view(folder).candidates}
    assert list(reasons.values()) == [*["not-selected"] * 2, "no-paw-set", *["not-selected"] * 2]
    assert "2 atoms" in verdict(load_view(folder).controls[0]).message


def test_lowest_above_the_hull_is_best_then_nearest_to_the_target(
    finished: Path, tmp_path: Path
) -> None:
    store = Store.open(copy_of(finished, tmp_path) / "campaign.sqlite")
    standings = store.standings()
    first, second, third, fourth, _ = (c.key for c in standings)
    energies = {first: 0.1, second: 0.02, third: None, fourth: 0.02}
    distances = {first: 0.0, second: 0.3, third: 0.0, fourth: 0.2}
    with store.transaction():
        for stage, values in (("stability", energies), ("property", distances)):
            for key, value in values.items():
                found = Verdict(stage, Outcome.PASSED, value=value, unit="eV")
                store.add_records([Record(f"{stage} {key}", found, None, 0.0, None, None, 1)])
                store.point(stage, {key: f"{stage} {key}"})
    for best, chosen in enumerate([fourth, second, first, third], 1):
        left = left_out(store, standings, DftStageSettings(best=best))
        assert chosen not in left
        assert len(left) == 4 - best
        assert all(r.verdict.details["rank"] > best for r in left.values())
    store.close()


def test_new_control_is_computed_alone_and_counts_for_all(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    before = records(folder)
    first = load_view(folder)
    # A control of another composition changes nothing, one that lies lower changes all.
    ase.io.write(folder / "controls" / "shifted.extxyz", bulk("Si", "diamond", a=5.6))
    summary = run_campaign(folder)
    assert summary.new["dft"] == 1
    assert before.items() <= records(folder).items()
    second = load_view(folder)
    energies = {c.candidate.name: verdict(c).details["energy_eV_per_atom"] for c in second.controls}
    lowest = min(energies, key=lambda name: energies[name])
    for old, new in zip(first.candidates[:2], second.candidates[:2], strict=True):
        details = verdict(new).details
        assert details["energy_eV_per_atom"] == verdict(old).details["energy_eV_per_atom"]
        assert details["relative_to"] == lowest
        assert details["relative_energy_eV_per_atom"] == pytest.approx(
            details["energy_eV_per_atom"] - energies[lowest]
        )


def test_killed_in_the_middle_it_goes_on_where_it_was(finished: Path, tmp_path: Path) -> None:
    folder = make_campaign(tmp_path / "silicon")
    words = [sys.executable, "-m", "bondwright", "run", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        end = time.monotonic() + 300
        while len(records(folder)) < 4 and time.monotonic() < end:
            assert driver.poll() is None
            time.sleep(0.02)
        children = psutil.Process(driver.pid).children(recursive=True)
        os.kill(driver.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    kept = records(folder)
    assert len(kept) >= 4
    assert not (folder / "report.html").exists()  # it was killed before its end
    summary = run_campaign(folder)
    assert isinstance(summary, RunSummary)
    assert summary.new["dft"] + summary.recovered == 4
    after = records(folder)
    assert kept.items() <= after.items()  # not one ground state was computed again
    assert len(after) == len(records(finished))
    for there, here in zip(
        load_view(finished).candidates, load_view(folder).candidates, strict=True
    ):
        assert verdict(here).outcome is verdict(there).outcome
        assert verdict(here).reason == verdict(there).reason
        if verdict(there).value is not None:
            # A density that starts afresh ends within the tolerance of the SCF, 1e-5 eV/electron.
            assert verdict(here).value == pytest.approx(verdict(there).value, abs=1e-3)
            assert verdict(here).details["steps"] == verdict(there).details["steps"]


def test_missing_program_is_one_line_before_any_work(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_campaign(tmp_path / "silicon")
    monkeypatch.setitem(sys.modules, "gpaw", None)  # what an absent package looks like
    with pytest.raises(InputError, match="gpaw_build") as raised:
        run_campaign(folder)
    assert "\n" not in str(raised.value)
    assert "enabled = false" in str(raised.value)
    assert raised.value.exit_code == 2
    assert run_campaign(folder, without=["dft"]).new == {"read": 5}
    with pytest.raises(InputError, match=r"'dtf' to leave out.*mean 'dft'"):
        run_campaign(folder, without=["dtf"])


def test_without_its_table_the_stage_is_off(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path / "silicon")
    (folder / "campaign.toml").write_text(CONFIG.partition("[stages.dft]")[0])
    assert run_campaign(folder).new == {"read": 5}
    assert [s.name for s in load_summary(folder)] == ["read"]
