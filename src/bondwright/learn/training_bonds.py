"""Labelled bonds of many cells as arrays, pair by pair."""

# ruff: noqa: N815, N803 (units stand in names as they are written)
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bondwright.bonding.pairs import split_pair
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.learn.cells import LabelledCell, cell_hash
from bondwright.structure.neighbours import Pairs

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingBonds:
    """Labelled bonds of one pair of elements.

    Attributes:
        length_A: (n,) lengths.
        icohp_eV: (n,) labels.
        cell: (n,) index of the cell.
        row: (n,) row in the cell's table.
        features: (n, f) raw features; (n, 0) until they are computed.
    """

    length_A: Array
    icohp_eV: Array
    cell: NDArray[np.int64]
    row: NDArray[np.int64]
    features: torch.Tensor

    def __len__(self) -> int:
        return len(self.length_A)


def bonds_as_pairs(bonds: BondTable) -> Pairs:
    """Return the bonds of a table as pairs of a neighbour search."""
    vectors = bonds.vectors_A()
    return Pairs(bonds.i, bonds.j, bonds.image, vectors, np.linalg.norm(vectors, axis=1))


def common_method(cells: Sequence[LabelledCell]) -> str:
    """Return the method of all labels.

    Raises:
        InputError: there is no cell, or the labels come from different methods.
    """
    methods = sorted({cell.bonds.method for cell in cells})
    if not methods:
        raise InputError("a bond model needs labelled cells; there is none.")
    if len(methods) > 1:
        raise InputError(
            f"labels of different methods ({', '.join(methods)}) are not mixed in one model; "
            "train on one, or correct one towards the other first."
        )
    return methods[0]


def gather(
    cells: Sequence[LabelledCell], window_A: tuple[float, float], fewest: int
) -> dict[str, TrainingBonds]:
    """Collect the bonds of every pair of elements that has enough of them, without features.

    Raises:
        InputError: no pair has enough.
    """
    columns: dict[str, list[tuple[Array, Array, NDArray[np.int64], NDArray[np.int64]]]] = {}
    for index, cell in enumerate(cells):
        inside = (cell.bonds.length_A >= window_A[0]) & (cell.bonds.length_A <= window_A[1])
        for pair, rows in cell.bonds.pair_types().items():
            rows = rows[inside[rows]]
            values = (cell.bonds.length_A[rows], cell.bonds.icohp_eV[rows])
            columns.setdefault(pair, []).append((*values, np.full(len(rows), index), rows))
    found = {}
    for pair in sorted(columns):
        length, icohp, cell_of, row = (np.concatenate(c) for c in zip(*columns[pair], strict=True))
        if len(length) >= fewest:
            found[pair] = TrainingBonds(length, icohp, cell_of, row, torch.zeros(len(length), 0))
    if not found:
        raise InputError(
            f"no pair of elements has {fewest} labelled bonds between {window_A[0]} and "
            f"{window_A[1]} Å; label more cells."
        )
    return found


def elements_of(pairs: Mapping[str, TrainingBonds]) -> list[str]:
    """Return the elements of the pairs, a pair's first element before its second."""
    elements: list[str] = sorted({e for pair in pairs for e in split_pair(pair)})
    # Pairs are named by one order of all elements, so counting how often one stands first sorts
    # them; elements that never meet in a pair keep the alphabet.
    first = {
        e: sum(split_pair(pair)[1] == e != split_pair(pair)[0] for pair in pairs) for e in elements
    }
    return sorted(elements, key=lambda e: (first[e], e))


def training_hash(cells: Sequence[LabelledCell]) -> str:
    """Return the SHA-256 of names, structures, bonds and labels, whatever the order of cells."""
    return hashlib.sha256("".join(sorted(cell_hash(cell) for cell in cells)).encode()).hexdigest()
