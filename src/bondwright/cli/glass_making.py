"""What the commands share that make and deform glasses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bondwright.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

Potential = Annotated[
    Path | None,
    typer.Option(
        "--potential",
        help="EAM potential (setfl). (default: one inside LAMMPS, e.g. for Cu-Zr; where there is "
        "none, CHGNet, a thousand times slower)",
    ),
]


def read_glass(path: Path, elements: str | None = None) -> Atoms:
    """Read one structure, which may be large."""
    from bondwright.glasses.lammps_files import read_data
    from bondwright.structure.parsed import ReadLimits
    from bondwright.structure.read import read_candidates

    if path.suffix in (".data", ".lmp") or elements is not None:
        kinds = None
        if elements is not None:
            kinds = dict(enumerate(re.split(r"[\s,]+", elements.strip()), 1))
        return read_data(path, kinds)
    limits = ReadLimits(text_bytes=50_000_000, atoms=200_000, seconds=120.0, memory_mb=4096)
    found = next(iter(read_candidates(path, limits=limits)), None)
    if found is None or found.atoms is None:
        why = found.problem.message if found and found.problem else "it holds no structure."
        raise InputError(f"{path} cannot be read as a structure: {' '.join(why.split())}")
    return found.atoms


def number(value: float | None, digits: int) -> str:
    """Return a number for a table; "-" where it is not known."""
    return "-" if value is None else f"{value:.{digits}f}"
