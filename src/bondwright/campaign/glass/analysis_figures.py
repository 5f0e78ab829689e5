"""Figures of predicted glasses: distributions, strength against length, maps, trajectories."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bondwright.bonding.figures import COLOURS, canvas, finish
from bondwright.campaign.glass.analysis_distributions import Distributions
from bondwright.campaign.glass.analysis_map import StrengthMap
from bondwright.structure.write import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = ("-", "--", ":", "-.")
_FEW = 30


def distribution_figure(found: Distributions, path: Path, title: str = "") -> None:
    """Draw the share of each pair's bonds over -ICOHP.

    Raises:
        InputError: the file's ending is none of those that `bonding.figures` writes.
    """
    figure, axes = canvas()
    for k, pair in enumerate(found.pairs):
        total = int(found.strengths[k].sum())
        share = found.strengths[k] / total / found.strength.step
        axes.step(
            found.strength.centres,
            share,
            where="mid",
            **_line(k),
            label=f"{pair}: {total:,} bond{'' if total == 1 else 's'}",
        )
    shown = np.flatnonzero(found.strengths.sum(axis=0) > found.strengths.sum() * 1e-4)
    if len(shown):
        axes.set_xlim(found.strength.centres[shown[0]], found.strength.centres[shown[-1]])
    axes.set_xlabel("−ICOHP (eV), positive is bonding")
    axes.set_ylabel("share of the pair's bonds per eV")
    axes.set_ylim(0, _top(found))
    axes.legend(frameon=False, fontsize="small")
    finish(figure, axes, path, title)


def length_figure(found: Distributions, path: Path, title: str = "") -> None:
    """Draw the mean -ICOHP of each pair over length, with one standard deviation around it.

    Raises:
        InputError: see `distribution_figure`.
    """
    figure, axes = canvas()
    for k, pair in enumerate(found.pairs):
        used = found.lengths[k] >= min(_FEW, int(found.lengths[k].max()))
        x, mean, std = (v[used] for v in (found.length.centres, found.mean_eV[k], found.std_eV[k]))
        axes.fill_between(x, mean - std, mean + std, color=_line(k)["color"], alpha=0.15, lw=0)
        axes.plot(x, mean, **_line(k), label=pair)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_xlabel("bond length (Å)")
    axes.set_ylabel("−ICOHP (eV), positive is bonding")
    axes.legend(frameon=False, fontsize="small", title="mean ± standard deviation")
    finish(figure, axes, path, title)


def map_figure(found: StrengthMap, path: Path, title: str = "") -> None:
    """Draw slices of the map across the third cell vector: mean above, excess below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers = np.unique(np.linspace(0, found.bonds.shape[2] - 1, 4).round().astype(int))
    figure = Figure(figsize=(2.1 * len(layers) + 1.2, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(layers), squeeze=False, sharex=True, sharey=True)
    rows = (
        (found.mean_eV, "cividis", "mean −ICOHP (eV)", False),
        (found.excess_eV, "RdBu_r", "beyond the pairs' means (eV)", True),
    )
    extent = (
        0,
        found.edges_A[0] * found.bonds.shape[0],
        0,
        found.edges_A[1] * found.bonds.shape[1],
    )
    for row, (values, colours, label, centred) in zip(panels, rows, strict=True):
        low, high = np.nanquantile(values, [0.01, 0.99])
        if centred:
            high = max(abs(low), abs(high))
            low = -high
        for axes, layer in zip(row, layers.tolist(), strict=True):
            picture = axes.imshow(
                values[:, :, layer].T,
                origin="lower",
                extent=extent,
                cmap=colours,
                vmin=low,
                vmax=high,
                interpolation="nearest",
            )
            axes.set_title(f"{(layer + 0.5) * found.edges_A[2]:.0f} Å along c", fontsize="small")
        figure.colorbar(picture, ax=row.tolist(), label=label, shrink=0.85)
    for axes in panels[1]:
        axes.set_xlabel("along a (Å)")
    for axes in panels[:, 0]:
        axes.set_ylabel("along b (Å)")
    if title:
        figure.suptitle(title, fontsize="medium")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=150)
    write_bytes(path, buffer.getvalue())


def evolution_figure(found: dict[str, Any], path: Path, title: str = "") -> None:
    """Draw how the mean -ICOHP of each pair changes along a trajectory.

    Raises:
        InputError: see `distribution_figure`.
    """
    figure, axes = canvas()
    frames = found["frames"]
    strained = any(abs(frame["strain"]) > 1e-4 for frame in frames)
    x = [100 * f["strain"] if strained else f["step"] for f in frames]
    for k, pair in enumerate(frames[0]["pairs"]):
        start = frames[0]["pairs"][pair]["mean_eV"]
        y = [f["pairs"].get(pair, {}).get("mean_eV", np.nan) for f in frames]
        _change(axes, x, np.array(y, dtype=float) / start - 1, k, pair)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_xlabel(f"strain along {'abc'[found['axis']]} (%)" if strained else "time step")
    axes.set_ylabel("change of mean −ICOHP (%)")
    axes.legend(frameon=False, fontsize="small")
    finish(figure, axes, path, title)


def _change(axes: Axes, x: list[float], y: np.ndarray, k: int, pair: str) -> None:
    axes.plot(x, 100 * y, **_line(k), marker="o", markersize=3, label=pair)


def _top(found: Distributions) -> float:
    """Return the height of the axis: a pair of three bonds must not flatten all others."""
    totals = found.strengths.sum(axis=1)
    many = totals >= min(_FEW, int(totals.max(initial=0)))
    share = found.strengths[many] / np.maximum(totals[many], 1)[:, None] / found.strength.step
    return 1.05 * float(share.max(initial=0.0)) or 1.0


def _line(number: int) -> dict[str, Any]:
    """Return colour and dashes of a pair."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": _LINES[number // len(COLOURS) % len(_LINES)],
        "linewidth": 1.4,
    }
