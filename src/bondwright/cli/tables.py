"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bondwright.campaign.view import CampaignView, StageSummary


def columns(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Align rows of cells in columns; the columns numbered in `right` are right-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def funnel_lines(stages: Sequence[StageSummary]) -> list[str]:
    """Return the funnel as a table: one row per stage, then the reasons of each.

    Those that DFT left out for the sake of the cost are not unknown: they are named apart.
    """
    from bondwright.screen.dft import NOT_SELECTED

    head = ["stage", "in", "passed", "rejected", "unknown", "failed", "waiting", "s/candidate"]
    rows = [head]
    for stage in stages:
        each = stage.seconds_per_candidate
        rows.append(
            [
                stage.name,
                f"{stage.entered:,}",
                f"{stage.passed:,}",
                f"{sum(stage.rejected.values()):,}",
                f"{sum(stage.unknown.values()) - stage.unknown.get(NOT_SELECTED, 0):,}",
                f"{sum(stage.failed.values()):,}",
                f"{stage.waiting:,}",
                "-" if each is None else f"{each:.3g}",
            ]
        )
    lines = columns(rows, right=frozenset(range(1, len(head))))
    why = [
        f"  {stage.name}: {kind} {', '.join(f'{n} {reason}' for reason, n in _by_count(part))}"
        for stage in stages
        for kind, part in (
            ("rejected", stage.rejected),
            ("unknown", {r: n for r, n in stage.unknown.items() if r != NOT_SELECTED}),
            ("failed", stage.failed),
        )
        if part
    ]
    why += [
        f"  {stage.name}: {stage.unknown[NOT_SELECTED]} not selected, only the best are calculated"
        for stage in stages
        if NOT_SELECTED in stage.unknown
    ]
    return [*lines, *(["", "Why:", *why] if why else [])]


def survival_line(view: CampaignView) -> str:
    """Return how many survived, and how many of them DFT has seen, in one sentence."""
    total, survivors = len(view.candidates) - len(view.controls), view.survivors
    if not survivors:
        return f"None of {total} candidates survived; the report shows what came nearest and why."
    line = f"{len(survivors)} of {total} candidates survived every stage"
    left_out = sum(not c.verified for c in survivors)
    if not any(stage.name == "dft" for stage in view.stages) or not left_out:
        return f"{line}."
    seen = len(survivors) - left_out
    return f"{line} they were asked; DFT calculated {seen} of them, {left_out} not selected for it."


def _by_count(part: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(part.items(), key=lambda item: (-item[1], item[0]))
