"""LAMMPS data and dump files: structures in, structures out.

A dump is read frame by frame, so that a trajectory may be larger than the memory. Its atoms are
sorted by their LAMMPS id; positions are counted from the corner of the box.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np
import pandas as pd
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.lammpsdata import write_lammps_data
from numpy.typing import NDArray

from bondwright.errors import InputError
from bondwright.structure.formats import parse_text
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.write import write_text

_GZIP = b"\x1f\x8b"
_LARGEST = ReadLimits(atoms=10_000_000)
# Of several kinds of coordinates in one dump the first of these is taken.
_COORDINATES = (
    ("x", "y", "z"),
    ("xu", "yu", "zu"),
    ("xs", "ys", "zs"),
    ("xsu", "ysu", "zsu"),
)


@dataclass(frozen=True)
class Frame:
    """One frame of a dump.

    Attributes:
        step: time step of the simulation.
        atoms: structure (Å), atoms sorted by id.
        ids: (n,) the LAMMPS ids, ascending.
    """

    step: int
    atoms: Atoms
    ids: NDArray[np.int64]


class _EndedEarly(Exception):  # noqa: N818  (no error: the good frames are kept)
    """The file ends inside a frame."""


def read_data(path: Path, elements: Mapping[int, str] | None = None) -> Atoms:
    """Read a LAMMPS data file in metal or real units, of any common atom style.

    Args:
        path: the file, gzipped or not.
        elements: atom type -> element symbol; None to take them from the Masses section (a
            comment with the symbol decides, otherwise the mass).

    Returns:
        The periodic structure (Å), atoms in the order of their ids.

    Raises:
        InputError: no such file, or not a data file whose elements are known and whose number of
            atoms is the one that it states.
    """
    with _opened(path) as file:
        try:
            text = file.read()
        except (EOFError, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read to its end: {error}") from None
    if elements is not None:
        text = _with_masses(text, _checked_elements(elements))
    parsed = parse_text("lammps-data", text, _LARGEST)[0]
    if parsed.atoms is None:
        why = parsed.problem.message if parsed.problem else "no atoms"
        raise InputError(f"{path} is not readable as a LAMMPS data file: {why}")
    stated = re.search(r"^\s*(\d+)\s+atoms\b", text, re.M)
    if stated and int(stated[1]) != len(parsed.atoms):
        raise InputError(
            f"{path} states {stated[1]} atoms and lists {len(parsed.atoms)}; it is damaged."
        )
    return parsed.atoms


def write_data(path: Path, atoms: Atoms, elements: Sequence[str] | None = None) -> None:
    """Write a LAMMPS data file (metal units, atomic style, masses with their elements).

    A cell that is not lower triangular is rotated to one with its atoms, as LAMMPS wants it.

    Args:
        path: the file; it appears complete or not at all.
        atoms: structure, periodic in all directions (Å).
        elements: symbols in the order of the atom types; None for alphabetical order.

    Raises:
        InputError: an element of the structure is not named.
    """
    kinds = sorted(set(atoms.get_chemical_symbols())) if elements is None else list(elements)
    missing = set(atoms.get_chemical_symbols()) - set(kinds)
    if missing:
        raise InputError(f"the type list {' '.join(kinds)} lacks {', '.join(sorted(missing))}.")
    buffer = io.StringIO()
    write_lammps_data(buffer, atoms, specorder=kinds, masses=True, units="metal")
    write_text(path, buffer.getvalue())


def read_dump_frames(
    path: Path,
    elements: Mapping[int, str] | None = None,
    *,
    note: Callable[[str], None] = warnings.warn,
) -> Iterator[Frame]:
    """Read the frames of a LAMMPS text dump one after the other.

    Scaled (xs), absolute (x) and unwrapped (xu, xsu) coordinates and triclinic boxes are
    understood; further columns are left out. A file that breaks off inside a frame, as that of a
    killed simulation does, gives its complete frames and a note.

    Args:
        path: the file, gzipped or not.
        elements: atom type -> element symbol; None where the dump has a column `element`.
        note: takes a sentence about a frame that was left out.

    Yields:
        The frames in the order of the file.

    Raises:
        InputError: no such file, not a dump, columns or elements missing, atoms that are not as
            many as stated, or values that are no numbers.
    """
    known = None if elements is None else _checked_elements(elements)
    read = 0
    with _opened(path) as file:
        while True:
            try:
                frame = _read_frame(file, known, f"{path}, frame {read + 1}")
            except (_EndedEarly, EOFError):
                if not read:
                    raise InputError(f"{path} ends before its first frame does.") from None
                note(f"{path} breaks off inside frame {read + 1}; {read} frames are complete.")
                return
            except (UnicodeDecodeError, gzip.BadGzipFile) as error:
                raise InputError(f"{path}, frame {read + 1}: not a text dump ({error}).") from None
            if frame is None:
                if not read:
                    raise InputError(f"{path} is empty; a LAMMPS dump begins with ITEM: TIMESTEP.")
                return
            yield frame
            read += 1


def _opened(path: Path) -> TextIO:
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP
        if compressed:
            return gzip.open(path, "rt", encoding="utf-8")
        return path.open(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}.") from None


def _checked_elements(elements: Mapping[int, str]) -> dict[int, str]:
    for kind, symbol in elements.items():
        if symbol not in atomic_numbers or symbol == "X":
            raise InputError(f"atom type {kind} cannot be {symbol!r}, which is no element.")
    return dict(elements)


def _with_masses(text: str, elements: dict[int, str]) -> str:
    """Replace the Masses section by one whose comments name the elements."""
    stated = re.search(r"^\s*(\d+)\s+atom\s+types\b", text, re.M)
    if stated and (lacking := set(range(1, int(stated[1]) + 1)) - set(elements)):
        raise InputError(f"no element is given for atom type {min(lacking)}.")
    bare = re.sub(r"^[ \t]*Masses\b[^\n]*\n.*?(?=^[ \t]*[A-Z]|\Z)", "", text, flags=re.M | re.S)
    rows = "".join(f"{kind} 1.0 # {symbol}\n" for kind, symbol in sorted(elements.items()))
    return f"{bare.rstrip()}\n\nMasses\n\n{rows}"


def _read_frame(file: TextIO, elements: dict[int, str] | None, where: str) -> Frame | None:
    """Read one frame; None at the end of the file."""
    step = count = None
    box: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    periodic = [True, True, True]
    begun = False
    while line := file.readline():
        words = line.split()
        if not words:
            continue
        begun = True
        if words[0] != "ITEM:":
            _refuse(where, f"found {line.strip()[:40]!r} where an ITEM: line belongs")
        item = " ".join(words[1:])
        if item == "TIMESTEP":
            step = _integer(file, where)
        elif item == "NUMBER OF ATOMS":
            count = _integer(file, where)
        elif item.startswith("BOX BOUNDS"):
            box, periodic = _box(file, words[3:], where)
        elif item.startswith("ATOMS"):
            if step is None or count is None or box is None:
                _refuse(where, "time step, number of atoms and box must come before the atoms")
            return _frame(
                _rows(file, count, words[2:], where), step, box, periodic, elements, where
            )
        else:  # UNITS, TIME: one line that is not needed
            file.readline()
    if begun:
        raise _EndedEarly
    return None


def _box(
    file: TextIO, words: list[str], where: str
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], list[bool]]:
    """Read the box: ((cell (3, 3), corner (3,)) in Å, periodicity)."""
    lines = list(islice(file, 3))
    if len(lines) < 3 or not lines[-1].endswith("\n"):
        raise _EndedEarly
    flags = [word for word in words if re.fullmatch(r"[pfsm]{2}", word)] or ["pp"] * 3
    try:
        rows = np.array([line.split() for line in lines], dtype=float)
    except ValueError:
        _refuse(where, f"box bounds {lines[0].strip()!r} ... are no numbers")
    if not np.isfinite(rows).all():
        _refuse(where, "the box bounds are not finite")
    if words[:2] == ["abc", "origin"] and rows.shape[1] == 4:
        return (rows[:, :3].copy(), rows[:, 3].copy()), [flag == "pp" for flag in flags]
    tilted = words[:3] == ["xy", "xz", "yz"]
    if rows.shape[1] != (3 if tilted else 2):
        _refuse(where, "the box bounds have the wrong number of columns")
    xy, xz, yz = rows[:, 2] if tilted else (0.0, 0.0, 0.0)
    # The bounds of a tilted box are those of the upright box around it.
    low = rows[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    high = rows[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    a, b, c = high - low
    if min(a, b, c) <= 0:
        _refuse(where, "the box has no volume")
    cell = np.array([[a, 0.0, 0.0], [xy, b, 0.0], [xz, yz, c]])
    return (cell, np.asarray(low, dtype=float)), [flag == "pp" for flag in flags]


def _rows(file: TextIO, count: int, columns: list[str], where: str) -> pd.DataFrame:
    lines = list(islice(file, count))
    early = next((n for n, line in enumerate(lines) if line.startswith("ITEM:")), None)
    if early is not None:
        _refuse(where, f"{count} atoms are stated and {early} are listed")
    if len(lines) < count or (count and not lines[-1].endswith("\n")):
        raise _EndedEarly
    try:
        table = pd.read_csv(
            io.StringIO("".join(lines)),
            sep=r"\s+",
            header=None,
            keep_default_na=False,
            skip_blank_lines=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        _refuse(where, f"the atoms are no table ({' '.join(str(error).split())})")
    if table.shape != (count, len(columns)):
        _refuse(where, f"the atoms do not have the {len(columns)} columns {' '.join(columns)}")
    table.columns = pd.Index(columns)
    return table


def _frame(
    table: pd.DataFrame,
    step: int,
    box: tuple[NDArray[np.float64], NDArray[np.float64]],
    periodic: list[bool],
    elements: dict[int, str] | None,
    where: str,
) -> Frame:
    cell, corner = box
    names = next((names for names in _COORDINATES if set(names) <= set(table)), None)
    if names is None or "id" not in table:
        _refuse(
            where, f"columns id and x y z (or xs ys zs) are needed, not {' '.join(map(str, table))}"
        )
    positions = np.column_stack([_numbers(table, name, where) for name in names])
    positions = positions @ cell if names[0].startswith("xs") else positions - corner
    ids = _numbers(table, "id", where).astype(np.int64)
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    if (np.diff(ids) == 0).any():
        _refuse(where, f"atom id {ids[:-1][np.diff(ids) == 0][0]} occurs twice")
    symbols = _symbols(table, elements, where)
    return Frame(
        step,
        Atoms(
            numbers=np.array([atomic_numbers[symbol] for symbol in symbols])[order],
            positions=positions[order],
            cell=cell,
            pbc=periodic,
        ),
        ids,
    )


def _symbols(table: pd.DataFrame, elements: dict[int, str] | None, where: str) -> list[str]:
    if elements is None:
        if "element" not in table:
            _refuse(where, "the dump names no elements; say which element each atom type is")
        symbols = [str(symbol) for symbol in table["element"]]
        if odd := set(symbols) - (set(atomic_numbers) - {"X"}):
            _refuse(where, f"{min(odd)!r} is no element")
        return symbols
    if "type" not in table:
        _refuse(where, "there is no column 'type' to which the given elements could belong")
    kinds = _numbers(table, "type", where).astype(np.int64)
    if odd_kinds := set(kinds.tolist()) - set(elements):
        _refuse(where, f"no element is given for atom type {min(odd_kinds)}")
    return [elements[kind] for kind in kinds.tolist()]


def _numbers(table: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    try:
        values = np.asarray(pd.to_numeric(table[column]), dtype=float)
    except (ValueError, TypeError) as error:
        _refuse(where, f"column {column} holds what is no number ({error})")
    if not np.isfinite(values).all():
        _refuse(where, f"column {column} holds a value that is not finite")
    return values


def _integer(file: TextIO, where: str) -> int:
    line = file.readline()
    if not line.endswith("\n"):
        raise _EndedEarly
    try:
        value = int(line)
    except ValueError:
        _refuse(where, f"{line.strip()[:40]!r} is no whole number")
    if value < 0:
        _refuse(where, f"{value} is negative")
    return value


def _refuse(where: str, what: str) -> NoReturn:
    raise InputError(f"{where}: {what}.")
