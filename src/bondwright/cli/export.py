"""`bondwright export`: candidates for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.console import say
from bondwright.cli.types import CampaignFolder

Target = Annotated[
    Path,
    typer.Argument(
        help="File to write: .csv or .parquet (a row per candidate with every verdict), .extxyz "
        "(structures), or a name without suffix (a folder of CIF files).",
        show_default=False,
    ),
]
Everything = Annotated[
    bool, typer.Option("--all", help="All candidates and controls, not only the survivors.")
]


def export(campaign: CampaignFolder, target: Target, everything: Everything = False) -> None:
    """Write the survivors (or all candidates) for other programs; relaxed where they were."""
    from bondwright.campaign.export import export as write

    count = write(campaign, target, everything=everything)
    say(f"{count} written to {target}")
