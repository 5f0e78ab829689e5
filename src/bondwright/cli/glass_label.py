"""`bondwright glass label`, `import` and `labels`: bond strengths of a project's cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bondwright.cli.console import note, progress_bar, say, say_json, say_table
from bondwright.cli.glass_types import (
    Project,
    RetryFailed,
    Workers,
    duration,
    interruptible,
)
from bondwright.cli.types import Json

if TYPE_CHECKING:
    from bondwright.campaign.glass.labelling import Labelling
    from bondwright.campaign.glass.labels import LabelRecord

CellPatterns = Annotated[
    list[str] | None,
    typer.Argument(
        help="Cells to label, e.g. Zr49Cu49Al2/21 or 'Zr49Cu49Al2/*/0'; all without any.",
        show_default=False,
    ),
]


def label(
    project: Project,
    cells: CellPatterns = None,
    workers: Workers = None,
    retry_failed: RetryFailed = False,
    every: Annotated[
        bool,
        typer.Option("--every", help="Also cells that were labelled by another method."),
    ] = False,
    json: Json = False,
) -> None:
    """Compute the bond strengths (-ICOHP) of every cell that has none yet.

    Five to ten minutes of one core for a cell of 100 atoms. The command can be stopped at any
    time and goes on where it was; a label that exists is never computed twice.
    """
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.labelling import choose, label_cells, plan_labels

    folder = GlassFolder(project)
    config = load_config(folder.config)
    if workers is not None:
        config = replace(config, run=replace(config.run, workers=workers))
    with folder.driver_lock(), interruptible():
        names = choose(folder, cells or [])
        done = label_cells(
            folder,
            config,
            names,
            retry_failed=retry_failed,
            every=every,
            progress=label_lines(),
        )
        left = plan_labels(folder, config.label, names, every=every)
    if json:
        say_json(
            {
                "new": done.new,
                "labels": [asdict(record) for record in done.records],
                "failed_before": [asdict(r) for r in left.failed if r not in done.records],
                "other_method": left.elsewhere,
            }
        )
        return
    if not done.total:
        say("Nothing to do: every cell has its label." if names else "The project has no cells.")
    for record in done.records:
        if not record.accepted:
            say(f"{record.name}: {record.status}, {record.reason}: {record.message}")
    if done.total:
        counts = ", ".join(f"{n} {status}" for status, n in sorted(done.new.items()))
        say(f"{done.total} labels: {counts}.")
    earlier = [r for r in left.failed if r.key not in {new.key for new in done.records}]
    if earlier:
        say(f"{len(earlier)} labels failed before; try them again with --retry-failed.")
    if left.elsewhere:
        say(
            f"{len(left.elsewhere)} cells have labels of another method and were left out; "
            "--every computes these too."
        )


def import_labels(
    project: Project,
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folders in which LOBSTER ran, or that hold such folders."),
    ],
    pattern: Annotated[
        str,
        typer.Option(
            help="How the end of a folder's path names the cell; may hold {composition}, {run} "
            "and {variant}."
        ),
    ] = "{run}-{variant}",
    json: Json = False,
) -> None:
    """Take cells and labels from LOBSTER runs.

    A run without -ICOHPs becomes a failed label that says why. Labels keep their method: they
    are never mixed with computed ones unless you say so.
    """
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.lobster_import import import_lobster

    folder = GlassFolder(project)
    config = load_config(folder.config)
    with folder.driver_lock(), progress_bar("import", "runs") as update:
        found = import_lobster(
            folder,
            folders,
            pattern=pattern,
            max_charge_spilling=config.label.max_charge_spilling,
            progress=update,
        )
    if json:
        say_json([{"new": entry.new, **asdict(entry.record)} for entry in found])
        return
    _table([entry.record for entry in found])
    new = sum(entry.new for entry in found)
    usable = sum(entry.record.accepted for entry in found)
    say(f"{len(found)} runs, {new} new; {usable} labels can be used.")


def labels(project: Project, json: Json = False) -> None:
    """List the labels: method, bonds, charge spilling, cost, and why one cannot be used."""
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.labels import read_records

    records = read_records(GlassFolder(project))
    if json:
        say_json([asdict(record) for record in records])
    elif records:
        _table(records)
    else:
        say(f"There are no labels yet; bondwright glass label {project}")


def _table(records: list[LabelRecord]) -> None:
    say_table(
        ("cell", "label", "method", "bonds", "spilling", "CPU time"),
        [
            (
                record.name,
                record.status if record.accepted else f"{record.status}: {record.reason}",
                record.method,
                f"{record.bonds:,}" if record.bonds else "-",
                "-" if record.charge_spilling is None else f"{record.charge_spilling:.2%}",
                "-" if record.cpu_seconds is None else duration(record.cpu_seconds),
            )
            for record in records
        ],
        left=3,
    )


def label_lines() -> Callable[[Labelling], None]:
    """Return a function that tells each label that has ended, and how long the rest will take."""
    told = 0

    def tell(state: Labelling) -> None:
        nonlocal told
        if not state.done and state.total and not told:
            note(f"label: {state.total} cells to label, beginning with {', '.join(state.running)}")
        while told < state.done:
            record = state.records[told]
            told += 1
            took = "" if record.seconds is None else f" in {duration(record.seconds)}"
            how = record.status if record.accepted else f"{record.status} ({record.reason})"
            rest = ""
            if told == state.done and state.remaining_s:
                rest = f"; about {duration(state.remaining_s)} left"
            note(f"label {told}/{state.total}: {record.name} {how}{took}{rest}")

    return tell
