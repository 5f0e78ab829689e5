"""Neighbours of atoms in a periodic cell of any shape, complete over images.

Images of the atoms are laid around the cell as far as the cutoff reaches, and a k-d tree finds the
pairs; nothing assumes that the cutoff is smaller than the cell. A skewed cell is first replaced by
its reduced basis, in which fewer images suffice, and images are counted back to the given one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bondwright.errors import InputError

# Above this number of images the search would need gigabytes: the cell is degenerate.
MAX_IMAGES = 20_000_000


@dataclass(frozen=True)
class Pairs:
    """Pairs of atoms within a cutoff.

    Attributes:
        i: (n,) index of the first atom.
        j: (n,) index of the second atom.
        image: (n, 3) integers: the cell in which the second atom lies.
        vector: (n, 3) r_j + image @ cell - r_i in Å.
        distance: (n,) length of `vector` in Å.
    """

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    image: NDArray[np.int64]
    vector: NDArray[np.float64]
    distance: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.i)

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Pairs:
        """Return the pairs chosen by a mask or by indices."""
        return Pairs(
            self.i[keep], self.j[keep], self.image[keep], self.vector[keep], self.distance[keep]
        )


@dataclass(frozen=True)
class Contact:
    """The two atoms that are closest (i == j: an atom and its own image); distance in Å."""

    i: int
    j: int
    distance: float


def neighbour_pairs(
    atoms: Atoms, cutoff: float | Mapping[tuple[str, str], float], *, full: bool = False
) -> Pairs:
    """Find all pairs of atoms within a cutoff, images included.

    Args:
        atoms: structure (Å); directions that are not periodic have no images.
        cutoff: longest distance in Å, or one per pair of elements, in either order
            ({("Ti", "O"): 2.4}); pairs of elements that are not named are not searched.
        full: list each pair from both of its atoms. Otherwise each pair appears once: i < j, or
            i == j with the image whose first non-zero component is positive.

    Returns:
        The pairs, ordered by i, j and image. An atom is never its own neighbour in image 0;
        coincident atoms are, at distance 0.

    Raises:
        InputError: positions or cell are not finite, or the cell is degenerate.
    """
    reach = max(cutoff.values(), default=0.0) if isinstance(cutoff, Mapping) else float(cutoff)
    pairs = _search(atoms, reach)
    if isinstance(cutoff, Mapping):
        pairs = pairs.select(pairs.distance <= _pair_limits(atoms, cutoff)[pairs.i, pairs.j])
    if not full:
        pairs = pairs.select(_is_first(pairs))
    order = np.lexsort((*pairs.image.T[::-1], pairs.j, pairs.i))
    return pairs.select(order)


def shortest_contact(atoms: Atoms) -> Contact:
    """Find the closest two atoms, periodic images included.

    Returns:
        The contact; of several equally short ones the first in the order of `neighbour_pairs`.

    Raises:
        InputError: there is no pair at all (no atoms, or one that is not periodic), positions or
            cell are not finite, or the cell is degenerate.
    """
    check_cell(atoms)
    basis, _ = reduced_basis(atoms)
    bounds = np.linalg.norm(basis[atoms.pbc], axis=1).tolist() if len(atoms) else []
    if len(atoms) > 1:
        bounds.append(float(cKDTree(atoms.positions).query(atoms.positions, k=2)[0][:, 1].min()))
    if not bounds:
        raise InputError("a shortest contact needs two atoms, or one in a periodic cell.")
    pairs = neighbour_pairs(atoms, min(bounds) * (1 + 1e-9) + 1e-9)
    nearest = int(pairs.distance.argmin())
    return Contact(int(pairs.i[nearest]), int(pairs.j[nearest]), float(pairs.distance[nearest]))


def _search(atoms: Atoms, cutoff: float) -> Pairs:
    """Find all ordered pairs (full list, unsorted) within `cutoff` Å."""
    check_cell(atoms)
    if not (np.isfinite(cutoff) and cutoff >= 0):
        raise InputError(f"a neighbour cutoff must be a finite length in Å, not {cutoff}.")
    basis, to_given = reduced_basis(atoms)
    fractional = np.linalg.solve(basis.T, atoms.positions.T).T
    shift = np.where(atoms.pbc, np.floor(fractional), 0.0)
    fractional -= shift
    wrapped = fractional @ basis
    # An atom reaches `margin` beyond the faces of the cell, in units of the cell.
    margin = np.where(atoms.pbc, cutoff * np.linalg.norm(np.linalg.inv(basis), axis=0), 0.0) + 1e-9
    if len(atoms) * np.prod(1 + 2 * margin) > MAX_IMAGES:
        raise InputError(
            f"neighbours within {cutoff:.3g} Å need too many images: the cell is degenerate "
            f"(volume {abs(np.linalg.det(basis)):.3g} Å³)."
        )
    placed, ghost_image, ghost_atom = lay_images(fractional, margin, atoms.pbc)
    found = cKDTree(wrapped).sparse_distance_matrix(
        cKDTree(placed @ basis), cutoff + 1e-6, output_type="ndarray"
    )
    i, ghost = found["i"].astype(np.int64), found["j"].astype(np.int64)
    j = ghost_atom[ghost]
    image = np.rint((ghost_image[ghost] - shift[j] + shift[i]) @ to_given).astype(np.int64)
    # The vector is taken from the positions as given: exact, whatever the basis of the search.
    vector = atoms.positions[j] + image @ atoms.cell.array - atoms.positions[i]
    distance = np.linalg.norm(vector, axis=1)
    itself = (i == j) & ~image.any(axis=1)
    return Pairs(i, j, image, vector, distance).select((distance <= cutoff) & ~itself)


def lay_images(
    fractional: NDArray[np.float64], margin: NDArray[np.float64], pbc: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Lay the images of wrapped atoms that lie within `margin` (fractional) of the cell.

    Returns:
        Fractional places (g, 3), images (g, 3) and indices of the atoms (g,).
    """
    places = fractional
    images = np.zeros_like(fractional)
    index = np.arange(len(fractional), dtype=np.int64)
    for axis in np.flatnonzero(pbc):
        reach = int(np.ceil(margin[axis]))
        kept = []
        for step in range(-reach, reach + 1):
            shifted = places[:, axis] + step
            inside = np.flatnonzero((shifted >= -margin[axis]) & (shifted <= 1 + margin[axis]))
            kept.append((inside, step))
        chosen = np.concatenate([inside for inside, _ in kept])
        steps = np.concatenate([np.full(len(inside), step) for inside, step in kept])
        places, images, index = places[chosen], images[chosen], index[chosen]
        places[:, axis] += steps
        images[:, axis] = steps
    return places, images, index


def check_cell(atoms: Atoms) -> None:
    """Refuse what no search can handle.

    Raises:
        InputError: positions or cell are not finite, or the periodic edges span no volume.
    """
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise InputError("neighbours need finite positions and a finite cell.")
    if atoms.pbc.any():
        edges = atoms.cell.array[atoms.pbc]
        scale = float(np.prod(np.linalg.norm(edges, axis=1)))
        if not scale or np.sqrt(max(np.linalg.det(edges @ edges.T), 0.0)) < 1e-9 * scale:
            raise InputError("neighbours need a cell with a volume: its periodic edges are flat.")


def reduced_basis(atoms: Atoms) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a basis without needless skew (Å), and the integers with basis = integers @ cell."""
    basis = np.asarray(atoms.cell.complete().array, dtype=float)
    heights = 1 / np.linalg.norm(np.linalg.inv(basis), axis=0)
    # Reduction costs a millisecond; it pays only where edges are long compared with heights.
    if (np.linalg.norm(basis, axis=1) < 1.5 * heights).all():
        return basis, np.eye(3)
    reduced, integers = minkowski_reduce(basis, pbc=atoms.pbc)
    return np.asarray(reduced, dtype=float), np.asarray(integers, dtype=float)


def _pair_limits(atoms: Atoms, cutoff: Mapping[tuple[str, str], float]) -> NDArray[np.float64]:
    """Return the (atoms, atoms) table of cutoffs in Å; -1 where a pair is not searched."""
    symbols = atoms.get_chemical_symbols()
    kinds = sorted(set(symbols))
    table = np.full((len(kinds), len(kinds)), -1.0)
    for row, first in enumerate(kinds):
        for column, second in enumerate(kinds):
            table[row, column] = cutoff.get((first, second), cutoff.get((second, first), -1.0))
    kind = np.array([kinds.index(symbol) for symbol in symbols], dtype=np.int64)
    return np.asarray(table[kind[:, None], kind[None, :]])


def _is_first(pairs: Pairs) -> NDArray[np.bool_]:
    """Mark one of the two directions of each pair."""
    h, k, m = pairs.image.T
    positive = (h > 0) | ((h == 0) & ((k > 0) | ((k == 0) & (m > 0))))
    return np.asarray((pairs.i < pairs.j) | ((pairs.i == pairs.j) & positive))
