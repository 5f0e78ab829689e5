"""`bondwright glass run`: a project from its glass.toml to its report."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from bondwright.cli.console import note, progress_bar, say, say_json, say_table
from bondwright.cli.glass_label import label_lines
from bondwright.cli.glass_types import Project, RetryFailed, Workers, duration, interruptible
from bondwright.cli.types import Json

if TYPE_CHECKING:
    from bondwright.campaign.glass.driver import GlassRun
    from bondwright.campaign.glass.generate import Generating


def run(
    project: Project,
    workers: Workers = None,
    retry_failed: RetryFailed = False,
    json: Json = False,
) -> None:
    """Run a project to its report: make cells, label them, learn, predict a large glass.

    Does only what is missing: a second run does nothing, an interrupted or killed one goes on
    where it stopped. The last line names the report.
    """
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.driver import Watchers, run_project
    from bondwright.campaign.glass.folder import GlassFolder

    folder = GlassFolder(project)
    config = load_config(folder.config)
    if workers is not None:
        config = replace(config, run=replace(config.run, workers=workers))
    watchers = Watchers(note, _generating, label_lines(), progress_bar)
    with folder.driver_lock(), interruptible():
        done = run_project(folder, config, watchers, retry_failed=retry_failed)
    if json:
        say_json({**asdict(done), "report": None if done.report is None else str(done.report)})
        return
    _say(done)


def _generating(state: Generating) -> None:
    left = f"; about {duration(state.seconds_left)} left" if state.seconds_left else ""
    note(f"cells: {state.done}/{state.total} made{left}")


def _say(done: GlassRun) -> None:
    for why in done.not_labelled:
        say(why)
    say(f"{done.labelled} of {done.cells} cells are labelled; model {done.model}.")
    if done.scores:
        say_table(
            ("pair", "model", "bonds", "RMSE (eV)", "MAE (eV)", "within 2 sigma"),
            [
                (
                    row["pair"],
                    row["model"],
                    f"{row['n']:,}",
                    f"{row['rmse_eV']:.3f}",
                    f"{row['mae_eV']:.3f}",
                    _share(row.get("within_2_sigma")),
                )
                for row in done.scores
                if row["rmse_eV"] is not None
            ],
            title=f"Errors on cells held out by {done.split}",
            left=2,
        )
    for name, summary in done.predictions.items():
        every = summary["all"]
        say(
            f"{name}: {summary['atoms']:,} atoms, {summary['bonds']:,} bonds, mean -ICOHP "
            f"{every['mean_minus_icohp_eV']:.3f} eV, mean sigma {every['mean_sigma_eV']:.3f} eV, "
            f"{every['share_flagged']:.1%} flagged"
        )
    if done.report is not None:
        say(f"Report: {done.report}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
