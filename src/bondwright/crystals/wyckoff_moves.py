"""The choices of origin and axes that leave the operations of a space group as they are.

International Tables fix the operations of a group, not where a crystal stands among them: rutile
can have titanium on a or on b. The choices are the moves of the group's Euclidean normaliser. Left
out here are moves that are operations of the group themselves, those that change the cell, and
mirror images (in a group with mirrors they lead to nothing new, in one without to another crystal).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.wyckoff import locate, orbit, positions
from bondwright.structure.symmetry import lattice_system, symmetry_operations

Integers = NDArray[np.int64]

_GRID = 24
"""Denominator of the shifts; all discrete ones of the normalisers are multiples of 1/8 or 1/12."""

# A space group whose operations are all rotations that the lattice system allows.
_ROTATIONS = {
    "triclinic": 1,
    "monoclinic": 3,
    "orthorhombic": 16,
    "tetragonal": 89,
    "rhombohedral": 177,
    "hexagonal": 177,
    "cubic": 207,
}


@dataclass(frozen=True, eq=False)
class Move:
    """A change of origin and axes: a point x comes to lie at rotation @ x + shift.

    Attributes:
        rotation: (3, 3) integers.
        shift: (3,) fractional.
        letters: Wyckoff letter before -> letter after.
    """

    rotation: Integers
    shift: NDArray[np.float64]
    letters: Mapping[str, str]


@cache
def moves(space_group: int) -> tuple[Move, ...]:
    """Return all moves, standing still first; those along polar axes are not among them.

    Raises:
        InputError: the number is not in 1..230.
    """
    positions(space_group)
    (holohedry, _) = symmetry_operations(_ROTATIONS[lattice_system(space_group)])
    own, _ = symmetry_operations(space_group)
    proper = own[np.rint(np.linalg.det(own)) == 1]
    covered: set[bytes] = set()
    found = []
    for rotation in holohedry:
        if rotation.tobytes() in covered:
            continue
        shifts = _shifts(space_group, rotation)
        if len(shifts):
            covered.update((rotation @ other).tobytes() for other in proper)
            found += [(rotation, shift) for shift in shifts]
    return tuple(
        Move(rotation, shift / _GRID, _letters(space_group, rotation, shift / _GRID))
        for rotation, shift in found
    )


@cache
def polar_axes(space_group: int) -> tuple[int, ...]:
    """Return the axes (0, 1, 2) along which the origin can be anywhere."""
    rotations, _ = symmetry_operations(space_group)
    # In the settings used here polar directions are along, or planes spanned by, cell edges.
    return tuple(axis for axis in range(3) if (rotations[:, :, axis] == np.eye(3)[axis]).all())


def _shifts(space_group: int, rotation: Integers) -> list[Integers]:
    """Return the shifts (units of 1/24) that make a rotation a move, one of those equal by G."""
    rotations, translations = symmetry_operations(space_group)
    own_shifts = np.rint(translations * _GRID).astype(np.int64) % _GRID
    place = {operation.tobytes(): k for k, operation in enumerate(rotations)}
    centring = own_shifts[(rotations == np.eye(3)).all(axis=(1, 2))]
    is_centring = np.zeros((_GRID,) * 3, dtype=np.bool_)
    is_centring[tuple(centring.T)] = True
    polar = polar_axes(space_group)
    choices = [range(1 if axis in polar else _GRID) for axis in range(3)]
    tried = np.array(list(itertools.product(*choices)), dtype=np.int64)
    inverse = np.rint(np.linalg.inv(rotation)).astype(np.int64)
    for operation, shift in zip(rotations, own_shifts, strict=True):
        image = np.ascontiguousarray(rotation @ operation @ inverse)
        k = place.get(image.tobytes())
        if k is None:
            return []
        # Moved, the operation has to be one of the group, up to a lattice vector.
        off = tried @ (np.eye(3, dtype=np.int64) - image).T + rotation @ shift - own_shifts[k]
        tried = tried[is_centring[tuple((off % _GRID).T)]]
    shifts: dict[tuple[int, ...], Integers] = {}
    for shift in tried:
        equal = (shift + centring) % _GRID
        equal[:, list(polar)] = 0
        shifts.setdefault(min(map(tuple, equal.tolist())), shift)
    return list(shifts.values())


def _letters(space_group: int, rotation: Integers, shift: NDArray[np.float64]) -> Mapping[str, str]:
    """Return what becomes of the Wyckoff letters."""
    letters = {}
    for place in positions(space_group):
        generic = (0.1234567, 0.3719283, 0.2837465)[: len(place.free)]
        point = orbit(space_group, place.letter, generic)[0]
        letters[place.letter] = locate(space_group, rotation @ point + shift, 1e-6)[0]
    return letters
