"""Is the crystal made of what its text declares? Composition and site multiplicities.

The published validity test compares one part of a CIF's text with another part. Here the text is
compared with the atoms that its symmetry operations really generate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from math import gcd
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from pymatgen.core import Composition

from bondwright.structure.candidate import Declared
from bondwright.structure.expand import (
    IDENTITY,
    Operations,
    first_within,
    orbit,
    parse_operations,
)
from bondwright.structure.identity import composition
from bondwright.structure.symmetry import find_setting

_BLOCK_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*){2,}")


def parse_formula(text: str | None) -> dict[str, int] | None:
    """Read a chemical formula as it stands in a CIF.

    Args:
        text: "Ti2 O4", "Na3(PO4)2", "[Ti4O8]"; None is allowed.

    Returns:
        Whole number of atoms per element symbol; None when the text is not such a formula.
    """
    if not text or len(text) > 500:
        return None
    try:
        amounts = Composition(text.strip("'\" ")).get_el_amt_dict()
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    if not amounts or any(a != round(a) or a <= 0 for a in amounts.values()):
        return None
    counts = {symbol: round(a) for symbol, a in amounts.items()}
    return counts if all(symbol in chemical_symbols[1:] for symbol in counts) else None


def check_composition(atoms: Atoms, declared: Declared | None) -> dict[str, Any]:
    """Compare the parsed cell with every formula the text declares.

    `_chemical_formula_sum` must equal the cell's content, or the content divided by the declared
    number of formula units; the other formulas must agree up to a common factor; the declared Z
    must fit. A block name counts as a formula only when it is one with at least two elements and
    a number ("data_Ti2O4"), because "data_CIF" and "data_P1" would read as formulas, too.

    Args:
        atoms: the expanded cell.
        declared: what the text says; None when there is no text.

    Returns:
        {passed, found, contradicted_by}: atoms per element in the cell, and the declared
        statements that differ from it.
    """
    found = composition(atoms)
    wrong: list[str] = []
    if declared is not None:
        units = declared.formula_units
        if declared.formula_sum is not None:
            total = parse_formula(declared.formula_sum)
            if total is None or not _is_cell_content(found, total, units):
                wrong.append(f"formula sum {declared.formula_sum!r}")
            elif units is not None and not _units_fit(found, units):
                wrong.append(f"{units} formula units")
        elif units is not None and not _units_fit(found, units):
            wrong.append(f"{units} formula units")
        structural = parse_formula(declared.formula_structural)
        if structural is not None and _reduced(structural) != _reduced(found):
            wrong.append(f"structural formula {declared.formula_structural!r}")
        named = _block_formula(declared.block)
        if named is not None and _reduced(named) != _reduced(found):
            wrong.append(f"block name {declared.block!r}")
    return {"passed": not wrong, "found": found, "contradicted_by": wrong}


def check_multiplicity(atoms: Atoms, declared: Declared | None) -> dict[str, Any]:
    """Compare each site's declared multiplicity with the number of atoms it generates.

    Args:
        atoms: the expanded cell.
        declared: what the text says; None when there is no text.

    Returns:
        {passed, wrong}: passed is None when no multiplicity is declared, or when it stays open
        which operations made the cell; `wrong` lists up to ten {site, declared, generated}.
    """
    rows = () if declared is None else declared.sites
    if declared is None or all(row.multiplicity is None for row in rows):
        return {"passed": None, "wrong": []}
    generated = _generated(atoms, declared)
    wrong = [
        {"site": row.label, "declared": row.multiplicity, "generated": count}
        for row, count in zip(rows, generated or [], strict=generated is not None)
        if row.multiplicity is not None and row.multiplicity != count
    ]
    return {"passed": None if generated is None else not wrong, "wrong": wrong[:10]}


def _is_cell_content(found: dict[str, int], total: dict[str, int], units: int | None) -> bool:
    if found == total:
        return True
    if units is None:  # the sum may stand for one formula unit of an unknown number
        return _reduced(found) == _reduced(total)
    return found == {symbol: units * n for symbol, n in total.items()}


def _units_fit(found: dict[str, int], units: int) -> bool:
    """Tell whether the cell divides into `units` formula units.

    Z is the common divisor of the counts, or a divisor of it: the formula unit of Hg2Cl2 or of O2
    is not the reduced one.
    """
    return units > 0 and reduce(gcd, found.values()) % units == 0


def _reduced(counts: Mapping[str, int]) -> dict[str, int]:
    divisor = reduce(gcd, counts.values())
    return {symbol: n // divisor for symbol, n in counts.items()}


def _block_formula(block: str) -> dict[str, int] | None:
    name = block.strip("[]")
    if not _BLOCK_FORMULA.fullmatch(name) or not any(c.isdigit() for c in name):
        return None
    counts = parse_formula(name)
    return counts if counts is not None and len(counts) > 1 else None


def _generated(atoms: Atoms, declared: Declared) -> list[int] | None:
    """Count the atoms that each row of the site loop generates.

    A symbol may leave origin or axes open. The reading is the one whose images are all among the
    atoms; None when there is none.
    """
    cell, places = np.asarray(atoms.cell[:], dtype=float), atoms.get_scaled_positions()
    for operations in _readings(declared):
        orbits = [orbit(np.array(row.position), operations, cell) for row in declared.sites]
        if all(
            first_within(place, places, cell) is not None for images in orbits for place in images
        ):
            return [len(images) for images in orbits]
    return None


def _readings(declared: Declared) -> Iterator[Operations]:
    """Yield the sets of operations that may have made the full cell."""
    if declared.expanded_from == "operations":
        yield parse_operations(declared.operations)
    elif declared.expanded_from == "space group":
        for name in (declared.space_group_symbol, declared.space_group_number):
            for rhombohedral in (False, True):
                setting = None if name is None else find_setting(name, rhombohedral)
                if setting is not None:
                    yield Operations(setting.rotations, setting.translations)
    else:
        yield IDENTITY
