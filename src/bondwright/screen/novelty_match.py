"""Are two crystals the same? The verdict of pymatgen's StructureMatcher at a fraction of its cost.

StructureMatcher (Ong et al., Comput. Mater. Sci. 68, 314 (2013),
doi:10.1016/j.commatsci.2012.10.028) calls two structures equal when their primitive reduced
cells, scaled to one volume, can be laid upon each other: some basis of the first lattice agrees
with the reduced basis of the second within `ltol` and `angle_tol`, and on the average of the two
lattices every atom finds a partner of its own element within `stol` times the free length per
atom (V / N)^(1/3). Improper maps are allowed, so that mirror images are one crystal.

The verdict asks only whether such a map exists. So the reduction, which is most of the cost, is
done once per structure (`novelty_cells`), a bound on the lengths refuses most pairs by one
comparison of arrays, all lattice maps are found together, and distances are computed only for
maps under which every atom has a partner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice
from pymatgen.util.coord_cython import is_coord_subset_pbc, pbc_shortest_vectors
from scipy.optimize import linear_sum_assignment

from bondwright.screen.novelty_cells import ReducedCell

_BOUND_SLACK = 1e-6


@dataclass(frozen=True)
class Tolerances:
    """When two crystals are called the same.

    Attributes:
        ltol: relative difference of lattice vectors.
        stol: largest displacement of an atom over the free length per atom, (V / N)^(1/3).
        angle_tol: difference of lattice angles, degrees.
    """

    ltol: float = 0.2
    stol: float = 0.3
    angle_tol: float = 5.0


def may_match(
    lengths: NDArray[np.float64], others: NDArray[np.float64], ltol: float
) -> NDArray[np.bool_]:
    """Refuse pairs whose lattices cannot be laid upon each other.

    Three independent vectors of the first lattice must have the lengths of the second's reduced
    basis up to the factor 1 + ltol. A Niggli basis realises the successive minima of its lattice,
    so the first cell's i-th length cannot exceed the second's i-th by more than that factor. The
    test is a necessary condition: it never refuses a pair that matches.

    Args:
        lengths: lengths a <= b <= c of the first cell, scaled to one volume per atom, shape (3,).
        others: the same of the second cells, shape (n, 3).
        ltol: relative tolerance.

    Returns:
        Shape (n,); False where a match is impossible.
    """
    fits: NDArray[np.bool_] = np.all(lengths <= others * (1 + ltol) * (1 + _BOUND_SLACK), axis=1)
    return fits


def same_crystal(first: ReducedCell, second: ReducedCell, tolerances: Tolerances) -> bool:
    """Give StructureMatcher's verdict on two reduced cells.

    Args:
        first: the structure whose lattice vectors are searched.
        second: the structure whose reduced basis they are compared with. Like StructureMatcher's,
            the verdict can depend on this order at the edge of the tolerances.
        tolerances: see `Tolerances`.
    """
    if not np.array_equal(first.numbers, second.numbers):
        return False
    if not may_match(first.lengths, second.lengths[None], tolerances.ltol)[0]:
        return False
    forbidden = (second.numbers[:, None] != first.numbers[None, :]).astype(np.int64)
    anchor, partners = second.anchor, np.flatnonzero(first.numbers == second.numbers[second.anchor])
    for moved, average in _lattice_maps(first, second, tolerances):
        reach = average.reach(tolerances.stol)
        for partner in partners:
            shifted = second.fractional + (moved[partner] - second.fractional[anchor])
            if (
                is_coord_subset_pbc(shifted, moved, reach, forbidden)
                and average.largest_displacement(moved, shifted, forbidden, tolerances.stol)
                < tolerances.stol
            ):
                return True
    return False


class _AverageLattice:
    """The mean of two lattices that agree within tolerances, on which atoms are compared."""

    def __init__(self, parameters: NDArray[np.float64], atoms: int) -> None:
        """Take a, b, c (scaled units), alpha, beta, gamma (degrees) and the number of atoms."""
        self._parameters = parameters
        self._sines = np.sin(np.radians(parameters[3:]))
        cosines = np.cos(np.radians(parameters[3:]))
        root = 1 - (cosines**2).sum() + 2 * cosines.prod()
        self._root = float(np.sqrt(max(root, 1e-30)))
        volume = float(parameters[:3].prod()) * self._root
        self._free = (volume / atoms) ** (1 / 3)

    def reach(self, stol: float) -> NDArray[np.float64]:
        """Return how far apart, fractionally, atoms may be that are possibly the same.

        That is twice the tolerance over the distance between lattice planes: a translation that
        brings one pair of atoms together may leave the others twice as far apart.
        """
        planes = self._sines / (self._parameters[:3] * self._root)
        return np.asarray(2 * stol * self._free * planes)

    def largest_displacement(
        self,
        moved: NDArray[np.float64],
        shifted: NDArray[np.float64],
        forbidden: NDArray[np.int64],
        stol: float,
    ) -> float:
        """Pair the atoms of two cells and return the largest distance over the free length.

        Args:
            moved: fractional positions of the first cell, shape (n, 3).
            shifted: fractional positions of the second cell, shape (n, 3).
            forbidden: 1 where the elements differ, shape (n, n): second by first cell.
            stol: tolerance; partners beyond twice of it are not looked for.
        """
        lattice, planes = self._lattice
        vectors, squares = pbc_shortest_vectors(
            lattice,
            shifted,
            moved,
            forbidden,
            return_d2=True,
            lll_frac_tol=2 * stol * self._free * planes,
        )
        rows, columns = linear_sum_assignment(squares)
        displacement = vectors[rows, columns]
        # The common translation is free: it is chosen to make the squares smallest.
        displacement = displacement - displacement.mean(axis=0)
        return float(np.linalg.norm(displacement, axis=1).max() / self._free)

    @cached_property
    def _lattice(self) -> tuple[Lattice, NDArray[np.float64]]:
        """The lattice, and 1 / (distance between planes) of its LLL-reduced basis, shape (3,)."""
        lattice = Lattice.from_parameters(*self._parameters)
        return lattice, np.linalg.norm(np.linalg.inv(lattice.lll_matrix), axis=0)


def _lattice_maps(
    first: ReducedCell, second: ReducedCell, tolerances: Tolerances
) -> Iterator[tuple[NDArray[np.float64], _AverageLattice]]:
    """Yield the first cell's atoms in each basis that agrees with the second's.

    Yields:
        Fractional positions in that basis, shape (n, 3), in [0, 1); and the average lattice.
    """
    stretch = 1 + tolerances.ltol
    integers, vectors, norms = first.vectors_within(float(second.lengths.max()) * stretch)
    shells = [
        np.flatnonzero((norms < length * stretch) & (norms > length / stretch))
        for length in second.lengths
    ]
    if any(len(shell) == 0 for shell in shells):
        return
    units = vectors / norms[:, None]

    def angles(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        cosine = np.clip(units[left] @ units[right].T, -1.0, 1.0)
        return np.asarray(np.degrees(np.arccos(cosine)))

    a, b, c = shells
    alpha, beta, gamma = angles(b, c), angles(a, c), angles(a, b)
    right = [
        np.abs(found - wanted) <= tolerances.angle_tol
        for found, wanted in zip((alpha, beta, gamma), second.angles, strict=True)
    ]
    i, j = np.nonzero(right[2])
    pair, k = np.nonzero(right[0][j] & right[1][i])
    i, j = i[pair], j[pair]
    bases = np.stack([integers[a[i]], integers[b[j]], integers[c[k]]], axis=1)
    keep = np.abs(np.rint(np.linalg.det(bases))) == 1
    if not keep.any():
        return
    i, j, k, bases = i[keep], j[keep], k[keep], bases[keep]
    found = np.stack(
        [norms[a[i]], norms[b[j]], norms[c[k]], alpha[j, k], beta[i, k], gamma[i, j]], axis=1
    )
    average = (found + np.concatenate([second.lengths, second.angles])) / 2
    moved = first.fractional @ np.linalg.inv(bases)
    moved -= np.floor(moved)
    for positions, parameters in zip(moved, average, strict=True):
        yield positions, _AverageLattice(parameters, len(first))
