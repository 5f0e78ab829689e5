"""Where in reciprocal space to look: the standard primitive cell, its path and its meshes."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import spglib
from ase import Atoms
from ase.dft.kpoints import parse_path_string
from numpy.typing import NDArray

from bondwright.dft.settings import Spin
from bondwright.dft.spin import initial_moments
from bondwright.errors import InputError

SYMPREC = 0.01
"""Å; atoms nearer than this to their symmetric places are taken to be there."""
_SLACK = 1e-6  # steps; a length that is a whole number of spacings takes no point more

CONVENTION = (
    "primitive cell standardised by spglib (idealised, symprec 0.01 Å); path and labels of "
    "W. Setyawan and S. Curtarolo, Comput. Mater. Sci. 49, 299 (2010), "
    "doi 10.1016/j.commatsci.2010.05.010, for the Bravais lattice that ASE finds from the cell"
)


@dataclass(frozen=True)
class KPath:
    """A path through the Brillouin zone.

    Attributes:
        kpoints: (k, 3) in units of the reciprocal lattice vectors.
        distances_per_A: (k,) length along the path, Å^-1 with 2 pi; no step at a jump.
        ticks: (label, distance) of the special points; two labels share a distance at a jump.
        path: the special points in one line, a comma where the path jumps, e.g. "GXWKGLUWLK,UX".
    """

    kpoints: NDArray[np.float64]
    distances_per_A: NDArray[np.float64]
    ticks: tuple[tuple[str, float], ...]
    path: str


@dataclass(frozen=True)
class IrreducibleMesh:
    """A Gamma-centred mesh and the points that symmetry leaves of it.

    Attributes:
        size: points along each reciprocal vector.
        kpoints: (k, 3) the irreducible points, in units of the reciprocal lattice vectors.
        weights: (k,) shares of the full mesh; they sum to 1.
        full_to_irreducible: (size) index into `kpoints` of every point of the full mesh; the
            point [i, j, l] is at (i, j, l) / size.
    """

    size: tuple[int, int, int]
    kpoints: NDArray[np.float64]
    weights: NDArray[np.float64]
    full_to_irreducible: NDArray[np.int64]


def standard_primitive(atoms: Atoms, spin: Spin) -> Atoms:
    """Return the standardised primitive cell of a structure.

    Atoms with different initial magnetic moments count as different kinds, so the cell of an
    antiferromagnet is kept whole.

    Args:
        atoms: fully periodic structure (Å).
        spin: whether moments play a part.

    Returns:
        The idealised cell (Å), rotated into spglib's orientation; initial moments are carried
        over where the structure brings some along.

    Raises:
        InputError: not periodic in three directions, or no symmetry is found.
    """
    if not (len(atoms) and atoms.pbc.all()):
        raise InputError("bands need a structure that is periodic in all three directions.")
    kinds, kind_of = _kinds(atoms, spin)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), kind_of)
    try:
        found = spglib.standardize_cell(cell, to_primitive=True, no_idealize=False, symprec=SYMPREC)
    except spglib.SpglibError:
        found = None
    if found is None:
        raise InputError(
            "spglib finds no symmetry in this structure (atoms too close, or a flat cell); check "
            "it with `bondwright screen`."
        )
    lattice, places, types = found
    primitive = Atoms([kinds[t][0] for t in types], scaled_positions=places, cell=lattice, pbc=True)
    if atoms.get_initial_magnetic_moments().any():
        primitive.set_initial_magnetic_moments([kinds[t][1] for t in types])
    return primitive


def standard_path(primitive: Atoms, spacing_per_A: float) -> KPath:  # noqa: N803 (a unit)
    """Return the standard path of a primitive cell (see `CONVENTION`).

    Args:
        primitive: what `standard_primitive` returned.
        spacing_per_A: largest distance between neighbouring points, Å^-1 with 2 pi.

    Raises:
        InputError: the spacing is not positive.
    """
    if not (np.isfinite(spacing_per_A) and spacing_per_A > 0):
        raise InputError(f"the spacing along the path is {spacing_per_A}; give a positive number.")
    standard = primitive.cell.bandpath(npoints=0)
    reciprocal = 2 * np.pi * primitive.cell.reciprocal().array
    kpoints: list[NDArray[np.float64]] = []
    distances: list[float] = []
    ticks: list[tuple[str, float]] = []
    along = 0.0
    for stretch in parse_path_string(standard.path):
        corners = [np.asarray(standard.special_points[name], dtype=float) for name in stretch]
        ticks.append((stretch[0], along))
        kpoints.append(corners[0])
        distances.append(along)
        for name, begin, end in zip(stretch[1:], corners, corners[1:], strict=False):
            length = float(np.linalg.norm((end - begin) @ reciprocal))
            steps = max(1, int(np.ceil(length / spacing_per_A - _SLACK)))
            for step in range(1, steps + 1):
                kpoints.append(begin + (end - begin) * (step / steps))
                distances.append(along + length * step / steps)
            along += length
            ticks.append((name, along))
    return KPath(np.array(kpoints), np.array(distances), tuple(ticks), str(standard.path))


def irreducible_mesh(atoms: Atoms, size: tuple[int, int, int], spin: Spin) -> IrreducibleMesh:
    """Return the irreducible points of a Gamma-centred mesh.

    Symmetry is that of the crystal and its initial moments, with time reversal (k and -k have the
    same energies without spin-orbit coupling).

    Raises:
        InputError: no symmetry is found.
    """
    _, kind_of = _kinds(atoms, spin)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), kind_of)
    try:
        found = spglib.get_ir_reciprocal_mesh(
            list(size), cell, is_shift=[0, 0, 0], is_time_reversal=True, symprec=SYMPREC
        )
    except spglib.SpglibError:
        found = None
    if found is None:
        raise InputError("spglib finds no symmetry in this structure; check its atoms and cell.")
    mapping, addresses = found
    first, inverse, counts = np.unique(mapping, return_inverse=True, return_counts=True)
    # spglib counts the first direction fastest and writes addresses beyond the middle as negative.
    full = np.empty(size, dtype=np.int64)
    full[tuple((np.asarray(addresses) % size).T)] = inverse
    kpoints = np.asarray(addresses)[first] / np.asarray(size, dtype=float)
    return IrreducibleMesh(size, kpoints, counts / counts.sum(), full)


def _kinds(atoms: Atoms, spin: Spin) -> tuple[list[tuple[int, float]], NDArray[np.int64]]:
    """Return the kinds of atoms (number, initial moment) and the kind of every atom."""
    moments = initial_moments(atoms, spin)
    moments = np.zeros(len(atoms)) if moments is None else moments
    each = [(int(z), round(float(m), 3)) for z, m in zip(atoms.numbers, moments, strict=True)]
    kinds = sorted(set(each))
    return kinds, np.array([kinds.index(k) for k in each], dtype=np.int64)
