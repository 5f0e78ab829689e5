"""The stress that a plane-wave basis adds because it is not complete.

The stress of a plane-wave code is the derivative of the energy at a fixed number of plane waves. At
a fixed cut-off the number grows with the cell, which lowers the energy the more the further it is
from its limit: a stress that pulls a relaxed cell together, though the energies themselves are
smooth. For elements with hard PAW sets (O, N, F, and less so Cu, Fe) it reaches tens of GPa at
usual cut-offs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ase import Atoms
from ase.units import GPa

from bondwright.dft.calculation import Status
from bondwright.dft.engine import Engine
from bondwright.dft.settings import DftSettings
from bondwright.dft.single_point import single_point
from bondwright.errors import InputError

_STEP = 0.03  # of the cut-off: far above the noise of the SCF, near enough for a straight line


def pulay_stress(atoms: Atoms, engine: Engine, settings: DftSettings, folder: Path) -> float:
    """Compute the isotropic stress of the incomplete basis from two energies.

    It is -(2/3) (E_cut / V) dE/dE_cut: scaling the cell at a fixed number of plane waves is
    scaling the cut-off by V^(-2/3) at a fixed cell (G. P. Francis and M. C. Payne, J. Phys.:
    Condens. Matter 2, 4395 (1990), doi 10.1088/0953-8984/2/19/007).

    Args:
        atoms: fully periodic structure (Å).
        engine: the program that solves it.
        settings: the settings whose stress is meant.
        folder: where the two calculations are kept.

    Returns:
        GPa, to be taken from each diagonal component of the engine's stress. Positive: in the
        sign of `Calculation.stress_GPa` the incomplete basis makes a cell want to shrink.

    Raises:
        InputError: one of the calculations did not converge.
    """
    energies = []
    for sign in (-1, 1):
        cutoff = settings.cutoff_eV * (1 + sign * _STEP)
        mine = replace(settings, cutoff_eV=cutoff)
        found = single_point(
            atoms, engine, mine, folder / f"cutoff-{cutoff:.1f}", forces=False, stress=False
        )
        if found.status is not Status.CONVERGED or found.energy_eV is None:
            raise InputError(
                f"the Pulay stress is unknown: at {cutoff:.1f} eV the calculation ended as "
                f"{found.status} ({found.reason}); see {folder}."
            )
        energies.append(found.energy_eV)
    slope = (energies[1] - energies[0]) / (2 * _STEP * settings.cutoff_eV)
    return float(-2 / 3 * settings.cutoff_eV * slope / atoms.get_volume() / GPa)
