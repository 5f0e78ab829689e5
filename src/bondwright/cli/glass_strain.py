"""`bondwright glass strain`: strained copies of glass cells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.console import say_json, say_table
from bondwright.cli.glass_making import Potential, number, read_glass
from bondwright.cli.glass_types import interruptible
from bondwright.cli.types import Json
from bondwright.errors import InputError

if TYPE_CHECKING:
    from bondwright.campaign.glass.folder import CellName, GlassFolder
    from bondwright.campaign.glass.strained import Drawing
    from bondwright.glasses.variants import Matrix, Variant


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
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the random deformations. (default: the one of each run, of a file 0)",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the variants of a file. (default: FILE-strained)"),
    ] = None,
    json: Json = False,
) -> None:
    """Make strained copies of glass cells.

    Random deformations keep the shortest distance and the energy within limits; a project draws
    the same ones in `glass run` and `glass improve`. The published strains 1-6, 8, 10, 12 and 14
    keep no limit: they bring atoms to within 2 Å. A copy that a project has already is kept.
    """
    from bondwright.campaign.glass.strained import Drawing
    from bondwright.glasses.variants import DrawLimits

    if (variants is None) == (matrix is None):
        raise InputError("say which strains: --variants 1-14, --variants random:5, or --matrix.")
    names = _variant_names(variants) if variants is not None else []
    given = None if matrix is None else _deformation(matrix)
    drawing = Drawing(
        DrawLimits(strain=max_strain, energy_rise_eV_per_atom=max_rise or None), seed, potential
    )
    with interruptible():
        if subject.is_dir():
            answers = _in_project(subject, names, given, drawing)
        else:
            target = out or Path(f"{subject.stem}-strained")
            answers = _beside_a_file(subject, names, given, drawing, target)
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


def _deformation(text: str) -> Matrix:
    import numpy as np

    try:
        return np.array(re.split(r"[\s,;]+", text.strip()), dtype=float).reshape(3, 3)
    except ValueError:
        raise InputError(f"--matrix needs nine numbers in rows, not {text!r}.") from None


def _in_project(
    subject: Path, names: list[str], given: Matrix | None, drawing: Drawing
) -> list[dict[str, Any]]:
    """Strain all cells of a project, or one; return what is told of each copy."""
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.strained import (
        add_given_variant,
        make_variants,
        read_variants,
    )

    folder, runs = _runs_of(subject)
    if given is None:
        made = make_variants(folder, load_config(folder.config), runs, names, drawing)
    else:
        made = [add_given_variant(folder, run, given) for run in runs]
    return [
        _told(str(name), folder.structure_file(name), variant)
        for name, variant in zip(made, read_variants(folder, made), strict=True)
    ]


def _runs_of(subject: Path) -> tuple[GlassFolder, list[CellName]]:
    """Return the project of a folder, and the runs it stands for."""
    from bondwright.campaign.glass.folder import CellName, GlassFolder

    if (subject / "cell.extxyz").is_file() and subject.resolve().parents[1].name == "cells":
        run = subject.resolve()
        return GlassFolder(run.parents[2]), [CellName(run.parent.name, run.name)]
    project = GlassFolder(subject)
    runs = project.runs()
    if not runs:
        raise InputError(
            f"{subject} holds no glass cells; make some with `bondwright glass generate`."
        )
    return project, runs


def _beside_a_file(
    file: Path, names: list[str], given: Matrix | None, drawing: Drawing, target: Path
) -> list[dict[str, Any]]:
    """Strain the structure of a file; return what is told of each copy."""
    from bondwright.campaign.glass.strained import draw_variants
    from bondwright.glasses.energies import DrawTask
    from bondwright.glasses.potentials import choose_potential
    from bondwright.glasses.variants import drawn_number, given_variant, make_variant
    from bondwright.structure.write import write_extxyz

    atoms, limits = read_glass(file), drawing.limits
    made = [make_variant(atoms, name) for name in names if drawn_number(name) is None]
    if given is not None:
        made.append(given_variant(atoms, given))
    numbers = [k for name in names if (k := drawn_number(name)) is not None]
    potential = None
    if numbers and limits.energy_rise_eV_per_atom is not None:
        potential = choose_potential(set(atoms.get_chemical_symbols()), drawing.potential)
    for drawn in draw_variants(
        [DrawTask(atoms, drawing.seed or 0, k, limits, potential) for k in numbers]
    ):
        if isinstance(drawn, str):
            raise InputError(f"{file}: {drawn}")
        made.append(drawn)
    answers = []
    for variant in made:
        path = target / f"{variant.name}.extxyz"
        write_extxyz(path, [variant.atoms])
        answers.append(_told(variant.name, path, variant))
    return answers


def _told(name: str, file: Path, variant: Variant) -> dict[str, Any]:
    from bondwright.glasses.contacts import check_close_pairs
    from bondwright.glasses.variants import strain_class

    contacts = check_close_pairs(variant.atoms)
    return {
        "cell": name,
        "file": str(file),
        "class": strain_class(variant.name, variant.deformation),
        "deformation": variant.deformation.tolist(),
        "energy_rise_eV_per_atom": variant.energy_rise_eV_per_atom,
        "shortest_A": contacts.details["ratio_distance_A"],
        "contacts": str(contacts.outcome),
    }
