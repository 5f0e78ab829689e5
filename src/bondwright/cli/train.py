"""`bondwright train`: property models and the crystal language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli import train_crystals
from bondwright.cli.console import progress_bar, say, say_json
from bondwright.cli.types import Json

app = typer.Typer(
    help="Train property models and the crystal language model.", no_args_is_help=True
)
app.command("crystals")(train_crystals.crystals)


@app.callback()
def _group() -> None:
    """Train property models and the crystal language model."""


@app.command("band-gap")
def band_gap(
    table: Annotated[
        Path,
        typer.Argument(
            help="Structure table with the columns id, cif and band_gap (PBE, eV).",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the model to write.")],
    work: Annotated[
        Path,
        typer.Option(help="Folder that keeps features, so that the command can go on later."),
    ] = Path("band-gap-features"),
    seed: Annotated[int, typer.Option(help="Seed of split, weights and batches.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. (default: all cores)")
    ] = None,
    json: Json = False,
) -> None:
    """Train the band-gap model and write it with its card: errors beside trivial baselines.

    Chemical systems are split as wholes between training, validation and test.
    """
    from bondwright.run import available_cores
    from bondwright.screen.band_gap_training import GapTraining, train_band_gap

    with progress_bar("band gap") as update:
        card = train_band_gap(
            table,
            out,
            work=work,
            settings=GapTraining(seed=seed),
            processes=workers or available_cores(),
            progress=lambda now: update(now.done, now.total),
        )
    if json:
        say_json(card)
        return
    for name, errors in card["test"].items():
        say(f"{name}: MAE {errors['mae_eV']:.3f} eV, RMSE {errors['rmse_eV']:.3f} eV on test")
    say(f"Model and card: {out}")
