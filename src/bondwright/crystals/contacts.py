"""How near two atoms may come: what the strict check allows, and what known crystals do."""

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
def allowed_distances() -> Floats:
    """Return the smallest distance (Å) that the strict validity check allows, (104, 104)."""
    settings = ValiditySettings()
    numbers = np.arange(_SIZE)
    f_block = ((numbers >= 57) & (numbers <= 71)) | (numbers >= 89)
    either = f_block[:, None] | f_block
    factor = np.where(either, settings.f_block_contact_factor, settings.contact_factor)
    hydrogen = (numbers[:, None] == 1) | (numbers == 1)
    floor = np.where(hydrogen, settings.hydrogen_floor_A, settings.floor_A)
    return np.asarray(np.maximum(factor * sums_of_radii(), floor))


@cache
def usual_distances() -> Floats:
    """Return the distance (Å) that contacts of two elements hardly ever fall below, (104, 104).

    It is 0.97 of the distance that 1 % of the known crystals with that contact fall below; for
    pairs with fewer than 20 crystals the same of all such pairs together. Never less than what the
    strict check allows.
    """
    with gzip.open(TABLE, "rt", encoding="utf-8") as file:
        table = json.load(file)
    ratio = np.full((_SIZE, _SIZE), float(table["other"]))
    for name, value in table["pairs"].items():
        first, second = (atomic_numbers[symbol] for symbol in name.split("-"))
        ratio[first, second] = ratio[second, first] = value
    return np.maximum(_NEARER * ratio * sums_of_radii(), allowed_distances())
