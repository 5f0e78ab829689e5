"""Computing labels in worker processes: what is missing, with limits, resumable at any moment."""

from __future__ import annotations

import fnmatch
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.bonding.acceptance import accept_label
from bondwright.campaign.glass.config import GlassConfig, LabelSetting
from bondwright.campaign.glass.costs import Cost, add_cost
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.generate import refused
from bondwright.campaign.glass.labels import (
    FAILED,
    LabelRecord,
    hashes,
    judged,
    key_of,
    read_record,
    read_records,
    store_label,
)
from bondwright.dft.gpaw_parameters import gpaw_version
from bondwright.errors import InputError
from bondwright.run import LocalPool, Resources, TaskResult, TaskStatus
from bondwright.structure.records import atoms_from_json, atoms_to_json

_REASONS = {
    TaskStatus.RAISED: "error",
    TaskStatus.TIMED_OUT: "timeout",
    TaskStatus.CRASHED: "crashed",
    TaskStatus.KILLED: "killed",
    TaskStatus.OUT_OF_MEMORY: "out-of-memory",
}


@dataclass(frozen=True)
class LabelTask:
    """One label to compute, as it is sent to a worker.

    Attributes:
        root: the project's folder.
        record: the label's record as far as it is known beforehand.
        atoms: the structure as `atoms_to_json` writes it.
        setting: how it is labelled.
    """

    root: Path
    record: LabelRecord
    atoms: dict[str, Any]
    setting: LabelSetting


@dataclass
class Labelling:
    """How far the labelling is; passed to the progress function at each change.

    Attributes:
        total: labels that were missing at the beginning.
        done: labels that have ended since, whatever became of them.
        last: the label that ended last.
        running: cells being labelled.
        remaining_s: estimated seconds until all are done; None before the first has ended.
        new: status -> number, of the labels made now.
        records: the records made now.
        left_out: labels that were not begun because their time was used up.
    """

    total: int = 0
    done: int = 0
    last: LabelRecord | None = None
    running: tuple[str, ...] = ()
    remaining_s: float | None = None
    new: dict[str, int] = field(default_factory=dict)
    records: list[LabelRecord] = field(default_factory=list)
    left_out: int = 0


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes:
        missing: the labels to compute.
        failed: labels that failed before and are not tried again.
        elsewhere: cells that were labelled by another method, whatever came of it.
    """

    missing: list[LabelTask]
    failed: list[LabelRecord]
    elsewhere: list[str]


def choose(folder: GlassFolder, patterns: Sequence[str] = ()) -> list[CellName]:
    """Return the cells of the project whose names match one of the patterns.

    Without any these are all cells but those of a run that its checks refused.

    Raises:
        InputError: a pattern matches no cell.
    """
    names = folder.names()
    if not patterns:
        bad = refused(folder, names)
        return [name for name in names if name.run not in bad]
    matched: set[CellName] = set()
    for pattern in patterns:
        # A run or a composition stands for all its cells.
        forms = (pattern, f"{pattern}/*")
        found = [n for n in names if any(fnmatch.fnmatchcase(str(n), form) for form in forms)]
        if not found:
            raise InputError(
                f"no cell of the project is called {pattern!r}; `bondwright glass status` lists "
                "them."
            )
        matched.update(found)
    return [name for name in names if name in matched]


def plan_labels(
    folder: GlassFolder,
    setting: LabelSetting,
    names: Sequence[CellName],
    *,
    retry_failed: bool = False,
    every: bool = False,
) -> Work:
    """Say which labels are missing.

    Args:
        folder: the project.
        setting: how cells are labelled.
        names: the cells.
        retry_failed: failed and refused labels count as missing.
        every: also cells that were labelled by another method.
    """
    others = {r.structure for r in read_records(folder) if r.method != setting.method_name}
    missing: dict[str, LabelTask] = {}
    failed, elsewhere = [], []
    for name, (structure, atoms) in hashes(folder, names).items():
        key = key_of(structure, setting)
        known = read_record(folder, key)
        if known is not None and (known.accepted or not retry_failed):
            failed += [] if known.accepted else [known]
            continue
        if known is None and structure in others and not every:
            elsewhere.append(str(name))
            continue
        record = LabelRecord(
            key=key,
            name=str(name),
            structure=structure,
            method=setting.method_name,
            status=FAILED,
            attempts=1 if known is None else known.attempts + 1,
            settings=_plain_settings(setting),
        )
        # Two cells of one structure share a label.
        missing.setdefault(key, LabelTask(folder.root, record, atoms_to_json(atoms), setting))
    return Work(list(missing.values()), failed, elsewhere)


def label_cells(
    folder: GlassFolder,
    config: GlassConfig,
    names: Sequence[CellName],
    *,
    retry_failed: bool = False,
    every: bool = False,
    minutes: float = 0.0,
    progress: Callable[[Labelling], None] | None = None,
) -> Labelling:
    """Compute the labels that are missing; call it under the project's lock.

    An interrupt (KeyboardInterrupt) ends the workers; finished labels are kept, and a label that
    was under way takes its converged density up again next time.

    Args:
        folder: the project.
        config: how cells are labelled, workers, limits.
        names: the cells.
        retry_failed: try again what failed or was refused.
        every: also cells that were labelled by another method.
        minutes: begin no label after this time, and finish those under way; 0 for no limit.
        progress: called when a label begins or ends.

    Raises:
        InputError: labels are imported in this project, or GPAW is missing.
    """
    if config.label.method == "lobster":
        raise InputError(
            "glass.toml says that labels come from LOBSTER; read them with `bondwright glass "
            'import`, or set method = "gpaw" in [label].'
        )
    gpaw_version()
    work = plan_labels(folder, config.label, names, retry_failed=retry_failed, every=every)
    state = Labelling(total=len(work.missing))
    if not work.missing:
        return state
    workers = min(config.run.worker_count, len(work.missing))
    limits = Resources(config.run.time_limit_s, config.run.memory_mb)
    tell = progress or (lambda _: None)
    began = time.monotonic()
    waiting = list(reversed(work.missing))
    running: dict[Future[TaskResult], LabelTask] = {}
    with LocalPool(workers, log=folder.log, tasks_per_worker=1) as pool:
        while waiting or running:
            if minutes and time.monotonic() - began > 60 * minutes:
                state.left_out += len(waiting)
                waiting.clear()
            while waiting and len(running) < workers:
                task = waiting.pop()
                running[pool.submit(run_label, (task,), limits)] = task
            state.running = tuple(task.record.name for task in running.values())
            tell(state)
            if not running:
                break
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                record = _arrived(folder, running.pop(future), future.result())
                state.done += 1
                state.last = record
                state.records.append(record)
                state.new[record.status] = state.new.get(record.status, 0) + 1
            each = (time.monotonic() - began) / max(state.done, 1)
            state.remaining_s = each * (len(waiting) + len(running))
    state.running = ()
    tell(state)
    return state


def run_label(task: LabelTask) -> LabelRecord:
    """Compute one label, in a worker, and write it with its record and its cost."""
    from bondwright.bonding.icohp import IcohpError, bond_strengths

    folder = GlassFolder(task.root)
    record, table = task.record, None
    atoms: Atoms = atoms_from_json(task.atoms)
    began, cpu = time.monotonic(), _cpu_seconds()
    try:
        table = bond_strengths(
            atoms, task.setting.bonds, folder.calculations / task.record.structure[:16]
        )
        limit = task.setting.max_charge_spilling
        record = judged(record, table, accept_label(table, max_charge_spilling=limit))
    except IcohpError as error:
        record = replace(record, reason=error.reason, message=error.message)
    except InputError as error:
        record = replace(record, reason="not-possible", message=str(error))
    seconds, used = time.monotonic() - began, _cpu_seconds() - cpu
    record = replace(record, seconds=seconds, cpu_seconds=used)
    store_label(folder, record, table)
    add_cost(folder.costs, Cost("label", 1, seconds, used, record.name))
    return record


def _arrived(folder: GlassFolder, task: LabelTask, result: TaskResult) -> LabelRecord:
    """Return the record of a label that has ended; write it when the worker could not."""
    if result.status is TaskStatus.DONE:
        record: LabelRecord = result.value
        return record
    said = f"{result.error_type}: {result.message}".removeprefix(": ")
    record = replace(
        task.record,
        reason=_REASONS[result.status],
        message=said,
        seconds=result.seconds,
        settings=task.record.settings | {"traceback": result.traceback}
        if result.traceback
        else task.record.settings,
    )
    store_label(folder, record)
    # A worker has one thread, so that its CPU seconds are its seconds at most.
    add_cost(folder.costs, Cost("label", 1, result.seconds, result.seconds, record.name))
    return record


def _plain_settings(setting: LabelSetting) -> dict[str, Any]:
    chosen = asdict(setting.bonds)
    if chosen["kpoints"] is not None:
        chosen["kpoints"] = list(chosen["kpoints"])
    return {
        **chosen,
        "max_charge_spilling": setting.max_charge_spilling,
        "gpaw": gpaw_version(),
    }


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
