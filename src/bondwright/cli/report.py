"""`bondwright report`: the campaign as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.console import say
from bondwright.cli.types import CampaignFolder

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="File to write. (default: report.html in the campaign)"),
]


def report(campaign: CampaignFolder, out: Out = None) -> None:
    """Write the report: one HTML page that works offline. Possible at any time, also mid-run."""
    from bondwright.campaign.load import load_view
    from bondwright.campaign.report import write_report
    from bondwright.cli.driving import REPORT_NAME

    target = out or campaign / REPORT_NAME
    write_report(load_view(campaign), target, campaign)
    say(f"Report: {target}")
