"""The equation of state of a crystal: lattice constants and bulk modulus from energies."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.cell import Cell

from bondwright.dft.birch_murnaghan import PARAMETERS, BirchMurnaghan, fit_birch_murnaghan
from bondwright.dft.brillouin import SYMPREC, standard_primitive
from bondwright.dft.calculation import Status
from bondwright.dft.engine import Engine
from bondwright.dft.fixed_volume import settle
from bondwright.dft.kpoints import mesh_of
from bondwright.dft.settings import DftSettings
from bondwright.dft.task_state import (
    ProgressCallback,
    TaskProgress,
    TaskState,
    silent,
    task_inputs,
)
from bondwright.errors import InputError
from bondwright.structure.records import atoms_from_json, atoms_to_json
from bondwright.structure.symmetry import lattice_system, symmetry_dataset

TASK = "equation-of-state"
_SHIFTS = 6
_SMALLEST = 0.4  # of the starting volume; nothing smaller is computed
_ROUGH = 0.02
"""Scatter about the curve, as a share of the energies' range, above which B0 may be 10 % off."""


@dataclass(frozen=True)
class EosPoint:
    """The crystal at one volume.

    Attributes:
        index: place on the scale of volumes: the starting volume is 0, steps are equal.
        volume_A3: of the primitive cell, Å³.
        energy_eV: of the primitive cell, extrapolated to zero smearing, eV.
        atoms: the relaxed primitive cell (Å).
        steps: relaxation steps.
    """

    index: int
    volume_A3: float
    energy_eV: float
    atoms: Atoms
    steps: int


@dataclass(frozen=True)
class EquationOfState:
    """Energy against volume, and what follows from it.

    Attributes:
        status: converged when the minimum lies well inside the volumes.
        engine: name and version of the engine.
        mesh: the k-points, the same at all volumes.
        shape_relaxed: whether the shape of the cell was relaxed at each volume.
        reason: stable slug when not converged ("minimum-outside-range", "no-minimum",
            "energies-scatter", or that of the engine where too few volumes converged).
        message: one sentence for people; empty when all is well.
        points: all volumes that were computed, smallest first.
        fitted: indices of the points that the curve goes through.
        curve: the Birch-Murnaghan curve of the primitive cell; None unless converged.
        atoms: the primitive cell at the minimum, shape and positions interpolated (Å).
        lattice: a, b, c (Å) and the angles (degrees) of the conventional cell at the minimum, in
            the setting that spglib standardises to.
    """

    status: Status
    engine: str
    mesh: tuple[int, int, int]
    shape_relaxed: bool
    reason: str = ""
    message: str = ""
    points: tuple[EosPoint, ...] = ()
    fitted: tuple[int, ...] = ()
    curve: BirchMurnaghan | None = None
    atoms: Atoms | None = None
    lattice: tuple[float, float, float, float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "status": str(self.status),
            "reason": self.reason,
            "message": self.message,
            "engine": self.engine,
            "mesh": list(self.mesh),
            "shape_relaxed": self.shape_relaxed,
            "points": [
                {"index": p.index, "volume_A3": p.volume_A3, "energy_eV": p.energy_eV}
                for p in self.points
            ],
            "fitted": list(self.fitted),
            "curve": self.curve and asdict(self.curve),
            "atoms": None if self.atoms is None else atoms_to_json(self.atoms),
            "lattice_A_deg": self.lattice and list(self.lattice),
        }


def equation_of_state(
    atoms: Atoms,
    engine: Engine,
    settings: DftSettings,
    folder: Path,
    *,
    volumes: int = 7,
    volume_range: float = 0.06,
    relax_shape: bool | None = None,
    progress: ProgressCallback = silent,
) -> EquationOfState:
    """Compute a crystal's energy at several volumes and fit the Birch-Murnaghan curve.

    All volumes use the mesh of k-points of the starting volume and the same cut-off, so that
    neither jumps between them. Where symmetry leaves positions free they are relaxed at each
    volume. When the lowest energy is near the end of the volumes, the row is moved that way.

    Args:
        atoms: fully periodic structure (Å), any cell; it is reduced to the standard primitive one.
        engine: the program that solves it.
        settings: what is asked for; its tolerances of force and stress end the relaxations.
        folder: where all is kept, one folder per volume; a repeated call computes nothing twice.
        volumes: number of volumes that the curve goes through, odd and at least 5.
        volume_range: largest change of the volume either way, as a share of the starting volume.
        relax_shape: relax the shape of the cell at each volume; None does where the lattice is
            not cubic.
        progress: called after every volume.

    Returns:
        The curve and the crystal at its minimum; the status says whether they are to be used.

    Raises:
        InputError: a number cannot be used, the engine is missing, the structure has no standard
            cell, or the folder holds the equation of state of something else.
    """
    if volumes < 5 or volumes % 2 == 0:
        raise InputError(
            f"an equation of state takes an odd number of volumes >= 5, not {volumes}."
        )
    if not 0 < volume_range <= 0.2:
        raise InputError(f"volume_range is {volume_range}; give a share above 0 and up to 0.2.")
    primitive = standard_primitive(atoms, settings.spin)
    shape = _shape_is_free(primitive) if relax_shape is None else relax_shape
    row = _Row(
        primitive, engine, settings, folder, shape, 2 * volume_range / (volumes - 1), progress
    )
    half, centre = volumes // 2, 0
    allowed = min(1, volumes - PARAMETERS - 1)  # a curve through as many points has no residual
    for _ in range(_SHIFTS):
        if row.volume(centre - half) < _SMALLEST * row.volume(0):
            break
        window = range(centre - half, centre + half + 1)
        order = sorted(window, key=lambda index: (abs(index - centre), index))
        if row.compute(order, allowed=allowed) > allowed:
            return row.end(row.failure_status, row.failure_reason, row.failure_message)
        there = [row.points[i] for i in window if i in row.points]
        lowest = min(there, key=lambda p: p.energy_eV).index
        if abs(lowest - centre) <= half - 2:
            return _fitted(row, there)
        centre = lowest
    return row.end(
        Status.NOT_CONVERGED,
        "minimum-outside-range",
        f"The energy still falls {'above' if centre > 0 else 'below'} "
        f"{row.volume(centre) / row.volume(0):.2f} times the starting volume; begin nearer to the "
        "minimum or with a larger range.",
    )


class _Row:
    """The volumes of one crystal, computed in any order and kept."""

    def __init__(
        self,
        primitive: Atoms,
        engine: Engine,
        settings: DftSettings,
        folder: Path,
        shape: bool,
        step: float,
        progress: ProgressCallback,
    ) -> None:
        self._primitive, self._engine, self._folder = primitive, engine, folder
        self._shape, self._step, self._progress = shape, step, progress
        self._settings = replace(settings, kpoints=mesh_of(primitive, settings))
        inputs = task_inputs(primitive, engine, self._settings, step=step, relax_shape=shape)
        self._state = TaskState(folder, TASK, inputs)
        self.points = {
            int(key): EosPoint(int(key), *_point_of(values))
            for key, values in self._state.points.items()
        }
        self.failure_status = Status.FAILED
        self.failure_reason = self.failure_message = ""

    def volume(self, index: int) -> float:
        """Return the volume (Å³) at a place of the row."""
        return float(self._primitive.get_volume() * (1 + index * self._step))

    def compute(self, indices: Sequence[int], *, allowed: int) -> int:
        """Compute the places that are missing, in the order given; return how many failed.

        It stops when more fail than are allowed, for the others would be computed in vain.
        """
        failed = 0
        for done, index in enumerate(indices, start=1):
            if index not in self.points:
                self._compute_one(index)
            failed += index not in self.points
            if failed > allowed:
                return failed
            message = f"volume {self.volume(index):.2f} Å³"
            self._progress(TaskProgress(TASK, done, len(indices), message))
        return failed

    def _compute_one(self, index: int) -> None:
        start = self._guess(index)
        session = self._engine.open(self._settings, self._folder / f"volume{index:+03d}")
        try:
            settled = settle(session, start, self._settings, shape=self._shape)
        finally:
            session.close()
        found = settled.calculation
        if found.status is not Status.CONVERGED or found.energy_eV is None:
            self.failure_status, self.failure_reason = found.status, found.reason
            self.failure_message = f"at {self.volume(index):.2f} Å³: {found.message}"
            return
        point = EosPoint(
            index, settled.atoms.get_volume(), found.energy_eV, settled.atoms, settled.steps
        )
        self.points[index] = point
        self._state.keep(
            str(index),
            {
                "energy_eV": point.energy_eV,
                "atoms": atoms_to_json(point.atoms),
                "steps": point.steps,
            },
        )

    def _guess(self, index: int) -> Atoms:
        """Return where to begin: the line through the two nearest volumes on one side."""
        side = -1 if index > 0 else 1
        near, far = (self.points.get(index + n * side) for n in (1, 2))
        if near is None:
            return _scaled(self._primitive, self.volume(index))
        if far is None:
            start = _scaled(near.atoms, self.volume(index))
        else:
            start = _at_volume([far, near], self.volume(index), degree=1)
        moments = self._primitive.get_initial_magnetic_moments()
        if moments.any():  # they are not part of what is kept of a point
            start.set_initial_magnetic_moments(moments)
        return start

    def end(self, status: Status, reason: str, message: str, **more: Any) -> EquationOfState:
        """Return the result, written beside the points."""
        version = f"{self._engine.name} {self._engine.version()}"
        assert self._settings.kpoints is not None  # noqa: S101 (set in __init__)
        points = tuple(self.points[i] for i in sorted(self.points))
        result = EquationOfState(
            status, version, self._settings.kpoints, self._shape, reason, message, points, **more
        )
        self._state.finish(result.to_json())
        return result


def _fitted(row: _Row, points: list[EosPoint]) -> EquationOfState:
    """Fit the curve through points whose lowest is inside."""
    there = [p.volume_A3 for p in points]
    try:
        curve = fit_birch_murnaghan(there, [p.energy_eV for p in points])
    except InputError as error:
        return row.end(Status.NOT_CONVERGED, "no-minimum", str(error))
    if not min(there) < curve.volume_A3 < max(there):
        return row.end(
            Status.NOT_CONVERGED,
            "no-minimum",
            f"The curve's minimum ({curve.volume_A3:.2f} Å³) lies outside the volumes; the points "
            "scatter too much.",
        )
    energies = [p.energy_eV for p in points]
    free = len(points) - PARAMETERS
    scatter = curve.residual_eV * (len(points) / free) ** 0.5
    if scatter > _ROUGH * (max(energies) - min(energies)):
        return row.end(
            Status.NOT_CONVERGED,
            "energies-scatter",
            f"The energies scatter by {1000 * scatter:.1f} meV about the curve, too much for a "
            "bulk modulus: raise the cut-off (the number of plane waves jumps with the volume) or "
            "the k-points, or look for a phase transition inside the range.",
        )
    best = _at_volume(points, curve.volume_A3, degree=2)
    return row.end(
        Status.CONVERGED,
        "",
        f"One volume is left out: {row.failure_message}" if row.failure_message else "",
        fitted=tuple(p.index for p in points),
        curve=curve,
        atoms=best,
        lattice=_conventional(best),
    )


def _at_volume(points: Sequence[EosPoint], volume: float, *, degree: int) -> Atoms:
    """Return the crystal at a volume: shape and fractional positions from a polynomial in V."""
    volumes = np.array([p.volume_A3 for p in points])
    middle, width = volumes.mean(), np.ptp(volumes)
    rows = [
        np.concatenate(
            [
                (p.atoms.cell.array / p.volume_A3 ** (1 / 3)).ravel(),
                p.atoms.get_scaled_positions(wrap=False).ravel(),
            ]
        )
        for p in points
    ]
    fit = np.polynomial.polynomial.polyfit((volumes - middle) / width, np.array(rows), degree)
    values = np.polynomial.polynomial.polyval((volume - middle) / width, fit)
    atoms = points[0].atoms.copy()
    atoms.set_cell(values[:9].reshape(3, 3))
    atoms.set_scaled_positions(values[9:].reshape(-1, 3))
    return _scaled(atoms, volume)


def _scaled(atoms: Atoms, volume: float) -> Atoms:
    """Return a copy at a volume (Å³), shape and fractional positions kept."""
    copy = atoms.copy()
    copy.set_cell(copy.cell.array * (volume / copy.get_volume()) ** (1 / 3), scale_atoms=True)
    return copy


def _shape_is_free(atoms: Atoms) -> bool:
    """Return whether symmetry lets the shape of the cell change with the volume."""
    found = symmetry_dataset(atoms, SYMPREC)
    return found is None or lattice_system(int(found.number)) != "cubic"


def _conventional(atoms: Atoms) -> tuple[float, float, float, float, float, float] | None:
    found = symmetry_dataset(atoms, SYMPREC)
    if found is None:
        return None
    a, b, c, alpha, beta, gamma = (float(x) for x in Cell(found.std_lattice).cellpar())
    return a, b, c, alpha, beta, gamma


def _point_of(values: dict[str, Any]) -> tuple[float, float, Atoms, int]:
    atoms = atoms_from_json(values["atoms"])
    return float(atoms.get_volume()), float(values["energy_eV"]), atoms, int(values["steps"])
