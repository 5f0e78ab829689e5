"""Text of every known format to structures. CIF is read by `structure.cif`, the others by ASE."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from bondwright.errors import InputError
from bondwright.structure.cif import parse_cif
from bondwright.structure.expand import check_lattice
from bondwright.structure.parsed import Parsed, ReadLimits, Unreadable

MASS_TOLERANCE = 0.1
"""amu; masses in data files are rounded, and no two elements up to uranium but Co and Ni (0.24
apart) and the actinides are closer than 0.3."""


def parse_text(kind: str, text: str, limits: ReadLimits) -> list[Parsed]:
    """Parse one text.

    Args:
        kind: "cif", "poscar", "extxyz", "lammps-data" or "lammps-dump"; of the last three one
            frame.
        text: its text.
        limits: `atoms` caps the number of atoms.

    Returns:
        One result per structure in the text, at least one.

    Raises:
        InputError: the elements of the atom types cannot be known.
    """
    if kind == "cif":
        return parse_cif(text, limits)
    try:
        if not text.strip():
            raise Unreadable("empty", "the text is empty.")
        try:
            atoms = _READERS[kind](text)
        except (ValueError, IndexError, KeyError, RuntimeError, OSError, StopIteration) as error:
            raise Unreadable("syntax", f"not readable as {kind}: {error}"[:200]) from None
        notes = _check(atoms, limits)
    except Unreadable as reason:
        return [Parsed(problem=reason.problem)]
    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    return [Parsed(bare, notes=notes)]


def _check(atoms: Atoms, limits: ReadLimits) -> tuple[str, ...]:
    """Refuse what is no crystal; return notes."""
    if not len(atoms):
        raise Unreadable("no-sites", "there are no atoms.")
    if len(atoms) > limits.atoms:
        raise Unreadable("too-many-atoms", f"{len(atoms)} atoms, more than {limits.atoms}.")
    if not atoms.cell.array.any():
        raise Unreadable("no-cell", "there is no cell (a Lattice entry, for extended XYZ).")
    check_lattice(atoms.cell.array)
    if (atoms.numbers < 1).any():
        raise Unreadable("unknown-element", "an atom is the dummy X, no element.")
    if not np.isfinite(atoms.positions).all():
        index = int(np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))[0])
        raise Unreadable("bad-site", f"atom {index + 1} has no finite position.")
    return () if atoms.pbc.all() else ("made periodic in all three directions",)


def _read_poscar(text: str) -> Atoms:
    """Read POSCAR or CONTCAR text with a line of element symbols (VASP 5)."""
    from ase.io.vasp import read_vasp

    lines = text.splitlines()
    if len(lines) < 7:
        raise Unreadable("truncated", "a POSCAR has at least 8 lines.")
    if all(word.isdigit() for word in lines[5].split()):
        raise InputError(
            "a POSCAR of VASP 4 does not name its elements; add a line with their symbols before "
            "the line of counts."
        )
    return read_vasp(io.StringIO(text))


def _read_extxyz(text: str) -> Atoms:
    """Read one frame of (extended) XYZ."""
    from ase.io.extxyz import read_xyz

    lines = text.splitlines()
    # Checked here, because the reader would try as many lines as the number says.
    count = int(lines[0]) if lines[0].strip().isdigit() else -1
    if count < 0:
        raise Unreadable("syntax", f"{lines[0][:40]!r} is no number of atoms.")
    if len(lines) < count + 2:
        raise Unreadable("truncated", f"{lines[0][:40].strip()} atoms need as many lines.")
    return next(iter(read_xyz(io.StringIO(text), index=slice(0, 1))))


def _read_lammps_data(text: str) -> Atoms:
    """Read a LAMMPS data file in metal or real units (Å)."""
    from ase.io.lammpsdata import read_lammps_data

    return read_lammps_data(
        io.StringIO(text),
        Z_of_type=_elements_of_types(text),
        atom_style=_atom_style(text),
        units="metal",
    )


def _elements_of_types(text: str) -> dict[int, int]:
    """Return atom type -> atomic number from the Masses section of a LAMMPS data file.

    A comment that names an element decides; otherwise the mass does. A mass of exactly 1 is the
    unit of a model system, not hydrogen.
    """
    section = re.search(r"^\s*Masses\b[^\n]*\n(.*?)(?=^\s*[A-Z]|\Z)", text, re.M | re.S)
    found: dict[int, int] = {}
    for line in (section[1] if section else "").splitlines():
        entry = re.match(r"\s*(\d+)\s+(\S+)\s*(?:#\s*([A-Za-z]{1,2})\b)?", line)
        if not entry:
            continue
        kind, mass, comment = int(entry[1]), float(entry[2]), entry[3]
        if comment in atomic_numbers and comment != "X":
            found[kind] = atomic_numbers[comment]
            continue
        nearest = int(np.argmin(np.abs(atomic_masses[1:] - mass))) + 1
        if mass == 1.0 or abs(atomic_masses[nearest] - mass) > MASS_TOLERANCE:
            raise InputError(
                f"atom type {kind} has mass {mass:g}, which is no element's; name its element in "
                f"a comment of the Masses section: '{kind} {mass:g}  # Zr'."
            )
        found[kind] = nearest
    if not found:
        raise InputError(
            "the LAMMPS data file does not say which elements its atom types are; add a Masses "
            "section with lines such as '1 91.224  # Zr'."
        )
    return found


def _atom_style(text: str) -> str:
    """Return the atom style that a data file states, or that the number of columns suggests."""
    section = re.search(r"^\s*Atoms\b[ \t]*(?:#[ \t]*(\w+))?[^\n]*\n\s*([^\n]*)", text, re.M)
    if section is None:
        raise Unreadable("no-sites", "the LAMMPS data file has no Atoms section.")
    if section[1]:
        return section[1]
    columns = len(section[2].split("#")[0].split())
    # Three image flags may follow: 5 or 8 columns are id type x y z, 6 or 9 have a charge.
    return {5: "atomic", 8: "atomic", 6: "charge", 9: "charge"}.get(columns, "full")


def _read_lammps_dump(text: str) -> Atoms:
    """Read one frame of a LAMMPS dump that names the elements."""
    from ase.io.lammpsrun import read_lammps_dump_text

    header = re.search(r"^ITEM: ATOMS (.*)$", text, re.M)
    if header is None:
        raise Unreadable("truncated", "the dump has no ITEM: ATOMS section.")
    if "element" not in header[1].split():
        raise InputError(
            "the LAMMPS dump does not name elements; write it with 'dump ... custom ... id element "
            "x y z' and 'dump_modify ... element Zr Cu Al'."
        )
    return read_lammps_dump_text(io.StringIO(text), index=0)


_READERS: dict[str, Callable[[str], Atoms]] = {
    "poscar": _read_poscar,
    "extxyz": _read_extxyz,
    "lammps-data": _read_lammps_data,
    "lammps-dump": _read_lammps_dump,
}
