"""Driving a campaign from the command line: progress, report, closing lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bondwright.cli.console import note, say, say_json
from bondwright.cli.tables import funnel_lines, survival_line

if TYPE_CHECKING:
    from bondwright.campaign.driver import Progress as StageProgress
    from bondwright.campaign.driver import RunSummary

REPORT_NAME = "report.html"
INTERRUPTED = 130


def drive(
    folder: Path,
    workers: int | None,
    retry_failed: bool,
    json: bool,
    *,
    without: Sequence[str] = (),
) -> None:
    """Run what a campaign is missing, write its report, and say what came out.

    Stages `without` are left out of this run.

    Raises:
        BondwrightError: what the user can mend.
        typer.Exit: with code 130 when interrupted.
    """
    from bondwright.campaign.driver import run_campaign

    with stage_progress() as show:
        summary = run_campaign(
            folder,
            workers=workers,
            retry_failed=retry_failed,
            without=without,
            progress=show,
            command=["bondwright", *sys.argv[1:]],
        )
    for warning in summary.warnings:
        note(f"Note: {warning}")
    if summary.interrupted:
        note("Interrupted. Everything finished so far is kept; the same command goes on from here.")
        raise typer.Exit(INTERRUPTED)
    _close(folder, summary, json)


def _close(folder: Path, summary: RunSummary, json: bool) -> None:
    from bondwright.campaign.load import load_view
    from bondwright.campaign.report import write_report

    view = load_view(folder)
    target = folder / REPORT_NAME
    write_report(view, target, folder)
    if json:
        from bondwright.cli.status import as_json

        say_json({**as_json(view), "new_results": summary.new, "report": str(target)})
        return
    if summary.idle:
        say("Nothing to do: every candidate has a verdict at every stage it reached.")
    for line in funnel_lines(view.stages):
        say(line)
    say()
    say(survival_line(view))
    say(f"Done in {summary.seconds:.0f} s.")
    say(f"Report: {target}")


@contextmanager
def stage_progress() -> Iterator[Callable[[StageProgress], None]]:
    """Show the progress of each stage: live bars on a terminal, a line now and then elsewhere."""
    if sys.stderr.isatty():
        yield from _bars()
    else:
        yield _lines()


def _bars() -> Iterator[Callable[[StageProgress], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.fields[of]}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def show(now: StageProgress) -> None:
            if now.stage not in tasks:
                tasks[now.stage] = bars.add_task(now.stage, total=None, of="?", rate="", counts="")
            bars.update(
                tasks[now.stage],
                completed=now.done,
                total=now.total,
                of="?" if now.total is None else f"{now.total:,}",
                rate=_rate(now),
                counts=_counts(now),
            )

        yield show


def _lines() -> Callable[[StageProgress], None]:
    last: dict[str, float] = {}

    def show(now: StageProgress) -> None:
        finished = now.done == now.total
        moment = time.monotonic()
        if finished and last.get(now.stage) == float("inf"):
            return
        if finished or moment - last.get(now.stage, 0.0) >= 10:
            last[now.stage] = float("inf") if finished else moment
            of = "" if now.total is None else f"/{now.total:,}"
            note(f"{now.stage}: {now.done:,}{of} {_rate(now)} {_counts(now)}".rstrip())

    return show


def _rate(now: StageProgress) -> str:
    return "" if now.rate is None else f"{now.rate:.3g}/s"


def _counts(now: StageProgress) -> str:
    return " ".join(f"{number} {outcome}" for outcome, number in now.counts.items() if number)
