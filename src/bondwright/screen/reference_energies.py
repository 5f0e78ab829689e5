"""Energies of a whole structure table by one potential: the reference of a self-consistent hull.

Two passes, both resumable at any moment. The first evaluates every structure as it is (static
energy per atom and the 64-number crystal feature), many structures per forward pass. The second
relaxes the structures that decide the hull: each element's lowest first, then whatever lies within
a margin of the static hull, small cells first.

A static energy is an upper bound of the relaxed one. A hull that holds both kinds therefore says
for each entry which kind it is.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from ase import Atoms
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from bondwright.errors import InputError, nearest
from bondwright.screen import chgnet_engine, reference_chunks
from bondwright.screen.hull import reduced_formula
from bondwright.screen.potentials import load_potential
from bondwright.screen.workers import Stop, never, run_chunks

STATIC_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("id", pa.string()),
        ("formula", pa.string()),
        ("atoms", pa.int32()),
        ("energy_eV_per_atom", pa.float64()),
        ("feature", pa.list_(pa.float32(), chgnet_engine.FEATURES)),
        ("problem", pa.string()),
    ]
)
Asked = tuple[str, str | None]
"""A potential as a worker loads it: name and model file."""
_CHUNK_ATOMS = 3000  # about 20 s of work: what a kill can lose
_BATCH_ATOMS = 160  # larger forward passes gain nothing and cost memory


@dataclass(frozen=True)
class Row:
    """One structure of the table.

    Attributes:
        key: hash of identifier and text, under which results are kept.
        id: identifier in the table.
        cif: the structure as CIF text.
    """

    key: str
    id: str
    cif: str


@dataclass(frozen=True)
class Progress:
    """How far a pass is.

    Attributes:
        phase: "static" or "relaxed".
        done: structures with a result, those of earlier runs included.
        total: structures of the pass.
        per_second: structures per second in this run.
    """

    phase: str
    done: int
    total: int
    per_second: float


def read_rows(table: Path, *, column: str = "cif", id_column: str = "id") -> list[Row]:
    """Read the structures of a CSV or Parquet table (gzip allowed), shortest text first.

    Args:
        table: file with one CIF text per row.
        column: name of the column with the CIF text.
        id_column: name of the identifier column; the row number is used where it is missing.

    Raises:
        InputError: the file is unreadable or lacks the column.
    """
    try:
        if ".parquet" in table.suffixes:
            frame = pd.read_parquet(table)
        else:
            frame = pd.read_csv(table, keep_default_na=False, dtype=str)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{table}: cannot be read as a table of structures ({error})") from None
    if column not in frame:
        hint = nearest(column, map(str, frame.columns))
        raise InputError(f"{table}: no column {column!r} with CIF text.{hint}")
    ids = frame[id_column] if id_column in frame else frame.index.map("row-{}".format)
    rows = [table_row(str(name), str(cif)) for name, cif in zip(ids, frame[column], strict=True)]
    return sorted(rows, key=lambda row: (len(row.cif), row.id))


def read_element_rows(table: Path) -> list[Row]:
    """Read elemental structures from a JSON file {element: {"structure": [pymatgen structures]}}.

    Raises:
        InputError: the file has other contents.
    """
    try:
        data = json.loads(gzip.decompress(table.read_bytes()))
        rows = [
            table_row(f"element-{symbol}-{n}", Structure.from_dict(structure).to(fmt="cif"))
            for symbol, entry in data.items()
            for n, structure in enumerate(entry["structure"])
        ]
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        zlib.error,
    ) as error:
        raise InputError(f"{table}: not a file of elemental structures ({error})") from None
    return sorted(rows, key=lambda row: (len(row.cif), row.id))


def table_row(name: str, cif: str) -> Row:
    """Return a row under the key that its results are kept by."""
    return Row(hashlib.sha256(f"{name}\0{cif}".encode()).hexdigest()[:16], name, cif)


def structure_atoms(cif: str) -> Atoms:
    """Return the atoms of a CIF text from a trusted table (positions in Å).

    Raises:
        ValueError: the text holds no structure.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        atoms: Atoms = AseAtomsAdaptor.get_atoms(Structure.from_str(cif, fmt="cif"), msonable=False)
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)


def static_pass(
    rows: Sequence[Row],
    out: Path,
    potential: Asked = ("chgnet", None),
    *,
    processes: int = 1,
    stop: Stop = never,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Compute the static energy (with CHGNet the feature too) of every row that has none yet.

    Args:
        rows: the structures, cheap ones first.
        potential: name and model file.
        out: folder; results land in `out/static`.
        processes: worker processes, one thread each.
        stop: asked between chunks whether to stop.
        progress: told after every chunk.
    """
    folder = out / "static"
    done = set(reference_chunks.load(folder, STATIC_SCHEMA, ["key"]).column("key").to_pylist())
    todo = [row for row in rows if row.key not in done]
    chunks = ((potential, chunk) for chunk in _chunks(todo))
    results = run_chunks(_static_chunk, chunks, processes=processes, stop=stop)
    start = Progress("static", 0, len(rows), 0)
    land_all(results, folder, STATIC_SCHEMA, start, len(todo), progress)


def land_all(
    chunks: Iterable[list[dict[str, Any]]],
    folder: Path,
    schema: pa.Schema,
    start: Progress,
    todo: int,
    progress: Callable[[Progress], None] | None,
) -> None:
    """Land the results of a pass chunk by chunk and tell how far it is.

    Args:
        chunks: results as they are finished.
        folder: where they land.
        schema: their columns.
        start: phase and total of the pass.
        todo: structures without a result when the pass began.
        progress: told after every chunk.
    """
    started, finished = time.monotonic(), 0
    for results in chunks:
        reference_chunks.land(folder, results, schema)
        finished += len(results)
        if progress:
            rate = finished / (time.monotonic() - started)
            progress(replace(start, done=start.total - todo + finished, per_second=rate))


def _sites(row: Row) -> int:
    """Estimate the number of atoms from the length of the text (about 50 bytes per site)."""
    return 1 + max(0, len(row.cif) - 600) // 50


def _chunks(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Cut rows into chunks of about equal work."""
    chunk: list[Row] = []
    atoms = 0
    for row in rows:
        if chunk and atoms + _sites(row) > _CHUNK_ATOMS:
            yield chunk
            chunk, atoms = [], 0
        chunk.append(row)
        atoms += _sites(row)
    if chunk:
        yield chunk


def _static_chunk(chunk: tuple[Asked, list[Row]]) -> list[dict[str, Any]]:
    potential, rows = chunk
    results: list[dict[str, Any]] = []
    batch: list[tuple[Row, Atoms]] = []
    for row in rows:
        try:
            atoms = structure_atoms(row.cif)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            results.append(_failed(row, f"{type(error).__name__}: {error}"))
            continue
        if batch and sum(len(a) for _, a in batch) + len(atoms) > _BATCH_ATOMS:
            results += _static_batch(potential, batch)
            batch = []
        batch.append((row, atoms))
    return results + (_static_batch(potential, batch) if batch else [])


def _static_batch(potential: Asked, batch: list[tuple[Row, Atoms]]) -> list[dict[str, Any]]:
    """Evaluate several structures together; one that cannot be evaluated is set aside."""
    try:
        values = _static_values(potential, [atoms for _, atoms in batch])
    except (ValueError, RuntimeError, IndexError, NotImplementedError) as error:
        if len(batch) == 1:
            return [_failed(batch[0][0], str(error))]
        return [result for one in batch for result in _static_batch(potential, [one])]
    return [
        {
            "key": row.key,
            "id": row.id,
            "formula": reduced_formula(atoms.symbols.formula.count()),
            "atoms": len(atoms),
            "energy_eV_per_atom": energy,
            "feature": feature,
            "problem": "",
        }
        for (row, atoms), (energy, feature) in zip(batch, values, strict=True)
    ]


def _static_values(potential: Asked, batch: list[Atoms]) -> list[tuple[float, list[float] | None]]:
    if potential[0] == "chgnet":
        # float32 agrees with float64 to 2e-6 eV/atom here and costs half; what decides the hull
        # is relaxed and evaluated in float64 by the second pass.
        found = chgnet_engine.static_energies(batch, double=False)
        return [(value.energy, value.feature.tolist()) for value in found]
    calculator = load_potential(*potential).calculator
    values: list[tuple[float, list[float] | None]] = []
    for atoms in batch:
        atoms.calc = calculator
        values.append((float(atoms.get_potential_energy()) / len(atoms), None))
    return values


def _failed(row: Row, problem: str) -> dict[str, Any]:
    missing = {"formula": None, "atoms": None, "energy_eV_per_atom": None, "feature": None}
    return {"key": row.key, "id": row.id, "problem": problem, **missing}
