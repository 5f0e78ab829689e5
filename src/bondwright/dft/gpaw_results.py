"""What a converged calculator of GPAW gives, in our units."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms, units
from ase.stress import voigt_6_to_full_3x3_stress

from bondwright.dft.calculation import Status
from bondwright.dft.gaps import find_gap
from bondwright.dft.gpaw_corrections import smearing_after
from bondwright.dft.gpaw_failures import GiveUpError
from bondwright.dft.kpoints import mesh_of
from bondwright.dft.settings import DftSettings


def ground_state(
    calculator: Any,
    atoms: Atoms,
    settings: DftSettings,
    parameters: dict[str, Any],
    *,
    forces: bool,
    stress: bool,
) -> dict[str, Any]:
    """Return the fields of a `Calculation` that a converged calculator fills.

    Args:
        calculator: GPAW's, in plane-wave mode.
        atoms: the structure (Å).
        settings: what was asked for.
        parameters: GPAW's keywords with which it converged.
        forces: compute the forces too.
        stress: compute the stress too.

    Raises:
        GiveUpError: a number is none.
    """
    values, _ = calculator.dft.ibzwfs.get_all_eigs_and_occs()
    electrons = float(calculator.get_number_of_electrons())
    polarised = bool(parameters["spinpol"])
    moment = float(calculator.get_magnetic_moment()) if polarised else None
    filled = filled_bands(electrons, moment)
    points = np.asarray(calculator.get_ibz_k_points())
    found: dict[str, Any] = {
        "energy_eV": float(calculator.get_potential_energy(atoms)),
        "fermi_eV": float(calculator.get_fermi_level()),
        "gap_eV": find_gap(np.asarray(values) * units.Ha, points, filled).gap_eV,
        "scf_steps": int(calculator.get_number_of_iterations()),
        "notes": {
            "free_energy_eV": float(calculator.get_potential_energy(atoms, True)),
            "kpoint_mesh": list(mesh_of(atoms, settings)),
            "irreducible_kpoints": len(calculator.get_ibz_k_points()),
            "bands": int(calculator.get_number_of_bands()),
            "grid": [int(n) for n in calculator.get_number_of_grid_points()],
            "smearing_eV": smearing_after(parameters),
            "hubbard": dict(parameters["setups"]),
        },
    }
    if polarised:
        found["magnetic_moment"] = moment
        found["magnetic_moments"] = np.array(calculator.get_magnetic_moments(), dtype=float)
    if forces:
        found["forces_eV_per_A"] = np.array(calculator.get_forces(atoms), dtype=float)
    if stress:
        full = voigt_6_to_full_3x3_stress(calculator.get_stress(atoms))
        found["stress_GPa"] = np.asarray(full, dtype=float) / units.GPa
    numbers = [v for v in found.values() if isinstance(v, float | np.ndarray)]
    if not all(np.isfinite(v).all() for v in numbers):
        raise GiveUpError(
            Status.FAILED, "not-finite", "GPAW gave an energy or a force that is not a number."
        )
    return found


def filled_bands(electrons: float, moment: float | None) -> tuple[int | None, ...]:
    """Return how many bands of each spin an insulator with these electrons fills.

    Bands are counted, not compared with the Fermi level, which smearing may push out of a small
    gap.

    Args:
        electrons: valence electrons in the cell.
        moment: magnetic moment of the cell, Bohr magnetons; None when not polarised.

    Returns:
        One number for each spin; None where the electrons cannot fill whole bands.
    """
    total = round(electrons)
    whole = abs(electrons - total) < 1e-6
    if moment is None:
        return (total // 2 if whole and total % 2 == 0 else None,)
    up = round((total + moment) / 2)
    return (up, total - up) if whole else (None, None)
