"""Training and evaluating a project's models."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from bondwright.campaign.glass import training_set as sets
from bondwright.campaign.glass.config import GlassConfig, model_settings
from bondwright.campaign.glass.costs import measured
from bondwright.campaign.glass.folder import CONFIG_NAME, GlassFolder
from bondwright.campaign.glass.predict_drift import CARD_KEY, structure_ranges
from bondwright.campaign.glass.registry import ModelVersion, list_models, store_model
from bondwright.campaign.provenance import versions
from bondwright.errors import InputError, nearest
from bondwright.learn.cells import LabelledCell
from bondwright.learn.evaluation import Evaluation, Fit, evaluate
from bondwright.learn.evaluation_kept import KeptFolds
from bondwright.learn.learning_curve import LearningCurve, learning_curve
from bondwright.learn.model import BondModel, ModelSettings
from bondwright.learn.model_file import FORMAT
from bondwright.learn.splits import (
    Split,
    split_by_cell,
    split_by_composition,
    split_by_run,
    split_by_variant_class,
    split_named,
)
from bondwright.structure.write import write_text

CURVE = "learning-curve.csv"
_MOST_FOLDS = 5
SPLITS = ("auto", "run", "composition", "variant-class", "cell")
Progress = Callable[[str], None]


def settings_of(config: GlassConfig) -> ModelSettings:
    """Return the settings of [model]."""
    said = model_settings(config.model, CONFIG_NAME, config.folder)
    return ModelSettings() if said is None else said


def train(
    folder: GlassFolder,
    config: GlassConfig,
    cells: Sequence[LabelledCell],
    *,
    training_set: sets.TrainingSet | None = None,
    name: str = "",
    correction: str | None = None,
    progress: Progress | None = None,
) -> tuple[ModelVersion, bool]:
    """Train a model, or return the one that was trained on the same bonds with the same settings.

    Args:
        folder: the project.
        config: [model] and the seed.
        cells: labelled cells of one method.
        training_set: bonds drawn from them; None takes all.
        name: name of the set; without one, its hash names it.
        correction: name of the correction that is in the labels.
        progress: told what is being done.

    Returns:
        The model, and whether it is new.

    Raises:
        InputError: no labels, two methods, or labels that are not those of the set.
    """
    drawn = training_set or sets.draw(cells)
    settings = settings_of(config)
    plain = _plain(settings)
    models = list_models(folder)
    for model in reversed(models):
        same = model.record["training_set"]["sha256"] == drawn.sha256
        if same and model.record["settings"] == plain:
            return model, False
    label = name or f"all-{drawn.sha256[:12]}"
    path = sets.set_file(folder.training, label)
    if not path.is_file():
        sets.save(path, drawn)
    folder.models.mkdir(parents=True, exist_ok=True)
    with measured(folder.costs, "train", label) as cost:
        chosen = sets.select(drawn, cells)
        fitted = BondModel.fit(chosen, settings, progress)
        ranges = structure_ranges(
            (cell.bonds.atoms for cell in chosen), settings.min_length_A, settings.max_length_A
        )
        fitted = replace(fitted, card={**fitted.card, CARD_KEY: ranges})
        cost.count = 1
    parent = models[-1].version if models else None
    record = {
        "training_set": {
            "name": label,
            "sha256": drawn.sha256,
            "bonds": len(drawn),
            "cells": len(drawn.cells),
        },
        "method": drawn.method,
        "correction": correction,
        "parent": parent,
        "settings": plain,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(cost.seconds, 3),
        "versions": versions(),
    }
    return store_model(folder, fitted, record, (parent or 0) + 1), True


def evaluate_model(
    folder: GlassFolder,
    config: GlassConfig,
    model: ModelVersion,
    cells: Sequence[LabelledCell],
    *,
    split: str = "auto",
    test: Sequence[str] = (),
    progress: Progress | None = None,
) -> tuple[str, Evaluation]:
    """Measure how well models of these settings predict cells that they have not seen.

    Every fold trains its own model on its training side with the settings of `model`.

    Args:
        folder: the project.
        config: [model] must be that of the model.
        model: where the evaluation is stored.
        cells: labelled cells, with all their bonds.
        split: one of `SPLITS`.
        test: names of cells to test on, instead of a split: trained on all the others that are not
            of their runs.
        progress: told what is being done.

    Returns:
        The name under which it is stored, and the evaluation; one that is there is read.

    Raises:
        InputError: a split that the cells do not allow.
    """
    name, chosen = choose_split(cells, split, test)
    there = model.evaluation(name)
    if there is not None and _cells_of(there) == _cells_of_split(cells, chosen):
        return name, there
    fit = fit_with(settings_of(config))
    with measured(folder.costs, "evaluate", f"model {model.version}, {name}") as cost:
        # Finished folds are kept: an interrupted evaluation goes on, and a later one reuses them.
        kept = KeptFolds(
            folder.root / "evaluations", json.dumps([FORMAT, model.record["settings"]])
        )
        found = evaluate(fit, cells, chosen, kept=kept, progress=progress)
        cost.count = len(chosen.folds)
    found.write(model.folder / "evaluation" / name)
    return name, found


def write_learning_curve(
    folder: GlassFolder,
    config: GlassConfig,
    model: ModelVersion,
    cells: Sequence[LabelledCell],
    sizes: Sequence[int],
    *,
    split: str = "auto",
    progress: Progress | None = None,
) -> LearningCurve:
    """Measure how errors fall with the number of training cells; learning-curve.csv of the model.

    Args:
        folder: the project.
        config: the seed, and [model].
        model: where the curve is kept.
        cells: labelled cells.
        sizes: numbers of training cells.
        split: one of `SPLITS`.
        progress: told what is being done.

    Raises:
        InputError: a split or sizes that the cells do not allow.
    """
    _, chosen = choose_split(cells, split)
    with measured(folder.costs, "evaluate", f"model {model.version}, learning curve") as cost:
        found = learning_curve(
            fit_with(settings_of(config)), cells, chosen, sizes, seed=config.seed, progress=progress
        )
        cost.count = len(sizes) * len(chosen.folds)
    text = found.summary().to_csv(index=False, lineterminator="\n")
    write_text(model.folder / "evaluation" / CURVE, text)
    return found


def choose_split(
    cells: Sequence[LabelledCell], split: str, test: Sequence[str] = ()
) -> tuple[str, Split]:
    """Return a split and the name it is stored under.

    "auto" holds out whole runs; with a single run it holds out classes of strain, or cells, and
    the figures then carry the words "within run".

    Raises:
        InputError: the cells do not allow it.
    """
    if test:
        runs = {cell.run for cell in cells if cell.name in test}
        rest = [cell.name for cell in cells if cell.run not in runs]
        within = not rest
        if within:
            rest = [cell.name for cell in cells if cell.name not in test]
        return "test", split_named(cells, rest, test, kind="test cells", within_run=within)
    if split not in SPLITS:
        raise InputError(
            f"there is no split {split!r}; choose {', '.join(SPLITS)}.{nearest(split, SPLITS)}"
        )
    runs = {cell.run for cell in cells}
    if split == "auto":
        split = "run" if len(runs) > 1 else "variant-class"
        if len(runs) == 1 and len({cell.variant for cell in cells}) < 4:
            split = "cell"
    if split == "run":
        return "run", split_by_run(cells, _MOST_FOLDS if len(runs) > _MOST_FOLDS else None)
    if split == "composition":
        return "composition", split_by_composition(cells)
    within = len({cell.run for cell in cells}) < len(cells)
    if split == "variant-class":
        return "variant-class", split_by_variant_class(cells, within_run=within)
    return "cell", split_by_cell(cells, within_run=within)


def fit_with(settings: ModelSettings) -> Fit:
    """Return the function that fits a model with these settings."""
    return lambda cells: BondModel.fit(cells, settings)


def _cells_of(evaluation: Evaluation) -> set[str]:
    return {n for fold in evaluation.folds for side in ("train", "test") for n in fold[side]}


def _cells_of_split(cells: Sequence[LabelledCell], split: Split) -> set[str]:
    return {cells[k].name for fold in split.folds for k in (*fold.train, *fold.test)}


def _plain(settings: ModelSettings) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return plain
