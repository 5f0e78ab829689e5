"""Known structures by formula: what crystals are compared with, and what ion exchange starts from.

Tables are kept as text; a structure is parsed when it is needed, which it is for few of them.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from bondwright.crystals.splits import PARTS, Splits
from bondwright.errors import InputError
from bondwright.screen.hull import parse_formula, reduced_formula
from bondwright.structure.datasets import data_folder, structures_table
from bondwright.structure.identity import composition
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.sandbox import parse_texts
from bondwright.structure.tables import is_table, open_table, read_rows

Formula = tuple[tuple[str, int], ...]
"""A reduced formula: elements in alphabetical order, each with its atoms."""

_FORMULA_SUM = re.compile(r"^_chemical_formula_sum\s+['\"]?([A-Za-z0-9 ]+)", re.MULTILINE)


@dataclass(frozen=True)
class KnownRow:
    """A known structure: its name, its CIF text, and its energy above the hull in eV/atom."""

    name: str
    text: str
    formula: Formula
    e_above_hull: float | None = None


@dataclass(frozen=True)
class Known:
    """Known structures, found by their formulas; the structures themselves are read when needed.

    Attributes:
        rows: the structures.
        unreadable: rows of the tables that hold no structure.
    """

    rows: tuple[KnownRow, ...]
    unreadable: int = 0
    _by_formula: dict[Formula, list[KnownRow]] = field(
        init=False, repr=False, default_factory=lambda: defaultdict(list)
    )

    def __post_init__(self) -> None:
        for row in self.rows:
            self._by_formula[row.formula].append(row)

    @property
    def formulas(self) -> Iterable[Formula]:
        """All formulas, each once."""
        return self._by_formula.keys()

    def of_formula(self, formula: Formula) -> Sequence[KnownRow]:
        """Return the structures of a formula, the most stable first where energies are known."""
        rows = self._by_formula.get(formula, [])
        return sorted(rows, key=lambda r: math.inf if r.e_above_hull is None else r.e_above_hull)


@dataclass(frozen=True)
class KnownSource:
    """Where known structures come from; small, so that it travels to worker processes.

    Attributes:
        paths: tables of structures.
        column: of the CIF texts; found by its name when None.
        source: only rows with this in the column `source`; all where "".
        splits: the rule that deals compositions out; None for tables that are not split.
        part: "train", "validation" or "test"; all compositions where "".
    """

    paths: tuple[Path, ...]
    column: str | None = None
    source: str = ""
    splits: Splits | None = None
    part: str = ""


@lru_cache(maxsize=4)
def load_known(source: KnownSource) -> Known:
    """Return known structures, read once in this process.

    Raises:
        InputError: a table cannot be read, or nothing of this part is in it.
    """
    known = _read_once(source.paths, source.column, source.source)
    if not source.part or source.splits is None:
        return known
    number = PARTS.index(source.part)
    kept = tuple(row for row in known.rows if source.splits.part(dict(row.formula)) == number)
    if not kept:
        named = ", ".join(str(path) for path in source.paths)
        raise InputError(f"no composition of {named} belongs to the part {source.part!r}.")
    return Known(kept, known.unreadable)


@lru_cache(maxsize=2)
def _read_once(paths: tuple[Path, ...], column: str | None, source: str) -> Known:
    """Return what `read_known` does; the parts of a table share its texts."""
    return read_known(paths, column, source)


def refuse_missing(paths: Iterable[Path]) -> None:
    """Refuse tables that are not there, before work is done that ends at them.

    Raises:
        InputError: names the first.
    """
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: there is no such table; name one with CIF texts.")


def default_table() -> Path:
    """Return the table of known structures below BONDWRIGHT_DATA.

    Raises:
        InputError: it is not there.
    """
    table = structures_table()
    if table is None:
        raise InputError(
            "this needs known structures, and there is no crystals/structures.csv.gz in "
            f"{data_folder()}; name a table of them, or set BONDWRIGHT_DATA."
        )
    return table


def read_known(paths: Sequence[Path], column: str | None = None, source: str = "") -> Known:
    """Read tables of known structures.

    Args:
        paths: tables with a column of CIF text; a column `e_above_hull` is used where there is one.
        column: of the CIF texts; found by its name when None.
        source: take only rows with this in the column `source`; all where "".

    Raises:
        InputError: a file is no such table, or holds no structure.
    """
    rows: list[KnownRow] = []
    silent: list[KnownRow] = []  # texts that do not state a formula
    for path in paths:
        if not is_table(path):
            raise InputError(f"{path} is no table; known structures come as CSV or Parquet.")
        table = open_table(path, column)
        for row in read_rows(table):
            if source and row.values.get("source") != source:
                continue
            text = row.text or ""
            stated = _formula_of_text(text)
            energy = row.values.get("e_above_hull")
            finite = isinstance(energy, (int, float)) and math.isfinite(energy)
            name = table.names[row.number] if table.names else f"{path.name}#{row.number}"
            known = KnownRow(name, text, stated or (), float(energy or 0) if finite else None)
            (rows if stated else silent).append(known)
    unreadable = 0
    texts = (("cif", row.text) for row in silent)
    for known, parsed in zip(silent, parse_texts(texts, ReadLimits(), processes=1), strict=True):
        if parsed[0].atoms is None:
            unreadable += 1
        else:
            rows.append(replace(known, formula=reduced(composition(parsed[0].atoms))))
    if not rows:
        where = f" of source {source!r}" if source else ""
        raise InputError(f"no structure{where} in {', '.join(str(path) for path in paths)}.")
    return Known(tuple(rows), unreadable)


def reduced(counts: Mapping[str, int]) -> Formula:
    """Return the reduced formula of some atoms."""
    return tuple(parse_formula(reduced_formula(counts)).items())


def _formula_of_text(text: str) -> Formula | None:
    """Return the reduced formula that a CIF text states; None where it states none."""
    stated = _FORMULA_SUM.search(text)
    if stated is None:
        return None
    try:
        return reduced(parse_formula(stated[1].replace(" ", "")))
    except ValueError:
        return None
