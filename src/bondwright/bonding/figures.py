"""Figures of bond tables and COHP curves, written as SVG, PDF or PNG by the ending of the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bondwright.bonding.curves import CohpCurves
from bondwright.bonding.lengths import LengthCurve, strength_by_length
from bondwright.bonding.pairs import pair_labels
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.structure.write import write_bytes

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".svg", ".pdf", ".png")
# Okabe and Ito's colours, told apart by colour-blind readers; then markers tell them apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_MANY = 2_000
_MEDIANS = 100
_WIDTH_IN, _HEIGHT_IN = 6.4, 4.4


def strength_figure(table: BondTable, path: Path, *, title: str = "") -> None:
    """Draw -ICOHP against length with one colour for each pair of elements.

    Points are bonds, lines the fitted exponentials; for pairs with more than 100 bonds, open
    circles are medians of 0.1 Å bins. The legend tells each pair's bonds and the fit's residual.

    Args:
        table: the bonds.
        path: file to write, ending in .svg, .pdf or .png.
        title: text above the figure.

    Raises:
        InputError: no bonds, or another ending.
    """
    if not len(table):
        raise InputError("there are no bonds to draw.")
    figure, axes = canvas()
    types = table.pair_types()
    order = sorted(types, key=lambda pair: -float(table.icohp_eV[types[pair]].max()))
    curves = strength_by_length(table)
    for number, pair in enumerate(order):
        rows = types[pair]
        colour = COLOURS[number % len(COLOURS)]
        many = len(table) > _MANY
        axes.scatter(
            table.length_A[rows],
            table.icohp_eV[rows],
            s=4 if many else 14,
            marker=_MARKERS[number // len(COLOURS) % len(_MARKERS)],
            color=colour,
            alpha=0.25 if many else 0.6,
            linewidths=0,
            rasterized=many,
        )
        _draw_curve(axes, curves[pair], colour)
    axes.axhline(0, color="0.6", linewidth=0.8)
    if any(curve.bonds > _MEDIANS for curve in curves.values()):
        axes.plot([], [], **_median_style("0.3"), label="median of 0.1 Å")
    axes.set_xlabel("bond length (Å)")
    axes.set_ylabel("−ICOHP (eV), positive is bonding")
    axes.legend(frameon=False, fontsize="small")
    finish(figure, axes, path, title)


def cohp_figure(
    curves: CohpCurves,
    atoms: Atoms,
    path: Path,
    *,
    energies_eV: tuple[float, float] | None = None,  # noqa: N803
    title: str = "",
) -> None:
    """Draw -COHP(E) summed over the bonds of each pair of elements, energies upwards.

    Args:
        curves: the curves; orbital-resolved ones are left out, spins are added.
        atoms: their structure.
        path: file to write, ending in .svg, .pdf or .png.
        energies_eV: lowest and highest energy that is shown, relative to the Fermi level.
        title: text above the figure.

    Raises:
        InputError: no curve of a whole bond, or another ending.
    """
    whole = [k for k in range(len(curves)) if not (curves.orbitals and curves.orbitals[k])]
    if not whole:
        raise InputError("there are no COHP curves of whole bonds to draw.")
    figure, axes = canvas(portrait=True)
    total = curves.minus_cohp[:, whole].sum(axis=0)
    pairs = pair_labels(atoms.numbers[curves.i[whole]], atoms.numbers[curves.j[whole]])
    for number, pair in enumerate(np.unique(pairs).tolist()):
        mine = pairs == pair
        label = f"{pair} ({mine.sum()} bond{'' if mine.sum() == 1 else 's'})"
        line = total[mine].sum(axis=0)
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(line, curves.energies_eV, color=colour, linewidth=1.2, label=label)
        axes.fill_betweenx(curves.energies_eV, 0, line, color=colour, alpha=0.12, linewidth=0)
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.axhline(0, color="0.3", linewidth=0.8, linestyle="--")
    axes.set_xlabel("−COHP (eV per eV), bonding to the right")
    axes.set_ylabel("energy relative to the Fermi level (eV)")
    axes.set_ylim(energies_eV or (curves.energies_eV[0], curves.energies_eV[-1]))
    axes.legend(frameon=False, fontsize="small")
    finish(figure, axes, path, title)


def _draw_curve(axes: Axes, curve: LengthCurve, colour: str) -> None:
    """Draw the fit of a pair, its medians, and its line in the legend."""
    label = f"{curve.pair}: {curve.bonds} bond{'' if curve.bonds == 1 else 's'}"
    if curve.bonds > _MEDIANS:
        axes.plot(curve.centre_A, curve.median_eV, **_median_style(colour))
    if curve.fit is None:
        axes.plot([], [], color=colour, marker="o", linestyle="none", label=label)
        return
    length = np.linspace(curve.centre_A[0], curve.centre_A[-1], 100)
    label += f", fit leaves {curve.fit.rmse_eV:.2f} eV"
    axes.plot(length, curve.fit(length), color=colour, linewidth=1.2, label=label)


def _median_style(colour: str) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": "o",
        "markersize": 4.5,
        "markerfacecolor": "white",
        "markeredgecolor": colour,
    }


def canvas(*, portrait: bool = False) -> tuple[Figure, Axes]:
    """Return an empty figure of one panel that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (_HEIGHT_IN, _WIDTH_IN) if portrait else (_WIDTH_IN, _HEIGHT_IN)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def finish(figure: Figure, axes: Axes, path: Path, title: str) -> None:
    """Give the figure of one panel its title and write it, whole or not at all.

    Raises:
        InputError: the file's ending is none of `ENDINGS`.
    """
    if path.suffix not in ENDINGS:
        raise InputError(f"{path.name}: a figure ends in {', '.join(ENDINGS)}.")
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title, fontsize="medium")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=150)
    write_bytes(path, buffer.getvalue())
