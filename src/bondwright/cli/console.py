"""Printing: answers to stdout, progress to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def say(text: str = "") -> None:
    """Print one line of the answer to stdout."""
    sys.stdout.write(text + "\n")


def say_json(answer: Any) -> None:
    """Print the answer as JSON to stdout."""
    say(json.dumps(answer, indent=2, ensure_ascii=False))


def say_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", left: int = 1
) -> None:
    """Print a table to stdout.

    Args:
        head: titles of the columns; none are printed where all are empty.
        rows: cells.
        title: line above the table.
        left: this many columns are aligned to the left, the others to the right.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, show_header=any(head))
    for number, text in enumerate(head):
        table.add_column(text, justify="left" if number < left else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # text, never markup
    # A pipe has no width: nothing is folded there.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 240).print(table)


def note(text: str) -> None:
    """Print one line of progress or advice to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def progress_bar(what: str, unit: str = "") -> Iterator[Callable[[int, int | None], None]]:
    """Show one progress bar with count, rate and remaining time; yields its update function.

    On a terminal this is a live bar; elsewhere (logs) a line every ten seconds.
    """
    if sys.stderr.isatty():
        yield from _live_bar(what, unit)
    else:
        yield from _log_lines(what, unit)


def _live_bar(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.fields[of]} " + unit),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None, of="?", rate="")
        started = time.monotonic()

        def update(done: int, total: int | None) -> None:
            rate = done / max(time.monotonic() - started, 1e-6)
            progress.update(
                task,
                completed=done,
                total=total,
                of=f"{total:,}" if total else "?",
                rate=f"{rate:,.1f}/s",
            )

        yield update


def _log_lines(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    started = last = time.monotonic()

    def update(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 10 or (total is not None and done == total):
            last = now
            rate = done / max(now - started, 1e-6)
            note(f"{what}: {done:,}{f'/{total:,}' if total else ''} {unit} ({rate:,.1f}/s)")

    yield update
