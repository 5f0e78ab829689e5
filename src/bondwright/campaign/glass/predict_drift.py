"""Is a structure as a whole like the cells that a model was trained on? Told in words.

Flags say which bonds are unlike the training bonds; this says why, in terms of the material:
composition, density, strain (how long the shortest tenth of the bonds is). Training cells give the
ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms

from bondwright.bonding.pairs import pair_labels
from bondwright.campaign.glass.predict_summary import SHORT
from bondwright.structure.identity import composition
from bondwright.structure.neighbours import neighbour_pairs

CARD_KEY = "structures"
"""Under this name `structure_ranges` stands in a model's card."""
SHARE_ROOM = 0.015
"""A share of atoms may lie this far outside the training cells: one atom of 100 rounds it."""
DENSITY_ROOM = 0.02
"""Relative; densities of 100-atom cells of one quench protocol scatter by about 1 %."""
LENGTH_ROOM = 0.01
"""Relative; the length of the short bonds of a pair scatters about so much between cells."""
FLAG_ROOM = 0.05
"""Share of flagged bonds above which it is said that many are."""


@dataclass(frozen=True)
class DriftCheck:
    """One comparison of a structure with the training cells.

    Attributes:
        what: "composition", "density", "strain" or "bonds".
        outside: whether the structure lies outside what the model has seen.
        text: one sentence.
    """

    what: str
    outside: bool
    text: str


def structure_ranges(
    structures: Iterable[Atoms],
    min_length_A: float,  # noqa: N803
    max_length_A: float,  # noqa: N803
) -> dict[str, Any]:
    """Return what the training cells span, for a model's card.

    Args:
        structures: the periodic training cells (Å).
        min_length_A: shortest bond of the model's window, Å.
        max_length_A: longest bond of it, Å.

    Returns:
        {"element_share": {element: [least, most]}, "atoms_per_A3": [least, most],
        "short_length_A": {pair: [least, most]}}: over cells; an element that a cell lacks counts
        as 0 there, a pair that it lacks does not count.
    """
    shares: list[dict[str, float]] = []
    densities: list[float] = []
    lengths: dict[str, list[float]] = {}
    for atoms in structures:
        shares.append({e: n / len(atoms) for e, n in composition(atoms).items()})
        densities.append(len(atoms) / abs(float(atoms.cell.volume)))
        pairs = neighbour_pairs(atoms, max_length_A)
        pairs = pairs.select(pairs.distance >= min_length_A)
        labels = pair_labels(atoms.numbers[pairs.i], atoms.numbers[pairs.j])
        for label in np.unique(labels).tolist():
            mine = pairs.distance[labels == label]
            lengths.setdefault(label, []).append(float(np.quantile(mine, SHORT)))
    elements = sorted({e for share in shares for e in share})
    return {
        "element_share": {e: _ends([s.get(e, 0.0) for s in shares]) for e in elements},
        "atoms_per_A3": _ends(densities),
        "short_length_A": {pair: _ends(values) for pair, values in sorted(lengths.items())},
    }


def structure_drift(summary: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
    """Compare a predicted structure with the cells that the model was trained on.

    Args:
        summary: what `predict_summary.summarise` returned.
        card: the model's card; without `CARD_KEY` only flagged bonds can be told of.

    Returns:
        {"outside": true, false or null where nothing can be compared, "checks": [...]}, the checks
        as `DriftCheck`.
    """
    ranges = card.get(CARD_KEY)
    checks = [_bonds(summary)]
    if ranges:
        checks = [
            _composition(summary, ranges["element_share"]),
            *_density(summary, ranges["atoms_per_A3"]),
            *_strain(summary, ranges["short_length_A"]),
            *checks,
        ]
    outside = any(check.outside for check in checks)
    return {
        "outside": outside if ranges or outside else None,
        "checks": [asdict(check) for check in checks],
    }


def _composition(summary: Mapping[str, Any], ranges: Mapping[str, list[float]]) -> DriftCheck:
    atoms = summary["atoms"]
    shares = {e: n / atoms for e, n in summary["composition"].items()}
    new = [e for e in shares if e not in ranges]
    odd = [
        f"{e} is {shares.get(e, 0.0):.1%} of the atoms, {_range(ranges[e], '.1%')} in training"
        for e in sorted(ranges)
        if _apart(shares.get(e, 0.0), ranges[e]) > SHARE_ROOM
    ]
    if new:
        odd.insert(0, f"{' and '.join(new)} was in no training cell")
    text = "; ".join(odd) if odd else "within the compositions of the training cells"
    return DriftCheck("composition", bool(odd), f"Composition: {text}.")


def _density(summary: Mapping[str, Any], span: list[float]) -> Iterable[DriftCheck]:
    density = summary["atoms_per_A3"]
    if density is None:
        return  # a cluster or a slab has no density of its own
    outside = _apart(density, span) > DENSITY_ROOM * density
    told = f"{density:.4f} atoms per Å³, {_range(span, '.4f')} in training"
    yield DriftCheck("density", outside, f"Density: {told}.")


def _strain(summary: Mapping[str, Any], ranges: Mapping[str, list[float]]) -> Iterable[DriftCheck]:
    odd = []
    for pair in summary["pairs"]:
        short, span = pair["short_length_A"], ranges.get(pair["pair"])
        if span is None or pair["bonds"] < 30:  # too few bonds for a length that means something
            continue
        if _apart(short, span) > LENGTH_ROOM * short:
            side = "longer" if short > span[1] else "shorter"
            nearest = span[1] if short > span[1] else span[0]
            odd.append(f"{pair['pair']} are {abs(short / nearest - 1):.1%} {side}")
    text = (
        f"the short bonds of {', '.join(odd)} than in any training cell"
        if odd
        else "short bonds are as long as in the training cells"
    )
    yield DriftCheck("strain", bool(odd), f"Strain: {text}.")


def _bonds(summary: Mapping[str, Any]) -> DriftCheck:
    share = summary["all"]["share_flagged"]
    reasons = {
        "unknown_pair": "of unknown pairs of elements",
        "outside_length": "of untrained lengths",
        "drift": "in untrained environments",
    }
    told = [
        f"{summary['flags'][k]:.1%} {text}" for k, text in reasons.items() if summary["flags"][k]
    ]
    text = f" ({', '.join(told)})" if told else ""
    return DriftCheck("bonds", share > FLAG_ROOM, f"Bonds: {share:.1%} are flagged{text}.")


def _ends(values: list[float]) -> list[float]:
    return [min(values), max(values)]


def _apart(value: float, span: list[float]) -> float:
    """Return how far a value lies outside a range, 0 within it."""
    return max(span[0] - value, value - span[1], 0.0)


def _range(span: list[float], form: str) -> str:
    low, high = format(span[0], form), format(span[1], form)
    return low if low == high else f"{low} to {high}"
