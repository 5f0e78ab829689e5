"""`bondwright run`: bring a campaign to its end, from wherever it stands."""

from __future__ import annotations

from typing import Annotated

import typer

from bondwright.cli.types import CampaignFolder, Json, Workers

RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Try again what timed out, crashed or ran out of memory."),
]
Without = Annotated[
    list[str] | None,
    typer.Option(metavar="STAGE", help="Leave a stage out of this run; may be given again."),
]


def run(
    campaign: CampaignFolder,
    workers: Workers = None,
    retry_failed: RetryFailed = False,
    without: Without = None,
    json: Json = False,
) -> None:
    """Run a campaign to its report, from wherever it stands.

    Does only what is missing: a second run does nothing, an interrupted or killed one goes on
    where it stopped. The last line names the report.
    """
    from bondwright.cli.driving import drive

    drive(campaign, workers, retry_failed, json, without=without or ())
