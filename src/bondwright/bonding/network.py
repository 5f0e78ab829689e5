"""Which atoms hang together by given bonds, and in how many directions that goes on for ever."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from bondwright.bonding.table import BondTable


@dataclass(frozen=True)
class Network:
    """Connected parts of a structure.

    Attributes:
        part: (atoms,) number of each atom's part; parts are in the order of their first atoms.
        dimension: (parts,) directions in which a part repeats: 0 a molecule or single atom,
            1 a chain, 2 a layer, 3 a framework.
        size: (parts,) atoms of each part in the cell.
    """

    part: NDArray[np.int64]
    dimension: NDArray[np.int64]
    size: NDArray[np.int64]


def bond_network(table: BondTable, keep: NDArray[np.bool_] | None = None) -> Network:
    """Find the parts that bonds hold together and their dimension.

    Along a spanning tree every atom gets the cell in which it lies; each further bond closes a
    loop that ends in some cell, and the rank of those translations is the dimension.

    Args:
        table: the bonds.
        keep: (n,) which bonds count, e.g. the strong ones; None counts all.
    """
    chosen = table if keep is None else table.select(keep)
    n = len(table.atoms)
    ones = np.ones(len(chosen), dtype=np.int8)
    graph = coo_matrix((ones, (chosen.i, chosen.j)), shape=(n, n)).tocsr()
    parts, part = connected_components(graph, directed=False)
    cell = _cells(chosen, graph, part, parts)
    loops = cell[chosen.i] + chosen.image - cell[chosen.j]
    owner = part[chosen.i]
    open_loops = np.flatnonzero(loops.any(axis=1))
    dimension = np.zeros(parts, dtype=np.int64)
    for number in np.unique(owner[open_loops]).tolist():
        own = np.unique(loops[open_loops[owner[open_loops] == number]], axis=0)
        dimension[number] = np.linalg.matrix_rank(own)
    return Network(part.astype(np.int64), dimension, np.bincount(part, minlength=parts))


def _cells(
    table: BondTable, graph: coo_matrix, part: NDArray[np.int32], parts: int
) -> NDArray[np.int64]:
    """Return (atoms, 3) the cell in which each atom lies, seen from the first atom of its part."""
    n = len(table.atoms)
    cell = np.zeros((n, 3), dtype=np.int64)
    step = {
        (i, j): image
        for i, j, image in zip(table.i.tolist(), table.j.tolist(), table.image, strict=True)
    }
    first = np.unique(part, return_index=True)[1]
    alone = np.bincount(part, minlength=parts) == 1
    for root in first[~alone].tolist():
        order, before = breadth_first_order(graph, root, directed=False)
        for atom in order[1:].tolist():
            parent = int(before[atom])
            forward = step.get((parent, atom))
            cell[atom] = cell[parent] + (forward if forward is not None else -step[atom, parent])
    return cell
