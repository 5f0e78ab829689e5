"""The Wyckoff positions of all space groups, in the settings that spglib standardises to.

Points are fractional coordinates of the conventional cell. A position's *parameters* are the
values of those of x, y, z that are free in it, in this order; (x, 2x, 1/4) has one.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from bondwright.errors import InputError
from bondwright.structure.symmetry import symmetry_operations

_TABLE = Path(__file__).parent / "tables" / "wyckoff.json.gz"


@dataclass(frozen=True, eq=False)
class WyckoffPosition:
    """A class of equivalent places.

    The m points of an orbit are `rotations[k] @ (x, y, z) + translations[k]`, modulo 1; the first
    is the representative that the parameters are read from.

    Attributes:
        letter: "a" to "z", then "A".
        multiplicity: m, points per conventional cell.
        rotations: (m, 3, 3) integers; columns of parameters that are not free are 0.
        translations: (m, 3), in [0, 1).
        free: which of x, y, z (0, 1, 2) are free; empty where only one orbit exists.
    """

    letter: str
    multiplicity: int
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]
    free: tuple[int, ...]


@cache
def positions(space_group: int) -> tuple[WyckoffPosition, ...]:
    """Return the Wyckoff positions of a space group, "a" first, the general position last.

    Raises:
        InputError: the number is not in 1..230.
    """
    rotations, translations = symmetry_operations(_checked(space_group))
    shifts = np.rint(translations * gemmi.Op.DEN).astype(np.int64)
    found = []
    for letter, text in _table()[str(space_group)].items():
        representative = gemmi.Op(re.sub(r"(\d)([xyz])", r"\1*\2", text))
        matrix = np.array(representative.rot, dtype=np.int64) // gemmi.Op.DEN
        maps = np.concatenate(
            [
                (rotations @ matrix).reshape(-1, 9),
                (rotations @ np.array(representative.tran) + shifts) % gemmi.Op.DEN,
            ],
            axis=1,
        )
        _, first = np.unique(maps, axis=0, return_index=True)
        maps = maps[np.sort(first)]  # the identity comes first, so the representative stays first
        found.append(
            WyckoffPosition(
                letter=letter,
                multiplicity=len(maps),
                rotations=maps[:, :9].reshape(-1, 3, 3),
                translations=maps[:, 9:] / gemmi.Op.DEN,
                free=tuple(int(column) for column in np.flatnonzero(matrix.any(axis=0))),
            )
        )
    return tuple(found)


def position(space_group: int, letter: str) -> WyckoffPosition:
    """Return one Wyckoff position.

    Raises:
        InputError: the group has no such letter; says which it has.
    """
    found = _by_letter(_checked(space_group)).get(letter)
    if found is None:
        letters = "".join(_by_letter(space_group))
        raise InputError(
            f"space group {space_group} has no Wyckoff position {letter!r}; it has {letters}."
        )
    return found


def orbit(space_group: int, letter: str, parameters: Sequence[float]) -> NDArray[np.float64]:
    """Return the points of an orbit.

    Args:
        space_group: International Tables number.
        letter: Wyckoff letter.
        parameters: one value per free coordinate.

    Returns:
        (multiplicity, 3) fractional coordinates in [0, 1), the representative first.

    Raises:
        InputError: no such group or letter, or another number of parameters.
    """
    place = position(space_group, letter)
    if len(parameters) != len(place.free):
        raise InputError(
            f"position {letter} of space group {space_group} has {len(place.free)} free "
            f"coordinates, not {len(parameters)}."
        )
    values = np.zeros(3)
    values[list(place.free)] = parameters
    points = place.rotations @ values + place.translations
    return np.asarray(points % 1.0 % 1.0)  # twice: -1e-17 % 1.0 is 1.0


def parameters_of(
    space_group: int, letter: str, point: Sequence[float] | NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """Return all parameters of a position that give the orbit of a point.

    Args:
        space_group: International Tables number.
        letter: Wyckoff letter.
        point: (3,) fractional coordinates of any point of the orbit.
        tolerance: by how much a coordinate may miss the position, as a fraction of the cell edge.

    Returns:
        (n, free) values in [0, 1), one row per symmetry operation that brings the point onto the
        representative; n is 0 where the point is not on the position.

    Raises:
        InputError: no such group or letter.
    """
    place = position(space_group, letter)
    rotations, translations = symmetry_operations(space_group)
    free = list(place.free)
    images = rotations @ np.asarray(point, dtype=float) + translations
    values = (images - place.translations[0])[:, free]
    missed = images - values @ place.rotations[0][:, free].T - place.translations[0]
    missed -= np.rint(missed)
    fits = (np.abs(missed) <= tolerance).all(axis=1)
    return np.asarray(values[fits] % 1.0 % 1.0)


def locate(
    space_group: int, point: Sequence[float] | NDArray[np.float64], tolerance: float = 1e-4
) -> tuple[str, tuple[float, ...]]:
    """Return the most special position that a point lies on, and its parameters there.

    Args:
        space_group: International Tables number.
        point: (3,) fractional coordinates.
        tolerance: as in `parameters_of`.

    Returns:
        The letter and, of all parameters that give the point's orbit, the smallest (compared in
        order); the same for every point of an orbit up to rounding.

    Raises:
        InputError: the number is not in 1..230.
    """
    matrices, constants, free = _representatives(_checked(space_group))
    rotations, translations = symmetry_operations(space_group)
    images = rotations @ np.asarray(point, dtype=float) + translations
    values = (images[None] - constants[:, None]) * free[:, None]  # (positions, operations, 3)
    missed = images[None] - constants[:, None] - values @ matrices.transpose(0, 2, 1)
    missed -= np.rint(missed)
    fits = (np.abs(missed) <= tolerance).all(axis=2)
    most_special = int(fits.any(axis=1).argmax())
    place = positions(space_group)[most_special]
    candidates = values[most_special][fits[most_special]][:, list(place.free)]
    smallest = min(map(tuple, np.round(candidates % 1.0, 9) % 1.0))
    return place.letter, tuple(float(value) for value in smallest)


@cache
def _representatives(
    space_group: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return matrices (n, 3, 3), constants (n, 3) and free coordinates (n, 3) of all positions."""
    places = positions(space_group)
    return (
        np.array([place.rotations[0] for place in places]),
        np.array([place.translations[0] for place in places]),
        np.array([[axis in place.free for axis in range(3)] for place in places]),
    )


@cache
def _by_letter(space_group: int) -> Mapping[str, WyckoffPosition]:
    return {place.letter: place for place in positions(space_group)}


@cache
def _table() -> dict[str, dict[str, str]]:
    """Return the shipped table: space group -> letter -> representative."""
    table: dict[str, dict[str, str]] = json.loads(gzip.decompress(_TABLE.read_bytes()))
    return table


def _checked(space_group: int) -> int:
    if not 1 <= space_group <= 230:
        raise InputError(f"space-group numbers are 1 to 230, not {space_group}.")
    return space_group
