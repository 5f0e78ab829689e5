"""Figures of evaluations: predicted against labelled strengths, and learning curves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bondwright.bonding.figures import COLOURS, ENDINGS
from bondwright.errors import InputError
from bondwright.learn.evaluation import Evaluation
from bondwright.learn.evaluation_scores import ALL_PAIRS
from bondwright.learn.learning_curve import LearningCurve
from bondwright.learn.model_types import UNKNOWN_PAIR
from bondwright.structure.write import write_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Markers tell pairs apart when the colours are used up.
_MARKERS = ("o", "s", "^", "D")
_PANEL_IN = 3.6
_MANY = 2_000


def parity_figure(
    evaluation: Evaluation,
    path: Path,
    *,
    models: Sequence[str] | None = None,
    error_bars: bool = False,
    title: str = "",
) -> None:
    """Draw predicted against labelled -ICOHP, one panel for each model, coloured by pair.

    The legend of each panel tells each pair's bonds and RMSE; bonds of unknown pairs are not drawn.

    Args:
        evaluation: the evaluation.
        path: file to write, ending in .svg, .pdf or .png.
        models: the models to draw; all when None.
        error_bars: draw one standard deviation of each prediction.
        title: text above the figure; the split when empty.

    Raises:
        InputError: no such model, no bond to draw, or another ending.
    """
    shown = list(models or evaluation.models)
    if unknown := [name for name in shown if name not in evaluation.models]:
        raise InputError(
            f"the evaluation has no model {unknown[0]!r}; it has {', '.join(evaluation.models)}."
        )
    frame = evaluation.frame
    frame = frame[(frame["flag"] & UNKNOWN_PAIR) == 0]
    if frame.empty:
        raise InputError("there are no predicted bonds to draw.")
    figure, panels = _panels(len(shown), path)
    pairs = sorted(frame["pair"].unique())
    often = frame["pair"].value_counts()
    ends = _ends(frame)
    for axes, name in zip(panels, shown, strict=True):
        part = frame[frame["model"] == name]
        axes.plot(ends, ends, color="0.6", linewidth=0.8, zorder=0)
        for number, pair in enumerate(pairs):
            layer = 1 + int((often > often[pair]).sum())  # rare pairs on top
            bonds = part[part["pair"] == pair]
            _scatter(axes, bonds, number, str(pair), layer=layer, error_bars=error_bars)
        axes.set_title(name, fontsize="medium")
        axes.set_xlabel("labelled −ICOHP (eV)")
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.set_aspect("equal")
        axes.legend(frameon=False, fontsize="x-small", loc="upper left", handletextpad=0.1)
    panels[0].set_ylabel("predicted −ICOHP (eV)")
    _write(figure, path, title or f"held out by {evaluation.split}")


def learning_curve_figure(curve: LearningCurve, path: Path, *, title: str = "") -> None:
    """Draw RMSE against the number of training cells, one panel for each pair, a line per model.

    Bars are the standard deviation over the repeats and folds.

    Args:
        curve: the learning curve.
        path: file to write, ending in .svg, .pdf or .png.
        title: text above the figure; the split when empty.

    Raises:
        InputError: another ending.
    """
    summary = curve.summary()
    pairs = [pair for pair in summary["pair"].unique() if pair != ALL_PAIRS]
    figure, panels = _panels(len(pairs), path)
    for axes, pair in zip(panels, pairs, strict=True):
        for number, model in enumerate(summary["model"].unique()):
            line = summary[(summary["pair"] == pair) & (summary["model"] == model)]
            axes.errorbar(
                line["train_cells"],
                line["rmse_eV"],
                yerr=line["rmse_spread_eV"].fillna(0.0),
                color=COLOURS[number % len(COLOURS)],
                marker=_MARKERS[number % len(_MARKERS)],
                markersize=4,
                linewidth=1.2,
                capsize=2,
                label=str(model),
            )
        axes.set_title(str(pair), fontsize="medium")
        axes.set_xlabel("training cells")
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("RMSE (eV)")
    panels[0].legend(frameon=False, fontsize="small")
    _write(figure, path, title or f"held out by {curve.split}")


def _scatter(
    axes: Axes, bonds: pd.DataFrame, number: int, pair: str, *, layer: int, error_bars: bool
) -> None:
    """Draw the bonds of one pair and name them in the legend."""
    if bonds.empty:
        return
    error = bonds["mean_eV"] - bonds["label_eV"]
    colour, many = COLOURS[number % len(COLOURS)], len(bonds) > _MANY
    marker = _MARKERS[number // len(COLOURS) % len(_MARKERS)]
    if error_bars:
        axes.errorbar(
            bonds["label_eV"],
            bonds["mean_eV"],
            yerr=bonds["sigma_eV"],
            fmt="none",
            ecolor=colour,
            elinewidth=0.5,
            alpha=0.3,
            zorder=layer,
            rasterized=many,
        )
    axes.scatter(
        bonds["label_eV"],
        bonds["mean_eV"],
        s=4 if many else 10,
        marker=marker,
        color=colour,
        alpha=0.35 if many else 0.6,
        linewidths=0,
        zorder=layer,
        rasterized=many,
    )
    named = f"{pair}: {len(bonds)}, {float(np.sqrt((error**2).mean())):.3f} eV"
    axes.plot([], [], marker=marker, color=colour, linestyle="none", markersize=4, label=named)


def _ends(frame: pd.DataFrame) -> tuple[float, float]:
    """Return the common limits of both axes, eV."""
    values = frame[["label_eV", "mean_eV"]].to_numpy()
    margin = 0.04 * max(float(np.ptp(values)), 0.1)
    return float(values.min()) - margin, float(values.max()) + margin


def _panels(count: int, path: Path) -> tuple[Figure, list[Axes]]:
    """Return a figure that needs no display with a row of panels.

    Raises:
        InputError: the file's ending is none of `ENDINGS`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix not in ENDINGS:
        raise InputError(f"{path.name}: a figure ends in {', '.join(ENDINGS)}.")
    figure = Figure(figsize=(_PANEL_IN * count, _PANEL_IN + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, count, k + 1) for k in range(count)]


def _write(figure: Figure, path: Path, title: str) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize="medium")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=150)
    write_bytes(path, buffer.getvalue())
