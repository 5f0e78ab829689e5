"""Figures of DFT tasks: energy against volume, density of states, convergence."""

# ruff: noqa: N803 (units stand in names as they are written)
from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bondwright.structure.write import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bondwright.dft.convergence import Convergence
    from bondwright.dft.dos import DensityOfStates
    from bondwright.dft.equation_of_state import EquationOfState

_COLOURS = ("#1f4e79", "#c0504d")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as SVG and as PNG, each whole or not at all; return the files."""
    files = []
    for ending in ("svg", "png"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=ending, dpi=150)
        files.append(folder / f"{name}.{ending}")
        write_bytes(files[-1], buffer.getvalue())
    return files


def plot_equation_of_state(found: EquationOfState) -> Figure:
    """Draw the energies and, where one was fitted, the Birch-Murnaghan curve."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    volumes = np.array([p.volume_A3 for p in found.points])
    energies = np.array([p.energy_eV for p in found.points])
    zero = found.curve.energy_eV if found.curve else energies.min()
    axes.plot(volumes, energies - zero, "o", color=_COLOURS[0], label="calculated")
    if found.curve is not None:
        along = np.linspace(volumes.min(), volumes.max(), 200)
        curve = np.array(found.curve.energies(along.tolist())) - zero
        label = f"Birch-Murnaghan, $B_0$ = {found.curve.bulk_modulus_GPa:.1f} GPa"
        axes.plot(along, curve, color=_COLOURS[1], linewidth=1.2, label=label)
        axes.axvline(found.curve.volume_A3, color="0.7", linewidth=0.8, linestyle="--")
    axes.set_xlabel("volume of the primitive cell (Å³)")
    axes.set_ylabel("energy above the minimum (eV)")
    axes.legend(frameon=False)
    return figure


def plot_dos(dos: DensityOfStates, window_eV: tuple[float, float] = (-12.0, 8.0)) -> Figure:
    """Draw a converged density of states, energies relative to the Fermi level.

    Raises:
        ValueError: it has no values.
    """
    from matplotlib.figure import Figure

    if dos.energies_eV is None or dos.states_per_eV is None or dos.fermi_eV is None:
        raise ValueError(f"there is no density of states to draw: {dos.reason or 'not computed'}")
    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    along = dos.energies_eV - dos.fermi_eV
    shown = (along >= window_eV[0]) & (along <= window_eV[1])
    polarised = len(dos.states_per_eV) == 2
    for spin, states in enumerate(dos.states_per_eV):
        values = (-1 if spin else 1) * states[shown]
        label = ("spin up", "spin down")[spin] if polarised else None
        axes.plot(along[shown], values, color=_COLOURS[spin], linewidth=1.1, label=label)
        axes.fill_between(along[shown], 0, values, color=_COLOURS[spin], alpha=0.15, linewidth=0)
    axes.axvline(0, color="0.4", linewidth=0.8, linestyle="--")
    axes.set_xlim(*window_eV)
    axes.set_xlabel("energy − E$_F$ (eV)")
    axes.set_ylabel("states per eV and cell")
    if polarised:
        axes.legend(frameon=False)
    else:
        axes.set_ylim(bottom=0)
    return figure


def plot_convergence(found: Convergence) -> Figure:
    """Draw how far each energy lies from the finest one of its series."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, series, title in (
        (left, found.cutoff, "cut-off (eV)"),
        (right, found.kpoints, "k-point spacing (Å$^{-1}$)"),
    ):
        good = [p for p in series.points if p.energy_eV_per_atom is not None]
        along = [p.cutoff_eV if p.spacing_per_A is None else p.spacing_per_A for p in good]
        last = good[-1].energy_eV_per_atom if good else None
        away = [1000 * abs((p.energy_eV_per_atom or 0.0) - (last or 0.0)) for p in good]
        axes.plot(along[:-1], away[:-1], "o-", color=_COLOURS[0], linewidth=1.2)
        if series.chosen is not None and series.points[series.chosen] in good:
            at = good.index(series.points[series.chosen])
            axes.axvline(along[at], color=_COLOURS[1], linewidth=1.0, linestyle="--")
        axes.axhline(found.tolerance_meV_per_atom, color="0.6", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_xlabel(title)
    right.invert_xaxis()
    left.set_ylabel("|energy − finest| (meV/atom)")
    return figure
