"""One glass cell from a random melt: melted, cooled, held; interrupted and resumed at will."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from bondwright.errors import InputError
from bondwright.glasses.cell import GlassCell
from bondwright.glasses.composition import Composition
from bondwright.glasses.dynamics import Dynamics, Sample, open_dynamics
from bondwright.glasses.lammps_session import density_g_cm3
from bondwright.glasses.potentials import MACHINE_LEARNED, GlassPotential
from bondwright.glasses.protocol import Protocol, Stage
from bondwright.glasses.start import random_start
from bondwright.structure.write import write_text

STATE_JSON, PROGRESS_JSON = "melt-quench.json", "progress.json"
_HISTORY = 400
_SELDOM_S = 0.5
# Atom-steps that take about half a minute and about a second on one core.
_SEGMENT = {True: 2_000, False: 20_000_000}
_CHUNK = {True: 100, False: 1_000_000}


@dataclass(frozen=True)
class Progress:
    """How far a melt-quench is.

    Attributes:
        stage: "melt", "quench" or "hold".
        step: steps done, of `steps`.
        steps: steps in all.
        temperature_K: at this moment.
        density_g_cm3: at this moment.
        ns_per_day: speed since this process began.
        seconds_left: at that speed.
    """

    stage: str
    step: int
    steps: int
    temperature_K: float
    density_g_cm3: float
    ns_per_day: float
    seconds_left: float


@dataclass
class _State:
    """What the folder knows: the order, segments done, samples (step, K, eV, Å³), time used."""

    order: dict[str, Any]
    done: int
    samples: list[list[float]]
    seconds: float
    cpu_seconds: float


def melt_quench(
    composition: Composition,
    atoms: int,
    protocol: Protocol,
    seed: int,
    folder: Path,
    potential: GlassPotential,
    progress: Callable[[Progress], None] | None = None,
    *,
    threads: int = 1,
    segment_steps: int | None = None,
) -> GlassCell:
    """Make one glass cell.

    The state is saved every half minute (LAMMPS restart files); the same call goes on from the
    last one, with the same trajectory as without the interruption (one thread). `progress.json`
    in the folder is kept up to date for others to read.

    Args:
        composition: what of.
        atoms: how many, 50 to 100,000.
        protocol: how.
        seed: of starting places, velocities and random forces.
        folder: takes state and restart files.
        potential: EAM for LAMMPS, or a machine-learned one for ASE.
        progress: called about once a second.
        threads: OpenMP threads of LAMMPS.
        segment_steps: steps between two saved states; None for about half a minute.

    Returns:
        The cell without verdicts (`glasses.checks`) and without files (`glasses.cell`).

    Raises:
        InputError: the folder holds another cell, or nothing can be made of the arguments.
        GlassError: the simulation failed; `reason` says how.
    """
    slow = potential.style == MACHINE_LEARNED
    every = max(1, _CHUNK[slow] // atoms)
    segment = segment_steps or max(_SEGMENT[slow] // atoms, every)
    start_seed, velocity_seed = (
        int(value) % (2**31 - 2) + 1 for value in np.random.SeedSequence(seed).generate_state(2)
    )
    elements = composition.elements
    start = random_start(composition, atoms, start_seed)
    order = {
        "composition": composition.name,
        "atoms": atoms,
        "seed": seed,
        "potential": {**potential.to_json(), "elements": list(potential.elements)},
        "protocol": protocol.to_json(),
        "threads": threads,
        "segment_steps": segment,
    }
    dynamics = open_dynamics(potential, elements, protocol, velocity_seed, threads)
    plan = list(_plan(protocol, segment))
    state = _open_state(folder, order)
    teller = _Teller(folder, protocol, state, start, progress)
    for number, (stage, end) in enumerate(plan):
        if number < state.done:
            continue
        source = _restart(folder, number)
        if number == 0 and not source.is_file():
            dynamics.begin(start, protocol.melt_temperature_K, velocity_seed, source)
        # The hold is sampled often enough for a mean.
        fine = max(1, (stage.last_step - stage.first_step) // 40)
        dynamics.advance(
            source,
            _restart(folder, number + 1),
            stage,
            end,
            min(every, fine) if stage.name == "hold" else every,
            teller.show(stage),
        )
        teller.store(number + 1)
        _forget(folder, plan, number)
    return _finished(folder, plan, dynamics, state, composition, (start_seed, velocity_seed))


def read_progress(folder: Path) -> Progress | None:
    """Return how far the melt-quench of a folder is; None where none has begun."""
    try:
        return Progress(**json.loads((folder / PROGRESS_JSON).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _plan(protocol: Protocol, segment: int) -> Iterator[tuple[Stage, int]]:
    """Cut the stages into segments: the stage and the step at which the segment ends."""
    for stage in protocol.stages():
        step = stage.first_step
        while step < stage.last_step:
            step = min(step + segment, stage.last_step)
            yield stage, step


def _restart(folder: Path, number: int) -> Path:
    return folder / f"segment-{number:05d}.restart"


def _forget(folder: Path, plan: list[tuple[Stage, int]], number: int) -> None:
    """Delete the state before the last one; that at the beginning of the hold is still needed."""
    if plan[number][0].name != "hold" or plan[number - 1][0].name == "hold":
        _restart(folder, number).unlink(missing_ok=True)


def _open_state(folder: Path, order: dict[str, Any]) -> _State:
    path = folder / STATE_JSON
    if not path.is_file():
        state = _State(order, 0, [], 0.0, 0.0)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(asdict(state)))
        return state
    try:
        state = _State(**json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({error}); delete the folder and begin again."
        ) from None
    if state.order != json.loads(json.dumps(order)):
        other = [key for key in order if state.order.get(key) != json.loads(json.dumps(order[key]))]
        raise InputError(
            f"{folder} holds a cell of another {', '.join(other)}; give another folder or run."
        )
    return state


class _Teller:
    """Keeps samples and time, and tells the progress."""

    def __init__(
        self,
        folder: Path,
        protocol: Protocol,
        state: _State,
        start: Atoms,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._folder, self._protocol, self._state = folder, protocol, state
        self._progress = progress
        self._density_volume = density_g_cm3(start) * float(start.get_volume())
        self._began: float | None = None
        self._first = state.samples[-1][0] if state.samples else 0
        self._wall, self._cpu, self._told = time.monotonic(), time.process_time(), 0.0

    def show(self, stage: Stage) -> Callable[[Sample], None]:
        """Return what takes the samples of a stage; the speed counts from the first one."""
        began = self._began = self._began or time.monotonic()

        def take(sample: Sample) -> None:
            self._state.samples.append(
                [sample.step, sample.temperature_K, sample.energy_eV, sample.volume_A3]
            )
            moment = time.monotonic()
            if moment - self._told < _SELDOM_S and sample.step < self._protocol.steps:
                return
            self._told = moment
            spent = max(moment - began, 1e-6)
            rate = (sample.step - self._first) / spent
            now = Progress(
                stage.name,
                sample.step,
                self._protocol.steps,
                sample.temperature_K,
                self._density_volume / sample.volume_A3,
                rate * self._protocol.timestep_fs * 1e-6 * 86400,
                (self._protocol.steps - sample.step) / max(rate, 1e-9),
            )
            write_text(self._folder / PROGRESS_JSON, json.dumps(asdict(now)))
            if self._progress is not None:
                self._progress(now)

        return take

    def store(self, done: int) -> None:
        """Store that so many segments are done."""
        state = self._state
        wall, cpu = time.monotonic(), time.process_time()
        state.done = done
        state.seconds += wall - self._wall
        state.cpu_seconds += cpu - self._cpu
        self._wall, self._cpu = wall, cpu
        write_text(self._folder / STATE_JSON, json.dumps(asdict(state)))


def _finished(
    folder: Path,
    plan: list[tuple[Stage, int]],
    dynamics: Dynamics,
    state: _State,
    composition: Composition,
    seeds: tuple[int, int],
) -> GlassCell:
    began, cpu = time.monotonic(), time.process_time()
    hold = next(number for number, (stage, _) in enumerate(plan) if stage.name == "hold")
    before, _ = dynamics.snapshot(_restart(folder, hold))
    after, energy = dynamics.snapshot(_restart(folder, len(plan)))
    wrapped = after.copy()
    wrapped.wrap()
    inherent = dynamics.minimised_energy(wrapped)
    n = len(after)
    mass_volume = density_g_cm3(after) * float(after.get_volume())
    samples = np.array(state.samples)
    late = samples[samples[:, 0] > (plan[hold][0].first_step + plan[-1][1]) / 2]
    thin = np.unique(np.linspace(0, len(samples) - 1, _HISTORY).round().astype(int))
    return GlassCell(
        composition=composition.name,
        atoms=wrapped,
        seed=state.order["seed"],
        seeds={"start": seeds[0], "velocities": seeds[1]},
        potential=state.order["potential"],
        protocol=state.order["protocol"],
        versions=dynamics.versions(),
        energy_eV_per_atom=energy / n,
        inherent_energy_eV_per_atom=inherent / n,
        mean_energy_eV_per_atom=float(late[:, 2].mean()) / n,
        mean_density_g_cm3=float((mass_volume / late[:, 3]).mean()),
        density_g_cm3=density_g_cm3(after),
        hold_msd_A2=_mean_squared_displacement(before, after),
        seconds=state.seconds + time.monotonic() - began,
        cpu_seconds=state.cpu_seconds + time.process_time() - cpu,
        history=[
            [int(step), round(kelvin, 2), round(ev / n, 6), round(mass_volume / volume, 5)]
            for step, kelvin, ev, volume in samples[thin].tolist()
        ],
        threads=state.order["threads"],
    )


def _mean_squared_displacement(before: Atoms, after: Atoms) -> float:
    """Return the mean squared displacement (Å²) without the change of the cell and the drift."""
    fractional = [atoms.cell.scaled_positions(atoms.positions) for atoms in (before, after)]
    moved = (fractional[1] - fractional[0]) @ after.cell.array
    moved -= np.average(moved, axis=0, weights=after.get_masses())
    return float((moved**2).sum(axis=1).mean())
