"""Making cells: resumable melt-quenches in worker processes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from bondwright.campaign.glass.config import GlassConfig
from bondwright.campaign.glass.costs import Cost, add_cost
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.errors import BondwrightError
from bondwright.glasses.cell import GlassCell, read_cell, write_cell
from bondwright.glasses.checks import check_cell, failed_verdict
from bondwright.glasses.composition import parse_composition
from bondwright.glasses.errors import GlassError
from bondwright.glasses.melt_quench import melt_quench
from bondwright.glasses.potentials import choose_potential
from bondwright.glasses.protocol import Protocol
from bondwright.run import LocalPool, Resources, TaskResult, TaskStatus


@dataclass(frozen=True)
class QuenchTask:
    """One melt-quench, as it is sent to a worker.

    Attributes:
        root: the project's folder.
        name: the cell to make.
        atoms: how many.
        protocol: how.
        seed: of the run.
        potential: file of the EAM potential; None for a built-in one.
    """

    root: Path
    name: CellName
    atoms: int
    protocol: Protocol
    seed: int
    potential: Path | None


@dataclass
class Generating:
    """How far the melt-quenches are.

    Attributes:
        total: cells to make.
        done: cells that have ended.
        failed: cell -> why it failed.
        made: cells that were made.
        seconds_left: estimate; None before the first has ended.
    """

    total: int = 0
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    made: list[CellName] = field(default_factory=list)
    seconds_left: float | None = None


def run_seed(config: GlassConfig, name: CellName) -> int:
    """Return the seed of a run; it depends on the project's seed and the run's name only."""
    digest = hashlib.sha256(f"{config.seed}/{name.run}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def wanted_cells(config: GlassConfig) -> list[CellName]:
    """Return the reference cells that glass.toml asks for."""
    numbers = range(1, config.cells + 1)
    return [CellName(c, str(k)) for c in config.compositions for k in numbers]


def next_run(folder: GlassFolder, composition: str) -> CellName:
    """Return the name of a new run: one above the highest number there is."""
    there = (folder.cells / composition).glob("*")
    numbers = [int(path.name) for path in there if path.name.isdigit()]
    return CellName(composition, str(max(numbers, default=0) + 1))


def make_cells(
    folder: GlassFolder,
    config: GlassConfig,
    names: Sequence[CellName],
    *,
    progress: Callable[[Generating], None] | None = None,
) -> Generating:
    """Make the cells that are not there; an interrupted melt-quench goes on where it was.

    Args:
        folder: the project; call it under its lock.
        config: atoms, protocol, potential, workers, limits.
        names: the reference cells wanted.
        progress: called when a cell has ended.

    Returns:
        What was made, and why other cells were not. A cell that its checks refuse is kept with its
        verdicts and counts as failed.

    Raises:
        InputError: the potential lacks an element, or the atoms are too few.
    """
    missing = [name for name in names if not folder.structure_file(name).is_file()]
    state = Generating(total=len(missing))
    if not missing:
        return state
    for composition in {name.composition for name in missing}:  # better said now than by a worker
        parsed = parse_composition(composition)
        parsed.counts(config.atoms)
        choose_potential(parsed.elements, config.potential)
    workers = min(config.run.worker_count, len(missing))
    limits = Resources(None, config.run.memory_mb)  # it resumes: nothing is gained by stopping it
    waiting = list(reversed(missing))
    running: dict[Future[TaskResult], CellName] = {}
    began = time.monotonic()
    with LocalPool(workers, log=folder.log, tasks_per_worker=1) as pool:
        while waiting or running:
            while waiting and len(running) < workers:
                name = waiting.pop()
                task = QuenchTask(
                    folder.root,
                    name,
                    config.atoms,
                    config.protocol,
                    run_seed(config, name),
                    config.potential,
                )
                running[pool.submit(run_quench, (task,), limits)] = name
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                name, result = running.pop(future), future.result()
                why = result.value if result.status is TaskStatus.DONE else result.message
                state.done += 1
                if why:
                    state.failed[str(name)] = why
                else:
                    state.made.append(name)
            state.seconds_left = (
                (time.monotonic() - began) / state.done * (state.total - state.done)
            )
            if progress:
                progress(state)
    return state


def run_quench(task: QuenchTask) -> str:
    """Make one cell, in a worker, with its checks, files and cost; return why it failed or ""."""
    return run_quench_in(task, GlassFolder(task.root).run_folder(task.name))


def run_quench_in(task: QuenchTask, target: Path) -> str:
    """Make one cell in a folder of its own choice; otherwise as `run_quench`."""
    composition = parse_composition(task.name.composition)
    try:
        potential = choose_potential(composition.elements, task.potential)
        made = melt_quench(composition, task.atoms, task.protocol, task.seed, target, potential)
    except GlassError as error:
        verdict = failed_verdict(error)  # a cell that came to nothing is data too
        protocol, model = task.protocol.to_json(), potential.to_json()
        write_cell(
            target,
            GlassCell(
                composition.name, None, task.seed, {}, model, protocol, {}, verdicts=(verdict,)
            ),
        )
        return f"{error.reason}: {error}"
    except BondwrightError as error:
        return str(error)
    cell = replace(made, verdicts=tuple(check_cell(made)))
    write_cell(target, cell)
    cost = Cost("generate", 1, cell.seconds, cell.cpu_seconds, str(task.name))
    add_cost(GlassFolder(task.root).costs, cost)
    return ""


def refused(folder: GlassFolder, names: Sequence[CellName]) -> dict[str, str]:
    """Return the runs whose cell was refused by its checks, with the reasons."""
    found = {}
    for run in {name.run: name for name in names}.values():
        cell = read_cell(folder.run_folder(run))
        if cell is not None and not cell.accepted:
            reasons = [verdict.reason for verdict in cell.verdicts if verdict.reason]
            found[run.run] = ", ".join(reasons) or "no atoms"
    return found
