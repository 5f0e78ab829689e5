"""Meshes of k-points from a spacing."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from bondwright.dft.settings import DftSettings
from bondwright.errors import InputError

_SLACK = 1e-3


def mesh(atoms: Atoms, spacing_per_A: float) -> tuple[int, int, int]:  # noqa: N803 (a unit)
    """Return the smallest Gamma-centred mesh whose points are no further apart than a spacing.

    Args:
        atoms: structure with a cell in Å; directions that are not periodic get one point.
        spacing_per_A: largest distance between neighbouring points along each reciprocal vector,
            Å^-1, 2 pi included. A thousandth more is let pass, so that cell vectors that symmetry
            makes equal get equal numbers although they differ in their last digits.

    Raises:
        InputError: the spacing is not positive, or the cell has no volume.
    """
    if not (np.isfinite(spacing_per_A) and spacing_per_A > 0):
        raise InputError(f"the k-point spacing is {spacing_per_A}; give a positive number of Å^-1.")
    if not (np.isfinite(atoms.cell.array).all() and abs(atoms.cell.volume) > 0):
        raise InputError("the structure's cell has no volume; a mesh of k-points needs one.")
    lengths = 2 * np.pi * np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    counts = np.maximum(1, np.ceil(lengths / spacing_per_A - _SLACK)).astype(int)
    a, b, c = (int(n) if periodic else 1 for n, periodic in zip(counts, atoms.pbc, strict=True))
    return a, b, c


def mesh_of(atoms: Atoms, settings: DftSettings) -> tuple[int, int, int]:
    """Return the mesh that settings ask for: the explicit one, else the one of the spacing.

    Raises:
        InputError: as `mesh`, or an explicit mesh holds a number below one.
    """
    if settings.kpoints is None:
        return mesh(atoms, settings.kpoint_spacing_per_A)
    a, b, c = (int(n) for n in settings.kpoints)
    if min(a, b, c) < 1:
        raise InputError(f"the mesh of k-points is {a}x{b}x{c}; every number must be at least 1.")
    return a, b, c
