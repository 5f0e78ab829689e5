"""`bondwright status`: the funnel in numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bondwright.cli.console import say, say_json
from bondwright.cli.tables import funnel_lines
from bondwright.cli.types import CampaignFolder, Json

if TYPE_CHECKING:
    from bondwright.campaign.view import CampaignView


def status(campaign: CampaignFolder, json: Json = False) -> None:
    """Show the funnel: how many entered each stage, passed, were rejected and why.

    Works while the campaign is running.
    """
    from bondwright.campaign.folder import CampaignFolder
    from bondwright.campaign.generating import unfinished
    from bondwright.campaign.load import load_view
    from bondwright.campaign.report.arms import find_arms

    view = load_view(campaign)
    if json:
        say_json(as_json(view))
        return
    say(f"{view.name}: {view.description}" if view.description else view.name)
    say()
    for line in funnel_lines(view.stages):
        say(line)
    for arm in find_arms(view).rows:
        number, what = arm.tally.best
        say(f"{arm.label}: {arm.tally.made} of {arm.request} made, {number} {what}")
    for name, number in unfinished(CampaignFolder(campaign).generated).items():
        say(f"{name}: {number} made so far")
    say()
    waiting = sum(stage.waiting for stage in view.stages)
    if waiting:
        say(f"{waiting} waiting; go on with: bondwright run {campaign}")
    dft = any(stage.name == "dft" for stage in view.stages)
    for survivor in view.survivors:
        seen = ("  verified with DFT" if survivor.verified else "  not selected for DFT") * dft
        say(f"survived: {survivor.candidate.key}  {survivor.candidate.name}{seen}")
    if not waiting and not view.survivors:
        say("Nothing survived.")


def as_json(view: CampaignView) -> dict[str, Any]:
    """Return the funnel as JSON values."""
    from bondwright.campaign.report.arms import find_arms

    return {
        "name": view.name,
        "stages": [asdict(stage) for stage in view.stages],
        "arms": [asdict(row) for row in find_arms(view).rows],
        "candidates": len(view.candidates) - len(view.controls),
        "controls": [
            {
                "key": c.candidate.key,
                "name": c.candidate.name,
                "verdicts": {s: str(v.outcome) for s, v in c.verdicts.items()},
            }
            for c in view.controls
        ],
        "survivors": [
            {"key": c.candidate.key, "name": c.candidate.name, "verified": c.verified}
            for c in view.survivors
        ],
    }
