"""Where in the cell an atom of a given multiplicity may lie, decided coordinate by coordinate.

A Wyckoff position of multiplicity m is a set of m points, lines, planes, or the whole cell: its
*templates*. Text gives the coordinates one after the other. Of the templates of the wanted
multiplicity those stay alive that the coordinates so far can lie on. In an alive template the next
coordinate is either free or follows from the earlier ones, to the printed rounding. Left out is
what would have another multiplicity after all, or would repeat an atom: values close to a more
special template inside this one, or to an atom that is already there.

Coordinates are whole numbers from 0 to 9999, in units of 0.0001 of the cell's edge.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.wyckoff import WyckoffPosition, orbit, parameters_of, positions

UNIT = 10_000
"""Coordinates per cell edge."""

LEAST_RADIUS = 4.0
"""Units by which a place keeps off more special ones at least. A printed coordinate is off by half
a unit; in hexagonal axes three of these add up in an equivalent point, twice where 2x occurs."""

_SHRINK = (1.0, 0.5, 0.1, 0.0)  # of the radius, where a cell is so full that nothing would be left
_EPS = 1e-6
_GENERIC = np.random.default_rng(5).random((3, 3))  # parameters with no relation between them

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NOBODY: Integers = np.zeros(0, dtype=np.int64)
_NOWHERE: Floats = np.zeros(0)


@dataclass(frozen=True)
class Template:
    """A point, line, plane or the whole cell, its coordinates in reading order.

    Attributes:
        letter, multiplicity: of the Wyckoff position.
        free: for each axis, whether the coordinate is free given the earlier ones.
        slopes: for each axis, how a coordinate that is not free follows from the first and second.
        constants: for each axis, its constant part, in units.
    """

    letter: str
    multiplicity: int
    free: tuple[bool, bool, bool]
    slopes: tuple[tuple[float, float], ...]
    constants: tuple[float, ...]

    def printed(self, axis: int, place: Sequence[int]) -> list[int]:
        """Return the values that a coordinate may have that follows from the earlier ones.

        Both the earlier coordinates and this one are rounded.
        """
        first, second = self.slopes[axis]
        value, slack = self.constants[axis], 0.5 - _EPS
        if first:
            value += first * place[0]
            slack += 0.5 * abs(first)
        if second:
            value += second * place[1]
            slack += 0.5 * abs(second)
        low, high = math.ceil(value - slack), math.floor(value + slack)
        return [number % UNIT for number in range(low, high + 1)]

    def misses(self, points: Floats) -> Floats:
        """Return by how many units points (n, 3) miss the template, (n,)."""
        due = points[:, :2] @ np.array(self.slopes).T + self.constants
        off = np.abs(_wrap(points - due))
        return np.asarray(np.where(self.free, 0.0, off).max(axis=1))

    def points(self) -> Floats:
        """Return some points (3, 3) of the template with no special relation, in units."""
        found = np.zeros((3, 3))
        for axis in range(3):
            due = found[:, :2] @ np.array(self.slopes[axis]) + self.constants[axis]
            found[:, axis] = _GENERIC[:, axis] * UNIT if self.free[axis] else due
        return found % UNIT


class Templates:
    """The templates of all positions of one multiplicity in one space group.

    Attributes:
        members: the n templates.
        slopes, constants: (n, 3, 2) and (n, 3), as in `Template`.
        last: (n,) last free axis; -1 where there is none.
        special: for each axis, the more special templates that are decided there.
    """

    def __init__(self, members: list[Template], others: list[Template]) -> None:
        self.members = members
        self.slopes = np.array([t.slopes for t in members])
        self.constants = np.array([t.constants for t in members])
        self.last = np.array([max(np.flatnonzero(t.free), default=-1) for t in members])
        inside: list[list[tuple[int, Template]]] = [[], [], []]
        points = np.array([t.points() for t in others]).reshape(-1, 3)
        for index, template in enumerate(members):
            within = template.misses(points).reshape(-1, 3).max(axis=1) < _EPS * UNIT
            for other in itertools.compress(others, within):
                fixed = [a for a in range(3) if template.free[a] and not other.free[a]]
                inside[fixed[-1]].append((index, other))
        self.special = [_Specials(axis, rows) for axis, rows in enumerate(inside)]


class _Specials:
    """The more special templates inside others whose last restriction is on one axis."""

    def __init__(self, axis: int, rows: list[tuple[int, Template]]) -> None:
        self.axis = axis
        self.owner = np.array([index for index, _ in rows], dtype=np.int64)
        self.free = np.array([t.free[:axis] for _, t in rows], dtype=np.bool_)
        self.slopes = np.array([t.slopes[: axis + 1] for _, t in rows])
        self.constants = np.array([t.constants[: axis + 1] for _, t in rows])

    def centres(self, place: list[int], radius: Floats) -> tuple[Integers, Floats]:
        """Return owners, and where on the axis their special templates lie.

        Args:
            place: the coordinates before this axis; a special template counts only where these
                lie on it.
            radius: (3,) how close counts as on it.
        """
        if not self.axis or not len(self.owner):
            return self.owner, self.constants[:, 0] if len(self.owner) else _NOWHERE
        known = np.array([*place, 0][:2], dtype=np.float64)
        due = self.slopes @ known + self.constants
        off = np.abs(_wrap(due[:, :-1] - place))
        near = (self.free | (off <= radius[: self.axis])).all(axis=1)
        return self.owner[near], due[near, -1] % UNIT


class PlaceWalk:
    """One atom being placed, coordinate by coordinate.

    Args:
        space_group: International Tables number.
        multiplicity: what the place must have.
        letters: Wyckoff letters that may be used.
        radius: (3,) distance in units along each axis that counts as being on a special place
            or on an atom.
        occupied: (n, 3) atoms that are already there, in units.
    """

    def __init__(
        self,
        space_group: int,
        multiplicity: int,
        letters: frozenset[str],
        radius: Floats,
        occupied: Floats,
    ) -> None:
        self._templates = templates(space_group, multiplicity)
        members = self._templates.members
        self._alive = [k for k, template in enumerate(members) if template.letter in letters]
        self._full_radius = radius
        self._radius = radius
        self._occupied = occupied
        self._place: list[int] = []
        self._owners, self._centres = _NOBODY, _NOWHERE

    @property
    def letter(self) -> str:
        """Wyckoff letter of the finished place."""
        return self._templates.members[self._alive[0]].letter

    def values(self) -> tuple[int, ...] | Flags | None:
        """Return the values that the next coordinate may have.

        Returns:
            The values where they are few, else flags (10000,), or None where any will do.
        """
        members, axis = self._templates.members, len(self._place)
        free = [k for k in self._alive if members[k].free[axis]]
        due = {
            value
            for k in self._alive
            if not members[k].free[axis]
            for value in members[k].printed(axis, self._place)
        }
        if not free:
            return tuple(sorted(due))
        for shrink in _SHRINK:
            self._radius = np.maximum(self._full_radius * shrink, LEAST_RADIUS)
            self._close(axis, free)
            flags = self._open_values(axis, free)
            if flags is None:
                return None
            flags[np.array(sorted(due), dtype=np.int64)] = True
            if flags.any():
                return flags
        raise AssertionError("an orbit has room somewhere in its cell")

    def take(self, value: int) -> None:
        """Set the next coordinate to one of `values()`."""
        members, axis = self._templates.members, len(self._place)
        near = np.abs(_wrap(value - self._centres)) <= self._radius[axis]
        hit = set(self._owners[near].tolist())
        self._alive = [
            k
            for k in self._alive
            if (
                k not in hit
                if members[k].free[axis]
                else value in members[k].printed(axis, self._place)
            )
        ]
        self._place.append(value)
        self._owners, self._centres = _NOBODY, _NOWHERE

    def _close(self, axis: int, free: list[int]) -> None:
        """Find the centres of the values that are left out, and for which templates."""
        owners, centres = self._templates.special[axis].centres(self._place, self._radius)
        last = [k for k in free if self._templates.last[k] == axis]
        if last and len(self._occupied):
            atom_owners, atom_centres = self._atoms_on(np.array(last), axis)
            owners = np.concatenate([owners, atom_owners])
            centres = np.concatenate([centres, atom_centres])
        self._owners, self._centres = owners, centres

    def _atoms_on(self, last: Integers, axis: int) -> tuple[Integers, Floats]:
        """Return where on the axis atoms lie that a place on templates could hit, and which."""
        t, atoms, reach = self._templates, self._occupied, self._radius
        if axis:
            near = np.abs(_wrap(atoms[:, :axis] - self._place)) <= reach[:axis]
            atoms = atoms[near.all(axis=1)]
        hits = np.ones((len(last), len(atoms)), dtype=np.bool_)
        for later in range(axis + 1, 3):
            due = t.slopes[last, later] @ atoms[:, :2].T + t.constants[last, later, None]
            hits &= np.abs(_wrap(atoms[:, later] - due)) <= reach[later]
        which, atom = np.nonzero(hits)
        return last[which], atoms[atom, axis]

    def _open_values(self, axis: int, free: list[int]) -> Flags | None:
        """Return the values that some template in which the axis is free allows; None: any."""
        flags: Flags | None = None
        reach = float(self._radius[axis])
        closed = set(self._owners.tolist())
        if any(k not in closed for k in free):
            return None
        for k in free:
            open_: Flags = np.ones(UNIT, dtype=np.bool_)
            for centre in self._centres[self._owners == k].tolist():
                low, high = math.ceil(centre - reach), math.floor(centre + reach) + 1
                open_[max(low, 0) : high] = False
                if low < 0:
                    open_[low:] = False
                if high > UNIT:
                    open_[: high - UNIT] = False
            flags = open_ if flags is None else flags | open_
            if flags.all():
                return None
        return flags


def images(space_group: int, letter: str, place: tuple[int, ...]) -> Floats:
    """Return the points of the orbit of a place, (multiplicity, 3), in units."""
    point = [value / UNIT for value in place]
    fitting = parameters_of(space_group, letter, point, 2 * LEAST_RADIUS / UNIT)
    return orbit(space_group, letter, fitting[0]) * UNIT


@cache
def templates(space_group: int, multiplicity: int) -> Templates:
    """Return the templates of one multiplicity."""
    known = _all_templates(space_group)
    return Templates(
        [t for t in known if t.multiplicity == multiplicity],
        [t for t in known if t.multiplicity < multiplicity],
    )


@cache
def _all_templates(space_group: int) -> list[Template]:
    """Return the templates of all positions of a space group, each once."""
    return [t for place in positions(space_group) for t in _templates_of(place)]


def _templates_of(place: WyckoffPosition) -> list[Template]:
    """Return the templates of a position, each once."""
    found: dict[Any, Template] = {}
    for rotation, shift in zip(place.rotations, place.translations, strict=True):
        slopes, pivots, branches = _solved(rotation[:, list(place.free)].tobytes())
        for branch in branches:
            constants = shift + slopes[:, pivots] @ (branch - shift[pivots])
            free = (0 in pivots, 1 in pivots, 2 in pivots)
            due = np.where(free, 0.0, np.round(constants, 9) % 1.0 * UNIT)
            tilt = np.where(np.array(free)[:, None], 0.0, slopes[:, :2])
            (s00, s01), (s10, s11), (s20, s21) = tilt.tolist()
            template = Template(
                place.letter,
                place.multiplicity,
                free,
                ((s00, s01), (s10, s11), (s20, s21)),
                tuple(due.tolist()),
            )
            found.setdefault((free, tilt.round(6).tobytes(), due.round(4).tobytes()), template)
    return list(found.values())


@cache
def _solved(matrix: bytes) -> tuple[Floats, list[int], list[Floats]]:
    """Solve a map from parameters to coordinates for the coordinates that come first.

    Args:
        matrix: (3, d) integers, as bytes.

    Returns:
        (3, 3) how each coordinate follows from the pivots; the pivots; and whole numbers to add to
        these before, because parameters count modulo 1: (2x, x) is on y = x/2 and on y = x/2 + 1/2.
    """
    given = np.frombuffer(matrix, dtype=np.int64).reshape(3, -1).astype(float)
    pivots: list[int] = []
    for axis in range(3):
        if np.linalg.matrix_rank(given[[*pivots, axis]]) > len(pivots):
            pivots.append(axis)
    slopes = np.zeros((3, 3))
    if not pivots:
        return slopes, pivots, [np.zeros(0)]
    slopes[:, pivots] = (given @ np.linalg.inv(given[pivots])).round(6) + 0.0
    count = round(abs(np.linalg.det(given[pivots])))
    whole = itertools.product(range(count), repeat=len(pivots))
    return slopes, pivots, [np.array(branch, dtype=float) for branch in whole]


def _wrap(difference: Any) -> Any:
    """Return differences of coordinates as the nearest equivalent ones."""
    return difference - UNIT * np.rint(difference / UNIT)
