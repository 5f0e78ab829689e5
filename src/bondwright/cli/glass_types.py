"""Arguments that the `bondwright glass` commands share, and how they are interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.console import note

INTERRUPTED = 130

Project = Annotated[
    Path, typer.Argument(help="Glass project: the folder of glass.toml.", show_default=False)
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes. (default: as glass.toml says, or all cores)"),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try again what failed or was refused before.")
]
Method = Annotated[
    str | None,
    typer.Option(help="Which labels, where the project has several methods.", show_default=False),
]


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C into a word of comfort and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        note("Interrupted. What is finished is kept; the same command goes on from here.")
        raise typer.Exit(INTERRUPTED) from None


def duration(seconds: float) -> str:
    """Return seconds as people say them: "42 s", "7 min", "2 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
