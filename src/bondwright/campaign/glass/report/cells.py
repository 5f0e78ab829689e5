"""Section: the cells that were made, their density and energy, what the checks say, their RDF."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from bondwright.bonding.pairs import pair_label
from bondwright.campaign.glass.folder import GlassFolder
from bondwright.campaign.glass.report.plots import Figures, Series
from bondwright.campaign.report.words import reason_words
from bondwright.errors import InputError
from bondwright.glasses.cell import GlassCell, read_cell
from bondwright.glasses.rdf import partial_rdf
from bondwright.screen.verdict import Outcome

_RDF_RUNS = 6
_ROWS = 200


@dataclass(frozen=True)
class CellRow:
    """One melt-quench.

    Attributes:
        name: "<composition>/<run>".
        atoms: how many.
        density: g/cm³; None when unknown.
        energy: of the inherent structure, eV/atom; None when unknown.
        accepted: None where no check was made (imported cells).
        told: what the checks that did not pass say; empty where all passed.
        seconds: wall-clock; None when unknown.
        variants: strained copies.
    """

    name: str
    atoms: int
    density: float | None
    energy: float | None
    accepted: bool | None
    told: str
    seconds: float | None
    variants: int


@dataclass(frozen=True)
class CellsSection:
    """What the page tells of cells.

    Attributes:
        rows: the first runs.
        runs: how many there are.
        cells: with their strained copies.
        rejected: runs that a check rejected.
        rdfs: (composition, runs averaged, name of the figure).
    """

    rows: list[CellRow]
    runs: int
    cells: int
    rejected: int
    rdfs: list[tuple[str, int, str]]


def cells_section(folder: GlassFolder, figures: Figures) -> CellsSection | None:
    """Read the cells of a project; None where there is none."""
    names = folder.names()
    runs = [name for name in names if name.variant == "0"]
    if not runs:
        return None
    copies = Counter(name.run for name in names if name.variant != "0")
    rows, made = [], {}
    for name in runs:
        try:
            cell = read_cell(folder.run_folder(name))
        except InputError:
            cell = None
        made[name] = cell
        rows.append(_row(name.run, cell, copies[name.run]))
    return CellsSection(
        rows[:_ROWS],
        len(runs),
        len(names),
        sum(row.accepted is False for row in rows),
        _rdfs(folder, figures),
    )


def _row(run: str, cell: GlassCell | None, variants: int) -> CellRow:
    if cell is None or cell.atoms is None:
        return CellRow(
            run, 0, None, None, None, "imported" if cell is None else "failed", None, variants
        )
    told = [
        v.message or reason_words(v.reason)
        for v in cell.verdicts
        if v.outcome not in (Outcome.PASSED, Outcome.UNKNOWN)
    ]
    return CellRow(
        run,
        len(cell.atoms),
        cell.density_g_cm3,
        cell.inherent_energy_eV_per_atom,
        cell.accepted,
        " ".join(told),
        cell.seconds,
        variants,
    )


def _rdfs(folder: GlassFolder, figures: Figures) -> list[tuple[str, int, str]]:
    """Draw the partial RDFs of each composition, averaged over its first runs."""
    found = []
    by_composition: dict[str, list[Any]] = {}
    for name in folder.runs():
        by_composition.setdefault(name.composition, []).append(name)
    for composition, names in sorted(by_composition.items()):
        curves: dict[str, list[Any]] = {}
        r = None
        for _, atoms in folder.read_all(names[:_RDF_RUNS]):
            rdf = partial_rdf(atoms)
            r = rdf.r_A
            for pair, g in rdf.g.items():
                curves.setdefault(pair_label(*pair.split("-")), []).append(g)
        if r is None:
            continue
        series = [
            Series(pair, "line", r, np.mean(gs, axis=0), figures.styles.of(pair))
            for pair, gs in sorted(curves.items())
        ]
        drawn = figures.add(
            f"rdf-{composition}",
            series,
            x="distance (Å)",
            y="g(r)",
            label=f"Partial radial distribution functions of {composition}",
            limits={"x_low": 1.8, "x_high": 6.0, "y_low": 0.0},
        )
        if drawn:
            found.append((composition, len(names[:_RDF_RUNS]), drawn))
    return found
