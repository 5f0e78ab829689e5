"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print the answer as JSON on stdout, for programs.")
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes. (default: as campaign.toml says, or all cores)"),
]
CampaignFolder = Annotated[
    Path, typer.Argument(help="Campaign folder (it holds campaign.toml).", show_default=False)
]
CampaignFolderHere = Annotated[
    Path,
    typer.Option("--campaign", "-c", help="Campaign folder (it holds campaign.toml)."),
]
