"""How fine a cut-off and a mesh of k-points a crystal needs."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.engine import Engine
from bondwright.dft.kpoints import mesh, mesh_of
from bondwright.dft.settings import DftSettings
from bondwright.dft.single_point import single_point
from bondwright.dft.task_state import (
    ProgressCallback,
    TaskProgress,
    TaskState,
    silent,
    task_inputs,
)
from bondwright.errors import InputError

TASK = "convergence"
CUTOFFS_EV = (250.0, 300.0, 350.0, 400.0, 450.0, 500.0, 600.0, 700.0, 800.0, 900.0)
SPACINGS_PER_A = (0.6, 0.5, 0.4, 0.33, 0.28, 0.24, 0.2, 0.17, 0.14, 0.12, 0.1)


@dataclass(frozen=True)
class ConvergencePoint:
    """One calculation of a series.

    Attributes:
        cutoff_eV: plane-wave cut-off.
        spacing_per_A: spacing that was asked for; None in the series of cut-offs.
        mesh: mesh of k-points.
        status: how it ended.
        energy_eV_per_atom: None unless converged.
        pressure_GPa: minus a third of the trace of the stress; None where it was not asked for.
        seconds: wall-clock time.
        reason: the engine's slug where it did not converge.
    """

    cutoff_eV: float
    spacing_per_A: float | None
    mesh: tuple[int, int, int]
    status: Status
    energy_eV_per_atom: float | None
    pressure_GPa: float | None
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Series:
    """One quantity made finer and finer.

    Attributes:
        points: in the order of computing, the coarsest first.
        chosen: index of the point that is fine enough; None when the limit was not reached.
        change_meV_per_atom: largest change of the energy from the chosen point to the two finer
            ones; where none is chosen, the last change seen. None with fewer than two points.
        change_GPa: the same for the pressure.
    """

    points: tuple[ConvergencePoint, ...]
    chosen: int | None
    change_meV_per_atom: float | None
    change_GPa: float | None


@dataclass(frozen=True)
class Convergence:
    """Both series of a crystal.

    Attributes:
        settings: what the series started from.
        tolerance_meV_per_atom: the limit on the energy.
        tolerance_GPa: the limit on the pressure; None when it was not asked for.
        cutoff: the series of cut-offs, at the mesh of the settings.
        kpoints: the series of meshes, at the cut-off of the settings.
    """

    settings: DftSettings
    tolerance_meV_per_atom: float
    tolerance_GPa: float | None
    cutoff: Series
    kpoints: Series

    @property
    def reached(self) -> bool:
        """Whether both series reached their limit."""
        return self.cutoff.chosen is not None and self.kpoints.chosen is not None

    def table(self) -> list[dict[str, Any]]:
        """Return every point as one row, with its series and whether it was chosen."""
        return [
            {"series": name, "chosen": index == series.chosen, **_plain(point)}
            for name, series in (("cutoff", self.cutoff), ("kpoints", self.kpoints))
            for index, point in enumerate(series.points)
        ]


def converge(
    atoms: Atoms,
    engine: Engine,
    settings: DftSettings,
    folder: Path,
    *,
    tolerance_meV_per_atom: float = 2.0,  # noqa: N803 (a unit)
    tolerance_GPa: float | None = None,  # noqa: N803
    cutoffs_eV: Sequence[float] = CUTOFFS_EV,  # noqa: N803
    spacings_per_A: Sequence[float] = SPACINGS_PER_A,  # noqa: N803
    progress: ProgressCallback = silent,
) -> Convergence:
    """Make cut-off and mesh finer, one at a time, until the energy stays.

    A point is fine enough when the two next finer ones differ from it by less than the limits: one
    small change alone may be the accident of two errors that cancel. The two series do not depend
    on one another much, so each is run at the settings' value of the other.

    The limit on the energy per atom is a strict one: in differences between structures most of
    the error of the cut-off cancels.

    Args:
        atoms: fully periodic structure (Å), computed as it is given.
        engine: the program that solves it.
        settings: all else that is asked for.
        folder: where all is kept, one folder per point; a repeated call computes nothing twice.
        tolerance_meV_per_atom: limit on the change of the energy, meV per atom.
        tolerance_GPa: limit on the change of the pressure, GPa; None does not compute it.
        cutoffs_eV: cut-offs to try, ascending.
        spacings_per_A: spacings to try, descending; those with the mesh of the one before are
            left out.
        progress: called after every point.

    Returns:
        Both series, whether they reached the limits or not.

    Raises:
        InputError: a limit is not positive, a list is not in order, or the engine is missing.
    """
    if tolerance_meV_per_atom <= 0 or (tolerance_GPa is not None and tolerance_GPa <= 0):
        raise InputError("the limits of a convergence test must be positive numbers.")
    if not _rising(cutoffs_eV) or not _rising([-s for s in spacings_per_A]):
        raise InputError("give cut-offs in ascending and spacings in descending order, each once.")
    runner = _Runner(atoms, engine, settings, folder, tolerance_GPa is not None, progress)
    limits = tolerance_meV_per_atom, tolerance_GPa
    cutoff = _series((runner.at_cutoff(c) for c in cutoffs_eV), *limits)
    spacings = [
        spacing
        for before, spacing in zip((None, *spacings_per_A), spacings_per_A, strict=False)
        if before is None or mesh(atoms, before) != mesh(atoms, spacing)
    ]
    kpoints = _series((runner.at_spacing(s) for s in spacings), *limits)
    result = Convergence(settings, *limits, cutoff, kpoints)
    runner.state.finish({"reached": result.reached, "table": result.table()})
    return result


def choose_settings(convergence: Convergence) -> DftSettings:
    """Return the settings with the coarsest cut-off and spacing that are fine enough.

    The mesh is given by its spacing, so that it fits other cells as well.

    Raises:
        InputError: a series did not reach its limit; the message says how far it came.
    """
    for name, series, unit in (
        ("cut-off", convergence.cutoff, "higher cut-offs"),
        ("k-points", convergence.kpoints, "smaller spacings"),
    ):
        if series.chosen is None:
            seen = series.change_meV_per_atom
            came = "fewer than two points converged" if seen is None else f"{seen:.2g} meV/atom"
            raise InputError(
                f"the {name} did not converge to {convergence.tolerance_meV_per_atom:g} meV/atom "
                f"(last change: {came}); try {unit}, or a wider limit."
            )
    assert convergence.cutoff.chosen is not None  # noqa: S101 (asked above)
    assert convergence.kpoints.chosen is not None  # noqa: S101
    spacing = convergence.kpoints.points[convergence.kpoints.chosen].spacing_per_A
    assert spacing is not None  # noqa: S101 (a point of the series of meshes)
    return replace(
        convergence.settings,
        cutoff_eV=convergence.cutoff.points[convergence.cutoff.chosen].cutoff_eV,
        kpoints=None,
        kpoint_spacing_per_A=spacing,
    )


class _Runner:
    """Computes points, or takes them from the state."""

    def __init__(
        self,
        atoms: Atoms,
        engine: Engine,
        settings: DftSettings,
        folder: Path,
        stress: bool,
        progress: ProgressCallback,
    ) -> None:
        self._atoms, self._engine, self._settings, self._folder = atoms, engine, settings, folder
        self._stress, self._progress = stress, progress
        self.state = TaskState(folder, TASK, task_inputs(atoms, engine, settings, stress=stress))
        self._done = 0

    def at_cutoff(self, cutoff: float) -> ConvergencePoint:
        return self._point(f"cutoff-{cutoff:g}", replace(self._settings, cutoff_eV=cutoff), None)

    def at_spacing(self, spacing: float) -> ConvergencePoint:
        finer = replace(self._settings, kpoints=None, kpoint_spacing_per_A=spacing)
        return self._point(f"spacing-{spacing:g}", finer, spacing)

    def _point(self, key: str, settings: DftSettings, spacing: float | None) -> ConvergencePoint:
        size = mesh_of(self._atoms, settings)
        kept = self.state.points.get(key)
        if kept is not None:
            point = ConvergencePoint(
                **{**kept, "status": Status(kept["status"]), "mesh": tuple(kept["mesh"])}
            )
        else:
            found = single_point(
                self._atoms,
                self._engine,
                settings,
                self._folder / key,
                forces=False,
                stress=self._stress,
            )
            point = ConvergencePoint(
                settings.cutoff_eV,
                spacing,
                size,
                found.status,
                _per_atom(found),
                _pressure(found) if self._stress else None,
                found.seconds,
                found.reason,
            )
            if found.status is Status.CONVERGED:
                self.state.keep(key, _plain(point))
        self._done += 1
        self._progress(TaskProgress(TASK, self._done, self._done, key.replace("-", " ")))
        return point


def _series(
    points: Iterator[ConvergencePoint],
    tolerance_meV: float,  # noqa: N803
    tolerance_GPa: float | None,  # noqa: N803
) -> Series:
    """Compute points until one is fine enough; points that failed are kept in the table only."""
    seen: list[ConvergencePoint] = []
    good: list[int] = []
    energy = pressure = None
    for point in points:
        seen.append(point)
        if point.energy_eV_per_atom is not None:
            good.append(len(seen) - 1)
        if len(good) >= 2:
            last = [seen[i] for i in good[-3:]]
            energy = _spread([p.energy_eV_per_atom for p in last], 1000.0)
            pressure = None if tolerance_GPa is None else _spread([p.pressure_GPa for p in last], 1)
            fine = energy is not None and energy < tolerance_meV
            if tolerance_GPa is not None:
                fine = fine and pressure is not None and pressure < tolerance_GPa
            if len(good) >= 3 and fine:
                return Series(tuple(seen), good[-3], energy, pressure)
    return Series(tuple(seen), None, energy, pressure)


def _spread(values: Sequence[float | None], scale: float) -> float | None:
    """Return the largest change from the first of some values to the others."""
    first, *others = (v for v in values if v is not None)
    return scale * max(abs(v - first) for v in others) if others else None


def _per_atom(found: Calculation) -> float | None:
    return None if found.energy_eV is None else found.energy_eV / len(found.atoms)


def _pressure(found: Calculation) -> float | None:
    return None if found.stress_GPa is None else -float(np.trace(found.stress_GPa)) / 3


def _plain(point: ConvergencePoint) -> dict[str, Any]:
    return {**asdict(point), "status": str(point.status), "mesh": list(point.mesh)}


def _rising(values: Sequence[float]) -> bool:
    return len(values) > 0 and all(a < b for a, b in pairwise(values))
