"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bondwright.campaign.view import StageSummary


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
    """Return the funnel as a table: one row per stage, then the reasons of each."""
    head = ["stage", "in", "passed", "rejected", "unknown", "failed", "waiting", "s/candidate"]
    rows = [head]
    for stage in stages:
        each = stage.seconds_per_candidate
        rows.append(
            [
                stage.name,
                f"{stage.entered:,}",
                f"{stage.passed:,}",
                *(f"{sum(part.values()):,}" for part in (stage.rejected, stage.unknown)),
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
            ("unknown", stage.unknown),
            ("failed", stage.failed),
        )
        if part
    ]
    return [*lines, *(["", "Why:", *why] if why else [])]


def _by_count(part: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(part.items(), key=lambda item: (-item[1], item[0]))
