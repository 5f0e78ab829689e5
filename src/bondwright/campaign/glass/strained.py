"""Strained copies of a project's cells; every command makes them here, by one rule.

A drawn deformation d<k> depends on the run's seed and on k, and keeps the limits of `DrawLimits`,
the energy by the project's potential among them. So "d3" of a run is the same cell whether
`glass strain`, `glass run` or a round of active learning makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bondwright.campaign.glass.config import GlassConfig
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.generate import run_seed
from bondwright.campaign.glass.in_worker import in_worker
from bondwright.errors import InputError
from bondwright.glasses.energies import DrawTask, draw_all
from bondwright.glasses.potentials import choose_potential
from bondwright.glasses.variants import (
    DrawLimits,
    Matrix,
    Variant,
    drawn_number,
    given_variant,
    make_variant,
)


@dataclass(frozen=True)
class Drawing:
    """What a user may change of the rule.

    Attributes:
        limits: of the deformations.
        seed: of all draws; None takes the seed of each run.
        potential: file of the potential for energies; None takes the project's.
    """

    limits: DrawLimits = field(default_factory=DrawLimits)
    seed: int | None = None
    potential: Path | None = None


@dataclass(frozen=True)
class StrainedCell:
    """A strained copy of a cell of the project.

    Attributes:
        name: of the copy.
        variant: structure and deformation.
        provenance: JSON values that are kept beside it.
    """

    name: CellName
    variant: Variant
    provenance: dict[str, Any]


def strained_cells(
    folder: GlassFolder,
    config: GlassConfig,
    wanted: Iterable[CellName],
    drawing: Drawing | None = None,
) -> dict[CellName, StrainedCell | str]:
    """Make strained copies, without writing any.

    Args:
        folder: the project.
        config: its seed and its potential.
        wanted: variants of runs that are there: "1" to "14" (the published strains), "d1", "d2",
            ... (drawn).
        drawing: changes of the rule of draws.

    Returns:
        Each copy, or a sentence that says why its cell leaves no room for a deformation.

    Raises:
        InputError: no such variant, or the potential lacks an element.
        GlassError: LAMMPS failed.
    """
    rule = drawing or Drawing()
    names = list(wanted)
    runs = {CellName(name.composition, name.number) for name in names}
    cells = {run.run: atoms for run, atoms in folder.read_all(sorted(runs, key=lambda r: r.order))}
    tasks = {}
    for name in names:
        if (number := drawn_number(name.variant)) is None:
            continue
        atoms, potential = cells[name.run], None
        if rule.limits.energy_rise_eV_per_atom is not None:
            elements = set(atoms.get_chemical_symbols())
            potential = choose_potential(elements, rule.potential or config.potential)
        seed = run_seed(config, name) if rule.seed is None else rule.seed
        tasks[name] = DrawTask(atoms, seed, number, rule.limits, potential)
    drawn = dict(zip(tasks, draw_variants(list(tasks.values())), strict=True))
    found: dict[CellName, StrainedCell | str] = {}
    for name in names:
        made = drawn[name] if name in drawn else make_variant(cells[name.run], name.variant)
        found[name] = made if isinstance(made, str) else _strained(name, made, tasks.get(name))
    return found


def draw_variants(tasks: list[DrawTask]) -> list[Variant | str]:
    """Draw deformations, in a worker process where a potential is asked; see `draw_all`."""
    if not any(task.potential for task in tasks):
        return draw_all(tasks)
    found: list[Variant | str] = in_worker(draw_all, (tasks,))
    return found


def make_variants(
    folder: GlassFolder,
    config: GlassConfig,
    runs: Sequence[CellName],
    variants: Sequence[str],
    drawing: Drawing | None = None,
) -> list[CellName]:
    """Write the variants of finished cells that are not there yet.

    Args:
        folder: the project.
        config: its seed and its potential.
        runs: reference cells.
        variants: "0" (the cell itself), or as in `strained_cells`.
        drawing: changes of the rule of draws.

    Returns:
        All variants of these runs that are there now, the reference among them when asked for.

    Raises:
        InputError: a name is not known, or a cell leaves no room for a deformation.
        GlassError: LAMMPS failed.
    """
    asked = [
        CellName(run.composition, run.number, variant)
        for run in runs
        if folder.structure_file(run).is_file()
        for variant in variants
    ]
    missing = [name for name in asked if not folder.structure_file(name).is_file()]
    for name, made in strained_cells(folder, config, missing, drawing).items():
        if isinstance(made, str):
            raise InputError(f"{name}: {made}")
        keep_variant(folder, made)
    return asked


def add_given_variant(folder: GlassFolder, run: CellName, deformation: Matrix) -> CellName:
    """Write the copy of a run's cell that a given matrix makes, and return its name."""
    variant = given_variant(folder.read(run), deformation)
    name = CellName(run.composition, run.number, variant.name)
    keep_variant(folder, _strained(name, variant, None))
    return name


def keep_variant(folder: GlassFolder, cell: StrainedCell) -> None:
    """Write a strained copy into the project; one that is there is kept."""
    folder.add(cell.name, cell.variant.atoms, cell.provenance)


def read_variants(folder: GlassFolder, names: Sequence[CellName]) -> list[Variant]:
    """Return strained copies that the project has, however they were made."""
    runs = [CellName(name.composition, name.number) for name in names]
    found = []
    for (name, atoms), (_, cell) in zip(folder.read_all(names), folder.read_all(runs), strict=True):
        turned = np.linalg.solve(cell.cell.array, atoms.cell.array)
        rise = folder.provenance(name).get("energy_rise_eV_per_atom")
        found.append(Variant(name.variant, atoms, np.asarray(turned.T), rise))
    return found


def _strained(name: CellName, variant: Variant, task: DrawTask | None) -> StrainedCell:
    provenance = {
        "made_from": name.run,
        "deformation": variant.deformation.tolist(),
        "energy_rise_eV_per_atom": variant.energy_rise_eV_per_atom,
    }
    if task is not None:
        provenance["seed"] = task.seed
        provenance["limits"] = vars(task.limits)
        provenance["potential"] = None if task.potential is None else task.potential.to_json()
    return StrainedCell(name, variant, provenance)
