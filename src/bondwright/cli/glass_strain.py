"""`bondwright glass strain`: strained copies of glass cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.console import say_json, say_table
from bondwright.cli.glass_making import Potential, in_worker, number, read_glass
from bondwright.cli.glass_types import interruptible
from bondwright.cli.types import Json
from bondwright.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from bondwright.campaign.glass.folder import CellName, GlassFolder
    from bondwright.glasses.variants import DrawLimits, Variant


def strain(
    subject: Annotated[
        Path,
        typer.Argument(
            metavar="CELL|FOLDER",
            help="A project folder (all its cells), the folder of one run, or a file with a "
            "structure.",
            show_default=False,
        ),
    ],
    variants: Annotated[
        str | None,
        typer.Option(
            help="Published strains by number or class (1-14, 7,9, shear, tension, compression) "
            "and random ones (random:5), separated by commas."
        ),
    ] = None,
    matrix: Annotated[
        str | None,
        typer.Option(help="Deformation F, r' = F r, as nine numbers in rows: '1 0.1 0 0 1 0 ...'."),
    ] = None,
    max_strain: Annotated[
        float, typer.Option(help="Largest principal strain of a random deformation.")
    ] = 0.12,
    max_rise: Annotated[
        float,
        typer.Option(metavar="EV", help="Largest energy rise of a random one, eV/atom; 0: any."),
    ] = 0.15,
    potential: Potential = None,
    seed: Annotated[int, typer.Option(help="Seed of the random deformations.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the variants of a file. (default: FILE-strained)"),
    ] = None,
    json: Json = False,
) -> None:
    """Make strained copies of glass cells.

    Random deformations keep the shortest distance and the energy within limits. The published
    strains 1-6, 8, 10, 12 and 14 do not: they bring atoms to within 2 Å.
    """
    from bondwright.glasses.variants import DrawLimits

    if (variants is None) == (matrix is None):
        raise InputError("say which strains: --variants 1-14, --variants random:5, or --matrix.")
    names = _variant_names(variants) if variants is not None else []
    limits = DrawLimits(strain=max_strain, energy_rise_eV_per_atom=max_rise or 1e9)
    answers = []
    with interruptible():
        for where, atoms, target, name in _cells_of(subject, out):
            potential_file = potential or _project_potential(subject)
            made = _make(atoms, names, matrix, limits, potential_file, seed, max_rise)
            answers += [_keep(where, name, target, variant) for variant in made]
    if json:
        say_json({"variants": answers})
        return
    rows = [
        (
            answer["cell"],
            answer["class"],
            number(answer["shortest_A"], 3),
            number(answer["energy_rise_eV_per_atom"], 3),
            "" if answer["contacts"] == "passed" else "closer than in any glass",
        )
        for answer in answers
    ]
    say_table(("variant", "class", "shortest (Å)", "energy rise (eV/atom)", ""), rows)


def _variant_names(text: str) -> list[str]:
    """Return the names of variants: "1-3,shear,random:2" -> 1, 2, 3, 1 ... 6, d1, d2."""
    from bondwright.glasses.variants import CLASSES, PUBLISHED

    names: list[str] = []
    for word in text.replace(" ", "").split(","):
        span = re.fullmatch(r"(\d+)-(\d+)", word)
        drawn = re.fullmatch(r"random:(\d+)", word)
        if span and int(span[1]) <= int(span[2]) <= len(PUBLISHED):
            names += [str(k) for k in range(int(span[1]), int(span[2]) + 1)]
        elif drawn and 0 < int(drawn[1]) <= 10_000:
            names += [f"d{k}" for k in range(1, int(drawn[1]) + 1)]
        elif word in CLASSES:
            names += CLASSES[word]
        elif word in PUBLISHED:
            names.append(word)
        else:
            raise InputError(
                f"--variants {word}: no such strain; give 1-14, numbers, "
                f"{', '.join(CLASSES)}, or random:5."
            )
    if "0" in names:
        raise InputError("variant 0 is the cell itself; begin with 1.")
    return list(dict.fromkeys(names))


def _cells_of(
    subject: Path, out: Path | None
) -> Iterator[tuple[GlassFolder | None, Atoms, Path, CellName | None]]:
    """Yield the cells to strain: project (or None), structure, folder for files, name in it."""
    from bondwright.campaign.glass.folder import CellName, GlassFolder

    if not subject.is_dir():
        yield None, read_glass(subject), out or Path(f"{subject.stem}-strained"), None
        return
    if (subject / "cell.extxyz").is_file() and subject.resolve().parents[1].name == "cells":
        run = subject.resolve()
        project = GlassFolder(run.parents[2])
        names = [CellName(run.parent.name, run.name)]
    else:
        project = GlassFolder(subject)
        names = project.runs()
    if not names:
        raise InputError(
            f"{subject} holds no glass cells; make some with `bondwright glass generate`."
        )
    for name, atoms in project.read_all(names):
        yield project, atoms, project.run_folder(name), name


def _project_potential(subject: Path) -> Path | None:
    """Return the potential that the project of a folder names."""
    from bondwright.campaign.glass.config import load_config

    for folder in (subject, *subject.resolve().parents[:3]):
        if (folder / "glass.toml").is_file():
            return load_config(folder / "glass.toml").potential
    return None


def _make(
    atoms: Atoms,
    names: Sequence[str],
    matrix: str | None,
    limits: DrawLimits,
    potential_file: Path | None,
    seed: int,
    max_rise: float,
) -> Iterator[Variant]:
    import numpy as np

    from bondwright.glasses.energies import draw_by_energy
    from bondwright.glasses.potentials import choose_potential
    from bondwright.glasses.variants import draw, given_variant, make_variant

    if matrix is not None:
        try:
            numbers = np.array(re.split(r"[\s,;]+", matrix.strip()), dtype=float).reshape(3, 3)
        except ValueError:
            raise InputError(f"--matrix needs nine numbers in rows, not {matrix!r}.") from None
        yield given_variant(atoms, numbers)
    drawn = [int(name[1:]) for name in names if name.startswith("d")]
    for name in names:
        if not name.startswith("d"):
            yield make_variant(atoms, name)
    if drawn and max_rise:
        potential = choose_potential(set(atoms.get_chemical_symbols()), potential_file)
        yield from in_worker(draw_by_energy, (atoms, seed, drawn, limits, potential))
    elif drawn:
        yield from (draw(atoms, seed, k, limits) for k in drawn)


def _keep(
    project: GlassFolder | None, name: CellName | None, target: Path, variant: Variant
) -> dict[str, Any]:
    from bondwright.campaign.glass.folder import CellName
    from bondwright.glasses.contacts import check_close_pairs
    from bondwright.glasses.variants import strain_class
    from bondwright.structure.write import write_extxyz

    contacts = check_close_pairs(variant.atoms)
    record = {
        "class": strain_class(variant.name, variant.deformation),
        "deformation": variant.deformation.tolist(),
        "energy_rise_eV_per_atom": variant.energy_rise_eV_per_atom,
        "shortest_A": contacts.details["ratio_distance_A"],
        "contacts": str(contacts.outcome),
    }
    if project is None or name is None:
        path = target / f"{variant.name}.extxyz"
        write_extxyz(path, [variant.atoms])
        return {"cell": variant.name, "file": str(path), **record}
    cell = CellName(name.composition, name.number, variant.name)
    path = project.add(cell, variant.atoms, {"made_from": name.run, **record})
    return {"cell": str(cell), "file": str(path), **record}
