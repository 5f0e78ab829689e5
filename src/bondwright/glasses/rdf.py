"""Partial radial distribution functions of a periodic structure, and how far two are apart."""

# ruff: noqa: N803, N815 (units stand in names as they are written)
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from bondwright.structure.neighbours import neighbour_pairs

R_MAX_A, WIDTH_A = 6.0, 0.1
_SMOOTH_A = 0.15


@dataclass(frozen=True)
class Rdf:
    """Partial radial distribution functions.

    Attributes:
        r_A: (k,) middles of the bins, Å.
        g: pair of elements ("Cu-Zr", alphabetical) -> (k,) g(r), 1 for an ideal gas.
    """

    r_A: NDArray[np.float64]
    g: Mapping[str, NDArray[np.float64]]

    def to_json(self) -> dict[str, Any]:
        """Return rounded JSON values."""
        return {
            "r_A": [round(r, 4) for r in self.r_A.tolist()],
            "g": {pair: [round(v, 4) for v in g.tolist()] for pair, g in self.g.items()},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Rdf:
        """Rebuild from what `to_json` returned."""
        return cls(np.array(data["r_A"]), {p: np.array(g) for p, g in data["g"].items()})


def partial_rdf(atoms: Atoms, r_max_A: float = R_MAX_A, width_A: float = WIDTH_A) -> Rdf:
    """Return g(r) of every pair of elements; images count.

    Args:
        atoms: periodic structure (Å).
        r_max_A: up to which distance.
        width_A: of the bins.
    """
    edges = np.arange(0.0, r_max_A + width_A / 2, width_A)
    pairs = neighbour_pairs(atoms, float(edges[-1]))
    shells = 4 / 3 * np.pi * np.diff(edges**3) / atoms.get_volume()
    first, second = atoms.numbers[pairs.i], atoms.numbers[pairs.j]
    counts = Counter(atoms.numbers.tolist())
    found: dict[str, NDArray[np.float64]] = {}
    for a, b in combinations_with_replacement(sorted(counts, key=lambda z: chemical_symbols[z]), 2):
        mine = ((first == a) & (second == b)) | ((first == b) & (second == a))
        histogram = np.histogram(pairs.distance[mine], edges)[0]
        possible = counts[a] * (counts[a] - 1) / 2 if a == b else counts[a] * counts[b]
        found[f"{chemical_symbols[a]}-{chemical_symbols[b]}"] = histogram / (
            shells * max(possible, 0.5)
        )
    return Rdf((edges[1:] + edges[:-1]) / 2, found)


def rdf_distance(rdf: Rdf, reference: Rdf, fractions: Mapping[str, float]) -> float:
    """Return which share of the neighbours up to the longest distance stands elsewhere.

    Both are smoothed by 0.15 Å, because a cell of 100 atoms has few pairs in a bin. With
    n(r) = x_A x_B g(r) r²: the sum over pairs of elements of the integral of |n - n_ref|, over
    that of n_ref. 0 for equal functions, 2 for those that share no distance.

    Args:
        rdf: of the cell.
        reference: on the same bins.
        fractions: element -> atomic fraction of the cell.
    """
    r = rdf.r_A
    kernel = np.exp(-((r[:, None] - r[None, :]) ** 2) / (2 * _SMOOTH_A**2))
    kernel /= kernel.sum(axis=1, keepdims=True)
    difference = total = 0.0
    for pair in set(rdf.g) & set(reference.g):
        a, b = pair.split("-")
        weight = fractions[a] * fractions[b] * (1 if a == b else 2)
        difference += weight * float(
            (np.abs(kernel @ (rdf.g[pair] - reference.g[pair])) * r**2).sum()
        )
        total += weight * float((reference.g[pair] * r**2).sum())
    return difference / total
