"""What the evaluation keeps on disk, and how it writes numbers.

Every row lands in its folder as soon as it is computed, under a key that tells what it is, so that
an evaluation that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from scipy.special import ndtri

from bondwright.crystals.crystal import Crystal, Site
from bondwright.crystals.dialect import Request
from bondwright.screen import reference_chunks
from bondwright.screen.workers import Stop, never

Row = dict[str, Any]
"""JSON values."""

Progress = Callable[[str, int, int], object]
"""Told what is being done, how much of it is done, and of how much."""

_SCHEMA = pa.schema({"key": pa.string(), "row": pa.string()})
_TWO_SIDED_95 = float(ndtri(0.975))


def untold(what: str, done: int, total: int) -> None:
    """Tell nobody how far it is."""


@dataclass(frozen=True)
class Going:
    """How the work is driven; nothing of it changes a result.

    Attributes:
        processes: worker processes.
        stop: asked between pieces of work.
        progress: told how far it is.
    """

    processes: int = 1
    stop: Stop = never
    progress: Progress = untold


ALONE = Going()
"""One process, never stopped, telling nobody."""


def keep(folder: Path, rows: Iterable[Row]) -> None:
    """Add rows, each with its `key`, to what a folder holds.

    Raises:
        OSError: the folder cannot be written.
    """
    texts = [{"key": row["key"], "row": json.dumps(row, allow_nan=False)} for row in rows]
    if texts:
        reference_chunks.land(folder, texts, _SCHEMA)


def kept(folder: Path) -> dict[str, Row]:
    """Return key -> row of everything that a folder holds."""
    table = reference_chunks.load(folder, _SCHEMA).to_pylist()
    return {entry["key"]: json.loads(entry["row"]) for entry in table}


def write_rows(path: Path, rows: Sequence[Row], leave_out: Sequence[str] = ()) -> None:
    """Write rows as one Parquet table: numbers and words as columns, the rest as JSON text.

    Args:
        path: file to write.
        rows: they may lack columns that others have.
        leave_out: names of columns that are not written.
    """
    names = [
        name for name in dict.fromkeys(n for row in rows for n in row) if name not in leave_out
    ]
    columns = {name: [_cell(row.get(name)) for row in rows] for name in names}
    reference_chunks.write_table(path, pa.table(columns))


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def share(count: int, total: int) -> dict[str, Any]:
    """Return a share with its 95 % interval; None where nothing was counted.

    The interval is Wilson's (J. Am. Stat. Assoc. 22, 209 (1927),
    doi:10.1080/01621459.1927.10502953).
    """
    if total == 0:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    p, z2 = count / total, _TWO_SIDED_95**2
    middle = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(p * (1 - p) / total + z2 / (4 * total**2)) * _TWO_SIDED_95 / (1 + z2 / total)
    return {
        "count": count,
        "of": total,
        "share": p,
        "low": max(0.0, middle - half),
        "high": min(1.0, middle + half),
    }


def crystal_to_json(crystal: Crystal) -> Row:
    """Return a crystal as JSON values."""
    return {
        "space_group": crystal.space_group,
        "lengths": list(crystal.lengths),
        "angles": list(crystal.angles),
        "sites": [[s.element, s.multiplicity, s.letter, list(s.position)] for s in crystal.sites],
    }


def crystal_from_json(data: Mapping[str, Any]) -> Crystal:
    """Rebuild what `crystal_to_json` returned."""
    a, b, c = data["lengths"]
    alpha, beta, gamma = data["angles"]
    sites = tuple(
        Site(element, multiplicity, letter, (x, y, z))
        for element, multiplicity, letter, (x, y, z) in data["sites"]
    )
    return Crystal(data["space_group"], (a, b, c), (alpha, beta, gamma), sites)


def request_to_json(request: Request) -> Row:
    """Return a request as JSON values."""
    return {
        "formula": None if request.formula is None else dict(request.formula),
        "formula_units": request.formula_units,
        "space_group": request.space_group,
        "elements": None if request.elements is None else list(request.elements),
        "max_atoms": request.max_atoms,
    }
