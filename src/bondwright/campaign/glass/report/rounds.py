"""Section: rounds of active learning, what each chose to label and what it brought."""

from __future__ import annotations

from dataclasses import dataclass

from bondwright.campaign.glass.comparison import STRATEGIES, Comparison
from bondwright.campaign.glass.folder import GlassFolder
from bondwright.campaign.glass.report.plots import Figures, Series
from bondwright.campaign.glass.rounds import Round, read_rounds
from bondwright.errors import InputError
from bondwright.learn.evaluation_scores import ALL_PAIRS


@dataclass(frozen=True)
class RoundRow:
    """One round.

    Attributes:
        entry: its record.
        failed: labels of it that may not be learned from.
        error: RMSE over all test bonds after it, eV; None when unknown.
    """

    entry: Round
    failed: int
    error: float | None


@dataclass(frozen=True)
class RoundsSection:
    """What the page tells of active learning.

    Attributes:
        rows: the rounds in order.
        next_action: what the policy asks for after the last one; empty when nothing.
        next_reason: and why.
        curve: name of the figure of error against labels of the rounds.
        compared: name of the figure of active learning beside random choice.
        seeds: random seeds in that comparison.
        within_run: whether its test cells share a run with the pool.
    """

    rows: list[RoundRow]
    next_action: str
    next_reason: str
    curve: str | None
    compared: str | None
    seeds: int
    within_run: bool


def rounds_section(folder: GlassFolder, figures: Figures) -> RoundsSection | None:
    """Read the rounds of a project, and its comparison; None where there is neither."""
    rows = [_row(entry) for entry in read_rounds(folder)]
    compared = _comparison(folder)
    if not rows and compared is None:
        return None
    last = rows[-1].entry.decision if rows else {}
    return RoundsSection(
        rows,
        str(last.get("action", "")),
        str(last.get("reason", "")),
        _curve(rows, figures),
        _compared(compared, figures) if compared else None,
        len({point.seed for point in compared.points}) if compared else 0,
        bool(compared and compared.within_run),
    )


def _row(entry: Round) -> RoundRow:
    error = next((s.get("rmse_eV") for s in entry.scores if s.get("pair") == ALL_PAIRS), None)
    failed = sum(status != "accepted" for status in entry.labels.values())
    return RoundRow(entry, failed, error)


def _curve(rows: list[RoundRow], figures: Figures) -> str | None:
    known = [(row.entry.labelled, row.error) for row in rows if row.error is not None]
    if not known:
        return None
    labels, errors = zip(*known, strict=True)
    return figures.add(
        "rounds",
        [Series("model after each round", "line", labels, errors, marks=True)],
        x="labelled cells",
        y="RMSE over all test bonds (eV)",
        label="Error on the test cells against the labels spent",
        limits={"y_low": 0.0},
    )


def _compared(found: Comparison, figures: Figures) -> str | None:
    series = []
    for style, strategy in enumerate(STRATEGIES):
        curve = found.curve(strategy)
        if not curve:
            continue
        labels, errors, spread = zip(*curve, strict=True)
        series.append(Series(strategy, "band", labels, errors, style, spread=spread))
        series.append(Series(strategy, "line", labels, errors, style, dashed=style > 0, marks=True))
    return figures.add(
        "compared",
        series,
        x="labels spent",
        y="RMSE over all test bonds (eV)",
        label="Error against labels spent, for active learning and for random choice",
        limits={"y_low": 0.0},
    )


def _comparison(folder: GlassFolder) -> Comparison | None:
    if not folder.comparison.is_file():
        return None
    try:
        return Comparison.load(folder.comparison)
    except InputError:
        return None
