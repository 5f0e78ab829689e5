"""Reading candidates from files of every known format.

What a user can mend about a file as a whole raises `InputError`; a structure that cannot be read
becomes a candidate that says why, so that no row is ever lost.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from bondwright.errors import InputError, nearest
from bondwright.structure.candidate import Candidate, Origin, Problem, candidate_key
from bondwright.structure.parsed import Parsed, ReadLimits, Unreadable
from bondwright.structure.sandbox import parse_texts
from bondwright.structure.tables import columns_of, has_structures, is_table, open_table, read_rows
from bondwright.structure.texts import decode, dump_frames, open_file, read_bytes, xyz_frames

__all__ = ["ReadLimits", "expand_paths", "read_candidates"]

log = logging.getLogger(__name__)

_KINDS = {
    ".cif": "cif",
    ".mcif": "cif",
    ".vasp": "poscar",
    ".poscar": "poscar",
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".data": "lammps-data",
    ".lmp": "lammps-data",
    ".dump": "lammps-dump",
    ".lammpstrj": "lammps-dump",
}
KNOWN = "CIF, POSCAR/CONTCAR, XYZ, LAMMPS data or dump, CSV or Parquet with a CIF column"


@dataclass(frozen=True)
class _Item:
    """A text on its way to the parser, and what is known of it beforehand."""

    kind: str
    text: str
    name: str
    source: str
    row: int | None = None
    problem: Problem | None = None
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def expand_paths(paths: Sequence[Path]) -> list[Path]:
    """Replace folders by the structure files in them, at any depth, in the order of their names.

    Files named directly are kept whatever they are called; in folders, files that hold no
    structures (and tables without a recognised CIF column) are left out and counted in the log.

    Raises:
        InputError: a path does not exist, or nothing that can be read is left.
    """
    found: list[Path] = []
    ignored = 0
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist; check the path.")
        if not path.is_dir():
            found.append(path)
            continue
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if not hidden and (has_structures(file) if is_table(file) else _kind(file)):
                found.append(file)
            else:
                ignored += 1
    if ignored:
        log.info("%d files without structures were left out", ignored)
    if not found:
        named = ", ".join(str(path) for path in paths) or "no path"
        raise InputError(f"nothing to read in {named}; give {KNOWN}.")
    return list(dict.fromkeys(found))


def read_candidates(
    path: Path,
    *,
    column: str | None = None,
    limits: ReadLimits = ReadLimits(),  # noqa: B008 - frozen
    control: bool = False,
    asked: dict[str, float] | None = None,
    asked_columns: dict[str, str] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Iterator[Candidate]:
    """Read the candidates of one file.

    Args:
        path: a file; folders are expanded by `expand_paths`.
        column: column of CIF texts of a table; found by its name when None.
        limits: caps on what is read.
        control: whether these are known crystals, carried along for comparison.
        asked: property -> value that the generator was asked for, the same for all.
        asked_columns: property -> table column that holds that value, row by row.
        progress: called with (texts read, their number or None while it is not known).

    Yields:
        A candidate for every row, data block and frame, in order; with `problem` when there is
        no structure in it.

    Raises:
        InputError: the file or an option cannot be used.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file; check the path.")
    items, total = _items(path, column, asked_columns or {}, limits)
    waiting: deque[_Item] = deque()

    def texts() -> Iterator[tuple[str, str]]:
        for item in items:
            waiting.append(item)
            # An item with a problem keeps its turn as a text that costs nothing.
            yield item.kind, "" if item.problem else item.text

    done = 0
    try:
        for results in parse_texts(texts(), limits):
            item = waiting.popleft()
            if item.problem:
                results = [Parsed(problem=item.problem)]
            for result in results:
                yield _candidate(item, result, len(results), control, asked, asked_columns)
            done += 1
            if progress:
                progress(done, total)
    except InputError as error:
        prefix = "" if str(path) in str(error) else f"{path}: "
        raise InputError(f"{prefix}{error}") from None


def _candidate(
    item: _Item,
    result: Parsed,
    blocks: int,
    control: bool,
    asked: dict[str, float] | None,
    asked_columns: dict[str, str] | None,
) -> Candidate:
    """Put together what is known of one structure."""
    origin = Origin(item.source, item.row, result.block)
    wanted = dict(asked or {})
    for name, column in (asked_columns or {}).items():
        value = item.extra.get(column)
        if isinstance(value, (int, float)) and math.isfinite(value):
            wanted[name] = float(value)
    return Candidate(
        key=candidate_key(item.text, origin),
        name=item.name if blocks == 1 else f"{item.name}.{result.block + 1}",
        origin=origin,
        text=item.text if item.kind == "cif" and not item.problem else None,
        atoms=result.atoms,
        declared=result.declared,
        problem=result.problem,
        notes=(*item.notes, *result.notes),
        asked=wanted,
        extra=dict(item.extra),
        control=control,
    )


def _kind(path: Path) -> str:
    """Return the kind of a file by its name, empty when it is not known."""
    name = path.name.casefold()
    if name.startswith(("poscar", "contcar")):
        return "poscar"
    if name.startswith("data."):
        return "lammps-data"
    return _KINDS.get(path.suffix.casefold(), "")


def _source(path: Path) -> str:
    """Name a file by itself and its folder: the same wherever the folder is moved."""
    return "/".join(path.resolve().parts[-2:])


def _items(
    path: Path, column: str | None, asked_columns: dict[str, str], limits: ReadLimits
) -> tuple[Iterator[_Item], int | None]:
    """Return the texts of a file and, where it is known, their number."""
    if is_table(path):
        return _table_items(path, column, asked_columns)
    if asked_columns or column:
        raise InputError(f"{path} is not a table, so it has no columns to choose from.")
    kind = _kind(path)
    if not kind:
        raise InputError(f"{path} is of no known format; give {KNOWN} (known by the file name).")
    if kind in ("extxyz", "lammps-dump"):
        return _frame_items(path, kind, limits), None
    return iter([_file_item(path, kind, limits)]), 1


def _table_items(
    path: Path, column: str | None, asked_columns: dict[str, str]
) -> tuple[Iterator[_Item], int]:
    """Return the rows of a table."""
    columns = columns_of(path)
    for name in asked_columns.values():
        if name not in columns:
            raise InputError(f"{path} has no column {name!r}.{nearest(name, columns)}")
    table = open_table(path, column)
    source = _source(path)

    def items() -> Iterator[_Item]:
        for row in read_rows(table):
            name = table.names[row.number] if table.names else f"{path.name}#{row.number}"
            problem = None
            if row.text is None:
                problem = Problem("empty", f"row {row.number} has no CIF text.")
            yield _Item("cif", row.text or "", name, source, row.number, problem, extra=row.values)

    return items(), table.rows


def _file_item(path: Path, kind: str, limits: ReadLimits) -> _Item:
    """Return the text of a file that is one text."""
    # Every calculation has a POSCAR: its folder tells which.
    name = _source(path) if kind == "poscar" else path.stem
    return _item_of(read_bytes(path, limits.text_bytes), kind, name, path, None)


def _frame_items(path: Path, kind: str, limits: ReadLimits) -> Iterator[_Item]:
    """Return the frames of a trajectory; a single frame is named like its file."""
    split = xyz_frames if kind == "extxyz" else dump_frames
    with open_file(path) as file:
        frames = split(file, limits.text_bytes)
        first, second = next(frames, b""), next(frames, None)
        if second is None:
            yield _item_of(first, kind, path.stem, path, 0)
            return
        for row, frame in enumerate(chain([first, second], frames)):
            yield _item_of(frame, kind, f"{path.name}#{row}", path, row)


def _item_of(data: bytes, kind: str, name: str, path: Path, row: int | None) -> _Item:
    """Decode the bytes of one text."""
    try:
        text, notes = decode(data)
    except Unreadable as reason:
        # The bytes still tell this candidate from others, though they are no text.
        return _Item(kind, data.hex(), name, _source(path), row, reason.problem)
    return _Item(kind, text, name, _source(path), row, notes=notes)
