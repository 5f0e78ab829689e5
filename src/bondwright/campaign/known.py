"""Known structures for a campaign that was given no index: those of its own formulas.

Novelty compares a candidate only with structures of its reduced formula, so an index of these few
gives the same verdicts as an index of the whole table, in seconds instead of minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from ase import Atoms

from bondwright.screen.hull import parse_formula, reduced_formula
from bondwright.screen.reference import build_index, empty_index
from bondwright.structure.datasets import file_sha256
from bondwright.structure.identity import composition
from bondwright.structure.read import read_candidates
from bondwright.structure.write import write_text

_FORMULA_COLUMN = "formula_reduced"


def formulas_of(structures: Iterable[Atoms]) -> set[str]:
    """Return the reduced formulas of some atoms, in the spelling that tables are searched by."""
    return {reduced_formula(composition(atoms)) for atoms in structures}


def index_of_formulas(table: Path, formulas: set[str], folder: Path) -> Path:
    """Index the structures of a table that have one of these formulas, once.

    Args:
        table: CSV with the columns `formula_reduced` and a CIF column.
        formulas: reduced formulas as `formulas_of` gives them.
        folder: where the index is kept.

    Returns:
        The index file; its name tells table and formulas apart from others.

    Raises:
        InputError: the table cannot be read.
    """
    asked = "\n".join([file_sha256(table), *sorted(formulas)])
    target = folder / f"known-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.parquet"
    if target.is_file():
        return target
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    chosen = frame[[_spelling(text) in formulas for text in frame[_FORMULA_COLUMN]]]
    name = f"{table.name}: {len(chosen):,} of {len(frame):,} have a formula of this campaign"
    if chosen.empty:
        empty_index(name).save(target)
        return target
    rows = folder / f"{target.stem}.csv"
    try:
        write_text(rows, chosen.to_csv(index=False))
        build_index(read_candidates(rows), name=name).save(target)
    finally:
        rows.unlink(missing_ok=True)
    return target


def _spelling(formula: str) -> str:
    try:
        return reduced_formula(parse_formula(formula))
    except ValueError:
        return ""
