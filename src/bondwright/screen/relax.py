"""Relaxation of cell and positions with an ASE calculator, stopped before it runs away.

Positions and the logarithm of the cell deformation are moved together (ASE's Frechet cell filter),
so the cell's forces count in convergence like the atoms'. Symmetry is not enforced.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE, LBFGS
from numpy.typing import NDArray

from bondwright.errors import InputError
from bondwright.structure.neighbours import shortest_contact
from bondwright.structure.records import atoms_from_json, atoms_to_json


class RelaxStatus(StrEnum):
    """How a relaxation ended; all but the first leave no trustworthy energy."""

    CONVERGED = "converged"
    NOT_CONVERGED = "not-converged"
    EXPLODED = "exploded"
    COLLAPSED = "collapsed"
    NOT_FINITE = "not-finite"


@dataclass(frozen=True)
class RelaxSettings:
    """When a relaxation has converged, and when it is given up.

    Attributes:
        fmax_eV_per_A: largest force, on an atom or on the cell (virial per atom), at convergence.
        max_steps: steps after which it counts as not converged.
        optimizer: "fire" stays in the basin it starts in, also from a bad start; "lbfgs" needs a
            third of the steps where the start is close to a minimum, as for known crystals (from
            generated structures it was seen to jump into basins up to 0.5 eV/atom higher).
        min_volume_ratio: below this volume over initial volume it counts as collapsed.
        max_volume_ratio: above this volume over initial volume it counts as exploded.
        min_contact_A: shortest contact below which nothing is evaluated (collapsed).
        min_volume_A3_per_atom: volume below which nothing is evaluated (collapsed). No crystal
            at ambient pressure has less than about 4 Å³ per atom.
        min_height_A: smallest distance between opposite faces of the cell (collapsed below it).
    """

    fmax_eV_per_A: float = 0.05
    max_steps: int = 500
    optimizer: str = "fire"
    min_volume_ratio: float = 0.4
    max_volume_ratio: float = 2.5
    min_contact_A: float = 0.5
    min_volume_A3_per_atom: float = 2.0
    min_height_A: float = 1.0


_OPTIMIZERS = {"fire": FIRE, "lbfgs": LBFGS}


@dataclass(frozen=True)
class Relaxation:
    """What came of a relaxation.

    Attributes:
        status: how it ended.
        message: one sentence about what went wrong; empty when converged.
        atoms: the last structure that was evaluated; the initial one when nothing was.
        energy_eV_per_atom: of `atoms`, by the exact calculator; None when not finite.
        initial_energy_eV_per_atom: before the first step, by the relaxing calculator.
        steps: steps taken.
        fmax_eV_per_A: largest force at the end, cell included.
        max_stress_GPa: largest stress component at the end, as an absolute value.
        volume_ratio: final over initial volume.
        energies_eV_per_atom: energies along the way, thinned to at most 50, first and last kept.
    """

    status: RelaxStatus
    message: str
    atoms: Atoms
    energy_eV_per_atom: float | None = None
    initial_energy_eV_per_atom: float | None = None
    steps: int = 0
    fmax_eV_per_A: float | None = None
    max_stress_GPa: float | None = None
    volume_ratio: float = 1.0
    energies_eV_per_atom: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the relaxation as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "status": str(self.status), "atoms": atoms_to_json(self.atoms)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Relaxation:
        """Rebuild a relaxation from what `to_json` returned."""
        status, atoms = RelaxStatus(data["status"]), atoms_from_json(data["atoms"])
        return cls(**{**data, "status": status, "atoms": atoms})


class _GiveUpError(Exception):
    """The next structure must not be evaluated."""

    def __init__(self, status: RelaxStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _GuardedCell(FrechetCellFilter):  # type: ignore[misc]
    """A cell filter that looks at each new cell before the potential sees it.

    A collapsing cell holds ever more neighbours: evaluating it could take minutes and gigabytes.
    An optimizer asks for the same forces three times a step; the matrix logarithms behind them
    would be a fifth of the work, so they are kept until the next move.
    """

    def __init__(self, atoms: Atoms, settings: RelaxSettings) -> None:
        super().__init__(atoms)
        self._settings = settings
        self._volume = atoms.get_volume()
        self._forces: NDArray[np.float64] | None = None

    def get_forces(self, **kwargs: Any) -> NDArray[np.float64]:
        """Return the forces on atoms and cell, eV/Å."""
        if self._forces is None:
            self._forces = super().get_forces(**kwargs)
        return self._forces.copy()

    def set_positions(self, new: NDArray[np.float64], **kwargs: Any) -> None:
        """Move atoms and cell; raise `_GiveUpError` where they ran away."""
        self._forces = None
        super().set_positions(new, **kwargs)
        _check_geometry(self.atoms, self._volume, self._settings)


def relax(
    atoms: Atoms,
    calculator: BaseCalculator,
    settings: RelaxSettings | None = None,
    *,
    exact: BaseCalculator | None = None,
) -> Relaxation:
    """Relax cell and positions until every force is below the limit.

    Args:
        atoms: periodic structure (positions in Å); left as it is.
        calculator: gives energy, forces and stress.
        settings: limits; the defaults when None.
        exact: calculator for the final energy, forces and stress; `calculator` when None.

    Returns:
        The relaxation, also when it failed: the status says how it ended.

    Raises:
        InputError: there is no such optimizer.
    """
    settings = settings or RelaxSettings()
    if settings.optimizer not in _OPTIMIZERS:
        known = ", ".join(_OPTIMIZERS)
        raise InputError(f"unknown optimizer {settings.optimizer!r}; known are {known}")
    moving = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    try:
        _check_start(moving, settings)
    except _GiveUpError as reason:
        return Relaxation(reason.status, str(reason), moving)
    volume = moving.get_volume()
    moving.calc = calculator
    last = moving.copy()
    energies: list[float] = []
    status, message, steps = RelaxStatus.NOT_CONVERGED, "", 0
    with warnings.catch_warnings():  # the cell filter's matrix logarithm reports errors of 1e-13
        warnings.filterwarnings("ignore", message="logm result may be inaccurate")
        try:
            optimizer = _OPTIMIZERS[settings.optimizer](
                _GuardedCell(moving, settings), logfile=None
            )
            for converged in optimizer.irun(fmax=settings.fmax_eV_per_A, steps=settings.max_steps):
                _check_finite(moving)
                energies.append(moving.get_potential_energy() / len(moving))
                last = moving.copy()
                steps = optimizer.nsteps
                if converged:
                    status = RelaxStatus.CONVERGED
            if status is RelaxStatus.NOT_CONVERGED:
                message = f"forces still above {settings.fmax_eV_per_A} eV/Å after {steps} steps"
        except _GiveUpError as reason:
            status, message = reason.status, str(reason)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            # A potential refuses a structure that fell apart (an atom without neighbours).
            status, message = RelaxStatus.EXPLODED, f"the potential refused the structure: {error}"
    outcome = Relaxation(
        status,
        message,
        last,
        initial_energy_eV_per_atom=energies[0] if energies else None,
        steps=steps,
        volume_ratio=float(last.get_volume() / volume),
        energies_eV_per_atom=_thin(energies),
    )
    return _with_final_values(outcome, exact or calculator) if energies else outcome


def _check_start(atoms: Atoms, settings: RelaxSettings) -> None:
    volume = abs(float(np.linalg.det(atoms.cell.array))) / max(1, len(atoms))
    if not (np.isfinite(atoms.positions).all() and np.isfinite(volume)):
        raise _GiveUpError(RelaxStatus.NOT_FINITE, "cell or positions are not finite")
    if volume < settings.min_volume_A3_per_atom:
        raise _GiveUpError(RelaxStatus.COLLAPSED, f"only {volume:.3g} Å³ per atom at the start")
    _check_geometry(atoms, atoms.get_volume(), settings)
    contact = shortest_contact(atoms).distance
    if contact < settings.min_contact_A:
        raise _GiveUpError(RelaxStatus.COLLAPSED, f"a contact of {contact:.3g} Å at the start")


def _check_geometry(atoms: Atoms, initial_volume: float, settings: RelaxSettings) -> None:
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise _GiveUpError(RelaxStatus.NOT_FINITE, "a step led to infinite coordinates")
    ratio = atoms.get_volume() / initial_volume
    if ratio < settings.min_volume_ratio:
        raise _GiveUpError(
            RelaxStatus.COLLAPSED, f"the volume fell to {ratio:.2f} of the initial one"
        )
    if ratio > settings.max_volume_ratio:
        raise _GiveUpError(
            RelaxStatus.EXPLODED, f"the volume grew to {ratio:.2f} of the initial one"
        )
    height = float(1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1).max())
    if height < settings.min_height_A:
        raise _GiveUpError(RelaxStatus.COLLAPSED, f"the cell became {height:.2f} Å thin")


def _check_finite(atoms: Atoms) -> None:
    values = (atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress())
    if not all(np.isfinite(value).all() for value in values):
        raise _GiveUpError(
            RelaxStatus.NOT_FINITE, "the potential gave a force that is not a number"
        )


def _with_final_values(outcome: Relaxation, calculator: BaseCalculator) -> Relaxation:
    atoms = outcome.atoms.copy()
    atoms.calc = calculator
    energy = float(atoms.get_potential_energy()) / len(atoms)
    forces = FrechetCellFilter(atoms).get_forces()
    stress = np.abs(atoms.get_stress()).max() / units.GPa
    if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress)):
        return replace(outcome, status=RelaxStatus.NOT_FINITE)
    return replace(
        outcome,
        energy_eV_per_atom=energy,
        fmax_eV_per_A=float(np.linalg.norm(forces, axis=1).max()),
        max_stress_GPa=float(stress),
    )


def _thin(energies: Sequence[float], most: int = 50) -> list[float]:
    if len(energies) <= most:
        return [float(e) for e in energies]
    picked = np.unique(np.linspace(0, len(energies) - 1, most).round().astype(int))
    return [float(energies[i]) for i in picked]
