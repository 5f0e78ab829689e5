"""Training data of the band-gap model: a table of crystals with gaps, as features and a split."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bondwright.errors import InputError, nearest
from bondwright.screen import reference_chunks
from bondwright.screen.band_gap import all_features
from bondwright.screen.band_gap_features import element_tables
from bondwright.screen.chgnet_engine import StaticResult
from bondwright.screen.reference_energies import (
    STATIC_SCHEMA,
    Progress,
    Row,
    read_rows,
    static_pass,
)
from bondwright.structure.read import read_candidates

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GapData:
    """Crystals with known band gaps.

    Attributes:
        ids: identifiers in the table (n).
        systems: chemical systems, "O-Ti" (n).
        gaps: band gaps in eV (n).
        features: (n, f) as `band_gap.all_features` gives them.
        left_out: reason -> rows of the table that are not used.
    """

    ids: list[str]
    systems: list[str]
    gaps: Array
    features: Array
    left_out: dict[str, int]


@dataclass(frozen=True)
class _Known:
    """A row of the table that can be used, without its features."""

    row: Row
    gap: float
    atoms: Any


def gather(
    table: Path,
    work: Path,
    *,
    gap_column: str = "band_gap",
    exclude_sources: Sequence[str] = (),
    max_atoms: int = 24,
    processes: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> GapData:
    """Read a table and compute the features of its crystals.

    CHGNet's part, which takes long, lands in `work/static` piece by piece: a second call goes on
    where the first was stopped, and the reference hull shares it.

    Args:
        table: CSV or Parquet with the columns `id`, `cif` and the gap; `source` where rows are to
            be excluded.
        work: folder of the pieces.
        gap_column: column of the band gap in eV; rows without a number are left out.
        exclude_sources: values of `source` to leave out (gaps by another functional).
        max_atoms: largest cell used.
        processes: worker processes.
        progress: told while features are computed.

    Raises:
        InputError: the table is unreadable, lacks a column, or holds no gap.
    """
    known, left_out = _known(table, gap_column, exclude_sources, max_atoms)
    static_pass([k.row for k in known], work, processes=processes, progress=progress)
    static = _static_results(work)
    elements, oxidation = element_tables()
    kept: list[_Known] = []
    features: list[Array] = []
    for one in known:
        result = static.get(one.row.key)
        if result is None:
            left_out["no energy by CHGNet"] = left_out.get("no energy by CHGNet", 0) + 1
            continue
        kept.append(one)
        features.append(all_features(one.atoms, result, elements, oxidation))
    if not kept:
        raise InputError(f"{table}: no row has both a structure and a {gap_column}")
    return GapData(
        ids=[k.row.id for k in kept],
        systems=["-".join(sorted(set(k.atoms.get_chemical_symbols()))) for k in kept],
        gaps=np.array([k.gap for k in kept]),
        features=np.array(features),
        left_out=left_out,
    )


def split(systems: Sequence[str], seed: int, shares: tuple[float, float]) -> NDArray[np.str_]:
    """Deal chemical systems out to "train", "validation" and "test".

    All crystals of a chemical system go to the same part, whatever else the table holds, so that
    no composition and no polymorph is on both sides.

    Args:
        systems: chemical system of each crystal.
        seed: of the lot.
        shares: of validation and test.
    """
    parts = []
    for system in systems:
        digest = hashlib.sha256(f"{seed}:{system}".encode()).digest()
        lot = int.from_bytes(digest[:8], "big") / 2**64
        parts.append("validation" if lot < shares[0] else "test" if lot < sum(shares) else "train")
    return np.array(parts)


def _known(
    table: Path, gap_column: str, exclude_sources: Sequence[str], max_atoms: int
) -> tuple[list[_Known], dict[str, int]]:
    """Read the usable rows, and count the others by reason."""
    rows = {row.id: row for row in read_rows(table)}
    known: list[_Known] = []
    left_out: dict[str, int] = {}
    for candidate in read_candidates(table, column="cif"):
        extra = candidate.extra
        if "id" not in extra or gap_column not in extra:
            missing = "id" if "id" not in extra else gap_column
            raise InputError(f"{table}: no column {missing!r}.{nearest(missing, extra)}")
        gap = extra[gap_column]
        if not isinstance(gap, (int, float)) or not math.isfinite(gap) or gap < 0:
            reason = "no band gap"
        elif extra.get("source") in exclude_sources:
            reason = f"source {extra['source']}"
        elif candidate.atoms is None:
            reason = "unreadable"
        elif len(candidate.atoms) > max_atoms:
            reason = f"more than {max_atoms} atoms"
        else:
            known.append(_Known(rows[str(extra["id"])], float(gap), candidate.atoms))
            continue
        left_out[reason] = left_out.get(reason, 0) + 1
    return known, left_out


def _static_results(work: Path) -> dict[str, StaticResult]:
    """Read CHGNet's energies and features by the key of their row."""
    columns = ["key", "energy_eV_per_atom", "feature"]
    table = reference_chunks.load(work / "static", STATIC_SCHEMA, columns)
    return {
        row["key"]: StaticResult(
            row["energy_eV_per_atom"], np.array(row["feature"], dtype=np.float32)
        )
        for row in table.to_pylist()
        if row["feature"] is not None
    }
