"""The structures that DFT has seen: their numbers, and the picture of their bonds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bondwright.campaign.report.formula import formula_of
from bondwright.campaign.report.records import rounded
from bondwright.campaign.report.standing import finite
from bondwright.campaign.report.structures import drawable
from bondwright.campaign.view import CampaignView, CandidateView
from bondwright.errors import InputError
from bondwright.screen.dft import NOT_SELECTED
from bondwright.screen.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from bondwright.bonding.table import BondTable

STRONGEST_SHOWN = 6
"""Kinds of bonds that the list of the strongest names."""

MOST_POINTS = 3000
"""Different bonds that a figure shows, the strongest first; more would only lie on one another."""


@dataclass(frozen=True)
class StrongBond:
    """Bonds of one pair that are alike: number, length in Å and -ICOHP in eV."""

    pair: str
    number: int
    length: float
    strength: float


@dataclass(frozen=True)
class DftEntry:
    """One structure that DFT has seen.

    Attributes:
        key: key of the candidate.
        title: its name, with the formula.
        control: whether it is a known crystal.
        description: its bonds in words; empty where there are none.
        method: where the bond strengths come from.
        spilling: share of the charge that the projection lost; None when unknown.
        trouble: why there are no bond strengths, or why they must not be used; else empty.
        pairs: sums over the strong bonds of each pair, as the verdict keeps them.
        strongest: the strongest bonds.
        record: what the scripts need, JSON values.
    """

    key: str
    title: str
    control: bool
    description: str
    method: str
    spilling: float | None
    trouble: str
    pairs: list[dict[str, Any]]
    strongest: list[StrongBond]
    record: dict[str, Any]


@dataclass(frozen=True)
class DftSection:
    """What the page says of DFT.

    Attributes:
        entries: the structures, lowest relative energy first, those without one last.
        calculated: candidates among them (without controls).
        not_selected: candidates that came this far and were left out for the sake of the cost.
        how: engine and preset, as "gpaw 26.7.0, preset quick"; several where they differ.
        hull_notes: why there are no energies above the hull, each once.
        gap_notes: how gaps were found, each once.
    """

    entries: list[DftEntry] = field(default_factory=list)
    calculated: int = 0
    not_selected: int = 0
    how: str = ""
    hull_notes: list[str] = field(default_factory=list)
    gap_notes: list[str] = field(default_factory=list)


def dft_verdict(view: CandidateView) -> Verdict | None:
    """Return what DFT found, or None for a candidate that it has not seen."""
    verdict = view.verdicts.get("dft")
    return None if verdict is None or verdict.reason == NOT_SELECTED else verdict


def not_selected(view: CandidateView) -> bool:
    """Return whether a candidate came as far as DFT and was not selected for it."""
    verdict = view.verdicts.get("dft")
    return verdict is not None and verdict.reason == NOT_SELECTED


def dft_section(view: CampaignView, folder: Path | None) -> DftSection:
    """Return what the page says of DFT.

    Args:
        view: the campaign.
        folder: where it lies; the tables of bonds are read there. None shows sums only.
    """
    seen = [(c, v) for c in view.candidates if (v := dft_verdict(c)) is not None]
    left_out = sum(not_selected(c) for c in view.candidates if not c.candidate.control)
    seen.sort(key=lambda pair: _relative(pair[1]))
    entries = [_entry(c, v, folder) for c, v in seen]
    ways = Counter(
        f"{v.details.get('engine') or 'DFT'}, preset {v.details.get('preset') or 'none'}"
        for _, v in seen
    )
    return DftSection(
        entries,
        sum(not c.candidate.control for c, _ in seen),
        left_out,
        "; ".join(ways),
        _once(
            str(v.details.get("hull_note") or "").removeprefix("unknown: ")
            for _, v in seen
            if v.details.get("e_above_hull_eV_per_atom") is None
        ),
        _once(v.details.get("band_gap_note") for _, v in seen),
    )


def _relative(verdict: Verdict) -> float:
    energy = finite(verdict.details.get("relative_energy_eV_per_atom"))
    return math.inf if energy is None else energy


def _once(notes: Any) -> list[str]:
    """Return notes, each once, with a full stop."""
    return [f"{note.rstrip('.')}." for note in dict.fromkeys(str(n) for n in notes if n)]


def _entry(view: CandidateView, verdict: Verdict, folder: Path | None) -> DftEntry:
    details, candidate = verdict.details, view.candidate
    bonds: Mapping[str, Any] = details.get("bonds") or {}
    table, trouble = _table(bonds, folder)
    formula = formula_of(candidate)
    name = candidate.name or candidate.key
    record: dict[str, Any] = {
        "key": candidate.key,
        "outcome": str(verdict.outcome),
        "reason": verdict.reason if verdict.outcome is not Outcome.PASSED else "",
        "status": details.get("status"),
        "corrections": [c.get("slug") for c in details.get("corrections") or []],
        "relative": details.get("relative_energy_eV_per_atom"),
        "relative_to": details.get("relative_to"),
        "energy": details.get("energy_eV_per_atom"),
        "above_hull": details.get("e_above_hull_eV_per_atom"),
        "gap": details.get("band_gap_eV"),
        "volume_change": _change(details.get("volume_ratio")),
        "fmax": details.get("fmax_eV_per_A"),
        "moment": details.get("magnetic_moment"),
        "steps": details.get("steps"),
        "seconds": details.get("seconds"),
        "strongest": bonds.get("strongest_minus_icohp_eV"),
    }
    if table is not None and len(table):
        record["bonds"] = _points(table)
        record["drawn"] = _drawing(table)
    return DftEntry(
        candidate.key,
        f"{name} ({formula})" if formula and formula != name else name,
        candidate.control,
        str(bonds.get("description") or ""),
        str(bonds.get("method") or ""),
        finite(bonds.get("charge_spilling")),
        trouble,
        list(bonds.get("pairs") or []),
        [] if table is None else _strongest(table),
        {k: rounded(v) for k, v in record.items() if v not in (None, "", [])},
    )


def _change(ratio: Any) -> float | None:
    found = finite(ratio)
    return None if found is None else found - 1


def _table(bonds: Mapping[str, Any], folder: Path | None) -> tuple[BondTable | None, str]:
    """Return the bonds of a verdict, and what is wrong with them, if anything."""
    from bondwright.bonding.export import read_parquet

    if not bonds:
        return None, ""
    said = str(bonds.get("message") or bonds.get("reason") or "no reason given").rstrip(".")
    trouble = ""
    if not bonds.get("accepted"):
        trouble = (
            f"These values must not be used: {said}."
            if bonds.get("method")
            else f"No bond strengths: {said}."
        )
    place = bonds.get("table")
    if folder is None or not isinstance(place, str):
        return None, trouble
    try:
        return read_parquet(folder / place), trouble
    except InputError:  # its text names the place on this machine, which a page should not
        return None, trouble or f"The figure is missing: {place} cannot be read."


def _kinds(table: BondTable) -> list[tuple[str, float, float, int]]:
    """Return the different bonds, strongest first: pair, length, -ICOHP and how many.

    Bonds that symmetry makes equal differ by the noise of the calculation, so lengths count to
    5 mÅ and strengths to 20 meV.
    """
    rounds = zip(
        table.pairs().tolist(),
        np.round(table.length_A / 0.005).tolist(),
        np.round(table.icohp_eV / 0.02).tolist(),
        strict=True,
    )
    groups: dict[tuple[str, float, float], list[int]] = {}
    for row, kind in enumerate(rounds):
        groups.setdefault(kind, []).append(row)
    found = [
        (pair, float(table.length_A[rows].mean()), float(table.icohp_eV[rows].mean()), len(rows))
        for (pair, _, _), rows in groups.items()
    ]
    return sorted(found, key=lambda kind: -kind[2])


def _strongest(table: BondTable) -> list[StrongBond]:
    from bondwright.bonding.analysis import coordination

    strong = table.select(coordination(table).strong)
    return [
        StrongBond(pair, number, length, strength)
        for pair, length, strength, number in _kinds(strong)[:STRONGEST_SHOWN]
    ]


def _points(table: BondTable) -> dict[str, Any]:
    """Return what the figure shows: pairs by name, and per point pair, length, -ICOHP, number."""
    kinds = _kinds(table)[:MOST_POINTS]
    pairs = list(dict.fromkeys(kind[0] for kind in kinds))
    return {
        "pairs": pairs,
        "points": [
            [pairs.index(pair), round(length, 4), round(strength, 4), number]
            for pair, length, strength, number in kinds
        ],
    }


def _drawing(table: BondTable) -> dict[str, Any] | None:
    """Return what the 3D view needs to draw the strong bonds, each with its -ICOHP in eV.

    The form is that of `structures.drawing`, with `strengths` beside `bonds`.
    """
    from bondwright.bonding.analysis import coordination

    atoms = table.atoms
    if not drawable(atoms):
        return None
    strong = table.select(coordination(table).strong)
    fractional = np.asarray(atoms.get_scaled_positions(wrap=False))
    cells = np.floor(fractional + 1e-6).astype(int)
    symbols = atoms.get_chemical_symbols()
    elements = sorted(set(symbols), key=symbols.index)
    # The view draws wrapped atoms, so images count from there.
    image = strong.image + cells[strong.j] - cells[strong.i]
    return {
        "cell": [round(float(x), 5) for x in atoms.cell.array.ravel()],
        "elements": elements,
        "kinds": [elements.index(s) for s in symbols],
        "xyz": [round(float(x), 5) for x in (fractional - cells).ravel()],
        "bonds": [int(x) for x in np.column_stack([strong.i, strong.j, image]).ravel()],
        "strengths": [round(float(x), 4) for x in strong.icohp_eV],
        "centres": list(range(len(elements))),
    }
