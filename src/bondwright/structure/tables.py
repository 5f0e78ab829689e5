"""Tables (CSV, Parquet) with a column of CIF text, row by row in bounded memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bondwright.errors import InputError, nearest

ENDINGS = (".csv", ".csv.gz", ".parquet")
CHUNK = 1_000
LONGEST_EXTRA = 500
"""Characters; a longer text in another column is a second structure or a log, not a property."""

_CIF_NAMES = frozenset({"cif", "cifs", "generatedcif", "ciftext", "cifstring", "structurecif"})
_ID_NAMES = ("materialid", "id", "structureid", "key", "name")


@dataclass(frozen=True)
class Row:
    """A row: its number from 0, its CIF text (None when the cell is empty), the other columns."""

    number: int
    text: str | None
    values: dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table and what its columns are for.

    Attributes:
        path: the file.
        column: name of the column of CIF texts.
        names: row -> its identifier, empty when no identifier column is unique.
        rows: number of rows.
    """

    path: Path
    column: str
    names: list[str]
    rows: int


def is_table(path: Path) -> bool:
    """Say whether a path is named like a table."""
    return path.name.casefold().endswith(ENDINGS)


def has_structures(path: Path) -> bool:
    """Say whether a table has a column that is recognised as CIF text."""
    try:
        return find_column(path, columns_of(path)) != ""
    except InputError:
        return False


def columns_of(path: Path) -> list[str]:
    """Return the column names of a table.

    Raises:
        InputError: the file is not such a table.
    """
    with _readable(path):
        if path.name.casefold().endswith(".parquet"):
            return [str(name) for name in pq.read_schema(path).names]
        return [str(name) for name in pd.read_csv(path, nrows=0).columns]


def find_column(path: Path, columns: list[str], asked: str | None = None) -> str:
    """Return the column of CIF texts: the one asked for, else the one with a usual name.

    Raises:
        InputError: there is none, or more than one; the message names the columns.
    """
    if asked is not None:
        if asked not in columns:
            raise InputError(
                f"{path} has no column {asked!r}.{nearest(asked, columns)} "
                f"Its columns are {_listed(columns)}."
            )
        return asked
    usual = [name for name in columns if _plain(name) in _CIF_NAMES]
    if len(usual) > 1:
        raise InputError(
            f"{path} has several columns of CIF text ({_listed(usual)}); name one with --column."
        )
    if not usual:
        raise InputError(
            f"{path} has no column that is recognised as CIF text; name it with --column. "
            f"Its columns are {_listed(columns)}."
        )
    return usual[0]


def open_table(path: Path, column: str | None) -> Table:
    """Find the columns of a table and count its rows.

    Raises:
        InputError: the file is not a table, or its CIF column is not clear.
    """
    columns = columns_of(path)
    chosen = find_column(path, columns, column)
    plain = {_plain(name): name for name in reversed(columns) if name != chosen}
    for name in (plain[key] for key in _ID_NAMES if key in plain):
        with _readable(path):
            if path.name.casefold().endswith(".parquet"):
                values = pq.read_table(path, columns=[name])[name].to_pandas()
            else:
                values = pd.read_csv(path, usecols=[name], dtype=str)[name]
        if values.notna().all() and values.astype(str).is_unique:
            return Table(path, chosen, [str(value) for value in values], len(values))
    with _readable(path):
        if path.name.casefold().endswith(".parquet"):
            return Table(path, chosen, [], int(pq.read_metadata(path).num_rows))
        # Any column counts the rows; the shortest to parse is not known, so the first.
        return Table(path, chosen, [], len(pd.read_csv(path, usecols=[0])))


def read_rows(table: Table) -> Iterator[Row]:
    """Yield the rows of a table in order.

    Raises:
        InputError: the file is damaged.
    """
    number = 0
    with _readable(table.path):
        for records in _chunks(table.path):
            for record in records:
                text = record.pop(table.column)
                values = {str(k): v for k, v in record.items() if not str(k).startswith("Unnamed:")}
                usable = text if isinstance(text, str) else None
                yield Row(number, usable, {k: _json(v) for k, v in values.items() if _short(v)})
                number += 1


def _chunks(path: Path) -> Iterator[list[dict[Any, Any]]]:
    """Yield lists of records."""
    if path.name.casefold().endswith(".parquet"):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=CHUNK):
                yield batch.to_pylist()
        return
    with pd.read_csv(path, chunksize=CHUNK) as chunks:
        for frame in chunks:
            yield frame.to_dict("records")


class _readable:  # noqa: N801 - used like a function
    """Turn what goes wrong in reading a table into one line for its user."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        with self._path.open("rb") as file:
            if file.read(40).startswith(b"version https://git-lfs"):
                raise InputError(
                    f"{self._path} is a git-LFS pointer, not the file; run 'git lfs pull' there."
                )

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, EOFError, ValueError, pa.ArrowException)):
            reason = str(error).splitlines()[0][:150] if str(error) else type(error).__name__
            raise InputError(
                f"{self._path} is no readable table ({reason}); write it again as CSV or Parquet."
            ) from None


def _plain(name: str) -> str:
    """Reduce a column name to its letters."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _listed(columns: list[str]) -> str:
    """List column names for a message."""
    return ", ".join(repr(name) for name in columns[:20]) + (", ..." if len(columns) > 20 else "")


def _short(value: Any) -> bool:
    """Say whether a value is a property, not another large text or array."""
    return not isinstance(value, (str, bytes, list, dict)) or len(value) <= LONGEST_EXTRA


def _json(value: Any) -> Any:
    """Return a value as JSON can hold it; what it cannot hold becomes text, NaN becomes None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return value.item() if hasattr(value, "item") else str(value)
    return value
