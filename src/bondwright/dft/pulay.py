"""What a finite plane-wave cut-off adds to the stress.

A code's stress is the derivative of the energy at a fixed set of plane waves; with strain their
cut-off moves as volume^(-2/3). What a relaxation at a fixed cut-off needs is

    dE/dlnV (fixed cut-off) = dE/dlnV (fixed plane waves) + 2/3 E_cut dE/dE_cut

(Francis and Payne, J. Phys.: Condens. Matter 2, 4395, 1990, doi:10.1088/0953-8984/2/19/007). The
second term comes from the cores of the atoms and hardly depends on where they are, so it is had
once, from two energies. It is not small: for rutile with GPAW's PAW sets it is -22 GPa at 500 eV
and -1 GPa at 800 eV.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ase import Atoms

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.engine import Engine, ScfProgress
from bondwright.dft.settings import DftSettings
from bondwright.dft.single_point import single_point

_STEP = 0.03  # of the cut-off; the energy falls by e within some 70 eV, so the error is 1 %


def pulay_term(
    atoms: Atoms,
    engine: Engine,
    settings: DftSettings,
    folder: Path,
    *,
    progress: ScfProgress | None = None,
) -> float | Calculation:
    """Return what to add to the derivative of the energy by the logarithm of the volume, eV.

    Divided by the volume it is an isotropic stress to be added; it is negative.

    Args:
        atoms: the structure (Å).
        engine: the program.
        settings: with the cut-off in question and an explicit mesh of k-points.
        folder: where the two calculations are kept; they are not repeated.
        progress: called after every SCF step.

    Returns:
        The term; the calculation that failed where one did.
    """
    energies = []
    for factor in (1 + _STEP, 1 - _STEP):
        shifted = replace(settings, cutoff_eV=settings.cutoff_eV * factor)
        done = single_point(
            atoms, engine, shifted, folder, forces=False, stress=False, progress=progress
        )
        if done.status is not Status.CONVERGED or done.energy_eV is None:
            return done
        energies.append(done.energy_eV)
    return 2 / 3 * (energies[0] - energies[1]) / (2 * _STEP)
