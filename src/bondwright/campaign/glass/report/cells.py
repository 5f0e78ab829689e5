"""Section: the cells that were made, their density and energy, what the checks say, their RDF."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.bonding.pairs import pair_label, split_pair
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.report.plots import Figures, Series
from bondwright.campaign.report.structures import density
from bondwright.campaign.report.words import reason_words
from bondwright.errors import InputError
from bondwright.glasses.cell import GlassCell, read_cell
from bondwright.glasses.rdf import partial_rdf
from bondwright.screen.verdict import Outcome

_RDF_RUNS = 6
_ROWS = 200
_NEAREST_A = 1.8
_COMMON = 8


@dataclass(frozen=True)
class CellRow:
    """One melt-quench.

    Attributes:
        name: "<composition>/<run>".
        atoms: how many.
        density: g/cm³; None when unknown.
        energy: of the inherent structure, eV/atom; None when unknown.
        accepted: None where no check was made (imported cells).
        told: what the checks that did not pass say; empty where all passed or none was made.
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
    structures = dict(folder.read_all(runs[:_ROWS]))
    rows = []
    for name, atoms in structures.items():
        try:
            cell = read_cell(folder.run_folder(name))
        except InputError:
            cell = None  # its structure is there: the table says what that tells
        rows.append(_row(name.run, atoms, cell, copies[name.run]))
    return CellsSection(
        rows,
        len(runs),
        len(names),
        sum(row.accepted is False for row in rows),
        _rdfs(structures, figures),
    )


def _row(run: str, atoms: Atoms, cell: GlassCell | None, variants: int) -> CellRow:
    if cell is None:
        return CellRow(run, len(atoms), density(atoms), None, None, "", None, variants)
    told = [
        verdict.message or reason_words(verdict.reason)
        for verdict in cell.verdicts
        if verdict.outcome not in (Outcome.PASSED, Outcome.UNKNOWN)
    ]
    return CellRow(
        run,
        len(atoms),
        cell.density_g_cm3,
        cell.inherent_energy_eV_per_atom,
        cell.accepted,
        " ".join(told),
        cell.seconds,
        variants,
    )


def _rdfs(structures: dict[CellName, Atoms], figures: Figures) -> list[tuple[str, int, str]]:
    """Draw the partial RDFs of each composition, averaged over its first runs."""
    found = []
    by_composition: dict[str, list[Atoms]] = {}
    for name, atoms in structures.items():
        by_composition.setdefault(name.composition, []).append(atoms)
    for composition, cells in sorted(by_composition.items()):
        curves: dict[str, list[NDArray[np.float64]]] = {}
        cells = cells[:_RDF_RUNS]
        for atoms in cells:
            rdf = partial_rdf(atoms)
            for pair, g in rdf.g.items():
                curves.setdefault(pair_label(*split_pair(pair)), []).append(g)
        far = rdf.r_A >= _NEAREST_A
        means = {pair: np.mean(gs, axis=0)[far] for pair, gs in sorted(curves.items())}
        series = [
            Series(pair, "line", rdf.r_A[far], g, figures.styles.of(pair))
            for pair, g in means.items()
        ]
        # Two atoms of a rare element make one towering peak: it decides about no axis.
        common = [g.max() for pair, g in means.items() if _common(cells[0], pair)]
        drawn = figures.add(
            f"rdf-{composition}",
            series,
            x="distance (Å)",
            y="g(r)",
            label=f"Partial radial distribution functions of {composition}",
            limits={"y_low": 0.0, **({"y_high": 1.1 * max(common)} if common else {})},
        )
        if drawn:
            found.append((composition, len(cells), drawn))
    return found


def _common(atoms: Atoms, pair: str) -> bool:
    """Say whether both elements of a pair are frequent enough for a smooth curve."""
    symbols = atoms.get_chemical_symbols()
    return all(symbols.count(element) >= _COMMON for element in split_pair(pair))
