"""One candidate as the JSON record from which the page builds its rows and details."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ase import Atoms

from bondwright.campaign.report import structures
from bondwright.campaign.report.formula import cell_formula, formula_of
from bondwright.campaign.report.standing import (
    EXPECTED_OF_CONTROLS,
    Standing,
    contact_ratio,
    finite,
    hull_distance,
)
from bondwright.campaign.view import CandidateView
from bondwright.screen.dft import NOT_SELECTED
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.candidate import Candidate, Origin
from bondwright.structure.write import cif_text

MAX_TEXT = 200_000
"""Longest CIF text, in characters, that the page carries for a download."""


class SettingsTable:
    """Settings of checks, each kept once: most candidates share the same ones."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._known: dict[str, int] = {}

    def index(self, verdict: Verdict) -> int:
        """Return the row of a verdict's version and settings, adding it when it is new."""
        row = {
            "stage": verdict.stage,
            "version": verdict.version,
            "settings": verdict.settings,
        }
        text = json.dumps(row, sort_keys=True, default=str)
        if text not in self._known:
            self._known[text] = len(self.rows)
            self.rows.append(row)
        return self._known[text]


def summary_record(
    view: CandidateView, standing: Standing, stages: Sequence[str]
) -> dict[str, Any]:
    """Return the short record that every candidate has: what a row of a table shows.

    Keys without a value are left out; the page shows a dash for them.
    """
    candidate = view.candidate
    atoms = view.relaxed if view.relaxed is not None else candidate.atoms
    stability = view.verdicts.get("stability")
    prop = view.verdicts.get("property")
    record: dict[str, Any] = {
        "key": candidate.key,
        "name": candidate.name or candidate.key,
        "formula": formula_of(candidate),
        "atoms": len(candidate.atoms) if candidate.atoms is not None else None,
        "control": candidate.control or None,
        "outcome": standing.outcome,
        "stage": standing.stage,
        "reason": standing.verdict.reason if standing.verdict else None,
        "message": standing.verdict.message if standing.verdict else None,
        "marks": [_mark(view, s) for s in stages],
        "origin": origin_text(candidate.origin),
        "asked": candidate.asked or None,
        "contact": contact_ratio(view),
        "energy_above_hull": hull_distance(view),
        "band_gap": finite(prop.details.get("band_gap_eV")) if prop else None,
        "band_gap_sigma": finite(prop.details.get("band_gap_sigma_eV")) if prop else None,
        "volume_change": _volume_change(stability),
        "density": structures.density(atoms) if atoms is not None else None,
        "volume_per_atom": _volume_per_atom(atoms),
        **_novelty(view),
    }
    return {k: rounded(v) for k, v in record.items() if v is not None and v != ""}


def full_record(
    view: CandidateView, settings: SettingsTable, *, with_measures: bool
) -> dict[str, Any]:
    """Return the long record: verdicts with sub-results, structures, texts, before and after.

    Args:
        view: the candidate.
        settings: table that takes the settings of its verdicts.
        with_measures: add the space group found, which costs a symmetry search, and the
            relaxed structure as CIF text.
    """
    candidate = view.candidate
    before, after = candidate.atoms, view.relaxed
    record: dict[str, Any] = {
        "verdicts": [_verdict(v, settings) for v in view.verdicts.values()],
        "notes": list(candidate.notes),
        "extra": rounded(candidate.extra),
        "cell_formula": cell_formula(before) if before is not None and len(before) else None,
        "drawn": structures.drawing(before) if before is not None else None,
        "drawn_relaxed": structures.drawing(after) if after is not None else None,
        "text": _text(candidate),
    }
    if with_measures:
        record["measures"] = structures.measures(before) if before is not None else None
        if after is not None and before is not None:
            record["measures_relaxed"] = structures.measures(after)
            record["displacement"] = structures.largest_displacement(before, after)
            record["text_relaxed"] = _cif(after, f"{candidate.key}-relaxed")
    return {k: v for k, v in record.items() if v not in (None, "", [], {})}


def symbols_of(view: CandidateView) -> set[str]:
    """Return the elements in a candidate."""
    atoms = view.candidate.atoms
    return set() if atoms is None else set(atoms.get_chemical_symbols())


def origin_text(origin: Origin) -> str:
    """Return where a candidate came from, in words."""
    parts = [origin.source]
    if origin.row is not None:
        parts.append(f"row {origin.row}")
    if origin.block:
        parts.append(f"block {origin.block}")
    if origin.generator:
        parts.append(f"made by {origin.generator}")
    if origin.seed is not None:
        parts.append(f"seed {origin.seed}")
    return ", ".join(parts)


def rounded(value: Any) -> Any:
    """Return JSON values with floats cut to six significant digits and non-finite ones as None.

    NaN and infinity are not JSON: a browser would refuse the whole page because of one of them.
    """
    if isinstance(value, float):
        number = finite(value)
        return None if number is None else float(f"{number:.6g}")
    if isinstance(value, dict):
        return {str(k): rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    if isinstance(value, str | int | bool) or value is None:
        return value
    item = getattr(value, "item", None)  # numpy scalars
    return rounded(item()) if callable(item) else str(value)


def _mark(view: CandidateView, stage: str) -> str:
    """Return the outcome of a stage, "" where it has not been asked, "known" for a known control.

    One that DFT left out for the sake of the cost is "not-selected": nothing is unknown about it.
    A control that is recognised as known is a check that works, so its mark is not a rejection.
    """
    verdict = view.verdicts.get(stage)
    if verdict is None:
        return ""
    if verdict.reason == NOT_SELECTED:
        return NOT_SELECTED
    known = view.candidate.control and verdict.reason in EXPECTED_OF_CONTROLS
    return "known" if known else str(verdict.outcome)


def _verdict(verdict: Verdict, settings: SettingsTable) -> dict[str, Any]:
    """Return one verdict with every sub-result."""
    data = {
        "stage": verdict.stage,
        "outcome": str(verdict.outcome),
        "reason": verdict.reason if verdict.outcome is not Outcome.PASSED else "",
        "message": verdict.message,
        "value": rounded(verdict.value),
        "unit": verdict.unit,
        "details": rounded(verdict.details),
        "settings": settings.index(verdict),
    }
    return {k: v for k, v in data.items() if v not in (None, "", {})}


def _volume_change(stability: Verdict | None) -> float | None:
    """Return the relative change of volume during relaxation, e.g. -0.03."""
    ratio = finite(stability.details.get("volume_ratio")) if stability else None
    return None if ratio is None else ratio - 1


def _volume_per_atom(atoms: Atoms | None) -> float | None:
    """Return the volume per atom in Å³."""
    return atoms.cell.volume / len(atoms) if atoms is not None and len(atoms) else None


def _novelty(view: CandidateView) -> dict[str, Any]:
    """Return uniqueness and novelty, as found after relaxation where that was asked."""
    verdict = view.verdicts.get("novelty-relaxed") or view.verdicts.get("novelty")
    if verdict is None:
        return {}
    details = verdict.details
    matches = details.get("matches")
    return {
        "unique": details.get("unique"),
        "duplicate_of": details.get("duplicate_of"),
        "novel_composition": details.get("novel_composition"),
        "novel_space_group": details.get("novel_space_group"),
        "novel_structure": details.get("novel_structure"),
        "matches": [str(m) for m in matches] if isinstance(matches, list) and matches else None,
    }


def _text(candidate: Candidate) -> str | None:
    """Return CIF text of a candidate: its own where it came as CIF, ours otherwise."""
    if candidate.text:
        return candidate.text if len(candidate.text) <= MAX_TEXT else None
    return _cif(candidate.atoms, candidate.key) if candidate.atoms is not None else None


def _cif(atoms: Atoms, name: str) -> str | None:
    """Return a structure as CIF text, or None where it is too large for the page."""
    if not structures.drawable(atoms):
        return None
    return cif_text(atoms, name=name)
