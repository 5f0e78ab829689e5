"""`bondwright train crystals`: the crystal language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.console import note, progress_bar, say, say_json
from bondwright.cli.types import Json
from bondwright.errors import InputError

if TYPE_CHECKING:
    from bondwright.crystals.train_group import Group


def crystals(
    tables: Annotated[
        list[Path],
        typer.Argument(
            help="Tables with CIF texts (CSV, Parquet), structure files, or folders of them.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the prepared data. (default: data in the run's folder)"),
    ] = None,
    dialect: Annotated[
        str, typer.Option(help="wyckoff (short texts), crystallm or crystallm-pi (CIF texts).")
    ] = "wyckoff",
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN[:SCALE]",
            help="Column to condition on; scale log (default) or linear. Repeatable.",
        ),
    ] = None,
    conditioning: Annotated[
        str, typer.Option(help="How conditions enter: prefix, residual or prepend.")
    ] = "prefix",
    exclude_source: Annotated[
        list[str] | None,
        typer.Option(help="Leave out rows with this in the column source. Repeatable."),
    ] = None,
    unknown_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Take the conditions of this source as not known: computed in another way. "
            "Repeatable.",
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of CIF texts. (default: found by its name)")
    ] = None,
    context: Annotated[int, typer.Option(min=16, help="Longest text, in tokens.")] = 512,
    start_from: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Begin with the weights of this model (a folder, or shipped) and keep its size "
            "and normalisers: fine-tuning. (default: random weights)",
        ),
    ] = None,
    size: Annotated[
        str, typer.Option(help="tiny, small, medium, 25m, or LAYERSxHEADSxWIDTH.")
    ] = "small",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the crystals.")] = 30,
    batch_tokens: Annotated[
        int, typer.Option(min=64, help="Most tokens of a batch, padding included.")
    ] = 4096,
    lr: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Share left out.")] = 0.1,
    condition_dropout: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of crystals trained without conditions.")
    ] = 0.1,
    augment: Annotated[
        bool,
        typer.Option(
            "--augment",
            help="Describe a crystal in another equivalent way every time (origin, axes, points, "
            "order of equal sites); wyckoff only.",
        ),
    ] = False,
    validations: Annotated[
        int, typer.Option(min=1, help="How often the validation loss is computed.")
    ] = 40,
    samples: Annotated[
        int, typer.Option(min=0, help="Crystals sampled and tested at each validation.")
    ] = 32,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and dropout.")] = 0,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that prepare the data. (default: all cores)"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that train. (default: torch decides)")
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:1; on a GPU in bfloat16.")
    ] = "auto",
    hours: Annotated[
        float | None, typer.Option(help="Stop after so long; the same command goes on later.")
    ] = None,
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0, help="Minutes between checkpoints.")
    ] = 5.0,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Prepare the data and stop.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a language model of crystals on structure tables.

    Can be stopped (Ctrl-C, SIGTERM, a crash) and repeated: the same command goes on from its last
    checkpoint. Compositions are split as wholes between training, validation and test. Several
    GPUs or processes: `torchrun --nproc-per-node N -m bondwright train crystals ...`.
    """
    from bondwright.cli.reference import stop_on_signal
    from bondwright.crystals.dataset import describe, load_dataset
    from bondwright.crystals.dataset_prepare import Preparation, prepare
    from bondwright.crystals.shipped import model_place, open_model
    from bondwright.crystals.train_augment import check_augmentable
    from bondwright.crystals.train_conditions import scales_of
    from bondwright.crystals.train_group import joined
    from bondwright.crystals.train_settings import TrainSettings, kind_of, size_of
    from bondwright.crystals.training import Going, train
    from bondwright.run import available_cores

    if augment:
        check_augmentable(dialect)  # before the data are prepared, which takes its time
    start = open_model(model_place(start_from)) if start_from else None
    if start:
        shape = start.network.config
        layers, heads, width = shape.layers, shape.heads, shape.width
    else:
        layers, heads, width = size_of(size)
    scales = dict(_scale(text) for text in condition or [])
    preparation = Preparation(
        dialect=dialect,
        conditions=tuple(scales),
        exclude=tuple(exclude_source or ()),
        unknown_from=tuple(unknown_from or ()),
        column=column,
        longest=context,
    )
    settings = TrainSettings(
        layers=layers,
        heads=heads,
        width=width,
        dropout=dropout,
        conditioning=kind_of(conditioning),
        condition_dropout=condition_dropout,
        epochs=epochs,
        batch_tokens=batch_tokens,
        learning_rate=lr,
        validations=validations,
        samples=samples,
        seed=seed,
        augment=augment,
        start_from=start.sha256 if start else "",
    )
    place = data or out / "data"
    with stop_on_signal() as stopped, joined(device) as group:
        complete = True
        if group.leads:
            with progress_bar("preparing", "structures") as update:
                complete = prepare(
                    tables,
                    place,
                    preparation,
                    processes=workers or available_cores(),
                    stop=stopped,
                    progress=update,
                )
        group.wait()
        if not complete or stopped():
            note("Interrupted. What is prepared is kept; the same command goes on from here.")
            raise typer.Exit(130)
        prepared = load_dataset(place)
        if group.leads:
            for line in describe(prepared.card):
                note(line)
        if prepare_only:
            _answer(json, place, {"data": str(place), **dict(prepared.card)})
            return
        _use_threads(threads)
        finished = train(
            prepared,
            out,
            settings,
            start.normalisers if start else scales_of(prepared, scales),
            Going(hours, checkpoint_minutes, stopped, _teller(group)),
            group,
            start,
        )
        if not group.leads:
            return
    if not finished:
        note("Stopped. The same command goes on from here.")
        if stopped():
            raise typer.Exit(130)
    from bondwright.crystals.train_log import summary

    _answer(json, out, summary(out))


def _answer(json: bool, folder: Path, facts: Mapping[str, Any]) -> None:
    """Print the answer."""
    if json:
        say_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, (int, float, str)):
            say(f"{name}: {value}")
    say(f"Folder: {folder}")


def _scale(text: str) -> tuple[str, str]:
    """Split "band_gap:linear" into column and scale."""
    name, sign, scale = text.rpartition(":")
    if not sign:
        return text, "log"
    if scale not in ("log", "linear") or not name:
        raise InputError(f"--condition {text}: expected COLUMN, COLUMN:log or COLUMN:linear.")
    return name, scale


def _use_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def _teller(group: Group) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that prints one line of progress."""

    def tell(now: Mapping[str, Any]) -> None:
        if not group.leads:
            return
        hours, minutes = divmod(round(now["seconds_left"] / 60), 60)
        note(
            f"step {now['step']:,}/{now['steps']:,}  epoch {now['epoch']:.2f}  "
            f"loss {now['loss']:.4f}  {now['tokens_per_second']:,.0f} tokens/s  "
            f"{hours}:{minutes:02} h left"
        )

    return tell
