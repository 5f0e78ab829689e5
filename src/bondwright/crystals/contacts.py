"""Which distances two atoms may have: what the strict check allows, and what known crystals do.

Atoms are bonded or not, and known crystals have hardly anything between: O-O distances are those of
a peroxide (up to 1.55 Å) or of two oxide ions (from 2.1 Å on), P-O distances those of a phosphate
(up to 1.75 Å) or of the next oxygen (from 2.75 Å on). Such a gap of a pair is not allowed either.

Limits are arrays (104, 104, 3) by atomic number, Å: the smallest distance, and the two ends of the
gap above it; 0 and 0 where there is none.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from bondwright.screen.validity import ValiditySettings

Floats = NDArray[np.float64]

TABLE = Path(__file__).parent / "tables" / "contacts.json.gz"
_SIZE = 104
_NEARER = 0.97
"""By how much an unseen crystal may stay below the shortest contacts of known ones."""


@cache
def sums_of_radii() -> Floats:
    """Return the sums of covalent radii (Å) by atomic number, (104, 104)."""
    radii = covalent_radii[:_SIZE]
    return np.asarray(radii[:, None] + radii)


@cache
def allowed_contacts() -> Floats:
    """Return the limits of the strict validity check: smallest distances, no gaps."""
    limits = np.zeros((_SIZE, _SIZE, 3))
    numbers = np.arange(_SIZE)
    limits[:, :, 0] = ValiditySettings().contacts.distances(numbers[:, None], numbers)
    return limits


@cache
def usual_contacts() -> Floats:
    """Return limits that hardly any known crystal fails (see `make_contacts`).

    The smallest distance is 0.97 of the one that 1 % of the known crystals with that pair (within
    3.3 Å or 1.3 sums of radii) fall below; for pairs with fewer than 20 crystals the same of all
    such pairs together. Never less than what the strict check allows. A gap is what 1 % of the
    crystals with that pair have any distance in, narrowed by 3 % at both ends; pairs with fewer
    than 50 crystals have none.
    """
    with gzip.open(TABLE, "rt", encoding="utf-8") as file:
        table = json.load(file)
    ratio = np.full((_SIZE, _SIZE), float(table["other"]))
    limits = np.zeros((_SIZE, _SIZE, 3))
    for name, value in table["pairs"].items():
        first, second = _pair(name)
        ratio[first, second] = ratio[second, first] = value
    for name, ends in table["gaps"].items():
        first, second = _pair(name)
        limits[first, second, 1:] = limits[second, first, 1:] = ends
    nearest = _NEARER * ratio * sums_of_radii()
    limits[:, :, 0] = np.maximum(nearest, allowed_contacts()[:, :, 0])
    return limits


def _pair(name: str) -> tuple[int, int]:
    """Return the atomic numbers of a pair, "O-Ti"."""
    first, second = name.split("-")
    return atomic_numbers[first], atomic_numbers[second]
