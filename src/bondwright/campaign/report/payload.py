"""The data that the page's scripts work on, kept to a size that opens at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bondwright.campaign.report.asking import AskedEffect
from bondwright.campaign.report.dft import DftSection
from bondwright.campaign.report.records import (
    SettingsTable,
    full_record,
    rounded,
    summary_record,
    symbols_of,
)
from bondwright.campaign.report.standing import (
    Standing,
    contact_ratio,
    finite,
    hull_distance,
    nearest,
)
from bondwright.campaign.report.structures import element_table
from bondwright.campaign.report.words import (
    QUANTITIES,
    UNIT_SUFFIXES,
    reason_words,
    stage_words,
)
from bondwright.campaign.view import CampaignView, CandidateView
from bondwright.screen.dft import NOT_SELECTED

NEAREST_SHOWN = 12
"""How many of those that came nearest get their own table when nothing survived."""

DETAILS_BUDGET = 6_000_000
"""Characters of JSON that details may take. Survivors, controls and the nearest always have
theirs; the rest follow in the order of how far they came until the budget is spent."""


@dataclass(frozen=True)
class Payload:
    """The data for the scripts.

    Attributes:
        data: JSON values.
        nearest: how many candidates the table of the nearest holds; 0 when it is not shown.
        placed: candidates (without controls) that have an energy above the hull.
        contacts: candidates (without controls) whose shortest contact was measured.
        outcomes: what the bars of the funnel show.
        without_details: candidates whose details were left out to keep the page small.
    """

    data: dict[str, Any]
    nearest: int
    placed: int
    contacts: int
    outcomes: frozenset[str]
    without_details: int


def build_payload(
    view: CampaignView,
    standings: Mapping[str, Standing],
    effects: Sequence[AskedEffect],
    dft: DftSection,
) -> Payload:
    """Return everything that the scripts need, most important candidates first in line."""
    stages = [s.name for s in view.stages]
    survivors = view.survivors
    near = [] if survivors else nearest(view, standings, NEAREST_SHOWN)
    first = [*survivors, *view.controls, *near]
    settings = SettingsTable()
    details, left_out = _details(view, standings, first, settings)
    elements: set[str] = set()
    for c in view.candidates:
        elements |= symbols_of(c)
    data = {
        "stages": [{"name": s, "title": stage_words(s).title} for s in stages],
        "reasons": {r: reason_words(r) for r in sorted(_slugs(view))},
        "quantities": {
            q.name: {"title": q.title, "unit": q.unit, "digits": q.digits}
            for q in QUANTITIES.values()
        },
        "units": UNIT_SUFFIXES,
        "rows": [summary_record(c, standings[c.candidate.key], stages) for c in view.candidates],
        "nearest": [c.candidate.key for c in near],
        "details": details,
        "settings": rounded(settings.rows),
        "elements": element_table(elements),
        "dft": [entry.record for entry in dft.entries],
        "targets": rounded(view.targets),
        "thresholds": rounded(_thresholds(view)),
        "effects": rounded([_strips(e) for e in effects]),
    }
    candidates = [c for c in view.candidates if not c.candidate.control]
    return Payload(
        data=data,
        nearest=len(near),
        placed=sum(hull_distance(c) is not None for c in candidates),
        contacts=sum(contact_ratio(c) is not None for c in candidates),
        outcomes=_outcomes(view),
        without_details=left_out,
    )


def _outcomes(view: CampaignView) -> frozenset[str]:
    """Return the outcomes that occur in the funnel."""
    found = set()
    for s in view.stages:
        parts = {
            "passed": s.passed,
            "rejected": len(s.rejected),
            NOT_SELECTED: NOT_SELECTED in s.unknown,
            "unknown": len(s.unknown.keys() - {NOT_SELECTED}),
            "failed": len(s.failed),
            "waiting": s.waiting,
        }
        found |= {outcome for outcome, number in parts.items() if number}
    return frozenset(found)


def _details(
    view: CampaignView,
    standings: Mapping[str, Standing],
    first: list[CandidateView],
    settings: SettingsTable,
) -> tuple[dict[str, Any], int]:
    """Return key -> long record, and how many candidates had to go without one."""
    details = {c.candidate.key: full_record(c, settings, with_measures=True) for c in first}
    rest = [c for c in view.candidates if c.candidate.key not in details]
    rest.sort(key=lambda c: -standings[c.candidate.key].depth)
    spent = 0
    left_out = 0
    for c in rest:
        if spent > DETAILS_BUDGET:
            left_out += 1
            continue
        record = full_record(c, settings, with_measures=False)
        spent += len(json.dumps(record, default=str))
        details[c.candidate.key] = record
    return details, left_out


def _strips(effect: AskedEffect) -> dict[str, Any]:
    """Return what the histograms of one asked property need."""
    return {
        "name": effect.what.name,
        "groups": [
            {"label": g.label, "asked": g.asked, "median": g.summary.median, "values": g.values}
            for g in effect.rows
            if g.values
        ],
    }


def _slugs(view: CampaignView) -> set[str]:
    """Return every reason that occurs."""
    return {v.reason for c in view.candidates for v in c.verdicts.values() if v.reason}


def _thresholds(view: CampaignView) -> dict[str, float]:
    """Return the limits that the figures show as lines, read from the verdicts themselves."""
    found: dict[str, float] = {}
    for c in view.candidates:
        stability = c.verdicts.get("stability")
        if stability is not None and "hull" not in found:
            hull = stability.details.get("hull")
            limit = finite(hull.get("limit_eV_per_atom")) if isinstance(hull, dict) else None
            if limit is not None:
                found["hull"] = limit
        validity = c.verdicts.get("validity")
        if validity is not None and "contact" not in found:
            limit = finite(validity.settings.get("contact_factor"))
            if limit is not None:
                found["contact"] = limit
    return found
