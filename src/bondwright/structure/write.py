"""Writing structures: CIF and extended XYZ, and files that appear whole or not at all."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from math import gcd
from pathlib import Path

import numpy as np
import spglib
from ase import Atoms
from ase.io.extxyz import write_extxyz as ase_write_extxyz
from numpy.typing import NDArray

from bondwright.errors import InputError
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
        operations = [_triplet(r, t) for r, t in zip(rotations, translations, strict=True)]
        orbits = _orbits(places, numbers, lattice, rotations, translations)
    elements = Atoms(numbers).get_chemical_symbols()
    places = np.where(np.abs(places - 1) < 5e-11, 0.0, places)  # would be printed as 1
    sites = [(elements[orbit[0]], len(orbit), places[orbit[0]]) for orbit in orbits]
    return _render(name, group, np.asarray(lattice), operations, sites, Counter(elements))


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


def _triplet(rotation: NDArray[np.int64], translation: NDArray[np.float64]) -> str:
    """Return an operation as "x, y, z" text."""
    parts = []
    for row, shift in zip(rotation, translation, strict=True):
        shift_24 = round(float(shift) * 24) % 24
        term = "".join(
            ("-" if factor < 0 else "+") + letter
            for factor, letter in zip(row, "xyz", strict=True)
            if factor
        )
        shared = gcd(shift_24, 24)
        tail = f"+{shift_24 // shared}/{24 // shared}" if shift_24 else ""
        parts.append(term.removeprefix("+") + tail)
    return ", ".join(parts)


def _render(
    name: str,
    group: tuple[str, int],
    lattice: NDArray[np.float64],
    operations: list[str],
    sites: list[tuple[str, int, NDArray[np.float64]]],
    counts: Counter[str],
) -> str:
    """Lay out the CIF text."""
    lengths = np.linalg.norm(lattice, axis=1)
    unit = lattice / lengths[:, None]
    cosines = [unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    units = gcd(*counts.values())
    formula = "".join(f"{e}{n // units if n > units else ''}" for e, n in sorted(counts.items()))
    lines = [
        f"data_{re.sub(r'[^!-~]', '_', name) or 'bondwright'}",
        f"_symmetry_space_group_name_H-M   '{group[0]}'",
        *(f"_cell_length_{axis}   {value:.8f}" for axis, value in zip("abc", lengths, strict=True)),
        *(
            f"_cell_angle_{axis}   {value:.8f}"
            for axis, value in zip(("alpha", "beta", "gamma"), angles, strict=True)
        ),
        f"_symmetry_Int_Tables_number   {group[1]}",
        f"_chemical_formula_structural   {formula}",
        f"_chemical_formula_sum   '{' '.join(f'{e}{n}' for e, n in sorted(counts.items()))}'",
        f"_cell_volume   {abs(np.linalg.det(lattice)):.8f}",
        f"_cell_formula_units_Z   {units}",
        "loop_",
        " _symmetry_equiv_pos_site_id",
        " _symmetry_equiv_pos_as_xyz",
        *(f"  {index}  '{text}'" for index, text in enumerate(operations, start=1)),
        "loop_",
        " _atom_site_type_symbol",
        " _atom_site_label",
        " _atom_site_symmetry_multiplicity",
        " _atom_site_fract_x",
        " _atom_site_fract_y",
        " _atom_site_fract_z",
        " _atom_site_occupancy",
        *(
            f"  {e}  {e}{index}  {m}  {p[0]:.10f}  {p[1]:.10f}  {p[2]:.10f}  1"
            for index, (e, m, p) in enumerate(sites)
        ),
    ]
    return "\n".join(lines) + "\n"
