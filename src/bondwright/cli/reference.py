"""`bondwright reference`: known structures for novelty, and reference energies for the hull."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.console import note, progress_bar, say, say_json
from bondwright.cli.types import Json

app = typer.Typer(
    help="Build and look at references: known structures (novelty) and energies (hull).",
    no_args_is_help=True,
)

Table = Annotated[
    Path,
    typer.Argument(
        help="Structure table (CSV or Parquet with a CIF column), structure file or folder.",
        show_default=False,
    ),
]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Worker processes. (default: all cores)")
]


@app.command()
def build(
    table: Table,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help='Index file to write. (default: the one that `reference = "auto"` finds)',
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column that holds the CIF text. (default: found)")
    ] = None,
    workers: Processes = None,
) -> None:
    """Build the index of known structures that novelty is asked against."""
    from bondwright.campaign.config import reference_places
    from bondwright.run import available_cores
    from bondwright.screen.reference import build_index
    from bondwright.structure.read import expand_paths, read_candidates

    target = out or reference_places()[-1]
    rows = (c for path in expand_paths([table]) for c in read_candidates(path, column=column))
    with progress_bar(f"indexing {table.name}", "structures") as update:
        index = build_index(
            rows,
            name=table.name,
            processes=workers or available_cores(),
            progress=lambda done: update(done, None),
        )
    index.save(target)
    say(f"{len(index):,} structures of {len(set(index.formulas)):,} formulas")
    for reason, count in sorted(index.skipped.items()):
        say(f"left out: {count:,} {reason}")
    say(f"Index: {target}")


@app.command()
def energies(
    table: Table,
    out: Annotated[Path, typer.Option("--out", "-o", help="Hull table to write (Parquet).")],
    work: Annotated[
        Path,
        typer.Option(help="Folder that keeps every result, so that the command can go on later."),
    ] = Path("reference-energies"),
    potential: Annotated[
        str, typer.Option(help='Potential: chgnet, or an ASE calculator as "module:Class".')
    ] = "chgnet",
    model: Annotated[Path | None, typer.Option(help="Local model file of the potential.")] = None,
    elements: Annotated[
        Path | None, typer.Option(help="JSON file of elemental reference entries to add.")
    ] = None,
    common: Annotated[
        bool,
        typer.Option(help="Add some 300 well-known crystals from the literature."),
    ] = True,
    source: Annotated[
        list[str] | None,
        typer.Option(help="Whose structures these are, for the table's header. Repeatable."),
    ] = None,
    relax_within: Annotated[
        float,
        typer.Option(min=0.0, help="Relax what lies within this of the hull, eV/atom; 0: nothing."),
    ] = 0.03,
    first: Annotated[
        list[str] | None,
        typer.Option(metavar="A-B", help="Chemical systems to relax first: Ti-O. Repeatable."),
    ] = None,
    workers: Processes = None,
) -> None:
    """Compute the reference energies of a hull with a potential: static, then relaxed.

    Can be stopped (Ctrl-C, SIGTERM) and repeated: finished results are kept in the work folder,
    and the table is written from whatever is there.
    """
    from bondwright.run import available_cores
    from bondwright.screen.common_crystals import common_rows
    from bondwright.screen.potentials import load_potential
    from bondwright.screen.reference_energies import (
        Progress,
        read_element_rows,
        read_rows,
        static_pass,
    )
    from bondwright.screen.reference_relaxed import relaxation_order, relaxed_pass, write_hull_table
    from bondwright.structure.datasets import file_sha256

    asked = (potential, None if model is None else str(model))
    load_potential(*asked)  # says at once when it cannot be had
    rows = read_rows(table)
    files = [table]
    if elements is not None:
        rows = [*read_element_rows(elements), *rows]
        files.append(elements)
    if common:
        rows = [*common_rows(), *rows]
    processes = workers or available_cores()
    with stop_on_signal() as stopped:
        with progress_bar("static energies", "structures") as update:

            def tell(now: Progress) -> None:
                update(now.done, now.total)

            static_pass(rows, work, asked, processes=processes, stop=stopped, progress=tell)
        if relax_within > 0 and not stopped():
            order = relaxation_order(work, margin=relax_within, first=first or [])
            with progress_bar("relaxing", "structures") as update:
                relaxed_pass(
                    rows,
                    order,
                    work,
                    asked,
                    processes=processes,
                    stop=stopped,
                    progress=tell,
                )
        header = {
            "structure_files_sha256": {file.name: file_sha256(file) for file in files},
            "sources": source or [],
        }
        facts = write_hull_table(work, out, asked, header)
        if stopped():
            note("Interrupted. Results are kept; the same command goes on from here.")
    for name, value in facts.items():
        say(f"{name}: {value}")
    say(f"Hull table: {out}")
    if stopped():
        raise typer.Exit(130)


@app.command()
def show(json: Json = False) -> None:
    """Show which references are there: the index that "auto" finds, and the shipped hull."""
    from bondwright.campaign.config import auto_reference, reference_places
    from bondwright.screen.hull_tables import load_hull
    from bondwright.screen.reference import ReferenceIndex

    found = auto_reference()
    index = None if found is None else ReferenceIndex.load(found).describe()
    hull = load_hull("chgnet")
    if json:
        say_json(
            {
                "index": None if found is None else {"path": str(found), **(index or {})},
                "hull": {
                    "potential": hull.potential,
                    "phases": len(hull.phases),
                    "sha256": hull.sha256,
                },
            }
        )
        return
    if found is None:
        places = " or ".join(str(path) for path in reference_places())
        say(f"Known structures: none at {places}; `bondwright reference build` makes an index.")
    else:
        say(f"Known structures: {found}")
        say("  " + ", ".join(f"{name} {value}" for name, value in (index or {}).items()))
    say(f"Hull: {len(hull.phases):,} phases by {hull.potential}")


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a question that is answered between pieces of work."""
    asked = threading.Event()
    old = {
        number: signal.signal(number, lambda *_: asked.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked.is_set
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
