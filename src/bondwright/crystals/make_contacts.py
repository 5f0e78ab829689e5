"""Measures at which distances atoms of two elements stand in known crystals; writes
tables/contacts.json.gz.

Run as `python -m bondwright.crystals.make_contacts DATA`, DATA being the folder of a prepared data
set (`bondwright train crystals --prepare-only`). Only its training part is looked at, so that
nothing is learned of compositions that are held out.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from bondwright.crystals.contacts import TABLE, sums_of_radii
from bondwright.crystals.crystal import Crystal, to_atoms
from bondwright.crystals.dataset import load_dataset
from bondwright.crystals.dialects import dialect
from bondwright.crystals.splits import TRAIN
from bondwright.structure.neighbours import neighbour_pairs

Pair = tuple[int, int]
Distances = dict[Pair, NDArray[np.float64]]

REACH = 1.3
"""How far is looked, in sums of covalent radii: atoms further apart are not neighbours."""

REACH_A = 3.3
"""How far is looked at least, Å."""

RARE = 0.01
"""Share of the crystals with a pair that are left out as exceptions."""

FEWEST, FEWEST_FOR_GAP = 20, 50
"""Crystals that a pair must have for a smallest distance of its own, and for a gap."""

WIDTH_A = 0.05
"""Of the bins in which a gap is looked for, Å."""

INSET = 0.03
"""By how much a gap is narrower at both ends than the one of known crystals."""

NARROWEST_A = 0.15
"""Gaps that are narrower are none, Å."""


def distances(crystal: Crystal) -> Distances:
    """Return the distances (Å) of each pair of elements, (low, high) atomic numbers -> (n,)."""
    atoms = to_atoms(crystal)
    numbers = atoms.numbers
    used = np.unique(numbers)
    largest = float(sums_of_radii()[np.ix_(used, used)].max())
    pairs = neighbour_pairs(atoms, max(REACH * largest, REACH_A))
    low = np.minimum(numbers[pairs.i], numbers[pairs.j])
    high = np.maximum(numbers[pairs.i], numbers[pairs.j])
    found: Distances = {}
    for code in np.unique(1000 * low + high).tolist():
        pair = divmod(code, 1000)
        reach = max(REACH * sums_of_radii()[pair], REACH_A)
        values = pairs.distance[1000 * low + high == code]
        if (values < reach).any():
            found[pair] = values[values < reach]
    return found


def gap(counts: NDArray[np.int64], crystals: int) -> tuple[float, float] | None:
    """Return the ends (Å) of the gap of a pair, or None.

    It is the widest stretch, above the shortest distances, in which no more than a share `RARE` of
    the crystals has any distance.

    Args:
        counts: for each bin, crystals with a distance in it.
        crystals: with the pair.
    """
    allowed = RARE * crystals
    if counts.sum() <= allowed:
        return None  # so large that they are neighbours further out
    first = int(np.argmax(counts.cumsum() > allowed))
    best, low, within = (0, 0), first, 0
    for high in range(first, len(counts)):
        within += int(counts[high])
        while within > allowed:
            within -= int(counts[low])
            low += 1
        if high + 1 - low > best[1] - best[0]:
            best = (low, high + 1)
    begin, end = WIDTH_A * best[0] * (1 + INSET), WIDTH_A * best[1] * (1 - INSET)
    return (round(begin, 2), round(end, 2)) if end - begin >= NARROWEST_A else None


def main(folder: Path) -> None:
    """Write the table."""
    data = load_dataset(folder)
    spoken = dialect(data.dialect)
    shortest: defaultdict[Pair, list[float]] = defaultdict(list)
    bins: defaultdict[Pair, Counter[int]] = defaultdict(Counter)
    for k in data.of_part(TRAIN):
        crystal = spoken.decode(data.ids[data.offsets[k] : data.offsets[k + 1]].tolist())
        for pair, values in distances(crystal).items():
            shortest[pair].append(float(values.min() / sums_of_radii()[pair]))
            bins[pair].update(np.unique(values // WIDTH_A).astype(int).tolist())
    limits, gaps = {}, {}
    for pair, ratios in sorted(shortest.items()):
        name = "-".join(chemical_symbols[number] for number in pair)
        if len(ratios) >= FEWEST:
            limits[name] = round(float(np.quantile(ratios, RARE)), 3)
        if len(ratios) >= FEWEST_FOR_GAP:
            counts = np.array([bins[pair][k] for k in range(round(REACH_A / WIDTH_A))])
            if ends := gap(counts, len(ratios)):
                gaps[name] = ends
    others = [v for ratios in shortest.values() if len(ratios) < FEWEST for v in ratios]
    table = {
        "data": data.card["sha256"],
        "crystals": len(data.of_part(TRAIN)),
        "other": round(float(np.quantile(others, RARE)), 3),
        "pairs": limits,
        "gaps": gaps,
    }
    with gzip.GzipFile(TABLE, "wb", mtime=0) as file:
        file.write(json.dumps(table, sort_keys=True).encode())
    sys.stdout.write(f"{len(limits)} pairs, others {table['other']}, {len(gaps)} gaps\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
