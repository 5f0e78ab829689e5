"""Whether asking for a property had any effect: what was found per asked value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from bondwright.campaign.report.standing import finite
from bondwright.campaign.report.structures import density
from bondwright.campaign.report.words import DENSITY, Quantity, number, quantity
from bondwright.campaign.view import CampaignView, CandidateView
from bondwright.screen.condition import AskedGroup, ConditionEffect, condition_effect
from bondwright.screen.verdict import Outcome

GROUPS_SHOWN = 8
"""How many asked values get a histogram and a row of their own, the largest groups first."""

# Distance that counts as a hit where the campaign states none; the values that published hit
# rates of crystal language models use.
_TOLERANCES = {"band_gap": 0.5, "density": 1.0}


@dataclass(frozen=True)
class GroupRow:
    """One asked value as the page shows it.

    Attributes:
        label: the asked value with its unit.
        asked: the asked value; None for candidates that were asked for nothing.
        made: candidates in the campaign that were asked for it.
        values: what was found, in the property's unit.
        summary: the group's numbers.
    """

    label: str
    asked: float | None
    made: int
    values: list[float]
    summary: AskedGroup


@dataclass(frozen=True)
class AskedEffect:
    """The answer for one property.

    Attributes:
        what: the property.
        source: which candidates are compared, and where their values come from.
        rows: the groups, ascending; at most `GROUPS_SHOWN`.
        groups: number of groups, shown or not.
        effect: the comparison.
        statistics: the numbers behind the conclusion as label and text.
    """

    what: Quantity
    source: str
    rows: list[GroupRow]
    groups: int
    effect: ConditionEffect
    statistics: list[tuple[str, str]]


@dataclass(frozen=True)
class _Found:
    """Values by candidate key, and where they come from in words."""

    values: dict[str, float]
    source: str


def asked_effects(view: CampaignView) -> list[AskedEffect]:
    """Return one answer per property that candidates were asked for.

    Every candidate with a value takes part, whatever became of it later: a comparison among
    survivors alone would look at what the funnel let through, not at what the generator made.
    """
    candidates = [c for c in view.candidates if not c.candidate.control]
    names = sorted({name for c in candidates for name in c.candidate.asked})
    return [_effect(candidates, name) for name in names]


def _effect(candidates: list[CandidateView], name: str) -> AskedEffect:
    """Compare the groups of one property."""
    what = quantity(name)
    found = _found(candidates, what)
    made = Counter(_asked(c, name) for c in candidates)
    values: dict[float | None, list[float]] = {asked: [] for asked in made}
    for c in candidates:
        if c.candidate.key in found.values:
            values[_asked(c, name)].append(found.values[c.candidate.key])
    effect = condition_effect(
        values, name=name, unit=what.unit, tolerance=_tolerance(candidates, name)
    )
    shown = sorted(effect.groups, key=lambda g: -g.n)[:GROUPS_SHOWN]
    rows = [
        GroupRow(
            label="nothing" if g.asked is None else _label(g.asked, what),
            asked=g.asked,
            made=made[g.asked],
            values=values[g.asked],
            summary=g,
        )
        for g in effect.groups
        if g in shown
    ]
    return AskedEffect(what, found.source, rows, len(effect.groups), effect, _statistics(effect))


def _asked(view: CandidateView, name: str) -> float | None:
    """Return the asked value to three digits: generators store 1.4998 where 1.5 was meant."""
    asked = view.candidate.asked.get(name)
    return None if asked is None else float(f"{asked:.3g}")


def _label(asked: float, what: Quantity) -> str:
    """Return an asked value with its unit."""
    return f"{asked:g} {what.unit}".strip()


def _found(candidates: list[CandidateView], what: Quantity) -> _Found:
    """Return the values of a property and where they come from."""
    if what is DENSITY:
        return _Found(
            _collect(candidates, _received_density),
            "Densities of the structures as received, of all candidates that passed validity.",
        )
    return _Found(
        _collect(candidates, lambda c: _property(c, what.name)),
        "Estimates of the property stage, so of the candidates that came that far.",
    )


def _collect(
    candidates: list[CandidateView], value: Callable[[CandidateView], float | None]
) -> dict[str, float]:
    """Return candidate key -> value for those that have one."""
    found = {c.candidate.key: value(c) for c in candidates}
    return {key: v for key, v in found.items() if v is not None}


def _received_density(view: CandidateView) -> float | None:
    """Return the density as received in g/cm³ of a candidate that passed validity."""
    validity = view.verdicts.get("validity")
    atoms = view.candidate.atoms
    if atoms is None or validity is None or validity.outcome is not Outcome.PASSED:
        return None
    return density(atoms)


def _property(view: CandidateView, name: str) -> float | None:
    """Return what the property stage found for a property."""
    verdict = view.verdicts.get("property")
    if verdict is None:
        return None
    if name == "band_gap":
        return finite(verdict.details.get("band_gap_eV"))
    target = verdict.details.get("targets", {}).get(name)
    return finite(target.get("value")) if isinstance(target, dict) else None


def _tolerance(candidates: list[CandidateView], name: str) -> float:
    """Return the tolerance of the campaign's target, or the customary one."""
    for c in candidates:
        verdict = c.verdicts.get("property")
        target = verdict.details.get("targets", {}).get(name) if verdict else None
        if isinstance(target, dict) and finite(target.get("tolerance")) is not None:
            return float(target["tolerance"])
    return _TOLERANCES.get(name, 0.5)


def _statistics(effect: ConditionEffect) -> list[tuple[str, str]]:
    """Return the numbers behind the conclusion."""
    lines = []
    if effect.statistic is not None and effect.p_value is not None:
        lines.append((effect.test, number(effect.statistic, 3)))
        lines.append(("p-value", f"{effect.p_value:.2g}"))
    if effect.rank_correlation is not None:
        lines.append(("Spearman's rank correlation", number(effect.rank_correlation, 2)))
    if effect.smallest_visible is not None:
        lines.append(("Smallest visible distance (KS)", number(effect.smallest_visible, 2)))
    return lines
