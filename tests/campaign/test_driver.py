"""Campaigns of real checks that are killed, interrupted, doubled, changed and repeated."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import alloys
import psutil
import pytest

from bondwright.campaign.driver import Progress, RunSummary, run_campaign
from bondwright.campaign.folder import CampaignFolder
from bondwright.campaign.load import load_summary, load_view
from bondwright.errors import BusyError, InputError
from bondwright.screen.verdict import Outcome

KILLS = 20


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that ran once from start to end."""
    folder = alloys.make_campaign(tmp_path_factory.mktemp("undisturbed"))
    summary = run_campaign(folder)
    assert not summary.interrupted
    return folder


@pytest.fixture
def campaign(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of the finished campaign."""
    return copy_of(undisturbed, tmp_path / "campaign", finished=True)


def copy_of(source: Path, target: Path, *, finished: bool) -> Path:
    import shutil

    leave_out = () if finished else ("campaign.sqlite*", "results", ".lock", "workers.log")
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*leave_out))
    return target


@dataclass
class Driver:
    """A driver in a process of its own, which tells of its progress."""

    folder: Path
    workers: int | None = None
    events: list[Progress] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A fork has the science imported already, so that twenty of them start in no time.
        context = multiprocessing.get_context("fork")
        self._reading, writing = context.Pipe(duplex=False)
        self.process = context.Process(target=_drive, args=(self.folder, self.workers, writing))
        self.process.start()
        writing.close()

    def wait_for_events(self, number: int) -> bool:
        """Wait until the driver told of `number` steps; False when it ended before that."""
        while len(self.events) < number:
            try:
                message = self._reading.recv()
            except EOFError:
                return False
            if isinstance(message, Progress):
                self.events.append(message)
            else:
                self.answer = message
                return False
        return True

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


def _drive(folder: Path, workers: int | None, writing: Connection) -> None:
    try:
        answer: Any = run_campaign(folder, workers=workers, progress=writing.send)
    except Exception as error:
        answer = (type(error).__name__, str(error))
    writing.send(answer)
    writing.close()


def test_undisturbed_campaign_finds_what_was_put_in(undisturbed: Path) -> None:
    view = load_view(undisturbed)
    assert [s.name for s in view.stages][:5] == [
        "read",
        "validity",
        "novelty",
        "stability",
        "novelty-relaxed",
    ]
    read, validity, novelty, stability, relaxed = view.stages[:5]
    assert (read.entered, read.passed, sum(read.rejected.values())) == (15, 12, 3)
    assert validity.rejected == {"short-contact": 1, "volume": 1}
    assert novelty.rejected == {"duplicate": 2}
    assert stability.unknown == {"element-outside-reference": 1}
    assert relaxed.entered == stability.passed > 0
    assert all(s.waiting == 0 for s in view.stages)
    assert all(s.seconds_per_candidate is not None and s.seconds > 0 for s in view.stages)
    # The elements at the corners of the hull lie on it.
    assert [c.candidate.atoms.get_chemical_formula() for c in view.controls] == ["Au4", "Cu4"]
    for control in view.controls:
        assert abs(control.verdicts["stability"].value) < 0.005
        assert control.relaxed is not None
        assert list(control.verdicts) == [s.name for s in view.stages]
    assert view.survivors
    assert all(c.survived for c in view.survivors)


def test_second_run_does_nothing_and_says_so(campaign: Path) -> None:
    """Fault 65: repeating a finished run is instant and changes nothing."""
    before, sizes = alloys.final_results(campaign), alloys.table_sizes(campaign)
    events: list[Progress] = []
    summary = run_campaign(campaign, progress=events.append)
    assert summary.idle
    assert not any(summary.new.values())
    assert alloys.final_results(campaign) == before
    assert alloys.table_sizes(campaign) == sizes
    assert all(e.done == e.total for e in events if e.total is not None)


def test_result_does_not_depend_on_the_number_of_workers(undisturbed: Path, tmp_path: Path) -> None:
    """Fault 55."""
    folder = copy_of(undisturbed, tmp_path / "two", finished=False)
    run_campaign(folder, workers=2)
    assert alloys.final_results(folder) == alloys.final_results(undisturbed)


def test_killed_at_random_it_ends_as_if_undisturbed(undisturbed: Path, tmp_path: Path) -> None:
    """Faults 56, 57, 47: kill -9 of the driver at twenty random moments, each time continued.

    A moment is a number of steps that the driver got to, and some milliseconds more. When a run
    is done before its moment comes, the campaign is compared with the undisturbed one and the
    killing goes on with a fresh one.
    """
    expected, sizes = alloys.final_results(undisturbed), alloys.table_sizes(undisturbed)
    generator = random.Random(20)
    kills = finished = recovered = 0
    moments: list[str] = []
    folder = copy_of(undisturbed, tmp_path / "0", finished=False)
    while kills < KILLS or not finished:
        driver = Driver(folder)
        reached = driver.wait_for_events(generator.randrange(30))
        if reached and kills < KILLS:
            time.sleep(generator.uniform(0, 0.3))
            driver.kill()
            kills += 1
            moments.append(driver.events[-1].stage if driver.events else "start")
            continue
        summary = driver.result()
        assert isinstance(summary, RunSummary), summary
        recovered += summary.recovered
        finished += 1
        assert alloys.final_results(folder) == expected
        assert alloys.table_sizes(folder) == sizes
        assert not list((folder / "results").glob("*/*"))
        folder = copy_of(undisturbed, tmp_path / str(finished), finished=False)
    assert len(set(moments)) >= 3, moments  # the kills were not all at the same place


def test_results_of_a_killed_driver_are_taken_in(undisturbed: Path, tmp_path: Path) -> None:
    """Faults 57, 47: what landed as a file is used; what is half-written is done again."""
    from bondwright.campaign.codec import Record
    from bondwright.campaign.landing import land
    from bondwright.campaign.store import Store

    folder = copy_of(undisturbed, tmp_path / "campaign", finished=True)
    database = sqlite3.connect(folder / "campaign.sqlite")
    lost = [
        r[0] for r in database.execute("SELECT content_key FROM verdicts WHERE stage = 'stability'")
    ]
    store = Store.open_read_only(folder / "campaign.sqlite")
    verdicts, pointers = store.verdicts("stability"), store.pointers("stability")
    atoms = {c: store.structure("stability", c) for c in verdicts}
    store.close()
    by_key = {pointers[c]: c for c in verdicts}
    # The driver dies with all results on the disk and none in the store; two files are torn.
    for key in lost:
        candidate = by_key[key]
        record = Record(key, verdicts[candidate], atoms[candidate], 0.5, 100.0, 1, 1)
        land(folder / "results", "stability", key, [record])
    files = sorted((folder / "results" / "stability").glob("*.json"))
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].rename(files[1].with_name("half.123.part"))
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


def test_two_drivers_the_second_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    """Fault 60; the first goes on unharmed, and looking is allowed meanwhile."""
    folder = copy_of(undisturbed, tmp_path / "campaign", finished=False)
    first = Driver(folder)
    assert first.wait_for_events(19)
    with pytest.raises(BusyError, match="already drives") as refused:
        run_campaign(folder)
    assert refused.value.exit_code == 3
    assert str(first.process.pid) in str(refused.value)
    assert load_summary(folder)[0].entered == 15
    assert isinstance(first.result(), RunSummary)
    assert alloys.final_results(folder) == alloys.final_results(undisturbed)


def test_lock_of_a_killed_driver_is_not_stale(campaign: Path) -> None:
    """Fault 62."""
    with CampaignFolder(campaign).driver_lock():
        pid = os.fork()
        if pid == 0:
            time.sleep(0.2)
            os._exit(0)
    os.waitpid(pid, 0)
    driver = Driver(campaign)
    driver.wait_for_events(1)
    driver.kill()
    assert run_campaign(campaign).idle


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_stops_cleanly(undisturbed: Path, tmp_path: Path, number: int) -> None:
    folder = copy_of(undisturbed, tmp_path / "campaign", finished=False)
    driver = Driver(folder)
    assert driver.wait_for_events(22)  # past reading, at validity
    os.kill(driver.process.pid or 0, number)
    summary = driver.result()
    assert summary.interrupted
    assert not summary.idle
    kept = sum(v for k, v in summary.new.items() if k != "read")
    assert kept > 0
    database = sqlite3.connect(folder / "campaign.sqlite")
    outcomes = [r[0] for r in database.execute("SELECT outcome FROM invocations")]
    database.close()
    assert outcomes == ["interrupted"]
    waiting = [s.waiting for s in load_summary(folder)]
    assert any(waiting)
    again = run_campaign(folder)
    assert not again.interrupted
    assert again.new["read"] == 0
    assert again.new["validity"] < 14
    assert alloys.final_results(folder) == alloys.final_results(undisturbed)


def test_workers_killed_all_the_time(undisturbed: Path, tmp_path: Path) -> None:
    """Fault 58: the machine's doing is never held against a candidate."""
    folder = copy_of(undisturbed, tmp_path / "campaign", finished=False)
    driver = Driver(folder, workers=2)
    killed: set[int] = set()
    generator = random.Random(5)
    for step in (18, 20, 26, 34):
        if not driver.wait_for_events(step):
            break
        workers = [
            p.pid
            for p in driver.children()
            if "spawn_main" in " ".join(p.cmdline()) and p.pid not in killed
        ]
        if workers:
            victim = generator.choice(workers)
            killed.add(victim)
            os.kill(victim, signal.SIGKILL)
    assert isinstance(driver.result(), RunSummary)
    assert killed
    assert alloys.final_results(folder) == alloys.final_results(undisturbed)


def test_changed_setting_redoes_its_stage_and_those_after_it(campaign: Path) -> None:
    before = alloys.final_results(campaign)
    changed = alloys.CONFIG.replace('potential = "emt"', 'potential = "emt"\nfmax_eV_per_A = 0.02')
    (campaign / "campaign.toml").write_text(changed)
    summary = run_campaign(campaign)
    assert [summary.new[s] for s in ("read", "validity", "novelty")] == [0, 0, 0]
    assert summary.new["stability"] == 10
    assert summary.new["novelty-relaxed"] > 0
    after = alloys.final_results(campaign)
    assert {k for k in before if k.endswith(("read", "validity", "novelty"))} <= after.keys()
    assert all(before[k] == after[k] for k in before if k.endswith(("validity", "novelty")))
    assert any(before[k] != after[k] for k in before if k.endswith("stability"))
    # Changed back, everything is there still.
    (campaign / "campaign.toml").write_text(alloys.CONFIG)
    assert run_campaign(campaign).idle
    assert alloys.final_results(campaign) == before


def test_new_and_removed_inputs(campaign: Path) -> None:
    import ase.io
    from ase.build import bulk

    before = alloys.final_results(campaign)
    ase.io.write(campaign / "more.extxyz", bulk("AgCu", "zincblende", a=5.2, cubic=True))
    more = alloys.CONFIG.replace('"candidates.extxyz"', '"candidates.extxyz", "more.extxyz"')
    (campaign / "campaign.toml").write_text(more)
    summary = run_campaign(campaign)
    assert summary.new["read"] == 1
    assert summary.new["validity"] == 1
    assert len(load_view(campaign).candidates) == 18
    (campaign / "campaign.toml").write_text(alloys.CONFIG)
    run_campaign(campaign)
    view = load_view(campaign)
    assert len(view.candidates) == 17
    after = alloys.final_results(campaign)
    assert all(after[k] == v for k, v in before.items())


def test_disabled_stage_leaves_the_funnel(campaign: Path) -> None:
    (campaign / "campaign.toml").write_text(
        alloys.CONFIG + "\n[stages.validity]\nenabled = false\n"
    )
    run_campaign(campaign)
    summary = {s.name: s for s in load_summary(campaign)}
    assert "validity" not in summary
    assert summary["novelty"].entered == 12
    view = load_view(campaign)
    assert all("validity" not in c.verdicts for c in view.candidates)


def test_failures_of_the_run_are_kept_and_tried_again_when_asked(
    undisturbed: Path, tmp_path: Path
) -> None:
    """Fault 58: a time limit that nothing can keep is recorded for each candidate."""
    folder = copy_of(undisturbed, tmp_path / "campaign", finished=True)
    tight = alloys.CONFIG.replace('potential = "emt"', 'potential = "emt"\nmax_steps = 499')
    (folder / "campaign.toml").write_text(
        tight.replace("time_limit_s = 120", "time_limit_s = 0.01")
    )
    summary = run_campaign(folder)
    assert summary.new["stability"] == 10
    stability = {s.name: s for s in load_summary(folder)}["stability"]
    assert stability.failed == {"timeout": 8}
    failed = [c for c in load_view(folder).candidates if "stability" in c.verdicts]
    assert all(c.verdicts["stability"].outcome is Outcome.FAILED for c in failed)
    assert "0.01 s" in failed[0].verdicts["stability"].message
    (folder / "campaign.toml").write_text(tight)
    assert run_campaign(folder).new["stability"] == 0
    assert run_campaign(folder, retry_failed=True).new["stability"] == 10
    assert {s.name: s for s in load_summary(folder)}["stability"].failed == {}


def test_missing_hull_is_one_line_before_any_work(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy_of(undisturbed, tmp_path / "campaign", finished=False)
    (folder / "hull.parquet").unlink()
    with pytest.raises(InputError, match=r"hull\.parquet") as raised:
        run_campaign(folder)
    assert "\n" not in str(raised.value)


def test_read_only_folder_is_one_line(undisturbed: Path, tmp_path: Path) -> None:
    """Fault 59. Root may write anywhere, so the folder's lock is made a folder instead."""
    folder = copy_of(undisturbed, tmp_path / "campaign", finished=False)
    (folder / ".lock").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        run_campaign(folder)


def test_a_campaign_can_be_driven_from_a_thread(campaign: Path) -> None:
    answers: list[RunSummary] = []
    thread = threading.Thread(target=lambda: answers.append(run_campaign(campaign)))
    thread.start()
    thread.join()
    assert answers[0].idle
