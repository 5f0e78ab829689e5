"""The funnel as rows of bars, with the reasons and the cost of each stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bondwright.campaign.report.words import StageWords, reason_words, stage_words
from bondwright.campaign.view import CampaignView, CandidateView, StageSummary
from bondwright.screen.dft import NOT_SELECTED


@dataclass(frozen=True)
class Segment:
    """A piece of a bar: its outcome, number of candidates, and place in percent of the width."""

    outcome: str
    number: int
    start: float
    width: float


@dataclass(frozen=True)
class Reason:
    """How many candidates ended at a stage in one way for one reason."""

    outcome: str
    slug: str
    words: str
    number: int


@dataclass(frozen=True)
class FunnelRow:
    """One stage of the funnel.

    Attributes:
        summary: the numbers as the campaign counted them.
        words: how the page names the stage.
        segments: the pieces of the bar, left to right.
        reasons: why candidates ended here, the most frequent first.
        controls: outcome -> number of controls.
        warnings: what looked wrong with the stage's results as a whole, in sentences.
    """

    summary: StageSummary
    words: StageWords
    segments: list[Segment]
    reasons: list[Reason]
    controls: dict[str, int]
    warnings: list[str]


def funnel_rows(view: CampaignView) -> list[FunnelRow]:
    """Return the funnel, one row per stage; bars share one scale, the largest stage is full."""
    full = max((s.entered for s in view.stages), default=0)
    return [
        FunnelRow(
            summary=s,
            words=stage_words(s.name),
            segments=_segments(s, full),
            reasons=_reasons(s),
            controls=_controls(view.controls, s.name),
            warnings=_warnings(view, s.name),
        )
        for s in view.stages
    ]


def _segments(summary: StageSummary, full: int) -> list[Segment]:
    """Return the pieces of one bar: what went on first, then what did not."""
    left_out = summary.unknown.get(NOT_SELECTED, 0)
    parts = [
        ("passed", summary.passed),
        (NOT_SELECTED, left_out),
        ("rejected", sum(summary.rejected.values())),
        ("unknown", sum(summary.unknown.values()) - left_out),
        ("failed", sum(summary.failed.values())),
        ("waiting", summary.waiting),
    ]
    segments: list[Segment] = []
    start = 0.0
    for outcome, number in parts:
        if number:
            width = 100 * number / full
            segments.append(Segment(outcome, number, round(start, 4), round(width, 4)))
            start += width
    return segments


def _reasons(summary: StageSummary) -> list[Reason]:
    """Return why candidates ended at a stage, the most frequent first within each outcome."""
    groups = [
        ("rejected", summary.rejected),
        ("unknown", summary.unknown),
        ("failed", summary.failed),
    ]
    return [
        Reason(NOT_SELECTED if slug == NOT_SELECTED else outcome, slug, reason_words(slug), number)
        for outcome, reasons in groups
        for slug, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]


def _controls(controls: Sequence[CandidateView], stage: str) -> dict[str, int]:
    """Return outcome -> number of controls at a stage."""
    return dict(Counter(str(c.verdicts[stage].outcome) for c in controls if stage in c.verdicts))


def _warnings(view: CampaignView, stage: str) -> list[str]:
    """Return the warnings that the campaign noted down about a stage."""
    noted = view.provenance.get("warnings")
    sentences = noted.get(stage) if isinstance(noted, dict) else None
    return [str(s) for s in sentences] if isinstance(sentences, list) else []
