"""A candidate: a structure, where it came from, and what its text says about itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from ase import Atoms


@dataclass(frozen=True)
class Problem:
    """Why a candidate could not be read: a stable slug for counting and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class SiteRow:
    """One row of a CIF's atom-site loop, as written (fractional coordinates, no units).

    Only `symbol` is interpreted: it is the element that the type symbol or label means.
    """

    symbol: str
    label: str
    multiplicity: int | None
    position: tuple[float, float, float]
    occupancy: float


@dataclass(frozen=True)
class Declared:
    """What a CIF block *says*; whether that is true is the business of `screen.validity`.

    Attributes:
        block: name of the `data_` block, without `data_`.
        formula_sum: `_chemical_formula_sum`.
        formula_structural: `_chemical_formula_structural`.
        formula_units: `_cell_formula_units_Z`.
        space_group_symbol: Hermann-Mauguin symbol exactly as written.
        space_group_number: International Tables number as written.
        lengths: cell lengths a, b, c in Å.
        angles: cell angles alpha, beta, gamma in degrees.
        volume: `_cell_volume` in Å³.
        sites: the rows of the atom-site loop (the asymmetric unit).
        operations: symmetry operations as written ("x,y,z" strings).
        expanded_from: where the full cell came from: "operations" (the written list),
            "space group" (the list was missing or only the identity), or "none" (P 1, nothing
            declared).
    """

    block: str = ""
    formula_sum: str | None = None
    formula_structural: str | None = None
    formula_units: int | None = None
    space_group_symbol: str | None = None
    space_group_number: int | None = None
    lengths: tuple[float, float, float] | None = None
    angles: tuple[float, float, float] | None = None
    volume: float | None = None
    sites: tuple[SiteRow, ...] = ()
    operations: tuple[str, ...] = ()
    expanded_from: str = "none"


@dataclass(frozen=True)
class Origin:
    """Where a candidate came from.

    Attributes:
        source: file (or generator) name.
        row: row of a table, or frame of a trajectory, counted from 0.
        block: number of the `data_` block within the text, counted from 0.
        generator: program or model that made it, where known.
        seed: random seed that made it, where known.
    """

    source: str
    row: int | None = None
    block: int = 0
    generator: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A structure and where it came from.

    Attributes:
        key: 16 hexadecimal digits that name this candidate: a hash of its input content and
            origin, so the same row of the same file has the same key in every run.
        name: short label for people, such as "low.parquet#17" or "rutile".
        origin: file, row and generator.
        text: the CIF text as it came; None for formats that are not CIF.
        atoms: the full periodic cell (positions in Å); None when it could not be read.
        declared: what the text says about itself; None for formats that say nothing.
        problem: why there are no atoms; None when there are.
        notes: facts about the reading worth keeping ("second of 3 data blocks").
        asked: property values the generator was asked for, e.g. {"band_gap": 1.5} (eV).
        extra: other columns of the table the candidate came from (JSON values).
        control: True for a known crystal that is carried through every stage for comparison.
    """

    key: str
    name: str
    origin: Origin
    text: str | None = None
    atoms: Atoms | None = None
    declared: Declared | None = None
    problem: Problem | None = None
    notes: tuple[str, ...] = ()
    asked: dict[str, float] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    control: bool = False


def candidate_key(content: str, origin: Origin) -> str:
    """Return the 16-digit key of an input: a hash of its content and its place in its source."""
    place = f"{origin.source}\0{origin.row}\0{origin.block}\0"
    return hashlib.sha256((place + content).encode("utf-8", "surrogatepass")).hexdigest()[:16]
