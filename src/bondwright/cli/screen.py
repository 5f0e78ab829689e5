"""`bondwright screen`: candidates in, report out, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.types import Json, Workers

Files = Annotated[
    list[Path],
    typer.Argument(
        help="CIF, POSCAR, extended XYZ or LAMMPS files; CSV or Parquet tables with a CIF column; "
        "folders of these.",
        show_default=False,
    ),
]
Campaign = Annotated[
    Path, typer.Option("--campaign", "-c", help="Campaign folder to make, or to continue.")
]
Control = Annotated[
    list[Path] | None,
    typer.Option(help="Known crystal carried through every stage for comparison. Repeatable."),
]
Column = Annotated[
    str | None, typer.Option(help="Column of a table that holds the CIF text. (default: found)")
]
Asked = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PROPERTY=VALUE",
        help="What the generator was asked for: --asked band_gap=1.5 (eV). Repeatable.",
    ),
]
AskedColumn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PROPERTY=COLUMN",
        help="The same, row by row, from a column of the table. Repeatable.",
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PROPERTY=VALUE:TOLERANCE",
        help="Property to look for: --target band_gap=3.0:0.5 (eV). Repeatable.",
    ),
]
Skip = Annotated[
    list[str] | None,
    typer.Option(metavar="STAGE", help="Stage to leave out, such as stability. Repeatable."),
]
Reference = Annotated[
    str | None,
    typer.Option(
        help="Known structures for novelty: an index of `bondwright reference build`, or auto, or "
        "none. (default: auto)"
    ),
]


def screen(
    files: Files,
    campaign: Campaign = Path("campaign"),
    control: Control = None,
    target: Target = None,
    asked: Asked = None,
    asked_column: AskedColumn = None,
    column: Column = None,
    reference: Reference = None,
    skip: Skip = None,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Screen candidates: make a campaign of these files and run it to its report.

    The same command again continues the campaign, or says that nothing is left to do.
    """
    from bondwright.cli.driving import drive
    from bondwright.cli.making import Wishes, config_text, make_campaign

    wishes = Wishes(
        files=files,
        controls=control or [],
        column=column,
        asked=asked or [],
        asked_columns=asked_column or [],
        targets=target or [],
        skipped=skip or [],
        reference=reference,
    )
    make_campaign(campaign, config_text(campaign, wishes))
    drive(campaign, workers, retry_failed=False, json=json)
