"""The structure of lowest energy at a given volume: positions and the shape of the cell."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.optimize.cellawarebfgs import CellAwareBFGS
from ase.stress import full_3x3_to_voigt_6_stress

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.engine import Session
from bondwright.dft.settings import DftSettings

_LONGEST_STEP_A = 0.1


@dataclass(frozen=True)
class Settled:
    """A structure relaxed at its volume.

    Attributes:
        calculation: of the last structure; its status is that of the relaxation.
        atoms: that structure (Å).
        steps: steps taken after the first evaluation.
    """

    calculation: Calculation
    atoms: Atoms
    steps: int


class _StoppedError(Exception):
    """A calculation on the way did not converge."""


class _SessionCalculator(Calculator):  # type: ignore[misc]
    """An engine's session as ASE's optimizers want it."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, session: Session, *, stress: bool) -> None:
        super().__init__()
        self.session, self.with_stress = session, stress
        self.last: Calculation | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = None,
        system_changes: Any = all_changes,
    ) -> None:
        """Solve a structure; raise `_StoppedError` where there is no ground state."""
        super().calculate(atoms, properties, system_changes)
        found = self.session.solve(self.atoms, forces=True, stress=self.with_stress)
        self.last = found
        if found.status is not Status.CONVERGED or found.forces_eV_per_A is None:
            raise _StoppedError
        self.results = {"energy": found.energy_eV, "forces": found.forces_eV_per_A}
        if found.stress_GPa is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(found.stress_GPa * units.GPa)


def settle(session: Session, atoms: Atoms, settings: DftSettings, *, shape: bool) -> Settled:
    """Relax the atoms, and the shape of the cell if asked for, while the volume stays.

    It has converged when no force is above `force_tolerance_eV_per_A` and, with `shape`, no
    component of the stress without its mean is above `stress_tolerance_GPa`. A structure whose
    forces vanish by symmetry is evaluated once.

    Args:
        session: the engine at work.
        atoms: where to begin (Å).
        settings: tolerances and the largest number of steps.
        shape: relax the shape of the cell too.

    Returns:
        The last structure; the status of its calculation says how it ended, "not-relaxed" being
        the reason when the steps were used up.
    """
    moving = atoms.copy()
    calculator = _SessionCalculator(session, stress=shape)
    moving.calc = calculator
    if shape:  # a first Hessian of an isotropic solid saves half of the steps
        cell = FrechetCellFilter(moving, exp_cell_factor=1.0, constant_volume=True)
        optimizer = CellAwareBFGS(cell, logfile=None, maxstep=_LONGEST_STEP_A)
        optimizer.smax = 0.0  # whether it has converged is decided below
    else:
        optimizer = BFGS(moving, logfile=None, maxstep=_LONGEST_STEP_A)
    steps = 0
    with warnings.catch_warnings(), suppress(_StoppedError):
        # The cell filter's matrix logarithm reports errors of 1e-13.
        warnings.filterwarnings("ignore", message="logm result may be inaccurate")
        for _ in optimizer.irun(fmax=0.0, steps=settings.max_relax_steps):
            steps = optimizer.nsteps
            if _rests(calculator.last, settings, shape=shape):
                break
    found = calculator.last
    assert found is not None  # noqa: S101 (the first evaluation has been done)
    still = moving.copy()
    if found.status is Status.CONVERGED and not _rests(found, settings, shape=shape):
        found = Calculation(
            Status.NOT_CONVERGED,
            still,
            found.engine,
            found.settings,
            reason="not-relaxed",
            message=f"The forces did not vanish in {settings.max_relax_steps} steps.",
        )
    return Settled(found, still, steps)


def _rests(found: Calculation | None, settings: DftSettings, *, shape: bool) -> bool:
    if found is None or found.forces_eV_per_A is None:
        return False
    force = float(np.linalg.norm(found.forces_eV_per_A, axis=1).max())
    if force > settings.force_tolerance_eV_per_A:
        return False
    if not shape or found.stress_GPa is None:
        return not shape
    uneven = found.stress_GPa - np.trace(found.stress_GPa) / 3 * np.eye(3)
    return bool(np.abs(uneven).max() <= settings.stress_tolerance_GPa)
