"""`bondwright glass draw`, `train`, `evaluate`, `models`, `correct`: learning from the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.console import note, say, say_json, say_table
from bondwright.cli.glass_types import Method, Project, duration, interruptible
from bondwright.cli.types import Json
from bondwright.errors import InputError

if TYPE_CHECKING:
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.registry import ModelVersion
    from bondwright.learn.cells import LabelledCell

Correct = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Use labels of two methods: those of the cheap one are corrected "
        "(see `bondwright glass correct`).",
        show_default=False,
    ),
]
ModelNumber = Annotated[
    int | None, typer.Option("--model", help="Number of the model. (default: the newest)")
]


def draw(
    project: Project,
    name: Annotated[str, typer.Argument(help="Name of the set, e.g. DB4.", show_default=False)],
    per_pair: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N or PAIR=N",
            help="Bonds of each pair, or of one pair, e.g. 200 or Zr-Cu=300; may be repeated.",
            show_default=False,
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COMPOSITION=W",
            help="Share of a composition, e.g. Zr49Cu49Al2=2; may be repeated. (default: alike)",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the draw. (default: that of glass.toml)")
    ] = None,
    method: Method = None,
    correct: Correct = None,
    json: Json = False,
) -> None:
    """Draw a training set of bonds and record it, so that it can be drawn again identically.

    A pair or composition with fewer bonds than asked gives all it has.
    """
    from bondwright.campaign.glass import training_set as sets
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.folder import GlassFolder

    folder = GlassFolder(project)
    config = load_config(folder.config)
    path = sets.set_file(folder.training, name)
    if path.exists():
        raise InputError(f"there is a training set {name!r} already; choose another name.")
    drawn = sets.draw(
        _cells(folder, method, correct),
        _per_pair(per_pair or []),
        seed=config.seed if seed is None else seed,
        weights={key: float(value) for key, value in map(_assignment, weight or [])},
    )
    sets.save(path, drawn)
    if json:
        say_json({"name": name, **drawn.to_json()})
        return
    compositions = sorted({c for counts in drawn.counts.values() for c in counts})
    rows = [
        (pair, *(f"{counts.get(c, 0):,}" for c in compositions), f"{sum(counts.values()):,}")
        for pair, counts in drawn.counts.items()
    ]
    say_table(("pair", *compositions, "together"), rows)
    say(f"{len(drawn):,} bonds of {len(drawn.cells)} cells: {path}")


def train(
    project: Project,
    training_set: Annotated[
        str | None,
        typer.Option("--set", help="Training set. (default: all bonds of all labelled cells)"),
    ] = None,
    method: Method = None,
    correct: Correct = None,
    json: Json = False,
) -> None:
    """Train a bond model on the labels and keep it as the next version.

    The same bonds and settings give the same model: it is not trained twice.
    """
    from bondwright.campaign.glass import models
    from bondwright.campaign.glass import training_set as sets
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.folder import GlassFolder

    folder = GlassFolder(project)
    config = load_config(folder.config)
    chosen = None
    if training_set is not None:
        chosen = sets.load(sets.set_file(folder.training, training_set))
    with interruptible():
        model, new = models.train(
            folder,
            config,
            _cells(folder, method, correct),
            training_set=chosen,
            name=training_set or "",
            correction=correct,
            progress=note,
        )
    if json:
        say_json({"version": model.version, "new": new, **model.record})
        return
    used = model.record["training_set"]
    say(
        f"Model {model.version}{'' if new else ' (trained before)'}: {used['bonds']:,} bonds of "
        f"{used['cells']} cells, labels by {model.record['method']}, trained in "
        f"{duration(model.record['seconds'])}."
    )
    say(f"Next: bondwright glass evaluate {project}")


def evaluate(
    project: Project,
    number: ModelNumber = None,
    split: Annotated[
        str,
        typer.Option(
            help="What is held out in turn: run, composition, variant-class or cell. auto takes "
            "whole runs, or classes of strain where there is one run only."
        ),
    ] = "auto",
    test: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead: cells to test on, e.g. Zr49Cu49Al2/3; nothing of their runs is learned "
            "from. May be repeated.",
            show_default=False,
        ),
    ] = None,
    curve: Annotated[
        str | None,
        typer.Option(
            metavar="SIZES",
            help="Also errors of models of fewer cells, e.g. 1,2,4,8: the report shows the curve.",
            show_default=False,
        ),
    ] = None,
    method: Method = None,
    correct: Correct = None,
    json: Json = False,
) -> None:
    """Measure errors on cells that were held out, beside simple models and the published one."""
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.labelling import choose
    from bondwright.campaign.glass.models import evaluate_model, write_learning_curve
    from bondwright.campaign.glass.registry import get_model

    folder = GlassFolder(project)
    config = load_config(folder.config)
    model = get_model(folder, number)
    cells = _cells(folder, method, correct or model.record["correction"])
    chosen = [str(name) for name in choose(folder, test)] if test else []
    there = {cell.name for cell in cells}
    sizes = _sizes(curve) if curve else []
    with interruptible():
        name, found = evaluate_model(
            folder,
            config,
            model,
            cells,
            split=split,
            test=[n for n in chosen if n in there],
            progress=note,
        )
        if sizes:
            write_learning_curve(folder, config, model, cells, sizes, split=split, progress=note)
    if json:
        say_json({"version": model.version, "evaluation": name, **found.card()})
        return
    say(found.text())
    say(f"Predictions of every bond: {model.folder / 'evaluation' / name}")


def models(project: Project, json: Json = False) -> None:
    """List the models: what they learned from, their parent and their errors."""
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.registry import list_models

    found = list_models(GlassFolder(project))
    if json:
        said = [{"version": m.version, **m.record, "evaluations": m.evaluations()} for m in found]
        say_json(said)
        return
    if not found:
        say(f"There is no model yet; bondwright glass train {project}")
        return
    rows = [
        (
            f"{m.version}",
            m.record["training_set"]["name"],
            m.record["method"],
            f"{m.record['training_set']['cells']:,}",
            f"{m.record['training_set']['bonds']:,}",
            "-" if m.record["parent"] is None else f"{m.record['parent']}",
            _error(m),
        )
        for m in found
    ]
    say_table(
        ("model", "training set", "method", "cells", "bonds", "after", "RMSE of all bonds (eV)"),
        rows,
        left=3,
    )


def correct(
    project: Project,
    name: Annotated[str, typer.Argument(help="Name of the correction.", show_default=False)],
    cheap: Annotated[str, typer.Option("--from", help="Method that is corrected.")],
    dear: Annotated[str, typer.Option("--to", help="Method that it is corrected towards.")],
    json: Json = False,
) -> None:
    """Learn how labels of a cheap method become those of a dear one, with the error that is left.

    Needs structures labelled by both (`bondwright glass label --every`). Then:
    bondwright glass train PROJECT --correct NAME
    """
    from bondwright.campaign.glass.corrections import correction_file, learn_correction
    from bondwright.campaign.glass.folder import GlassFolder

    folder = GlassFolder(project)
    path = correction_file(folder, name)
    found = learn_correction(folder, cheap, dear)
    found.save(path)
    if json:
        say_json(found.to_json())
        return
    say_table(
        ("pair", "slope", "offset (eV)", "bonds", "RMSE before (eV)", "after, held out (eV)"),
        [
            (
                pair,
                f"{each.slope:.3f}",
                f"{each.offset_eV:+.3f}",
                f"{each.bonds:,}",
                f"{each.before_eV:.3f}",
                "unknown" if each.after_eV is None else f"{each.after_eV:.3f}",
            )
            for pair, each in found.pairs.items()
        ],
    )
    say(f"{found.form}, from {len(found.cells)} cells: {path}")


def _cells(folder: GlassFolder, method: str | None, correct: str | None) -> list[LabelledCell]:
    """Return the labelled cells that a command works on."""
    from bondwright.campaign.glass.corrections import corrected_cells, load_correction
    from bondwright.campaign.glass.labels import cells

    if correct is None:
        return cells(folder, method)
    if method is not None:
        raise InputError("--correct takes both methods; leave --method out.")
    return corrected_cells(folder, load_correction(folder, correct))


def _per_pair(words: list[str]) -> dict[str, int] | int | None:
    if not words:
        return None
    if len(words) == 1 and words[0].isdigit():
        return int(words[0])
    found = {}
    for pair, number in map(_assignment, words):
        if number != int(number):
            raise InputError(f"{pair}={number}: bonds are counted in whole numbers.")
        found[pair] = int(number)
    return found


def _sizes(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    if not words or not all(word.isdigit() for word in words):
        raise InputError(f"--curve {text}: write numbers of training cells, e.g. 1,2,4,8.")
    return [int(word) for word in words]


def _assignment(word: str) -> tuple[str, float]:
    name, sign, value = word.partition("=")
    try:
        if not (name and sign):
            raise ValueError
        return name, float(value)
    except ValueError:
        raise InputError(f"{word!r} is not understood; write NAME=NUMBER.") from None


def _error(model: ModelVersion) -> str:
    """Return the RMSE over all bonds of each evaluation of a model."""
    said = []
    for name, card in model.evaluations().items():
        rows: list[dict[str, Any]] = card["scores"]
        own = [r for r in rows if r["model"] == "model" and r["pair"] == "all"]
        said += [f"{row['rmse_eV']:.3f} ({name})" for row in own if row["rmse_eV"] is not None]
    return ", ".join(said) or "not evaluated"
