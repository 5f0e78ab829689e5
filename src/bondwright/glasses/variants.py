"""Strained copies of a cell: the published fourteen, any matrix, and random ones within limits.

A deformation F moves every atom and the cell alike: r' = F r. Nothing is relaxed, so that the
strained bonds differ from those of the cell.
"""

# ruff: noqa: N803, N806, N815 (F and units stand in names as they are written)
from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import expm, logm

from bondwright.errors import InputError
from bondwright.glasses.contacts import CONTACT_FACTOR, check_close_pairs
from bondwright.screen.verdict import Outcome

Matrix = NDArray[np.float64]

REFERENCE = "0"
_MILD = 0.03
_VOLUME = 0.05


def _shear(row: int, other: int) -> Matrix:
    matrix = np.eye(3)
    matrix[row, other] = 0.5
    return matrix


# Rows are the new lattice vectors in terms of the old ones: 1 is a' = a + b/2. Strains 1 to 6 and
# 8, 10, 12, 14 are far from a glass at rest: contacts down to 1.8 Å.
PUBLISHED: Mapping[str, Matrix] = {
    "1": _shear(0, 1),
    "2": _shear(0, 2),
    "3": _shear(1, 0),
    "4": _shear(1, 2),
    "5": _shear(2, 0),
    "6": _shear(2, 1),
    "7": np.diag([1.02, 1.0, 1.0]),
    "8": np.diag([0.80, 1.0, 1.0]),
    "9": np.diag([1.0, 1.02, 1.0]),
    "10": np.diag([1.0, 0.80, 1.0]),
    "11": np.diag([1.0, 1.0, 1.02]),
    "12": np.diag([1.0, 1.0, 0.80]),
    "13": 1.01 * np.eye(3),
    "14": 0.90 * np.eye(3),
}
"""The strains of Phys. Rev. Materials 4, 113603 (2020), by their number."""

CLASSES: Mapping[str, tuple[str, ...]] = {
    "shear": ("1", "2", "3", "4", "5", "6"),
    "tension": ("7", "9", "11", "13"),
    "compression": ("8", "10", "12", "14"),
}
"""The published strains by what they do."""


@dataclass(frozen=True)
class DrawLimits:
    """What a random deformation may do.

    Attributes:
        strain: largest principal logarithmic strain, each drawn uniformly within it.
        volume: largest relative change of the volume.
        contact_factor: shortest distance over the sum of the covalent radii, as in the checks.
        energy_rise_eV_per_atom: largest rise of the energy; None does not ask for it.
    """

    strain: float = 0.12
    volume: float = 0.10
    contact_factor: float = CONTACT_FACTOR
    energy_rise_eV_per_atom: float | None = 0.15


@dataclass(frozen=True)
class Variant:
    """A strained cell.

    Attributes:
        name: "0", "1" ... "14", "d<k>" (drawn), "m-<8 hexadecimal digits>" (given matrix).
        atoms: the structure (Å).
        deformation: (3, 3) F with r' = F r.
        energy_rise_eV_per_atom: over the cell it was made from; None where it was not asked.
    """

    name: str
    atoms: Atoms
    deformation: Matrix
    energy_rise_eV_per_atom: float | None = None


def drawn_number(name: str) -> int | None:
    """Return k of the name "d<k>" of a drawn variant; None for other names."""
    return int(name[1:]) if name[:1] == "d" and name[1:].isdigit() else None


def strain(atoms: Atoms, F: Matrix) -> Atoms:
    """Return the structure deformed by F (r' = F r), fractional coordinates unchanged.

    Raises:
        InputError: F is no 3 x 3 matrix with a positive determinant.
    """
    matrix = np.asarray(F, dtype=float)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or np.linalg.det(matrix) <= 0:
        raise InputError("a deformation is nine numbers with a positive determinant.")
    return Atoms(
        atoms.numbers,
        positions=atoms.positions @ matrix.T,
        cell=atoms.cell.array @ matrix.T,
        pbc=atoms.pbc,
    )


def deformation(atoms: Atoms, name: str) -> Matrix:
    """Return F of a published variant for a cell."""
    cell = atoms.cell.array
    return np.asarray(np.linalg.solve(cell, PUBLISHED[name] @ cell).T)


def make_variant(
    atoms: Atoms,
    name: str,
    *,
    seed: int = 0,
    limits: DrawLimits | None = None,
    energy_eV: Callable[[Atoms], float] | None = None,
) -> Variant:
    """Make the variant of a name: "0", "1" to "14", or "d1", "d2", ... drawn with a seed.

    Raises:
        InputError: the name is not known, or no deformation within the limits was found.
    """
    if name == REFERENCE:
        return Variant(name, atoms.copy(), np.eye(3))
    if name in PUBLISHED:
        F = deformation(atoms, name)
        return Variant(name, strain(atoms, F), F)
    if (number := drawn_number(name)) is not None:
        return draw(atoms, seed, number, limits, energy_eV=energy_eV)
    raise InputError(
        f"no variant {name!r}; known are 0, 1 to 14 (published strains) and d1, d2, ... (drawn)."
    )


def given_variant(atoms: Atoms, F: Matrix) -> Variant:
    """Make the variant of a matrix; its name comes from the matrix.

    Raises:
        InputError: it is no deformation.
    """
    matrix = np.asarray(F, dtype=float)
    made = strain(atoms, matrix)
    digest = hashlib.sha256(np.round(matrix, 9).astype("<f8").tobytes()).hexdigest()
    return Variant(f"m-{digest[:8]}", made, matrix)


def draw(
    atoms: Atoms,
    seed: int,
    number: int = 1,
    limits: DrawLimits | None = None,
    *,
    energy_eV: Callable[[Atoms], float] | None = None,
) -> Variant:
    """Draw a random deformation that leaves the atoms as far apart as in a glass.

    Three principal logarithmic strains are drawn uniformly, in directions drawn uniformly; what
    breaks a limit is drawn again, each time 3 % milder, so that the draw ends.

    Args:
        atoms: the cell (Å).
        seed: with `number` it decides the draw.
        number: k of the name "d<k>".
        limits: the defaults when None.
        energy_eV: energy of a structure, eV; None, or no limit of it: distances alone decide.

    Raises:
        InputError: the cell itself breaks the limits.
    """
    limits = limits or DrawLimits()
    own = check_close_pairs(atoms, limits.contact_factor)
    if own.outcome is not Outcome.PASSED:
        raise InputError(f"no deformation can be drawn of this cell: {own.message}.")
    highest = limits.energy_rise_eV_per_atom
    start = None if energy_eV is None or highest is None else energy_eV(atoms)
    random = np.random.default_rng([seed, number])
    scale = limits.strain
    for _ in range(300):
        strains = random.uniform(-scale, scale, 3)
        turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
        scale *= 0.97
        F = np.asarray(expm(turn @ np.diag(strains) @ turn.T))
        if abs(np.exp(strains.sum()) - 1) > limits.volume:
            continue
        made = strain(atoms, F)
        if check_close_pairs(made, limits.contact_factor).outcome is not Outcome.PASSED:
            continue
        rise = None
        if start is not None and energy_eV is not None and highest is not None:
            rise = (energy_eV(made) - start) / len(atoms)
            if rise > highest:
                continue
        return Variant(f"d{number}", made, F, rise)
    raise InputError("no deformation within the limits was found; widen them.")


def strain_class(name: str, F: Matrix | None = None) -> str:
    """Return what a variant does: "mild", "shear", "tension" or "compression".

    Args:
        name: of the variant.
        F: its deformation, needed where the name says nothing.

    Raises:
        InputError: neither says.
    """
    if name == REFERENCE:
        return "mild"
    matrix = PUBLISHED.get(name) if F is None else np.asarray(F, dtype=float)
    if matrix is None:
        raise InputError(f"the class of variant {name!r} needs its deformation.")
    strains = np.real(np.linalg.eigvalsh(logm(matrix.T @ matrix))) / 2
    if np.abs(strains).max() <= _MILD:
        return "mild"
    volume = float(np.linalg.det(matrix)) - 1
    if abs(volume) <= _VOLUME:
        return "shear"
    return "tension" if volume > 0 else "compression"
