"""Section: the newest model, its errors on unseen cells beside simple models, learning curve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bondwright.campaign.glass.folder import GlassFolder
from bondwright.campaign.glass.report.plots import Figures, Series, thinned
from bondwright.learn.evaluation_scores import ALL_PAIRS
from bondwright.learn.model_types import UNKNOWN_PAIR

CARD, EVALUATION, PREDICTIONS = "model.json", "evaluation.json", "predictions.parquet"
CURVE = "learning-curve.csv"
_POINTS = 2500
_HIDDEN = ("format", "structures")


@dataclass(frozen=True)
class ErrorRow:
    """Errors for one pair of elements.

    Attributes:
        pair: its name, or "all".
        bonds: test bonds.
        spread: standard deviation of their labels, eV.
        errors: model -> RMSE, eV; None where it knows no such pair.
        bias: mean error of the model, eV.
        within: shares of test bonds within one and two sigma.
        best: whether the model has the least error.
    """

    pair: str
    bonds: int
    spread: float | None
    errors: dict[str, float | None]
    bias: float | None
    within: tuple[float | None, float | None]
    best: bool


@dataclass(frozen=True)
class EvaluationCard:
    """One evaluation on the page.

    Attributes:
        split: what was held out.
        within_run: whether a run stood on both sides.
        folds: how many.
        window: shortest and longest bond that counts, Å.
        models: names, the evaluated one first.
        rows: errors per pair.
        parity: name of the figure of predictions against labels.
    """

    split: str
    within_run: bool
    folds: int
    window: tuple[float, float]
    models: list[str]
    rows: list[ErrorRow]
    parity: str | None


@dataclass(frozen=True)
class ModelSection:
    """What the page tells of models.

    Attributes:
        version: of the newest one.
        versions: how many there are.
        facts: what its card says, without long lists.
        evaluations: of the newest one.
        curve: name of the figure of the learning curve.
    """

    version: str
    versions: int
    facts: dict[str, Any]
    evaluations: list[EvaluationCard]
    curve: str | None


def model_section(folder: GlassFolder, figures: Figures) -> ModelSection | None:
    """Read the newest model of a project; None where there is none."""
    versions = [p for p in folder.models.glob("*") if p.name.isdigit() and (p / CARD).is_file()]
    if not versions:
        return None
    newest = max(versions, key=lambda p: int(p.name))
    card = _json(newest / CARD)
    evaluations = []
    for number, path in enumerate(sorted(newest.rglob(EVALUATION))):
        found = _evaluation(path, number, figures)
        if found:
            evaluations.append(found)
    return ModelSection(
        newest.name,
        len(versions),
        _facts(card.get("card", card)),
        evaluations,
        _curve(next(iter(sorted(newest.rglob(CURVE))), None), figures),
    )


def _evaluation(path: Path, number: int, figures: Figures) -> EvaluationCard | None:
    card = _json(path)
    scores = card.get("scores")
    if not isinstance(scores, list) or not scores:
        return None
    models = list(dict.fromkeys(str(row["model"]) for row in scores))
    pairs = [*sorted({str(row["pair"]) for row in scores} - {ALL_PAIRS}), ALL_PAIRS]
    by_place = {(str(row["model"]), str(row["pair"])): row for row in scores}
    rows = []
    for pair in pairs:
        own = by_place.get((models[0], pair))
        if own is None:
            continue
        errors = {m: by_place.get((m, pair), {}).get("rmse_eV") for m in models}
        known = [e for e in errors.values() if e is not None]
        rows.append(
            ErrorRow(
                pair,
                int(own["n"]),
                own.get("label_spread_eV"),
                errors,
                own.get("bias_eV"),
                (own.get("within_1_sigma"), own.get("within_2_sigma")),
                bool(known) and errors[models[0]] == min(known),
            )
        )
    return EvaluationCard(
        str(card.get("split")),
        bool(card.get("within_run")),
        len(card.get("folds", [])),
        tuple(card.get("window_A", (0.0, 0.0))),
        models,
        rows,
        _parity(path.with_name(PREDICTIONS), models[0], f"parity-{number}", figures),
    )


def _parity(path: Path, model: str, name: str, figures: Figures) -> str | None:
    """Draw predictions against labels of unseen bonds."""
    import pandas as pd

    if not path.is_file():
        return None
    frame = pd.read_parquet(path, columns=["model", "pair", "label_eV", "mean_eV", "flag"])
    frame = frame[(frame["model"] == model) & ((frame["flag"] & UNKNOWN_PAIR) == 0)]
    frame = frame.iloc[thinned(len(frame), _POINTS)]
    series = [
        Series(
            str(pair),
            "points",
            part["label_eV"].to_numpy(),
            part["mean_eV"].to_numpy(),
            figures.styles.of(str(pair)),
        )
        for pair, part in frame.groupby("pair", sort=True)
    ]
    return figures.add(
        name,
        series,
        x="label: −ICOHP (eV)",
        y="prediction (eV)",
        label="Predictions of unseen bonds against their labels; on the line they are equal",
        diagonal=True,
    )


def _curve(path: Path | None, figures: Figures) -> str | None:
    """Draw error against training cells: `LearningCurve.summary()` as CSV."""
    import pandas as pd

    if path is None:
        return None
    points = pd.read_csv(path)
    points = points[points["pair"] == ALL_PAIRS]
    series = [
        Series(
            str(model),
            "line",
            part["train_cells"].to_numpy(),
            part["rmse_eV"].to_numpy(),
            style,
            dashed=style > 0,
            marks=True,
        )
        for style, (model, part) in enumerate(points.groupby("model", sort=False))
    ]
    return figures.add(
        "learning-curve",
        series,
        x="training cells",
        y="RMSE over all bonds (eV)",
        label="Error on unseen cells against the number of training cells",
        limits={"y_low": 0.0},
    )


def _facts(card: dict[str, Any]) -> dict[str, Any]:
    """Return what fits on a page: numbers, words, and how many entries long lists have."""
    return dict(_shortened(card))


def _shortened(card: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in card.items():
        if key in _HIDDEN:
            continue
        if isinstance(value, list) and len(value) > 8:
            yield key, f"{len(value)} entries"
        elif isinstance(value, dict):
            yield key, dict(_shortened(value)) if len(value) <= 12 else f"{len(value)} entries"
        elif isinstance(value, float):
            yield key, float(f"{value:.4g}") if np.isfinite(value) else None
        else:
            yield key, value


def _json(path: Path) -> dict[str, Any]:
    """Return a record; nothing where it cannot be read: the page tells what it can."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
