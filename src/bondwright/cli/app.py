"""The program `bondwright` and its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from bondwright.cli import (
    bonds,
    data,
    dft,
    evaluate_crystals,
    export,
    generate,
    glass,
    init,
    reference,
    report,
    run,
    screen,
    show,
    status,
    train,
)

app = typer.Typer(
    name="bondwright",
    help="Screen generated crystals: validity, novelty, stability, property, report.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from bondwright import __version__
        from bondwright.cli.console import say

        say(f"bondwright {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Screen generated crystals: validity, novelty, stability, property, report."""


app.command("init")(init.init)
app.command("generate")(generate.generate)
app.command("screen")(screen.screen)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("show")(show.show)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("dft")(dft.dft)
app.command("bonds")(bonds.bonds)
app.add_typer(reference.app, name="reference")
app.add_typer(train.app, name="train")
app.add_typer(evaluate_crystals.app, name="evaluate")
app.add_typer(data.app, name="data")
app.add_typer(glass.app, name="glass")
