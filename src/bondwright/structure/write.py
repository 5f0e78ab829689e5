"""Writing structures: CIF and extended XYZ, and files that appear whole or not at all."""

from __future__ import annotations

import io
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import spglib
from ase import Atoms
from ase.io.extxyz import write_extxyz as ase_write_extxyz
from numpy.typing import NDArray

from bondwright.errors import InputError
from bondwright.structure.cif_layout import CellText, lay_out_cif, operation_text
from bondwright.structure.symmetry import symmetry_dataset


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it appears complete or not at all (temporary file, fsync, rename)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)  # mkstemp gives 0600; a result should be as open as any file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes` does; lines end as they stand."""
    write_bytes(path, text.encode("utf-8"))


def cif_text(atoms: Atoms, *, name: str = "bondwright", symprec: float | None = None) -> str:
    """Return a structure as CIF text with one data block.

    Args:
        atoms: fully periodic structure (Å), every site fully occupied.
        name: name of the data block; characters that CIF does not allow there become "_".
        symprec: None writes every atom in P 1, in the given cell and order. A number (Å) writes
            the standardised conventional cell of the space group that spglib finds with that
            tolerance: its operations and the asymmetric unit with multiplicities. The atoms move
            onto their symmetric places, by up to `symprec`.

    Returns:
        The text, lengths with 8 and fractional coordinates with 10 decimals.

    Raises:
        InputError: no atoms, no finite three-dimensional cell, or no space group at `symprec`.
    """
    if not len(atoms) or not np.isfinite(atoms.positions).all():
        raise InputError(f"cannot write {name!r} as CIF: no atoms, or positions not finite.")
    if not (np.isfinite(atoms.cell.array).all() and atoms.cell.volume > 0):
        raise InputError(f"cannot write {name!r} as CIF: the cell has no volume.")
    if symprec is None:
        lattice, group = atoms.cell.array, ("P 1", 1)
        places, numbers = atoms.get_scaled_positions(wrap=False) % 1.0, atoms.numbers
        operations = ["x, y, z"]
        orbits = [[index] for index in range(len(atoms))]
    else:
        found = symmetry_dataset(atoms, symprec)
        if found is None:
            raise InputError(
                f"no space group found for {name!r} within {symprec} Å; write it without symmetry."
            )
        lattice, group = found.std_lattice, (found.international, found.number)
        places, numbers = found.std_positions % 1.0, found.std_types
        table = spglib.get_symmetry_from_database(found.hall_number)
        rotations, translations = table["rotations"], table["translations"]
        operations = [operation_text(r, t) for r, t in zip(rotations, translations, strict=True)]
        orbits = _orbits(places, numbers, lattice, rotations, translations)
    elements = Atoms(numbers).get_chemical_symbols()
    sites = [(elements[orbit[0]], len(orbit), places[orbit[0]]) for orbit in orbits]
    counts = dict(sorted(Counter(elements).items()))
    cell = _cell_text(np.asarray(lattice))
    return lay_out_cif(name or "bondwright", group, cell, counts, operations, sites)


def write_extxyz(path: Path, frames: Sequence[Atoms]) -> None:
    """Write structures as frames of one extended XYZ file (Å), cell and periodicity included."""
    buffer = io.StringIO()
    # Only what defines the structure: attached results are the store's business.
    bare = [Atoms(a.numbers, positions=a.positions, cell=a.cell, pbc=a.pbc) for a in frames]
    ase_write_extxyz(buffer, bare, columns=["symbols", "positions"])
    write_text(path, buffer.getvalue())


def _orbits(
    places: NDArray[np.float64],
    numbers: NDArray[np.int64],
    lattice: NDArray[np.float64],
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
) -> list[list[int]]:
    """Group atoms that the operations carry into one another.

    Raises:
        InputError: an operation carries an atom to a place where there is none of its kind.
    """
    orbits: list[list[int]] = []
    left = np.ones(len(places), dtype=bool)
    for first in range(len(places)):
        if not left[first]:
            continue
        images = rotations @ places[first] + translations
        apart = images[:, None, :] - places[None, :, :]
        distance = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=-1)
        distance[:, (numbers != numbers[first]) | ~left] = np.inf
        if distance.min(axis=1).max() > 0.01:  # Å; spglib's idealised places agree to 1e-5
            raise InputError("spglib's standard cell lacks its own symmetry; write without.")
        orbit = np.unique(distance.argmin(axis=1))
        left[orbit] = False
        orbits.append(orbit.tolist())
    return orbits


def _cell_text(lattice: NDArray[np.float64]) -> CellText:
    """Return what a CIF tells of a cell, with 8 decimals."""
    lengths = np.linalg.norm(lattice, axis=1)
    unit = lattice / lengths[:, None]
    cosines = [unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return CellText(lengths, angles, abs(np.linalg.det(lattice)), 8)
