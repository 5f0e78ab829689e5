"""Cutting a glass into blocks, so that its bonds can be handled with bounded memory.

The atoms are halved along the widest extent of their region until a block is small enough; each
block comes with all atoms and images that its bonds and their environments can see (its halo). A
bond belongs to the block that owns its first atom, in the order of `canonical_bonds`, so that each
stands exactly once, whatever the shape of the cell and also where the cell is smaller than the
halo.
"""

# ruff: noqa: N802, N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.bonding.pairs import canonical_bonds
from bondwright.errors import InputError
from bondwright.structure.neighbours import (
    MAX_IMAGES,
    Pairs,
    check_cell,
    lay_images,
    neighbour_pairs,
    reduced_basis,
)

_ROUNDING_A = 1e-6
"""Å; room for rounding, so that no bond is lost at a block's border."""


@dataclass(frozen=True)
class Window:
    """What a model asks of the structure.

    Attributes:
        min_length_A: shortest bond, Å.
        max_length_A: longest bond, Å.
        environment_A: how far from its midpoint the environment of a bond reaches, Å.
    """

    min_length_A: float
    max_length_A: float
    environment_A: float

    @property
    def halo_A(self) -> float:
        """How far from a bond's first atom lies what is needed to predict it, Å."""
        return max(self.max_length_A, self.max_length_A / 2 + self.environment_A) + _ROUNDING_A


@dataclass(frozen=True)
class Block:
    """Atoms of one region and all that they see; an open cluster.

    Attributes:
        owned: the first so many of the m atoms belong to the block, the others are its halo.
        atom: (m,) index in the glass.
        image: (m, 3) lattice translation by which each stands apart from its given position.
        numbers: (m,) atomic numbers.
        positions: (m, 3) positions as given, before translation, Å.
        cell: (3, 3) lattice vectors of the glass as rows, Å.
    """

    owned: int
    atom: NDArray[np.int64]
    image: NDArray[np.int64]
    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]

    def cluster(self) -> Atoms:
        """Return the atoms where they stand, without periodicity."""
        return Atoms(self.numbers, positions=self.positions + self.image @ self.cell)


@dataclass(frozen=True)
class BlockBonds:
    """The bonds that belong to a block, twice: in its cluster, and in the glass.

    Attributes:
        pairs: n bonds by the indices of the cluster; every image is 0.
        i: (n,) first atom in the glass, i <= j.
        j: (n,) second atom.
        image: (n, 3) lattice translation of the second atom.
    """

    pairs: Pairs
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    image: NDArray[np.int64]


def cut_blocks(atoms: Atoms, window: Window, block_atoms: int) -> Iterator[Block]:
    """Yield the blocks of a glass, in an order that depends on the structure alone.

    Args:
        atoms: structure (Å); any cell, periodic in any of its directions.
        window: what the model asks for.
        block_atoms: most atoms that a block owns.

    Raises:
        InputError: `block_atoms` is not positive, the structure is not finite, or its cell is
            degenerate.
    """
    if block_atoms < 1:
        raise InputError(f"a block holds at least 1 atom, not {block_atoms}.")
    if not len(atoms):
        return
    check_cell(atoms)
    basis, to_given = reduced_basis(atoms)
    fractional = np.linalg.solve(basis.T, atoms.positions.T).T
    shift = np.where(atoms.pbc, np.floor(fractional), 0.0)
    fractional -= shift
    margin = window.halo_A * np.linalg.norm(np.linalg.inv(basis), axis=0) + 1e-9
    periodic_margin = np.where(atoms.pbc, margin, 0.0)
    if len(atoms) * np.prod(1 + 2 * periodic_margin) > MAX_IMAGES:
        raise InputError(
            f"the glass needs too many images within {window.halo_A:.3g} Å: its cell is degenerate "
            f"(volume {abs(np.linalg.det(basis)):.3g} Å³)."
        )
    places, steps, index = lay_images(fractional, periodic_margin, atoms.pbc)
    image = np.rint((steps - shift[index]) @ to_given).astype(np.int64)
    home = np.flatnonzero(~steps.any(axis=1))
    around = np.flatnonzero(steps.any(axis=1))
    edges = np.linalg.norm(basis, axis=1)
    for owned, halo in _halve(places, home, around, margin, edges, block_atoms):
        chosen = np.concatenate([owned, halo])
        atom = index[chosen]
        yield Block(
            owned=len(owned),
            atom=atom,
            image=image[chosen],
            numbers=atoms.numbers[atom],
            positions=atoms.positions[atom],
            cell=atoms.cell.array.copy(),
        )


def block_bonds(block: Block, cluster: Atoms, window: Window) -> BlockBonds:
    """Find the bonds that belong to a block, ordered by i, j and image.

    Vectors are taken from the positions as given, so that they equal those of one search over the
    whole glass.

    Args:
        block: the block.
        cluster: what `block.cluster()` returned.
        window: what the model asks for.
    """
    near = neighbour_pairs(cluster, window.max_length_A + _ROUNDING_A)
    # At least one end must be the block's own: this thins the list before the exact work.
    mine = (near.i < block.owned) | (near.j < block.owned)
    first, second = near.i[mine], near.j[mine]
    i, j, image = canonical_bonds(
        block.atom[first], block.atom[second], block.image[second] - block.image[first]
    )
    turned = (i != block.atom[first]) | (
        (i == j) & (image != block.image[second] - block.image[first]).any(axis=1)
    )
    first, second = np.where(turned, second, first), np.where(turned, first, second)
    vector = block.positions[second] + image @ block.cell - block.positions[first]
    length = np.linalg.norm(vector, axis=1)
    keep = (first < block.owned) & (length >= window.min_length_A) & (length <= window.max_length_A)
    order = np.flatnonzero(keep)
    order = order[np.lexsort((*image[order].T[::-1], j[order], i[order]))]
    pairs = Pairs(
        first[order],
        second[order],
        np.zeros((len(order), 3), dtype=np.int64),
        vector[order],
        length[order],
    )
    return BlockBonds(pairs, i[order], j[order], image[order])


def _halve(
    places: NDArray[np.float64],
    owned: NDArray[np.int64],
    halo: NDArray[np.int64],
    margin: NDArray[np.float64],
    edges: NDArray[np.float64],
    block_atoms: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (owned, halo) of each block as rows of `places` (fractional)."""
    low, high = places[owned].min(axis=0), places[owned].max(axis=0)
    seen = places[halo]
    halo = halo[((seen >= low - margin) & (seen <= high + margin)).all(axis=1)]
    if len(owned) <= block_atoms:
        yield owned, halo
        return
    axis = int(((high - low) * edges).argmax())
    order = owned[np.argsort(places[owned, axis], kind="stable")]
    # Whole blocks on either side: 9 blocks' worth of atoms become 4 and 5, never 16 small ones.
    blocks = -(-len(owned) // block_atoms)
    cut = len(owned) * (blocks // 2) // blocks
    left, right = np.sort(order[:cut]), np.sort(order[cut:])
    yield from _halve(places, left, np.concatenate([halo, right]), margin, edges, block_atoms)
    yield from _halve(places, right, np.concatenate([halo, left]), margin, edges, block_atoms)
