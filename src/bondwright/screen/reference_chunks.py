"""Results that land as files: many small Parquet chunks that survive a kill at any moment.

A chunk is written under a temporary name, synced and renamed, so a file that is there is whole.
Reading takes every chunk together; a row computed twice (two runs side by side) counts once.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file so that it is there whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def land(folder: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Add one chunk of rows to `folder`."""
    table = pa.Table.from_pylist(list(rows), schema=schema)
    write_table(folder / f"{uuid.uuid4().hex}.parquet", table)


def load(folder: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of all chunks in `folder`, each key once (in no particular order).

    Args:
        folder: where `land` put the chunks; need not exist.
        schema: of the rows; must have a string column `key`.
        columns: those wanted (`key` included), or None for all.
    """
    wanted = list(columns) if columns else schema.names
    empty = pa.schema([schema.field(name) for name in wanted]).empty_table()
    files = sorted(folder.glob("*.parquet"))
    table = pa.concat_tables([empty, *(pq.read_table(f, columns=wanted) for f in files)])
    seen: set[str] = set()
    keep = []
    for index, key in enumerate(table.column("key").to_pylist()):
        if key not in seen:
            seen.add(key)
            keep.append(index)
    return table.take(pa.array(keep, type=pa.int64()))
