"""`bondwright glass features` and `export`: labels and descriptors as files for other programs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.console import progress_bar, say, say_json, say_table
from bondwright.cli.glass_types import Method, Project, interruptible
from bondwright.cli.types import Json


def features(project: Project, method: Method = None, json: Json = False) -> None:
    """Write the descriptors of all labelled bonds as Parquet, one file per cell.

    Only what is missing or stale is computed. manifest.json names each file with its checksum.
    """
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.store import update_features

    folder = GlassFolder(project)
    with interruptible(), progress_bar("features", "cells") as update:
        done = update_features(folder, method=method, progress=update)
    if json:
        say_json(asdict(done))
        return
    say_table(
        ("cell", "bonds", "file"),
        [(e["name"], f"{e['rows']:,}", e["file"]) for e in done.entries],
    )
    say(f"{len(done.entries)} cells, {done.new} computed now: {folder.features}")


def export(
    project: Project,
    out: Annotated[Path, typer.Argument(help="Folder to write to.", show_default=False)],
    training_set: Annotated[
        str | None,
        typer.Option("--set", help="Write this training set as a mixed database instead."),
    ] = None,
    soaps: Annotated[
        bool,
        typer.Option("--soaps", help="Also the published SOAP vectors of the atoms, as .npz."),
    ] = False,
    method: Method = None,
    json: Json = False,
) -> None:
    """Write the labels in the published file formats: .bnd tables per pair of elements.

    Columns: run, sub-run, the two atoms (1-based), length (Å), -ICOHP (eV); a mixed database has
    the number of the composition in front.
    """
    from bondwright.campaign.glass import training_set as sets
    from bondwright.campaign.glass.bnd_export import export_databases, export_mixed
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.labels import cells

    folder = GlassFolder(project)
    labelled = cells(folder, method)
    if training_set is None:
        files = export_databases(out, labelled, descriptors=soaps)
    else:
        drawn = sets.load(sets.set_file(folder.training, training_set))
        files = export_mixed(out, training_set, sets.select(drawn, labelled))
    if json:
        say_json([str(path) for path in files])
        return
    for path in files:
        say(str(path))
