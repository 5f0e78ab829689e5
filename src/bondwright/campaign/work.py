"""The work of one stage: its tasks on their way out, its results on their way into the store."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bondwright.campaign.codec import Record
from bondwright.campaign.config import CampaignConfig
from bondwright.campaign.plan import Plan
from bondwright.campaign.stages import (
    AFTER_RELAXATION,
    CheckTask,
    GroupItem,
    GroupTask,
    settings_json,
    version,
)
from bondwright.campaign.store import Store
from bondwright.errors import InputError
from bondwright.run import Resources, TaskResult, TaskStatus
from bondwright.screen.verdict import Outcome, Verdict

_STORE_SECONDS = 1.0
_STORE_RECORDS = 100
_GROUP_SECONDS_EACH = 1.0
_REASONS = {
    TaskStatus.RAISED: "error",
    TaskStatus.TIMED_OUT: "timeout",
    TaskStatus.CRASHED: "crashed",
    TaskStatus.KILLED: "killed",
    TaskStatus.OUT_OF_MEMORY: "out-of-memory",
}


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        stage: name of the stage.
        done: candidates with a verdict, those of earlier runs included.
        total: candidates that reached the stage; None while files are being read.
        counts: outcome -> number, of the verdicts that this run added.
        rate: verdicts per second in this run; None before the first.
    """

    stage: str
    done: int
    total: int | None
    counts: dict[str, int]
    rate: float | None


def make_tasks(
    store: Store, config: CampaignConfig, plan: Plan, results: Path
) -> Iterator[tuple[CheckTask | GroupTask, Resources]]:
    """Yield what a stage is missing as tasks for workers, in the order of the campaign.

    Args:
        store: the campaign's store; structures are taken from it one by one.
        config: the campaign.
        plan: what is missing.
        results: folder in which results land.
    """
    setting = config.stages[plan.stage]
    run = config.run
    limit_s = setting.settings.time_limit_s if plan.stage == "dft" else run.time_limit_s
    targets = {name: (t.value, t.tolerance) for name, t in config.targets.items()}
    for content_key, candidates in plan.missing.items():
        subject = _subject(store, plan.stage, candidates[0])
        task = CheckTask(plan.stage, content_key, results, setting.settings, subject, targets)
        yield task, Resources(limit_s, run.memory_mb)
    for group in plan.groups:
        items = tuple(
            GroupItem(c, key, _structure(store, plan.stage, c), group.energies[c])
            for c, key in group.members.items()
        )
        known = tuple(
            (store.candidate_data(c)["name"], _structure(store, plan.stage, c)) for c in group.known
        )
        processes = run.worker_count if len(items) > 1 else 1
        # The other workers have nothing to do meanwhile: the set may use their share.
        resources = Resources(
            run.time_limit_s + _GROUP_SECONDS_EACH * len(items), run.memory_mb * processes
        )
        yield (
            GroupTask(
                plan.stage,
                group.name,
                results,
                setting.settings,
                items,
                setting.reference,
                known,
                processes,
                group.controls,
            ),
            resources,
        )


def _subject(store: Store, stage: str, candidate: str) -> dict[str, Any]:
    if stage == "validity":
        return store.candidate_data(candidate)
    return _structure(store, stage, candidate)


def _structure(store: Store, stage: str, candidate: str) -> dict[str, Any]:
    """Return the atoms a stage looks at: the relaxed ones after `stability`, if there are."""
    relaxed = None
    if stage in AFTER_RELAXATION:
        relaxed = store.structure("stability", candidate)
    return relaxed or dict(store.candidate_data(candidate)["atoms"])


class Arrivals:
    """The results of one stage as they arrive; stored together every second or so."""

    def __init__(self, store: Store, plan: Plan, progress: Callable[[Progress], None]) -> None:
        self.new = 0
        self._store = store
        self._plan = plan
        self._progress = progress
        self._records: list[Record] = []
        self._files: list[Path] = []
        self._pointers: dict[str, str] = {}
        self._warnings: list[str] | None = None
        self._began = self._stored = time.monotonic()
        self._counts: Counter[str] = Counter()
        missing = sum(map(len, plan.missing.values())) + sum(len(g.members) for g in plan.groups)
        self._before = len(plan.expected) - missing
        self._tell()

    def take(self, task: CheckTask | GroupTask, result: TaskResult) -> None:
        """Accept what became of a task.

        Raises:
            InputError: the task met something that the user has to mend.
        """
        if result.error_type == InputError.__name__:
            raise InputError(f"stage {task.stage}: {result.message}")
        if isinstance(task, GroupTask):
            name, keys = task.name, {item.key: item.content_key for item in task.items}
        else:
            name = task.content_key
            keys = dict.fromkeys(self._plan.missing[name], name)
        if result.status is TaskStatus.DONE:
            records = [result.value]
            if isinstance(task, GroupTask):
                records = result.value.records
                if not task.controls:
                    self._warnings = result.value.warnings
            self._files.append(task.results / task.stage / f"{name}.json")
        else:
            records = _failures(task, result, list(dict.fromkeys(keys.values())))
        outcomes = {record.content_key: str(record.verdict.outcome) for record in records}
        self._records += records
        self._pointers |= keys
        self._counts.update(outcomes[key] for key in keys.values())
        self.new += len(keys)
        self._tell()

    def store_if_due(self) -> None:
        """Store what has arrived, unless that was just done."""
        due = time.monotonic() - self._stored >= _STORE_SECONDS
        if due or len(self._records) >= _STORE_RECORDS:
            self.store_now()

    def store_now(self) -> None:
        """Store what has arrived; only then do its files go."""
        if self._records:
            with self._store.transaction():
                self._store.add_records(self._records)
                self._store.point(self._plan.stage, self._pointers)
                if self._warnings is not None:
                    self._store.set_meta(f"warnings {self._plan.stage}", self._warnings)
            for file in self._files:
                file.unlink(missing_ok=True)
            self._records, self._files, self._pointers = [], [], {}
        self._stored = time.monotonic()

    def _tell(self) -> None:
        seconds = time.monotonic() - self._began
        self._progress(
            Progress(
                self._plan.stage,
                self._before + self.new,
                len(self._plan.expected),
                dict(self._counts),
                self.new / seconds if self.new and seconds > 0 else None,
            )
        )


def _failures(task: CheckTask | GroupTask, result: TaskResult, keys: list[str]) -> list[Record]:
    """Return records of a check that gave no verdict: they speak of the run, not the crystal."""
    verdict = Verdict(
        task.stage,
        Outcome.FAILED,
        reason=_REASONS[result.status],
        message=f"{result.error_type}: {result.message}".removeprefix(": "),
        details={"traceback": result.traceback},
        version=version(task.stage),
        settings=settings_json(task.settings),
    )
    share = result.seconds / len(keys)
    usage = (share, result.peak_memory_mb, result.worker, result.attempts)
    return [Record(key, verdict, None, *usage) for key in keys]
