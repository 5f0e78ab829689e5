"""Do the samples look like the held-out crystals, as a crowd?

Distances between distributions never vanish for finite numbers, so each stands beside its floor:
what as many crystals drawn from the held-out set itself would have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from bondwright.crystals.evaluation_held_out import HeldOut
from bondwright.crystals.evaluation_records import Row
from bondwright.screen.property import Density

_DRAWS = 20
"""Draws whose mean is the floor."""

Values = Mapping[str, NDArray[Any]]


def jensen_shannon(first: Sequence[Any], second: Sequence[Any]) -> float:
    """Return the Jensen-Shannon distance of two samples of names or numbers.

    It is the square root of the divergence to base 2 (Endres and Schindelin, IEEE Trans. Inf.
    Theory 49, 1858 (2003), doi:10.1109/TIT.2003.813506): 0 for equal shares, 1 for samples without
    a common value.
    """
    kinds = sorted({*first, *second})
    shares = []
    for values in (first, second):
        counted = Counter(values)
        shares.append(np.array([counted[kind] for kind in kinds]) / len(values))
    p, q = shares
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0) + np.where(
            q > 0, q * np.log2(q / middle), 0
        )
    return float(np.sqrt(max(0.0, terms.sum() / 2)))


def held_out_values(structures: Sequence[HeldOut]) -> dict[str, NDArray[Any]]:
    """Return density (g/cm³), elements, atoms in the conventional cell and space group of each."""
    counts = [structure.crystal.counts for structure in structures]
    return {
        "density": np.array([Density().predict(s.atoms).value for s in structures], dtype=float),
        "elements": np.array([len(c) for c in counts]),
        "atoms": np.array([sum(c.values()) for c in counts]),
        "space_group": np.array([s.crystal.space_group for s in structures]),
    }


def distribution_figures(
    rows: Sequence[Row], structures: Sequence[HeldOut], seed: int
) -> dict[str, Any]:
    """Compare the readable samples of an arm with the held-out crystals.

    Returns:
        The number of samples compared, and for density (g/cm³), number of elements and atoms in
        the cell the Wasserstein distance in these units, for space groups the Jensen-Shannon
        distance; each {distance, floor}, None where there is nothing to compare.
    """
    readable = [row for row in rows if row["readable"] and row["space_group"] is not None]
    result: dict[str, Any] = {"samples": len(readable), "held_out": len(structures)}
    if not readable or not structures:
        return result
    reference = held_out_values(structures)
    samples = {name: np.array([row[name] for row in readable]) for name in reference}
    random = np.random.Generator(np.random.PCG64([seed]))
    for name, values in samples.items():
        draws = [
            _distance(name, random.choice(reference[name], len(readable)), reference[name])
            for _ in range(_DRAWS)
        ]
        result[name] = {
            "distance": _distance(name, values, reference[name]),
            "floor": float(np.mean(draws)),
            "measure": "Jensen-Shannon" if name == "space_group" else "Wasserstein",
        }
    return result


def _distance(name: str, values: NDArray[Any], reference: NDArray[Any]) -> float:
    if name == "space_group":
        return jensen_shannon(values.tolist(), reference.tolist())
    return float(wasserstein_distance(values, reference))
