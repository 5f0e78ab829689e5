"""What each generator made: how many crystals, valid, new and stable, side by side.

A crystal that two arms made counts for both, and twice the same from one arm counts once. So an arm
is judged by what it made, not by which of two equal candidates the funnel happened to keep.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from bondwright.campaign.report.standing import hull_distance
from bondwright.campaign.report.words import joined, number, quantity, with_unit
from bondwright.campaign.view import CampaignView, CandidateView
from bondwright.crystals.generate import USED_UP
from bondwright.crystals.generate_wish import SEARCHES, Wish
from bondwright.screen.verdict import Outcome

SIGNIFICANCE = 0.05
_SETTINGS = ("temperature", "top_k", "top_p", "guidance", "most_attempts", "best_of")
_USUAL = {
    "temperature": Wish.temperature,
    "top_k": Wish.top_k,
    "top_p": Wish.top_p,
    "guidance": Wish.guidance,
    "most_attempts": Wish.attempts,
    "best_of": Wish.best,
}
_Z = 1.96  # standard deviations on either side of 95 %


@dataclass(frozen=True)
class Tally:
    """How far the candidates of one arm, or of several, came.

    Attributes:
        made: texts or structures made.
        crystals: of these, those that could be read.
        valid: those that passed validity; None where it was not asked.
        new: distinct crystals among them that novelty passed; None where it was not asked.
        stable: distinct crystals that passed stability and are new after it, too; None where it
            was not asked.
        hull: median energy above the hull of those that were relaxed, eV/atom; None without any.
    """

    made: int
    crystals: int
    valid: int | None
    new: int | None
    stable: int | None
    hull: float | None

    @property
    def best(self) -> tuple[int, str]:
        """The furthest number that was asked for, and what it counts."""
        for count, what in ((self.stable, "new and stable"), (self.new, "new"), (self.valid, "")):
            if count is not None:
                return count, what or "valid"
        return self.crystals, "readable"


@dataclass(frozen=True)
class ArmRow:
    """One arm as the page shows it.

    Attributes:
        label: its short name.
        maker: method, or model with the beginning of its checksum.
        request: the composition that was asked for.
        asked: the properties that were asked for, in words.
        settings: settings of sampling that differ from the usual ones, and the seed, in words.
        tally: what became of its candidates.
    """

    label: str
    maker: str
    request: str
    asked: str
    settings: str
    tally: Tally


@dataclass(frozen=True)
class Arms:
    """All arms of a campaign.

    Attributes:
        rows: one for each, in the order of the campaign.
        conclusion: what the comparison of generators says; empty with fewer than two of them.
    """

    rows: list[ArmRow]
    conclusion: str


def find_arms(view: CampaignView) -> Arms:
    """Return what each generator of a campaign made; no rows where no candidate tells of one."""
    groups: dict[str, list[CandidateView]] = {}
    for candidate in view.candidates:
        name = candidate.candidate.extra.get("arm")
        if isinstance(name, str) and not candidate.candidate.control:
            groups.setdefault(name, []).append(candidate)
    stages = [stage.name for stage in view.stages]
    everyone = {c.candidate.key: c for c in view.candidates}
    rows = [_row(members, stages, everyone) for members in groups.values()]
    return Arms(rows, _conclusion(list(groups.values()), stages, everyone))


def share(count: int, of: int) -> str:
    """Return a share with its 95 % interval for people: "18 % (13 to 24)"; "–" of nothing.

    The interval is Wilson's (J. Am. Stat. Assoc. 22 (1927) 209).
    """
    if of == 0:
        return "–"
    p, z2 = count / of, _Z * _Z
    centre = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z * math.sqrt(p * (1 - p) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return f"{100 * p:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def tally(
    members: Sequence[CandidateView], stages: Sequence[str], everyone: dict[str, CandidateView]
) -> Tally:
    """Count how far some candidates came.

    Args:
        members: the candidates.
        stages: the funnel.
        everyone: key -> candidate of the whole campaign.
    """
    # Where known crystals or texts are used up, nothing was made that could be judged.
    members = [c for c in members if not _used_up(c)]
    valid = [c for c in members if _passed(c, "validity")]
    new = _distinct(valid, "novelty", everyone)
    stable = [c for c in new if _passed(c, "stability")]
    if "novelty-relaxed" in stages:
        stable = _distinct(stable, "novelty-relaxed", everyone)
    known = [h for c in new if (h := hull_distance(c)) is not None]
    return Tally(
        made=len(members),
        crystals=sum(_passed(c, "read") for c in members),
        valid=len(valid) if "validity" in stages else None,
        new=len(new) if "novelty" in stages else None,
        stable=len(stable) if "stability" in stages else None,
        hull=statistics.median(known) if known else None,
    )


def _row(
    members: Sequence[CandidateView], stages: Sequence[str], everyone: dict[str, CandidateView]
) -> ArmRow:
    first = members[0].candidate
    asked = [f"{quantity(k).title} {with_unit(v, quantity(k))}" for k, v in first.asked.items()]
    return ArmRow(
        label=str(first.extra.get("label") or first.extra["arm"]),
        maker=_maker(members[0]),
        request=str(first.extra.get("request", "")),
        asked=joined(asked) or "nothing",
        settings=_settings(first.extra, first.origin.seed),
        tally=tally(members, stages, everyone),
    )


def _maker(view: CandidateView) -> str:
    return view.candidate.origin.generator or "unknown"


def _settings(extra: dict[str, Any], seed: int | None) -> str:
    """Return settings in words: only what differs from the usual, and the seed."""
    said = [
        f"{name.replace('_', ' ')} {extra[name]:g}"
        for name in _SETTINGS
        if isinstance(extra.get(name), int | float) and extra[name] != _USUAL[name]
    ]
    search = SEARCHES.get(extra.get("search", "none"), "")
    return ", ".join([*([search] if search else []), *said, f"seed {seed}"])


def _used_up(view: CandidateView) -> bool:
    return view.candidate.problem is not None and view.candidate.problem.code in USED_UP


def _passed(view: CandidateView, stage: str) -> bool:
    verdict = view.verdicts.get(stage)
    return verdict is not None and verdict.outcome is Outcome.PASSED


def _distinct(
    members: Sequence[CandidateView], stage: str, everyone: dict[str, CandidateView]
) -> list[CandidateView]:
    """Return the crystals that some candidates are, each once, if a novelty stage passed it.

    A duplicate stands for the candidate whose duplicate it is, whichever arm that is from.
    """
    found: dict[str, CandidateView] = {}
    for member in members:
        verdict = member.verdicts.get(stage)
        same = verdict.details.get("duplicate_of") if verdict else None
        crystal = everyone.get(same, member) if isinstance(same, str) else member
        if _passed(crystal, stage):
            found[crystal.candidate.key] = crystal
    return list(found.values())


def _conclusion(
    groups: Sequence[list[CandidateView]],
    stages: Sequence[str],
    everyone: dict[str, CandidateView],
) -> str:
    """Say which generator gives more of what was looked for; empty for fewer than two."""
    makers: dict[str, list[CandidateView]] = {}
    for members in groups:
        makers.setdefault(_maker(members[0]), []).extend(members)
    tallies = {maker: tally(members, stages, everyone) for maker, members in makers.items()}
    made = [(maker, t) for maker, t in tallies.items() if t.made]
    ranked = sorted(made, key=lambda item: -item[1].best[0] / item[1].made)
    if len(ranked) < 2:
        return ""
    what = ranked[0][1].best[1]
    parts = [
        f"{maker} {number(t.best[0], 0)} of {number(t.made, 0)} ({100 * t.best[0] / t.made:.0f} %)"
        for maker, t in ranked
    ]
    models = [maker for maker in makers if maker.startswith("model ")]
    first = models[0] if models else ranked[0][0]
    said = [_compared(first, tallies[first], maker, t) for maker, t in ranked if maker != first]
    lead = f"Distinct crystals that are {what}, of all that were made: {'; '.join(parts)}."
    caution = "" if "stability" in stages else " Whether they are stable was not asked."
    return f"{lead} {' '.join(said)}{caution}"


def _compared(first: str, one: Tally, second: str, other: Tally) -> str:
    """Say whether one generator gives more than another."""
    odds = [[t.best[0], t.made - t.best[0]] for t in (one, other)]
    p = float(stats.fisher_exact(odds).pvalue)
    if p >= SIGNIFICANCE:
        return f"Between {first} and {second} no difference is seen (p = {p:.2g})."
    more = one.best[0] / one.made > other.best[0] / other.made
    than = "more" if more else "fewer"
    return f"{first[0].upper()}{first[1:]} gives {than} than {second} (Fisher's test, p = {p:.2g})."
