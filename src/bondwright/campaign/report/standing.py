"""Where each candidate stands: what stopped it, how far it came, and which came nearest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bondwright.campaign.view import CampaignView, CandidateView
from bondwright.screen.verdict import Outcome, Verdict

# Controls are known crystals: being recognised as such is right, not a fault.
EXPECTED_OF_CONTROLS = frozenset({"known", "duplicate"})


@dataclass(frozen=True)
class Standing:
    """Where one candidate stands in the funnel.

    Attributes:
        outcome: "survived", "rejected", "unknown", "failed" or "waiting".
        stage: the stage that stopped it, or the one it waits for; None for a survivor.
        verdict: the verdict that stopped it; None for survivors and those that wait.
        depth: number of stages passed before that, in the order of the funnel.
    """

    outcome: str
    stage: str | None
    verdict: Verdict | None
    depth: int


def find_standing(view: CandidateView, stages: Sequence[str]) -> Standing:
    """Return where a candidate stands; its first verdict that is not "passed" decides.

    Controls go on after a rejection, so for them this is the first thing held against them.
    """
    if view.survived:
        return Standing("survived", None, None, len(stages))
    for depth, stage in enumerate(stages):
        verdict = view.verdicts.get(stage)
        if verdict is None:
            return Standing("waiting", stage, None, depth)
        if verdict.outcome is not Outcome.PASSED:
            return Standing(str(verdict.outcome), stage, verdict, depth)
    return Standing("waiting", None, None, len(stages))


def find_standings(view: CampaignView) -> dict[str, Standing]:
    """Return candidate key -> where it stands."""
    stages = [s.name for s in view.stages]
    return {c.candidate.key: find_standing(c, stages) for c in view.candidates}


def hull_distance(view: CandidateView) -> float | None:
    """Return the energy above the hull in eV/atom, or None where it is not known."""
    verdict = view.verdicts.get("stability")
    return None if verdict is None else finite(verdict.details.get("e_above_hull_eV_per_atom"))


def nearest(
    view: CampaignView, standings: Mapping[str, Standing], limit: int
) -> list[CandidateView]:
    """Return those that came nearest to surviving, the nearest first.

    The furthest stage counts first, then the smallest energy above the hull, then (where no hull
    distance is known) the largest shortest contact; the order of input settles the rest.
    """
    others = [c for c in view.candidates if not c.survived and not c.candidate.control]
    others = [c for c in others if standings[c.candidate.key].verdict is not None]

    def rank(c: CandidateView) -> tuple[int, float, float]:
        hull = hull_distance(c)
        contact = contact_ratio(c)
        return (
            -standings[c.candidate.key].depth,
            math.inf if hull is None else hull,
            0.0 if contact is None else -contact,
        )

    return sorted(others, key=rank)[:limit]


def contact_ratio(view: CandidateView) -> float | None:
    """Return the shortest contact over the sum of covalent radii, or None where not known."""
    verdict = view.verdicts.get("validity")
    return None if verdict is None else finite(verdict.value)


def finite(value: object) -> float | None:
    """Return a finite float, or None for anything else (missing, text, NaN, infinite)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
