"""Structures as tokens, many at a time in worker processes, each with its outcome.

What was encoded lands in a folder piece by piece, so that a preparation that was stopped goes on
where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from ase import Atoms

from bondwright.crystals.crystal import from_atoms
from bondwright.crystals.dialect import Dialect
from bondwright.crystals.dialects import dialect
from bondwright.errors import InputError
from bondwright.screen import reference_chunks
from bondwright.screen.common_crystals import common_crystals
from bondwright.screen.hull import reduced_formula
from bondwright.screen.workers import Stop, run_chunks

VERSION = 1
"""Of the outcomes; what is encoded by another version is not used again."""

KEPT = "kept"
NO_SYMMETRY = "no-symmetry"
CANNOT_BE_WRITTEN = "cannot-be-written"
NOT_LOSSLESS = "not-lossless"

SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "outcome": pa.string(),
        "reason": pa.string(),
        "formula": pa.string(),
        "space_group": pa.int16(),
        "atoms": pa.int32(),
        "ids": pa.list_(pa.int16()),
    }
)
_CHUNK = 100


@dataclass(frozen=True)
class Encoding:
    """How structures become tokens.

    Attributes:
        dialect: name of the dialect.
        symprec: tolerance of the space group, Å.
    """

    dialect: str
    symprec: float

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that change with tokens, or with how known crystals are written."""
        spoken = dialect(self.dialect)
        facts = [VERSION, self.dialect, self.symprec, list(spoken.vocabulary.tokens)]
        seen = set()
        for name, atoms in common_crystals():
            prototype = name.split("-", 2)[2]
            if prototype not in seen:
                seen.add(prototype)
                moved = atoms.copy()
                moved.rattle(0.3, seed=1)  # Å; leaves no symmetry
                facts += [_encode(a, spoken, self.symprec)["ids"] for a in (atoms, moved)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def encode_all(
    structures: Iterable[tuple[str, Atoms]],
    encoding: Encoding,
    folder: Path,
    *,
    processes: int,
    stop: Stop,
) -> dict[str, dict[str, Any]]:
    """Encode structures that `folder` does not hold yet; return every row it then holds.

    Args:
        structures: (key, atoms); taken as they are needed.
        encoding: how.
        folder: of the pieces; made when needed.
        processes: worker processes.
        stop: asked between pieces; what is encoded by then is kept.

    Returns:
        key -> row of `SCHEMA`.
    """
    held = set(reference_chunks.load(folder, SCHEMA, ["key"]).column("key").to_pylist())
    source = ((key, atoms) for key, atoms in structures if key not in held)
    chunks = ((encoding, chunk) for chunk in iter(lambda: list(islice(source, _CHUNK)), []))
    for rows in run_chunks(encode_chunk, chunks, processes=processes, stop=stop):
        reference_chunks.land(folder, rows, SCHEMA)
    return {row["key"]: row for row in reference_chunks.load(folder, SCHEMA).to_pylist()}


def encode_chunk(chunk: tuple[Encoding, list[tuple[str, Atoms]]]) -> list[dict[str, Any]]:
    """Encode some structures; the function that the worker processes run."""
    encoding, structures = chunk
    spoken = dialect(encoding.dialect)
    return [{"key": key, **_encode(atoms, spoken, encoding.symprec)} for key, atoms in structures]


def _encode(atoms: Atoms, spoken: Dialect, symprec: float) -> dict[str, Any]:
    """Return the row of one structure, without its key."""
    row: dict[str, Any] = {"outcome": KEPT, "reason": "", "ids": []}
    try:
        crystal = from_atoms(atoms, symprec)
    except InputError as error:
        return {**row, "outcome": NO_SYMMETRY, "reason": str(error)}
    row |= {
        "formula": reduced_formula(crystal.counts),
        "space_group": crystal.space_group,
        "atoms": sum(crystal.counts.values()),
    }
    try:
        ids = spoken.encode(crystal)
    except InputError as error:
        return {**row, "outcome": CANNOT_BE_WRITTEN, "reason": str(error)}
    try:
        again = spoken.decode(ids)
    except InputError as error:
        return {**row, "outcome": NOT_LOSSLESS, "reason": str(error)}
    if (again.counts, again.space_group) != (crystal.counts, crystal.space_group):
        reason = f"{crystal.counts} in {crystal.space_group} came back as {again.counts} in "
        return {**row, "outcome": NOT_LOSSLESS, "reason": f"{reason}{again.space_group}"}
    return {**row, "ids": ids}
