"""The structure of lowest energy at a given volume: positions and the shape of the cell."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.optimize.cellawarebfgs import CellAwareBFGS

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.engine import Session
from bondwright.dft.session_calculator import SessionCalculator, UnsolvedError
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
    calculator = SessionCalculator(session, stress=shape)
    moving.calc = calculator
    if shape:  # a first Hessian of an isotropic solid saves half of the steps
        cell = FrechetCellFilter(moving, exp_cell_factor=1.0, constant_volume=True)
        optimizer = CellAwareBFGS(cell, logfile=None, maxstep=_LONGEST_STEP_A)
        optimizer.smax = 0.0  # whether it has converged is decided below
    else:
        optimizer = BFGS(moving, logfile=None, maxstep=_LONGEST_STEP_A)
    steps = 0
    with warnings.catch_warnings(), suppress(UnsolvedError):
        # The cell filter's matrix logarithm reports errors of 1e-13.
        warnings.filterwarnings("ignore", message="logm result may be inaccurate")
        for _ in optimizer.irun(fmax=0.0, steps=settings.max_relax_steps):
            steps = optimizer.nsteps
            if _rests(calculator.done[-1], settings, shape=shape):
                break
    found = calculator.failed or calculator.done[-1]
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


def _rests(found: Calculation, settings: DftSettings, *, shape: bool) -> bool:
    if found.forces_eV_per_A is None:
        return False
    force = float(np.linalg.norm(found.forces_eV_per_A, axis=1).max())
    if force > settings.force_tolerance_eV_per_A:
        return False
    if not shape or found.stress_GPa is None:
        return not shape
    uneven = found.stress_GPa - np.trace(found.stress_GPa) / 3 * np.eye(3)
    return bool(np.abs(uneven).max() <= settings.stress_tolerance_GPa)
