"""Constrained decoding of a cell: lengths and angles that give the atoms a possible volume.

Every parameter is offered only with values that the later ones can complete to a volume within the
limits of the strict validity check, and not far from what such atoms usually take. The first edge
alone says little; the last one says it all.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.wyckoff_cell import (
    cell_of,
    free_parameters,
    length_number,
    length_of,
    usual_length,
    volume_factor,
)
from bondwright.crystals.wyckoff_vocabulary import ANGLES, LENGTHS, VOCABULARY
from bondwright.screen.validity import ValiditySettings
from bondwright.structure.expand import lattice_from_parameters

Ids = NDArray[np.int64]

_IDS = {k: np.array(VOCABULARY.ids[k], dtype=np.int64) for k in ("length", "angle", "decimals")}
_SHORTEST = 1.5
"""The shortest cell edge that is offered, Å."""

_LAST = 100 * LENGTHS.stop - 1
"""Number of the longest cell edge that can be written."""

_FLATTEST = 0.35
"""Volume of the flattest cell offered, with edges of 1; 164 known triclinic crystals have 0.71."""

_UNUSUAL = 0.75, 1.75
"""Least and most volume, in usual volumes: 98.8 % of 46,345 known crystals lie between."""

_SPARE = 1.02
"""The edges span so much more than the smallest volume, so that whole degrees near 90 are open."""


def write_lattice(group: int, atoms: Mapping[str, int]) -> Generator[Ids, int, NDArray[np.float64]]:
    """Let the free cell parameters be written; return the lattice (rows in Å).

    Args:
        group: International Tables number.
        atoms: element -> atoms in the conventional cell.
    """
    limits, count, unit = ValiditySettings(), sum(atoms.values()), usual_length(atoms)
    smallest = max(limits.smallest_volume_A3 * count, _UNUSUAL[0] * unit**3)
    largest = min(limits.largest_volume_A3 * count, _UNUSUAL[1] * unit**3)
    longest = length_of(_LAST, unit)
    free, powers, volume = free_parameters(group), _powers(group), _unit_volume(group)
    values: list[float] = []
    for edge, power in enumerate(powers):
        later = sum(powers[edge + 1 :])
        least = _SPARE * smallest / (volume * longest**later)
        most = largest / (volume * _SHORTEST**later)
        length = yield from _length(least ** (1 / power), most ** (1 / power), unit)
        values.append(length)
        volume *= length**power
    angles = len(free) - len(powers)
    for _ in range(angles):
        flattest = max(smallest / volume, _FLATTEST)
        before = values[len(powers) :]
        values.append((yield from _angle(before, angles, math.ceil(1000 * flattest) / 1000)))
    cell = cell_of(group, values)
    return lattice_from_parameters(cell[:3], cell[3:])


@cache
def _powers(group: int) -> tuple[int, ...]:
    """Return for each free edge the power with which it enters the volume."""
    edges = [parameter for parameter in free_parameters(group) if parameter < 3]
    return {1: (3,), 2: (2, 1), 3: (1, 1, 1)}[len(edges)]


@cache
def _unit_volume(group: int) -> float:
    """Return the volume with edges of 1, and angles of 90° where they are free."""
    values = [1.0 if parameter < 3 else 90.0 for parameter in free_parameters(group)]
    return volume_factor(*cell_of(group, values)[3:])


def _length(least: float, most: float, unit: float) -> Generator[Ids, int, float]:
    """Let a length between two (Å) be written, in units of another; return it in Å."""
    low = max(math.ceil(length_number(max(least, _SHORTEST), unit) - 1e-6), 0)
    high = max(math.floor(min(length_number(most, unit), _LAST) + 1e-6), low)
    token = yield _IDS["length"][low // 100 : high // 100 + 1]
    whole = token - VOCABULARY.ids["length"].start
    token = yield _IDS["decimals"][max(low - 100 * whole, 0) : high - 100 * whole + 1]
    return length_of(100 * whole + token - VOCABULARY.ids["decimals"].start, unit)


def _angle(before: Sequence[float], angles: int, flattest: float) -> Generator[Ids, int, float]:
    """Let an angle be written; return it in degrees.

    Args:
        before: the free angles so far.
        angles: how many there are, 1 or 3.
        flattest: least volume of the cell with edges of 1.
    """
    token = yield _open_angles(tuple(before), angles, flattest)
    whole = token - VOCABULARY.ids["angle"].start + ANGLES.start
    token = yield _IDS["decimals"]
    return whole + (token - VOCABULARY.ids["decimals"].start) / 100


@lru_cache(maxsize=65_536)
def _open_angles(before: tuple[float, ...], angles: int, flattest: float) -> Ids:
    """Return ids of the whole degrees that, with any decimals, can still give such a volume."""
    offered = [
        whole
        for whole in ANGLES
        if min(_widest(before, end, angles) for end in (whole, whole + 1)) >= flattest
    ]
    return np.array([VOCABULARY.ids["angle"][whole - ANGLES.start] for whole in offered])


def _widest(before: tuple[float, ...], angle: float, angles: int) -> float:
    """Return the largest volume, with edges of 1, after one more angle.

    The first two angles leave the third one its best value, where the volume is the product of
    their sines. They are held a little away from that, so that some whole degree is left for it.
    """
    if angles == 1:
        return math.sin(math.radians(angle))
    if len(before) == 2:
        return volume_factor(*before, angle)
    spare = 1.01 if not before else 1.005
    product = math.prod(math.sin(math.radians(value)) for value in (*before, angle))
    return product / spare
