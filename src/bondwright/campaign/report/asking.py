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
        against: the group compared with those that were asked for nothing, alone; None where there
            are none, or where it is them.
    """

    label: str
    asked: float | None
    made: int
    values: list[float]
    summary: AskedGroup
    against: ConditionEffect | None

    @property
    def control_rate(self) -> float | None:
        """Share of the control that is as near to the asked value: of those asked for nothing
        where there are such, else of all other groups."""
        if self.against is None:
            return self.summary.control_rate
        return next(g.control_rate for g in self.against.groups if g.asked is not None)


@dataclass(frozen=True)
class AskedEffect:
    """The answer for one property.

    Attributes:
        what: the property.
        whose: what was made, and by whom, where a generator tells; else empty.
        source: which candidates are compared, and where their values come from.
        rows: the groups, ascending; at most `GROUPS_SHOWN`.
        groups: number of groups, shown or not.
        conclusion: one sentence for people.
        effect: the comparison.
        statistics: the numbers behind the conclusion as label and text.
    """

    what: Quantity
    whose: str
    source: str
    rows: list[GroupRow]
    groups: int
    conclusion: str
    effect: ConditionEffect
    statistics: list[tuple[str, str]]

    @property
    def controlled(self) -> bool:
        """Whether there are candidates that were asked for nothing, to compare with."""
        return any(row.against is not None for row in self.rows)


@dataclass(frozen=True)
class _Found:
    """Values by candidate key, and where they come from in words."""

    values: dict[str, float]
    source: str


def asked_effects(view: CampaignView) -> list[AskedEffect]:
    """Return one answer per property that candidates were asked for.

    Every candidate with a value takes part, whatever became of it later: a comparison among
    survivors alone would look at what the funnel let through, not at what the generator made.
    Where generators tell what they did, only candidates are compared that differ in nothing but
    what they were asked for, and there is one answer for each such family.
    """
    candidates = [c for c in view.candidates if not c.candidate.control]
    asked = {(name, _family(c)): None for c in candidates for name in c.candidate.asked}
    return [
        _effect([c for c in candidates if _family(c) == family], name)
        for name, family in sorted(asked, key=lambda pair: (pair[0], str(pair[1] or "")))
    ]


def _family(view: CandidateView) -> str | None:
    """Return what a generator says of the candidates that can be compared; None without one."""
    family = view.candidate.extra.get("family")
    return family if isinstance(family, str) else None


def _whose(candidates: list[CandidateView]) -> str:
    """Return what was made and by whom; empty where no generator tells."""
    first = candidates[0].candidate
    if _family(candidates[0]) is None or first.origin.generator is None:
        return ""
    return f"{first.extra.get('request')}, by {first.origin.generator}"


def _effect(candidates: list[CandidateView], name: str) -> AskedEffect:
    """Compare the groups of one property."""
    what = quantity(name)
    found = _found(candidates, what)
    made = Counter(_asked(c, name) for c in candidates)
    values: dict[float | None, list[float]] = {asked: [] for asked in made}
    for c in candidates:
        if c.candidate.key in found.values:
            values[_asked(c, name)].append(found.values[c.candidate.key])
    tolerance = _tolerance(candidates, name)
    effect = condition_effect(values, name=name, unit=what.unit, tolerance=tolerance)
    unasked = values.get(None, [])
    shown = sorted(effect.groups, key=lambda g: -g.n)[:GROUPS_SHOWN]
    rows = [
        GroupRow(
            label="nothing" if g.asked is None else _label(g.asked, what),
            asked=g.asked,
            made=made[g.asked],
            values=values[g.asked],
            summary=g,
            against=None
            if g.asked is None or not unasked
            else condition_effect(
                {g.asked: values[g.asked], None: unasked},
                name=name,
                unit=what.unit,
                tolerance=tolerance,
            ),
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
        what,
        _whose(candidates),
        found.source,
        rows,
        len(effect.groups),
        conclusion,
        effect,
        _statistics(effect),
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
