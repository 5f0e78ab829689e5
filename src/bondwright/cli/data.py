"""`bondwright data`: public structure tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.console import note, progress_bar, say, say_json
from bondwright.cli.types import Json

app = typer.Typer(
    help="List, fetch and check public structure tables (to screen, or to build a reference from).",
    no_args_is_help=True,
)

Folder = Annotated[
    Path | None,
    typer.Option(
        help="Where tables are kept. (default: $BONDWRIGHT_DATA, or the user's data folder)"
    ),
]
Name = Annotated[str, typer.Argument(help="Name of the table, as `bondwright data list` shows it.")]


@app.command("list")
def list_tables(folder: Folder = None, json: Json = False) -> None:
    """List the public tables that can be fetched, and what is already there."""
    from bondwright.structure.datasets import DATASETS, data_folder

    folder = folder or data_folder()
    rows = [
        {
            "name": d.name,
            "rows": d.rows,
            "target": d.target,
            "present": (folder / f"{d.name}.csv.gz").exists(),
            "about": d.about,
            "cite": d.citation,
            "licence": d.licence,
            "url": d.url,
        }
        for d in DATASETS.values()
    ]
    own = folder / "crystals" / "structures.csv.gz"
    if json:
        say_json({"folder": str(folder), "tables": rows, "structures_table": own.exists()})
        return
    say(f"Folder: {folder}")
    for row in rows:
        state = "present" if row["present"] else "not fetched"
        say(f"{row['name']:<22} {row['rows']:>8,} structures  {row['target']:<20} {state}")
        say(f"{'':<22} {row['about']} Cite {row['cite']}.")
    if own.exists():
        say(f"{'crystals/structures':<22} present: {own}")


@app.command()
def get(name: Name, folder: Folder = None) -> None:
    """Fetch a table (resumes a broken download, checks its checksum) and write it as CSV."""
    from bondwright.structure.datasets import data_folder, find_dataset
    from bondwright.structure.datasets import get as fetch_table

    dataset = find_dataset(name)
    note(f"{dataset.name}: {dataset.about} Licence: {dataset.licence}. Cite {dataset.citation}.")
    with progress_bar(f"fetching {name}") as update:
        table = fetch_table(name, folder or data_folder(), update)
    say(str(table))


@app.command()
def check(name: Name, folder: Folder = None) -> None:
    """Check a fetched file against its pinned checksum."""
    from bondwright.errors import InputError
    from bondwright.structure.datasets import data_folder, file_sha256, find_dataset

    dataset = find_dataset(name)
    source = (folder or data_folder()) / f"{name}.json.gz"
    if not source.exists():
        raise InputError(f"{source} is not there; fetch it with `bondwright data get {name}`.")
    found = file_sha256(source)
    if found != dataset.sha256:
        raise InputError(
            f"{source} has checksum {found[:12]}..., expected {dataset.sha256[:12]}...; delete it "
            f"and run `bondwright data get {name}`."
        )
    say(f"{source}: checksum right ({found[:12]}...)")
