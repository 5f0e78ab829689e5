"""Measures how near atoms of two elements come in known crystals; writes tables/contacts.json.gz.

Run as `python -m bondwright.crystals.make_contacts DATA`, DATA being the folder of a prepared data
set (`bondwright train crystals --prepare-only`). Only its training part is looked at, so that
nothing is learned of compositions that are held out.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from bondwright.crystals.contacts import TABLE, sums_of_radii
from bondwright.crystals.crystal import Crystal, to_atoms
from bondwright.crystals.dataset import load_dataset
from bondwright.crystals.dialects import dialect
from bondwright.crystals.splits import TRAIN
from bondwright.structure.neighbours import neighbour_pairs

REACH = 1.3
"""How far is looked, in sums of covalent radii: atoms further apart are not neighbours."""

RARE = 0.01
"""Share of crystals with a shorter contact, which are left out as exceptions."""

FEWEST = 20
"""Crystals with a contact that a pair must have for a limit of its own."""


def shortest(crystal: Crystal) -> dict[tuple[int, int], float]:
    """Return the shortest distance over the sum of covalent radii of each pair of elements."""
    atoms = to_atoms(crystal)
    radii = sums_of_radii()
    numbers = atoms.numbers
    used = np.unique(numbers)
    pairs = neighbour_pairs(atoms, REACH * float(radii[np.ix_(used, used)].max()))
    low = np.minimum(numbers[pairs.i], numbers[pairs.j])
    high = np.maximum(numbers[pairs.i], numbers[pairs.j])
    ratio = pairs.distance / radii[low, high]
    found: dict[tuple[int, int], float] = {}
    for first, second, value in zip(low.tolist(), high.tolist(), ratio.tolist(), strict=True):
        if value < min(found.get((first, second), REACH), REACH):
            found[first, second] = value
    return found


def main(folder: Path) -> None:
    """Write the table."""
    data = load_dataset(folder)
    spoken = dialect(data.dialect)
    ratios: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for k in data.of_part(TRAIN):
        crystal = spoken.decode(data.ids[data.offsets[k] : data.offsets[k + 1]].tolist())
        for pair, value in shortest(crystal).items():
            ratios[pair].append(value)
    limits = {
        f"{chemical_symbols[a]}-{chemical_symbols[b]}": round(float(np.quantile(values, RARE)), 3)
        for (a, b), values in sorted(ratios.items())
        if len(values) >= FEWEST
    }
    others = [v for values in ratios.values() if len(values) < FEWEST for v in values]
    table = {
        "data": data.card["sha256"],
        "crystals": len(data.of_part(TRAIN)),
        "other": round(float(np.quantile(others, RARE)), 3),
        "pairs": limits,
    }
    with gzip.GzipFile(TABLE, "wb", mtime=0) as file:
        file.write(json.dumps(table, sort_keys=True).encode())
    sys.stdout.write(f"{len(limits)} pairs, others {table['other']}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
