"""Where in a cell the next orbit of atoms may lie, coordinate by coordinate.

A place is closed where two atoms would stand at a distance that is not allowed (`contacts`): too
near, or in the gap between bonded and not bonded. Looked at are the points of the new orbit and
each other (this also keeps the orbit off more special positions, where its points would merge) and
the atoms that are there already. Where nothing would be open, the gaps are given up, then the
limits shrink.

With all coordinates but one known, the distance of two points is a quadratic function of that
coordinate, so the closed values are intervals; all lattice images within reach are looked at.
Coordinates are whole numbers 0 to 9999, in units of 0.0001 of the cell edge.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
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
    """Vectors start + t step + any lattice vector, whose lengths should be allowed.

    Attributes:
        starts, steps: (n, 3) fractional; `t` is a coordinate that is not known yet.
        limits: (n, 3) Å: the smallest length, and the two ends of the gap above it.
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
        limits: (104, 104, 3) of distances, Å; see `contacts`.

    Attributes:
        strained: whether some atoms had to be put at a distance that is not allowed.
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
        """Tell whether atoms on a position would be at closed distances, among each other or not.

        Only what is sure before the second of its free coordinates is told.

        Args:
            number: atomic number of the new atoms.
            place: their Wyckoff position.
        """
        limits = self._limits[number]
        starts = _differences(self._space_group, place.letter)[0].constants
        reach = np.broadcast_to(limits[number], (len(starts), 3))
        if not place.free:
            starts = np.concatenate([starts, place.translations[0] - self._points])
            reach = np.concatenate([reach, limits[self._numbers]])
        if len(starts):
            start, _, reach = self._images(_Vectors(starts, np.zeros_like(starts), reach))
            length = np.linalg.norm(start, axis=1)
            nearest, low, high = reach.T
            if ((length < nearest) | ((length > low) & (length < high))).any():
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
        shrink = np.array([1.0, 0.0, 0.0])
        while closed.all():
            self.strained = True
            vectors = _Vectors(vectors.starts, vectors.steps, vectors.limits * shrink)
            closed = self._closed(vectors)
            shrink[0] = _SHRINK
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
        reach = np.broadcast_to(limits[number], (len(starts), 3))
        if len(known) + 1 == len(place.free) and len(self._points):
            first = place.rotations[0] @ values + place.translations[0]
            step = np.zeros_like(self._points)
            step[:] = place.rotations[0][:, axis]
            starts = np.concatenate([starts, first - self._points])
            steps = np.concatenate([steps, step])
            reach = np.concatenate([reach, limits[self._numbers]])
        return _Vectors(starts, steps, reach)

    def _closed(self, vectors: _Vectors) -> Flags:
        """Return which t (10000,) give some vector a length that is not allowed."""
        start, step, limits = self._images(vectors)
        if not len(start):
            return np.zeros(UNIT, dtype=np.bool_)
        # |start + t step| < limit between the roots of a quadratic function.
        a = np.einsum("ij,ij->i", step, step)
        b = np.einsum("ij,ij->i", start, step)
        c = np.einsum("ij,ij->i", start, start)
        nearest, low, high = limits.T
        changes = _counts_between(a, b, c - nearest**2)
        gap = high > low
        a, b, c, low, high = a[gap], b[gap], c[gap], low[gap], high[gap]
        changes += _counts_between(a, b, c - high**2) - _counts_between(a, b, c - low**2)
        return np.asarray(np.cumsum(changes[:UNIT]) > 0)

    def _images(self, vectors: _Vectors) -> tuple[Floats, Floats, Floats]:
        """Return starts (m, 3), steps (m, 3) and limits (m, 3) in Å of all that can be short.

        A vector is no shorter than its part across the planes of any axis; this leaves few lattice
        vectors for t in 0..1.
        """
        starts, steps = vectors.starts, vectors.steps
        middle = starts + 0.5 * steps
        width = 0.5 * np.abs(steps) + vectors.limits.max(axis=1)[:, None] / self._heights
        low = np.ceil(-middle - width)
        spans = np.floor(width - middle) - low + 1
        near = (spans > 0).all(axis=1)
        if not near.any():
            nothing = np.zeros((0, 3))
            return nothing, nothing, nothing
        low, spans = low[near] + starts[near], spans[near]
        most = spans.max(axis=0)
        offsets = _offsets(int(most[0]), int(most[1]), int(most[2]))
        row, image = np.nonzero((offsets < spans[:, None]).all(axis=2))
        start = (low[row] + offsets[image]) @ self._lattice
        step = (steps[near] @ self._lattice)[row]
        return start, step, vectors.limits[near][row]


def _counts_between(a: Floats, b: Floats, c: Floats) -> NDArray[np.int64]:
    """Return how the number of intervals changes at each t (10001,).

    An interval holds the t (in units of 1/10000) where a t² + 2 b t + c < 0.
    """
    discriminant = b * b - a * c
    real = discriminant > 0
    a, b, root = a[real], b[real], np.sqrt(discriminant[real])
    first = np.ceil((-b - root) / a * UNIT).clip(0, UNIT).astype(np.int64)
    last = np.floor((-b + root) / a * UNIT).clip(-1, UNIT - 1).astype(np.int64)
    some = first <= last
    begins = np.bincount(first[some], minlength=UNIT + 1)
    ends = np.bincount(last[some] + 1, minlength=UNIT + 1)
    return begins - ends


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
