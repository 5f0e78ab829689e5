"""The honest result of a campaign in a sentence or two, made from its numbers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bondwright.campaign.report.dft import dft_verdict, not_selected
from bondwright.campaign.report.formula import formula_of
from bondwright.campaign.report.standing import (
    EXPECTED_OF_CONTROLS,
    Standing,
    finite,
    hull_distance,
    nearest,
)
from bondwright.campaign.report.words import (
    HULL,
    count,
    joined,
    number,
    reason_words,
    stage_words,
    with_unit,
)
from bondwright.campaign.view import CampaignView, CandidateView
from bondwright.screen.dft import NOT_SELECTED
from bondwright.screen.verdict import Outcome


@dataclass(frozen=True)
class Headline:
    """The result: one sentence in large letters and the sentences that qualify it."""

    sentence: str
    notes: tuple[str, ...]


def write_headline(view: CampaignView, standings: Mapping[str, Standing]) -> Headline:
    """Return the headline of a campaign in whatever state it is."""
    candidates = [c for c in view.candidates if not c.candidate.control]
    tally = Counter(standings[c.candidate.key].outcome for c in candidates)
    survivors = view.survivors
    total = len(candidates)
    notes = [_nearest_note(view, standings)] if candidates and not survivors else []
    notes += [_dft_note(view), _error_note(view) if survivors else ""]
    notes += [_open_note(tally), _control_note(view)]
    return Headline(_sentence(view, tally, total), tuple(n for n in notes if n))


def _sentence(view: CampaignView, tally: Counter[str], total: int) -> str:
    """Return the main sentence."""
    survivors = view.survivors
    if total == 0:
        return "This campaign holds no candidates yet."
    unreadable = [c for c in view.candidates if c.candidate.problem and not c.candidate.control]
    if len(unreadable) == total:
        codes = Counter(c.candidate.problem.code for c in unreadable if c.candidate.problem)
        worst, times = codes.most_common(1)[0]
        who = "The only candidate" if total == 1 else f"None of the {number(total, 0)} candidates"
        verb = "could not be read" if total == 1 else "could be read"
        often = "" if total == 1 else f", {number(times, 0)} times"
        lead = "The reason" if len(codes) == 1 else "The most common reason"
        return f"{who} {verb}. {lead}: {reason_words(worst)}{often}."
    so_far = " so far" if tally["waiting"] else ""
    if not survivors:
        if total == 1:
            return f"The only candidate has not survived{so_far}."
        return f"None of the {number(total, 0)} candidates survived{so_far}."
    if total == 1:
        lead = "The only candidate survived."
    else:
        lead = f"{number(len(survivors), 0)} of {number(total, 0)} candidates survived{so_far}."
    known = [(h, c) for c in survivors if (h := hull_distance(c)) is not None]
    if not known:
        return lead
    hull, best = min(known, key=lambda pair: pair[0])
    subject = "It lies" if len(survivors) == 1 else f"The most stable, {_called(best)}, lies"
    return f"{lead} {subject} {_above_hull(hull)}."


def _above_hull(hull: float) -> str:
    """Return "0.012 eV/atom above the hull", or below it for a negative distance."""
    side = "above" if hull >= 0 else "below"
    return f"{with_unit(abs(hull), HULL)} {side} the hull"


def _called(view: CandidateView) -> str:
    """Return the name of a candidate with its formula."""
    formula = formula_of(view.candidate)
    name = view.candidate.name or view.candidate.key
    return f"{name} ({formula})" if formula and formula != name else name


def _nearest_note(view: CampaignView, standings: Mapping[str, Standing]) -> str:
    """Return which candidate came nearest and what stopped it."""
    first = nearest(view, standings, 1)
    if not first or first[0].candidate.problem:
        return ""
    best = first[0]
    standing = standings[best.candidate.key]
    verdict = standing.verdict
    if verdict is None:
        return ""
    place = stage_words(verdict.stage).place
    message = verdict.message.strip().rstrip(".") or reason_words(verdict.reason)
    how = {
        Outcome.REJECTED: f"was rejected at {place}",
        Outcome.UNKNOWN: f"could not be judged at {place}",
        Outcome.FAILED: f"could not be computed at {place}",
    }[verdict.outcome]
    hull = hull_distance(best)
    aside = ""
    if hull is not None and verdict.stage != "stability":
        aside = f" It lies {_above_hull(hull)}."
    alone = sum(not c.candidate.control for c in view.candidates) == 1
    waiting = any(s.outcome == "waiting" for s in standings.values())
    who = "Of those judged so far, the nearest" if waiting else "The nearest"
    lead = _called(best) if alone else f"{who} was {_called(best)}; it"
    return f"{lead} {how}: {message}.{aside}"


def _dft_note(view: CampaignView) -> str:
    """Return how many of the survivors DFT has seen, and the lowest of them."""
    survivors = view.survivors
    left_out = sum(map(not_selected, survivors))
    seen = [(c, v) for c in survivors if (v := dft_verdict(c)) is not None]
    if not seen and not left_out:
        return ""
    if not seen:
        lead = "None of the survivors was calculated with DFT"
    elif not left_out:
        whom = "The survivor was" if len(seen) == 1 else "All survivors were"
        lead = f"{whom} calculated with DFT"
    else:
        was = "was" if left_out == 1 else "were"
        lead = (
            f"Of the survivors, DFT calculated the best {number(len(seen), 0)}; "
            f"{number(left_out, 0)} {was} not selected for it"
        )
    placed = [
        (energy, c, v)
        for c, v in seen
        if (energy := finite(v.details.get("relative_energy_eV_per_atom"))) is not None
    ]
    if not placed:
        return f"{lead}."
    energy, best, verdict = min(placed, key=lambda item: item[0])
    side = "above" if energy >= 0 else "below"
    subject = _called(best) if len(placed) == 1 else f"The lowest of them, {_called(best)},"
    return (
        f"{lead}. {subject} lies {with_unit(abs(energy), HULL)} {side} "
        f"{verdict.details.get('relative_to')}, the lowest control of its composition."
    )


def _error_note(view: CampaignView) -> str:
    """Return how far hull distances can be trusted: a survivor below the hull is no discovery."""
    for c in view.survivors:
        verdict = c.verdicts.get("stability")
        hull = verdict.details.get("hull") if verdict else None
        error = finite(hull.get("potential_error_eV_per_atom")) if isinstance(hull, dict) else None
        if error:
            return (
                f"The energies come from a potential whose mean error is {with_unit(error, HULL)}: "
                "smaller distances from the hull, on either side, say little."
            )
    return ""


def _open_note(tally: Counter[str]) -> str:
    """Return how many could not be judged, failed or still wait."""
    parts = []
    if tally["unknown"]:
        parts.append(f"{count(tally['unknown'], 'candidate')} could not be judged")
    if tally["failed"]:
        parts.append(f"{count(tally['failed'], 'computation')} failed")
    sentences = []
    if parts:
        several = tally["unknown"] + tally["failed"] > 1
        whom = "these candidates" if several else "the candidate"
        sentences.append(f"{joined(parts)}; that says nothing against {whom}.")
    if tally["waiting"]:
        wait = "waits" if tally["waiting"] == 1 else "wait"
        sentences.append(f"{count(tally['waiting'], 'candidate')} still {wait} to be judged.")
    return " ".join(sentences)


def _control_note(view: CampaignView) -> str:
    """Return whether the known crystals came through, as they should."""
    controls = view.controls
    if not controls:
        return ""
    if any(stage.name not in c.verdicts for c in controls for stage in view.stages):
        return "The controls (known crystals) have not been through every stage yet."
    bad = []
    for c in controls:
        objections = [
            v
            for v in c.verdicts.values()
            if v.outcome is not Outcome.PASSED
            and v.reason not in EXPECTED_OF_CONTROLS | {NOT_SELECTED}
        ]
        if objections:
            what = reason_words(objections[0].reason)
            bad.append(f"{c.candidate.name} ({stage_words(objections[0].stage).place}: {what})")
    names = joined([c.candidate.name for c in controls])
    if not bad:
        subject = f"The control {names}" if len(controls) == 1 else f"The controls {names}"
        return f"{subject} came through every check that a known crystal should pass."
    lead = (
        f"{len(bad)} of {count(len(controls), 'control')}" if len(controls) > 1 else "The control"
    )
    return f"{lead} did not come through: {joined(bad)}. Read the verdicts on candidates with care."
