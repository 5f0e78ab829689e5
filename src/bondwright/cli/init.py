"""`bondwright init`: a campaign folder to fill in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.console import say

Folder = Annotated[Path, typer.Argument(help="Folder to make.", show_default=False)]
Files = Annotated[
    list[Path] | None, typer.Argument(help="Structure files, tables or folders to screen.")
]
Description = Annotated[str, typer.Option(help="A sentence about the campaign.")]
Seed = Annotated[int, typer.Option(help="Seed of every random number.")]


def init(
    folder: Folder, files: Files = None, description: Description = "", seed: Seed = 0
) -> None:
    """Make a campaign folder with a campaign.toml that explains every setting."""
    from bondwright.cli.making import Wishes, config_text, make_campaign

    wishes = Wishes(files=files or [], description=description, seed=seed)
    make_campaign(folder, config_text(folder, wishes))
    say(f"Wrote {folder / 'campaign.toml'}")
    say(f"Edit it if you like, then: bondwright run {folder}")
