"""Whether asking for a property had any effect: what was found per asked value."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bondwright.campaign.report.standing import finite
from bondwright.campaign.report.words import Quantity, count, number, quantity
from bondwright.campaign.view import CampaignView, CandidateView
from bondwright.errors import InputError
from bondwright.screen.condition import AskedGroup, ConditionEffect, condition_effect
from bondwright.screen.property import load_property
from bondwright.screen.verdict import Outcome

GROUPS_SHOWN = 8
"""How many asked values get a histogram and a row of their own, the largest groups first."""

ESTIMATES = 160
"""Most structures that are estimated for the report, about 10 seconds' work on one core; with 80
for each of two asked values, a shift of 0.55 standard deviations is visible at 5 %."""

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
        conclusion: one sentence for people.
        effect: the comparison.
        statistics: the numbers behind the conclusion as label and text.
    """

    what: Quantity
    source: str
    rows: list[GroupRow]
    groups: int
    conclusion: str
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
    conclusion = effect.conclusion
    if not found.values:
        conclusion = (
            f"It cannot be told yet whether asking for a {name.replace('_', ' ')} had an effect: "
            "no candidate has a value."
        )
    return AskedEffect(
        what, found.source, rows, len(effect.groups), conclusion, effect, _statistics(effect)
    )


def _asked(view: CandidateView, name: str) -> float | None:
    """Return the asked value to three digits: generators store 1.4998 where 1.5 was meant."""
    asked = view.candidate.asked.get(name)
    return None if asked is None else float(f"{asked:.3g}")


def _label(asked: float, what: Quantity) -> str:
    """Return an asked value with its unit."""
    return f"{asked:g} {what.unit}".strip()


def _found(candidates: list[CandidateView], what: Quantity) -> _Found:
    """Return the values of a property and where they come from.

    The estimates of the property stage serve where most candidates that passed validity have
    one. Usually few come that far, and those were chosen by other checks; then the structures
    are judged as they were received, all that passed validity or an even sample of them.
    """
    valid = [c for c in candidates if _is_valid(c)]
    stored = {c.candidate.key: v for c in valid if (v := _stored(c, what.name)) is not None}
    if 2 * len(stored) > len(valid):
        return _Found(stored, "Estimates of the property stage, for the relaxed structures.")
    try:
        model = load_property(what.name)
    except InputError:
        return _Found(
            stored, "Estimates of the property stage, of the candidates that came that far."
        )
    sample = _sample(valid, what.name)
    found = {}
    for c in sample:
        estimate = model.predict(c.candidate.atoms)
        # Outside its training the model knows no sigma; such a number is no evidence.
        if estimate.value is not None and estimate.sigma is not None:
            found[c.candidate.key] = estimate.value
    share = "all" if len(sample) == len(valid) else f"an even sample of {number(len(sample), 0)} of"
    return _Found(
        found,
        f"Estimated from the structures as received, of {share} "
        f"{count(len(valid), 'candidate')} that passed validity.",
    )


def _is_valid(view: CandidateView) -> bool:
    """Return whether a candidate has atoms and passed validity."""
    validity = view.verdicts.get("validity")
    passed = validity is not None and validity.outcome is Outcome.PASSED
    return passed and view.candidate.atoms is not None


def _sample(candidates: list[CandidateView], name: str) -> list[CandidateView]:
    """Return at most `ESTIMATES` candidates, evenly through each group of one asked value."""
    groups: dict[float | None, list[CandidateView]] = {}
    for c in candidates:
        groups.setdefault(_asked(c, name), []).append(c)
    share = max(1, ESTIMATES // max(1, len(groups)))
    return [
        group[k * len(group) // min(share, len(group))]
        for group in groups.values()
        for k in range(min(share, len(group)))
    ]


def _stored(view: CandidateView, name: str) -> float | None:
    """Return what the property stage found, where its model knows how sure it is."""
    verdict = view.verdicts.get("property")
    found = verdict.details.get("properties", {}).get(name) if verdict else None
    if not isinstance(found, dict) or finite(found.get("sigma")) is None:
        return None
    return finite(found.get("value"))


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
