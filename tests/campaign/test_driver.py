"""Campaigns of real checks that are killed, interrupted, doubled, changed and repeated."""

from __future__ import annotations

import getpass
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import alloys
import ase.io
import psutil
import pytest
from ase.build import bulk

from bondwright.campaign.codec import Record
from bondwright.campaign.driver import Progress, RunSummary, run_campaign
from bondwright.campaign.landing import land
from bondwright.campaign.load import load_summary, load_view
from bondwright.campaign.store import Store
from bondwright.errors import BusyError, InputError
from bondwright.screen.hull_tables import load_hull, write_hull
from bondwright.screen.potentials import load_potential
from bondwright.screen.verdict import Outcome

KILLS = 20
EVENTS_OF_READING = 25  # the driver tells of every candidate, controls included
READ = 23  # candidates without the controls, the three unreadable ones included


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign with every stage that ran once from start to end."""
    folder = alloys.make_campaign(tmp_path_factory.mktemp("full") / "alloys", alloys.CONFIG)
    assert not run_campaign(folder).interrupted
    return folder


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign of novelty and property that ran once from start to end."""
    folder = alloys.make_campaign(tmp_path_factory.mktemp("light") / "alloys", alloys.LIGHT)
    assert not run_campaign(folder).interrupted
    return folder


def copy_of(source: Path, target: Path, *, finished: bool) -> Path:
    """Copy a campaign; keys tell the folder's name, which therefore stays."""
    leave_out = () if finished else ("campaign.sqlite*", "results", ".lock", "workers.log")
    folder = target / source.name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*leave_out))
    return folder


@dataclass
class Driver:
    """A driver in a process of its own, which tells of its progress and can be held there."""

    folder: Path
    workers: int | None = None
    hold_at: int = -1
    events: list[Progress] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A fork has the science imported already, so that twenty of them start in no time.
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_drive, args=(self, theirs))
        self.process.start()
        theirs.close()

    def wait_for_events(self, number: int) -> bool:
        """Wait until the driver told of `number` steps; False when it ended before that."""
        while len(self.events) < number:
            try:
                message = self._pipe.recv()
            except EOFError:
                return False
            if not isinstance(message, Progress):
                self.answer = message
                return False
            self.events.append(message)
        return True

    def wait_for_stage(self, stage: str) -> bool:
        """Wait until the driver speaks of a stage; False when it ended before that."""
        while self.wait_for_events(len(self.events) + 1):
            if self.events[-1].stage == stage:
                return True
        return False

    def go_on(self) -> None:
        """Release a driver that is held."""
        self._pipe.send("go on")

    def result(self) -> Any:
        """Wait for the end and return the summary, or the error as (type, text)."""
        while self.wait_for_events(len(self.events) + 1):
            pass
        self.process.join()
        return self.answer

    def children(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def kill(self) -> None:
        """Kill the driver and see that what it started ends, too (fault 57)."""
        children = self.children()
        self.process.kill()
        self.process.join()
        end = time.monotonic() + 20
        while (left := [c for c in children if is_running(c)]) and time.monotonic() < end:
            time.sleep(0.05)
        assert not left


def is_running(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _drive(driver: Driver, pipe: Connection) -> None:
    told = 0

    def tell(progress: Progress) -> None:
        nonlocal told
        told += 1
        pipe.send(progress)
        if told == driver.hold_at:
            pipe.recv()

    try:
        answer: Any = run_campaign(driver.folder, workers=driver.workers, progress=tell)
    except Exception as error:
        answer = (type(error).__name__, str(error))
    pipe.send(answer)
    pipe.close()


def test_undisturbed_campaign_finds_what_was_put_in(undisturbed: Path) -> None:
    view = load_view(undisturbed)
    read, validity, novelty, stability, relaxed, properties = view.stages
    assert [s.name for s in view.stages][3:] == ["stability", "novelty-relaxed", "property"]
    assert (read.entered, read.passed, sum(read.rejected.values())) == (READ, 20, 3)
    assert validity.rejected == {"short-contact": 1, "volume": 1}
    assert novelty.rejected["duplicate"] >= 2
    assert stability.unknown == {"element-outside-reference": 1}
    assert relaxed.entered == stability.passed > 0
    assert properties.passed == len(view.survivors) > 0
    assert all(s.waiting == 0 for s in view.stages)
    assert all(s.seconds_per_candidate is not None and s.seconds > 0 for s in view.stages)
    # The elements at the corners of the hull lie on it.
    assert [c.candidate.atoms.get_chemical_formula() for c in view.controls] == ["Au4", "Cu4"]
    for control in view.controls:
        assert abs(control.verdicts["stability"].value) < 0.005
        assert control.relaxed is not None
        assert list(control.verdicts) == [s.name for s in view.stages]
    supercell = view.candidates[6]
    assert supercell.verdicts["novelty"].details["duplicate_of"] == view.candidates[0].candidate.key
    assert not supercell.survived


def test_second_run_does_nothing_and_says_so(undisturbed: Path) -> None:
    """Fault 65: repeating a finished run is instant and changes nothing."""
    before, sizes = alloys.final_results(undisturbed), alloys.table_sizes(undisturbed)
    events: list[Progress] = []
    summary = run_campaign(undisturbed, progress=events.append)
    assert summary.idle
    assert not any(summary.new.values())
    assert alloys.final_results(undisturbed) == before
    assert alloys.table_sizes(undisturbed) == sizes
    assert [e.stage for e in events] == [
        "validity",
        "novelty",
        "stability",
        "novelty-relaxed",
        "property",
    ]
    assert all(e.done == e.total for e in events)


def test_result_does_not_depend_on_the_number_of_workers(light: Path, tmp_path: Path) -> None:
    """Fault 55."""
    folder = copy_of(light, tmp_path, finished=False)
    run_campaign(folder, workers=2)
    assert alloys.final_results(folder) == alloys.final_results(light)


def test_killed_at_random_it_ends_as_if_undisturbed(light: Path, tmp_path: Path) -> None:
    """Faults 56, 57, 47: kill -9 of the driver at twenty random moments, each time continued.

    The moments lie in every stage in turn, up to a second after the driver first speaks of it.
    When a run is done before its moment comes, the campaign is compared with the undisturbed one
    and the killing goes on with a fresh one.
    """
    expected, sizes = alloys.final_results(light), alloys.table_sizes(light)
    generator = random.Random(20)
    kills = finished = 0
    folder = copy_of(light, tmp_path / "0", finished=False)
    while kills < KILLS or not finished:
        driver = Driver(folder)
        stage = ("read", "novelty", "property")[kills % 3]
        if kills < KILLS and driver.wait_for_stage(stage):
            time.sleep(generator.uniform(0, 1.0) if kills % 2 else 0)
            if driver.process.is_alive():
                driver.kill()
                kills += 1
                continue
        summary = driver.result()
        assert isinstance(summary, RunSummary), summary
        finished += 1
        assert alloys.final_results(folder) == expected
        assert alloys.table_sizes(folder) == sizes
        assert not list((folder / "results").glob("*/*"))
        folder = copy_of(light, tmp_path / str(finished), finished=False)


def test_killed_while_atoms_are_relaxed(undisturbed: Path, tmp_path: Path) -> None:
    """Fault 56: relaxed structures, too, end as if undisturbed."""
    folder = copy_of(undisturbed, tmp_path, finished=True)
    database = sqlite3.connect(folder / "campaign.sqlite")
    database.executescript(
        "DELETE FROM current WHERE stage IN ('stability', 'novelty-relaxed', 'property');"
        "DELETE FROM structures; DELETE FROM verdicts WHERE stage = 'stability';"
    )
    database.close()
    for step in (5, 7):
        driver = Driver(folder, hold_at=step)
        assert driver.wait_for_events(step)
        assert driver.events[-1].stage == "stability"
        driver.kill()
    summary = run_campaign(folder)
    assert 0 < summary.recovered + summary.new["stability"] <= len(stability_keys(undisturbed))
    assert alloys.final_results(folder) == alloys.final_results(undisturbed)
    assert alloys.table_sizes(folder) == alloys.table_sizes(undisturbed)


def stability_keys(folder: Path) -> list[str]:
    database = sqlite3.connect(folder / "campaign.sqlite")
    rows = database.execute("SELECT content_key FROM verdicts WHERE stage = 'stability'").fetchall()
    database.close()
    return [row[0] for row in rows]


def test_results_of_a_killed_driver_are_taken_in(undisturbed: Path, tmp_path: Path) -> None:
    """Faults 57, 47: what landed as a file is used; what is half-written is done again."""
    folder = copy_of(undisturbed, tmp_path, finished=True)
    lost = stability_keys(folder)
    store = Store.open_read_only(folder / "campaign.sqlite")
    pointers = store.pointers("stability")
    verdicts = {pointers[c]: (c, v) for c, v in store.verdicts("stability").items()}
    # The driver dies with all results on the disk and none in the store; two files are torn.
    for key in lost:
        candidate, verdict = verdicts[key]
        atoms = store.structure("stability", candidate)
        land(folder / "results", "stability", key, [Record(key, verdict, atoms, 0.5, 100.0, 1, 1)])
    store.close()
    files = sorted((folder / "results" / "stability").glob("*.json"))
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].rename(files[1].with_name("half.123.part"))
    database = sqlite3.connect(folder / "campaign.sqlite")
    database.executescript(
        "DELETE FROM current WHERE stage IN ('stability', 'novelty-relaxed', 'property');"
        "DELETE FROM structures; DELETE FROM verdicts WHERE stage = 'stability';"
    )
    database.close()
    summary = run_campaign(folder)
    assert summary.recovered == len(lost) - 2
    assert summary.new["stability"] == 2
    assert summary.new["novelty-relaxed"] == 0  # found again by its content
    assert alloys.final_results(folder) == alloys.final_results(undisturbed)
    assert not list((folder / "results").glob("*/*"))


def test_two_drivers_the_second_is_refused(light: Path, tmp_path: Path) -> None:
    """Fault 60; the first goes on unharmed, and looking is allowed meanwhile."""
    folder = copy_of(light, tmp_path, finished=False)
    first = Driver(folder, hold_at=EVENTS_OF_READING + 2)
    assert first.wait_for_events(first.hold_at)
    with pytest.raises(BusyError, match="already drives") as refused:
        run_campaign(folder)
    assert refused.value.exit_code == 3
    assert str(first.process.pid) in str(refused.value)
    assert load_summary(folder)[0].entered == READ
    assert load_view(folder).stages[1].waiting > 0
    first.go_on()
    assert isinstance(first.result(), RunSummary)
    assert alloys.final_results(folder) == alloys.final_results(light)


def test_lock_of_a_killed_driver_is_not_stale(light: Path, tmp_path: Path) -> None:
    """Fault 62."""
    folder = copy_of(light, tmp_path, finished=True)
    driver = Driver(folder, hold_at=1)
    assert driver.wait_for_events(1)
    driver.kill()
    assert (folder / ".lock").read_text().strip() == str(driver.process.pid)
    assert run_campaign(folder).idle


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_stops_cleanly(light: Path, tmp_path: Path, number: int) -> None:
    folder = copy_of(light, tmp_path, finished=False)
    # Held when reading and the first set's novelty are done.
    driver = Driver(folder, hold_at=EVENTS_OF_READING + 2)
    assert driver.wait_for_events(driver.hold_at)
    os.kill(driver.process.pid or 0, number)
    driver.go_on()
    summary = driver.result()
    assert summary.interrupted
    assert not summary.idle
    assert summary.new["novelty"] > 0
    assert "property" not in summary.new
    database = sqlite3.connect(folder / "campaign.sqlite")
    outcomes = [r[0] for r in database.execute("SELECT outcome FROM invocations")]
    database.close()
    assert outcomes == ["interrupted"]
    again = run_campaign(folder)
    assert not again.interrupted
    assert again.new["read"] == 0
    assert summary.new["novelty"] + again.new["novelty"] + again.recovered == 22
    assert alloys.final_results(folder) == alloys.final_results(light)


def test_workers_killed_all_the_time(light: Path, tmp_path: Path) -> None:
    """Fault 58: the machine's doing is never held against a candidate."""
    folder = copy_of(light, tmp_path, finished=False)
    steps = (EVENTS_OF_READING + 2, EVENTS_OF_READING + 6)
    for step in steps:
        driver = Driver(folder, hold_at=step)
        assert driver.wait_for_events(step)
        workers = [p for p in driver.children() if "spawn_main" in " ".join(p.cmdline())]
        assert workers
        for worker in workers:
            worker.kill()
        driver.go_on()
        assert isinstance(driver.result(), RunSummary)
        assert alloys.final_results(folder) == alloys.final_results(light)
        folder = copy_of(light, tmp_path / str(step), finished=False)


def test_changed_setting_redoes_its_stage_and_those_after_it(
    undisturbed: Path, tmp_path: Path
) -> None:
    folder = copy_of(undisturbed, tmp_path, finished=True)
    before = alloys.final_results(folder)
    changed = alloys.CONFIG.replace('potential = "emt"', 'potential = "emt"\nfmax_eV_per_A = 0.02')
    (folder / "campaign.toml").write_text(changed)
    summary = run_campaign(folder)
    assert [summary.new[s] for s in ("read", "validity", "novelty")] == [0, 0, 0]
    assert summary.new["stability"] == len(stability_keys(undisturbed))
    assert summary.new["novelty-relaxed"] > 0
    after = alloys.final_results(folder)
    early = [k for k in before if not k.endswith(("stability", "novelty-relaxed", "property"))]
    assert all(before[k] == after[k] for k in early)
    relaxed = [k for k in before if k.endswith("stability")]
    assert all(before[k] != after[k] for k in relaxed)
    # Changed back, everything is there still.
    (folder / "campaign.toml").write_text(alloys.CONFIG)
    assert run_campaign(folder).idle
    assert alloys.final_results(folder) == before


def test_another_threshold_asks_for_no_relaxation(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy_of(undisturbed, tmp_path, finished=True)
    before = alloys.final_results(folder)
    kept = {p: p.stat().st_mtime_ns for p in (folder / "relaxations").iterdir()}
    assert len(kept) == len(stability_keys(undisturbed))
    strict = 'potential = "emt"\nthreshold_eV_per_atom = 0.0\nadd_potential_error = false'
    (folder / "campaign.toml").write_text(alloys.CONFIG.replace('potential = "emt"', strict))
    assert run_campaign(folder).new["stability"] == len(kept)
    assert {p: p.stat().st_mtime_ns for p in (folder / "relaxations").iterdir()} == kept
    after = alloys.final_results(folder)
    assert any(before[k] != after[k] for k in before if k.endswith("stability"))
    # What the relaxations had cost is still told.
    spent = next(stage for stage in load_summary(folder) if stage.name == "stability").seconds
    told = [json.loads(p.read_bytes())["seconds"] for p in kept]
    assert spent > sum(told) / 2 > 0  # the summary leaves the controls out


def test_new_and_removed_inputs(light: Path, tmp_path: Path) -> None:
    folder = copy_of(light, tmp_path, finished=True)
    before = alloys.final_results(folder)
    ase.io.write(folder / "more.extxyz", bulk("AgCu", "zincblende", a=5.2, cubic=True))
    more = alloys.LIGHT.replace('"candidates.extxyz"', '"candidates.extxyz", "more.extxyz"')
    (folder / "campaign.toml").write_text(more)
    summary = run_campaign(folder)
    assert summary.new["read"] == 1
    assert summary.new["novelty"] == 21  # the set is another one; controls stand alone
    assert summary.new["property"] == 1
    assert len(load_view(folder).candidates) == READ + 3
    (folder / "campaign.toml").write_text(alloys.LIGHT)
    assert run_campaign(folder).idle
    view = load_view(folder)
    assert len(view.candidates) == READ + 2
    assert all(set(c.verdicts) <= {"read", "novelty", "property"} for c in view.candidates)
    after = alloys.final_results(folder)
    assert all(after[k] == v for k, v in before.items())


def test_disabled_stage_leaves_the_funnel(light: Path, tmp_path: Path) -> None:
    folder = copy_of(light, tmp_path, finished=True)
    without = alloys.LIGHT.replace("[stages.novelty]", "[stages.novelty]\nenabled = false")
    (folder / "campaign.toml").write_text(without)
    run_campaign(folder)
    summary = {s.name: s for s in load_summary(folder)}
    assert list(summary) == ["read", "property"]
    assert summary["property"].entered == 20
    assert all("novelty" not in c.verdicts for c in load_view(folder).candidates)


def test_failures_of_the_run_are_kept_and_tried_again_when_asked(
    undisturbed: Path, tmp_path: Path
) -> None:
    """Fault 58: a check that crashes or raises is recorded for its candidate alone."""
    folder = copy_of(undisturbed, tmp_path, finished=True)
    (folder / "model").write_text("weights")
    (folder / "bad-mood").touch()
    hull = load_hull(str(folder / "hull.parquet"))
    header = {"potential": load_potential("moody:Moody", str(folder / "model")).fingerprint}
    write_hull(folder / "hull.parquet", hull.phases, {**header, "energies": str(hull.energies)})
    moody = alloys.CONFIG.replace('"emt"', '"moody:Moody"\nmodel = "model"')
    (folder / "campaign.toml").write_text(moody)
    run_campaign(folder)
    before = {s.name: s for s in load_summary(undisturbed)}["stability"]
    after = {s.name: s for s in load_summary(folder)}["stability"]
    assert after.failed == {"crashed": 1, "error": 1}
    assert (after.passed, after.unknown) == (before.passed - 2, before.unknown)
    messages = [
        c.verdicts["stability"].message
        for c in load_view(folder).candidates
        if "stability" in c.verdicts and c.verdicts["stability"].outcome is Outcome.FAILED
    ]
    assert sorted(messages) == [
        "LookupError: the model lost its way",
        "the worker ended with exit code 3",
    ]
    (folder / "bad-mood").unlink()
    assert run_campaign(folder).idle  # a failure is not tried again unasked
    assert run_campaign(folder, retry_failed=True).new["stability"] == 2
    again = {s.name: s for s in load_summary(folder)}["stability"]
    assert (again.passed, again.failed) == (before.passed, {})


def test_missing_hull_is_one_line_before_any_work(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy_of(undisturbed, tmp_path, finished=False)
    (folder / "hull.parquet").unlink()
    with pytest.raises(InputError, match=r"hull\.parquet") as raised:
        run_campaign(folder)
    assert "\n" not in str(raised.value)


def test_folder_that_cannot_be_written_is_one_line(light: Path, tmp_path: Path) -> None:
    """Fault 59. Root may write anywhere, so a folder stands where the lock should be."""
    folder = copy_of(light, tmp_path, finished=False)
    (folder / ".lock").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        run_campaign(folder)


def test_a_campaign_can_be_driven_from_a_thread(light: Path, tmp_path: Path) -> None:
    folder = copy_of(light, tmp_path, finished=True)
    answers: list[RunSummary] = []
    thread = threading.Thread(target=lambda: answers.append(run_campaign(folder)))
    thread.start()
    thread.join()
    assert answers[0].idle


def test_nothing_stored_tells_where_or_who(undisturbed: Path) -> None:
    """Reports are shared: no host, no user, no folder above the campaign."""
    view = load_view(undisturbed)
    provenance = json.dumps(view.provenance)
    everything = provenance + json.dumps(list(alloys.final_results(undisturbed).values()))
    for private in (socket.gethostname(), getpass.getuser() + "/", str(undisturbed.parent)):
        assert private not in everything
    assert view.provenance["versions"]["bondwright"]
    assert view.provenance["seed"] == 7
    assert view.provenance["hardware"]["cores"] >= 1
    assert view.provenance["settings"]["stages"]["stability"]["data"]["hull"]
