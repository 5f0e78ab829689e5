"""Real matrices between the functions of one cell and those of its neighbours, kept sparse.

The overlap of two functions is zero beyond their reach. A cell of 100 atoms has 60 neighbours that
its functions reach at all, and 97 of 100 elements between them are zero: as dense matrices they
would be the largest thing in a calculation of bond strengths.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

_NOISE = 1e-12  # of a sine: k is its own negative


@dataclass(frozen=True)
class BetweenCells:
    """Elements M(T) between functions in the cell at the origin and functions in cell T.

    Attributes:
        images: (t, 3) integers: the cells T.
        elements: (rows * columns, t) one matrix per cell, row by row.
        shape: (rows, columns) of each matrix.
    """

    images: NDArray[np.int64]
    elements: Any
    shape: tuple[int, int]

    @classmethod
    def gather(
        cls,
        strips: Iterable[tuple[int, NDArray[np.float64]]],
        images: NDArray[np.int64],
        shape: tuple[int, int],
    ) -> BetweenCells:
        """Collect the elements that are not zero from strips of a few rows.

        Args:
            strips: first row of a strip, and its elements (t, rows of the strip, columns); each
                strip is let go before the next is asked for.
            images: (t, 3) the cells.
            shape: of each whole matrix.
        """
        index_type = np.int32 if shape[0] * shape[1] < 2**31 else np.int64
        places: list[list[NDArray[Any]]] = [[] for _ in images]
        values: list[list[NDArray[np.float64]]] = [[] for _ in images]
        for first, strip in strips:
            for t, block in enumerate(strip):
                flat = block.reshape(-1)
                found = np.flatnonzero(flat)
                if len(found):
                    places[t].append((found + first * shape[1]).astype(index_type))
                    values[t].append(flat[found])
        counts = [sum(len(part) for part in parts) for parts in places]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        elements = csc_array(
            (_joined(values, np.float64), _joined(places, index_type), starts),
            shape=(shape[0] * shape[1], len(images)),
        )
        return cls(images, elements, shape)

    def at(self, fractional: NDArray[np.float64]) -> NDArray[Any]:
        """Return sum_T e^(2 pi i k T) M(T), real where k is its own negative.

        Args:
            fractional: (3,) k in reciprocal lattice vectors.

        Returns:
            (rows, columns).
        """
        angle = 2 * np.pi * (self.images @ fractional)
        real = (self.elements @ np.cos(angle)).reshape(self.shape)
        if np.abs(np.sin(angle)).max(initial=0.0) < _NOISE:
            return np.asarray(real)
        whole = real.astype(complex)
        whole.imag = (self.elements @ np.sin(angle)).reshape(self.shape)
        return np.asarray(whole)


def _joined(parts: list[list[NDArray[Any]]], kind: Any) -> NDArray[Any]:
    """Return all parts in one array, letting each go once it is copied."""
    joined = np.empty(sum(len(part) for each in parts for part in each), dtype=kind)
    place = 0
    for each in parts:
        for part in each:
            joined[place : place + len(part)] = part
            place += len(part)
        each.clear()
    return joined
