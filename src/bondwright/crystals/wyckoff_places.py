"""Where in a cell the next orbit of atoms may lie, coordinate by coordinate.

A place is closed where two atoms would stand nearer than some limits (`contacts`): points of the
new orbit to each other (this also keeps the orbit off more special positions, where its points
would merge) or to atoms that are there already. Where a cell is so full that nothing would be open,
the limits shrink.

With all coordinates but one known, the distance of two points is a quadratic function of that
coordinate, so the closed values are intervals; all lattice images within reach are looked at.
Coordinates are whole numbers 0 to 9999, in units of 0.0001 of the cell edge.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.wyckoff import WyckoffPosition, position
from bondwright.crystals.wyckoff_canonical import UNIT

_SHRINK = 0.85  # of the limits, as often as needed to leave some place open

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class _Vectors:
    """Vectors start + t step + any lattice vector, which should not be shorter than a limit.

    Attributes:
        starts, steps: (n, 3) fractional; `t` is a coordinate that is not known yet.
        limits: (n,) Å.
    """

    starts: Floats
    steps: Floats
    limits: Floats


@dataclass(frozen=True)
class _Differences:
    """Vectors from an orbit's first point to others: matrices @ (x, y, z) + constants.

    Attributes:
        matrices: (n, 3, 3).
        constants: (n, 3).
    """

    matrices: Floats
    constants: Floats


class Places:
    """The atoms placed so far in a cell.

    Args:
        space_group: International Tables number.
        lattice: (3, 3) cell vectors, rows in Å.
        limits: (104, 104) smallest distances by atomic number, Å.

    Attributes:
        strained: whether some atoms had to be put closer than the limits.
    """

    def __init__(self, space_group: int, lattice: Floats, limits: Floats) -> None:
        self._limits = limits
        self.strained = False
        self._space_group = space_group
        self._lattice = lattice
        # Distances (Å) between the lattice planes that cut each axis.
        self._heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
        self._points: Floats = np.zeros((0, 3))
        self._numbers: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def crowded(self, number: int, place: WyckoffPosition) -> bool:
        """Tell whether atoms on a position would be too near to each other or to those placed.

        Only what is sure before the second of its free coordinates is told.

        Args:
            number: atomic number of the new atoms.
            place: their Wyckoff position.
        """
        limits = self._limits[number]
        starts = _differences(self._space_group, place.letter)[0].constants
        reach = np.full(len(starts), limits[number])
        if not place.free:
            starts = np.concatenate([starts, place.translations[0] - self._points])
            reach = np.concatenate([reach, limits[self._numbers]])
        if len(starts):
            start, _, reach = self._images(_Vectors(starts, np.zeros_like(starts), reach))
            if (np.einsum("ij,ij->i", start, start) < reach**2).any():
                return True
        return len(place.free) == 1 and bool(self._closed(self._vectors(number, place, [])).all())

    def open_values(self, number: int, place: WyckoffPosition, known: list[int]) -> Flags:
        """Return which values (10000,) the next coordinate of an atom may have.

        Args:
            number: atomic number of the new atoms.
            place: their Wyckoff position.
            known: values of its free coordinates so far; at least one is missing.
        """
        vectors = self._vectors(number, place, known)
        closed = self._closed(vectors)
        while closed.all():
            self.strained = True
            vectors = replace(vectors, limits=vectors.limits * _SHRINK)
            closed = self._closed(vectors)
        return ~closed

    def add(self, number: int, place: WyckoffPosition, known: list[int]) -> None:
        """Put atoms on an orbit; `known` has a value for each free coordinate."""
        values = np.zeros(3)
        values[list(place.free)] = np.array(known, dtype=float) / UNIT
        points = place.rotations @ values + place.translations
        self._points = np.concatenate([self._points, points])
        self._numbers = np.concatenate([self._numbers, np.full(len(points), number)])

    def _vectors(self, number: int, place: WyckoffPosition, known: list[int]) -> _Vectors:
        """Return the vectors between atoms that the next coordinate decides."""
        axis = place.free[len(known)]
        values = np.zeros(3)
        values[list(place.free[: len(known)])] = np.array(known, dtype=float) / UNIT
        limits = self._limits[number]
        own = _differences(self._space_group, place.letter)[len(known) + 1]
        starts = own.matrices @ values + own.constants
        steps = own.matrices[:, :, axis]
        reach = np.full(len(starts), limits[number])
        if len(known) + 1 == len(place.free) and len(self._points):
            first = place.rotations[0] @ values + place.translations[0]
            step = np.zeros_like(self._points)
            step[:] = place.rotations[0][:, axis]
            starts = np.concatenate([starts, first - self._points])
            steps = np.concatenate([steps, step])
            reach = np.concatenate([reach, limits[self._numbers]])
        return _Vectors(starts, steps, reach)

    def _closed(self, vectors: _Vectors) -> Flags:
        """Return which t (10000,) make one of some vectors too short."""
        start, step, limit = self._images(vectors)
        if not len(start):
            return np.zeros(UNIT, dtype=np.bool_)
        # |start + t step| < limit between the roots of a quadratic function.
        a = np.einsum("ij,ij->i", step, step)
        b = np.einsum("ij,ij->i", start, step)
        c = np.einsum("ij,ij->i", start, start) - limit**2
        discriminant = b * b - a * c
        real = discriminant > 0
        a, b, root = a[real], b[real], np.sqrt(discriminant[real])
        first = np.ceil((-b - root) / a * UNIT).clip(0, UNIT).astype(np.int64)
        last = np.floor((-b + root) / a * UNIT).clip(-1, UNIT - 1).astype(np.int64)
        some = first <= last
        begins = np.bincount(first[some], minlength=UNIT + 1)
        ends = np.bincount(last[some] + 1, minlength=UNIT + 1)
        return np.asarray(np.cumsum((begins - ends)[:UNIT]) > 0)

    def _images(self, vectors: _Vectors) -> tuple[Floats, Floats, Floats]:
        """Return starts (m, 3) and steps (m, 3) in Å and limits (m,) of all that can be short.

        A vector is no shorter than its part across the planes of any axis; this leaves few lattice
        vectors for t in 0..1.
        """
        starts, steps = vectors.starts, vectors.steps
        middle = starts + 0.5 * steps
        width = 0.5 * np.abs(steps) + vectors.limits[:, None] / self._heights
        low = np.ceil(-middle - width)
        spans = np.floor(width - middle) - low + 1
        near = (spans > 0).all(axis=1)
        if not near.any():
            nothing = np.zeros((0, 3))
            return nothing, nothing, np.zeros(0)
        low, spans = low[near] + starts[near], spans[near]
        most = spans.max(axis=0)
        offsets = _offsets(int(most[0]), int(most[1]), int(most[2]))
        row, image = np.nonzero((offsets < spans[:, None]).all(axis=2))
        start = (low[row] + offsets[image]) @ self._lattice
        step = (steps[near] @ self._lattice)[row]
        return start, step, vectors.limits[near][row]


@cache
def _differences(space_group: int, letter: str) -> tuple[_Differences, ...]:
    """Return the differences within an orbit by how many of its coordinates decide them."""
    place = position(space_group, letter)
    matrices = (place.rotations[1:] - place.rotations[0]).astype(float)
    constants = place.translations[1:] - place.translations[0]
    moves = matrices[:, :, list(place.free)].any(axis=1)  # which coordinates change which
    decided = np.where(moves, np.arange(1, len(place.free) + 1), 0).max(axis=1, initial=0)
    return tuple(
        _Differences(matrices[decided == k], constants[decided == k])
        for k in range(len(place.free) + 1)
    )


@cache
def _offsets(first: int, second: int, third: int) -> Floats:
    """Return all whole vectors (n, 3) from (0, 0, 0) to below these numbers."""
    found = list(itertools.product(range(first), range(second), range(third)))
    return np.array(found, dtype=float).reshape(-1, 3)
