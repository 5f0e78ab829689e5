"""Reading and writing the tables that a hull is made of.

Own tables are Parquet files: one row per reduced formula with the lowest energy a potential finds
for it, and in the file's metadata a JSON header that says which potential, which structures and
whose data. DFT formation energies are read from the public table `hull_entries.csv.gz`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bondwright.errors import InputError
from bondwright.screen.hull import Hull, Phase
from bondwright.screen.potentials import EnergyKind
from bondwright.screen.reference_chunks import write_table
from bondwright.structure.datasets import data_folder

SCHEMA = pa.schema(
    [
        ("formula", pa.string()),
        ("energy_eV_per_atom", pa.float64()),
        ("id", pa.string()),
        ("relaxed", pa.bool_()),
    ]
)
_HEADER = b"bondwright-hull"
_MEND = "make one with `bondwright reference energies`"
_SHIPPED = {"chgnet": "hull-chgnet-0.3.0.parquet"}
_DFT_COLUMNS = ("material_id", "formula", "formation_energy_per_atom")


@lru_cache(maxsize=4)
def load_hull(name: str) -> Hull:
    """Load a hull, once per process.

    Args:
        name: "chgnet" (the table that comes with the package), "dft" (Materials Project formation
            energies below BONDWRIGHT_DATA), or the path of a table that `bondwright reference
            energies` made.

    Raises:
        InputError: the table is missing, is not what it should be, or is a Git LFS pointer.
    """
    if name == "dft":
        folder = data_folder() / "crystals"
        return read_dft_hull(
            folder / "hull_entries.csv.gz", folder / "mp_elemental_reference_entries.json.gz"
        )
    if name in _SHIPPED:
        return read_hull(Path(str(files("bondwright.screen") / "tables" / _SHIPPED[name])), name)
    return read_hull(Path(name))


def write_hull(path: Path, phases: Sequence[Phase], header: Mapping[str, Any]) -> None:
    """Write a hull table, sorted by formula.

    Args:
        path: file to write (Parquet).
        phases: the lowest phase of each formula.
        header: must hold "potential" (fingerprint) and "energies" (an `EnergyKind`); anything else
            that a reader should know (sources, licences, settings) goes along.
    """
    ordered = sorted(phases, key=lambda phase: (phase.formula, phase.energy, phase.id))
    columns = [
        [p.formula for p in ordered],
        [round(p.energy, 6) for p in ordered],
        [p.id for p in ordered],
        [p.relaxed for p in ordered],
    ]
    table = pa.table(columns, schema=SCHEMA)
    note = json.dumps({**header, "phases": len(ordered)}, ensure_ascii=False, sort_keys=True)
    write_table(path, table.replace_schema_metadata({_HEADER: note.encode()}))


def read_hull(path: Path, name: str | None = None) -> Hull:
    """Read a hull table of our own.

    Raises:
        InputError: the file is missing, a Git LFS pointer, or no such table.
    """
    refuse_pointer(path)
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a hull table ({error}); {_MEND}") from None
    note = (table.schema.metadata or {}).get(_HEADER)
    if note is None or not set(SCHEMA.names) <= set(table.schema.names):
        raise InputError(f"{path}: a Parquet file, but not a hull table; {_MEND}")
    header = json.loads(note)
    rows = table.select(SCHEMA.names).to_pydict()
    phases = [
        Phase(formula, energy, id_, relaxed)
        for formula, energy, id_, relaxed in zip(*(rows[c] for c in SCHEMA.names), strict=True)
    ]
    return Hull(
        name=name or path.name,
        phases=phases,
        energies=EnergyKind(header["energies"]),
        potential=header["potential"],
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def read_dft_hull(entries: Path, elements: Path) -> Hull:
    """Read a hull of DFT formation energies (MP2020 scheme) and the elements' total energies.

    Args:
        entries: CSV with columns material_id, formula, formation_energy_per_atom (eV).
        elements: JSON of the elements' computed entries, element -> {energy, correction,
            composition}.

    Raises:
        InputError: a file is missing, a Git LFS pointer, or has other contents.
    """
    for path in (entries, elements):
        refuse_pointer(path)
    try:
        table = pd.read_csv(entries, usecols=list(_DFT_COLUMNS), keep_default_na=False)
        reference = json.loads(gzip.decompress(elements.read_bytes()))
        element_energies = {
            symbol: (e["energy"] + e["correction"]) / sum(e["composition"].values())
            for symbol, e in reference.items()
        }
    except (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error) as error:
        raise InputError(f"{entries.parent}: not the DFT reference tables ({error})") from None
    # hull_entries.csv.gz lists compounds; the elements define the zero of formation energies.
    phases = [Phase(symbol, 0.0, "element") for symbol in element_energies]
    phases += [
        Phase(formula, float(energy), id_)
        for id_, formula, energy in table[list(_DFT_COLUMNS)].itertuples(index=False)
    ]
    return Hull(
        name="dft",
        phases=phases,
        energies=EnergyKind.CORRECTED,
        sha256=hashlib.sha256(entries.read_bytes()).hexdigest(),
        element_energies=element_energies,
    )


def refuse_pointer(path: Path) -> None:
    """Raise InputError when a file is missing, empty, or a Git LFS pointer in its place."""
    if not path.is_file():
        raise InputError(f"{path}: no such reference table; is BONDWRIGHT_DATA set rightly?")
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{path}: a Git LFS pointer, not the table itself; run `git lfs pull`")
    if not start:
        raise InputError(f"{path}: empty file")
