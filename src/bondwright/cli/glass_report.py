"""`bondwright glass report`: a glass project, or one prediction, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.console import say

Folder = Annotated[
    Path,
    typer.Argument(
        help="Glass project (the folder of glass.toml), or what `glass predict` wrote.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="File to write. (default: report.html in the folder)"),
]


def report(folder: Folder, out: Out = None) -> None:
    """Write the report: one HTML page that works offline. Possible at any time."""
    from bondwright.campaign.glass.report import write_glass_report

    say(f"Report: {write_glass_report(folder, out)}")
