"""The atom-site loop of a CIF block: elements, places, occupancies."""

from __future__ import annotations

import re

from ase.data import chemical_symbols

from bondwright.structure.candidate import SiteRow
from bondwright.structure.cif_syntax import Block
from bondwright.structure.numbers import read_integer, read_number
from bondwright.structure.parsed import Unreadable

ELEMENTS = frozenset(chemical_symbols[1:])
MAX_OCCUPANCY = 1.001
"""A refined full site may be printed as 1.0003(5); more is an error."""

MAX_FRACTION = 1e3
"""A fractional coordinate beyond this has lost the digits that place it within the cell."""

_RARE = frozenset(chemical_symbols[104:])
_MIXTURE = re.compile(r"\d\S*[A-Z].*\+.*[A-Z]")
_HEAVY_HYDROGEN = ("D", "T")
_FRACTIONS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_NAMES = ("_atom_site_type_symbol", "_atom_site_label")
_MULTIPLICITIES = ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")


def read_sites(block: Block) -> tuple[list[SiteRow], list[str]]:
    """Read the sites of a block.

    Returns:
        One row per site with `symbol` resolved to an element, and notes.

    Raises:
        Unreadable: `no-sites`, `bad-site`, `unknown-element`, `bad-occupancy`, or the reason
            why the loop is broken.
    """
    for tag in (*_FRACTIONS, *_NAMES):
        if tag in block.broken:
            raise block.broken[tag]
    columns = [block.columns.get(tag, []) for tag in _FRACTIONS]
    count = len(columns[0])
    if any(len(column) != count for column in columns):
        raise Unreadable("no-sites", "the columns of the atom sites differ in length.")
    if not count:
        raise Unreadable("no-sites", "the block has no atom sites with fractional places.")
    types, labels = (_column(block, tag, count) for tag in _NAMES)
    occupancies = _column(block, "_atom_site_occupancy", count)
    flags = _column(block, "_atom_site_calc_flag", count)
    multiplicities = next(
        (block.columns[tag] for tag in _MULTIPLICITIES if len(block.columns.get(tag, [])) == count),
        [None] * count,
    )
    rows: list[SiteRow] = []
    notes: list[str] = []
    for index in range(count):
        places = [column[index] for column in columns]
        name = labels[index] or types[index] or str(index + 1)
        if not (labels[index] or types[index] or any(places)):
            continue  # a row of "?" stands for an empty loop
        if (flags[index] or "").casefold() == "dum":
            notes.append(f"dummy site {name[:20]} left out")
            continue
        symbol, note = element_of(types[index], labels[index])
        if note and note not in notes:
            notes.append(note)
        rows.append(
            SiteRow(
                symbol=symbol,
                label=name[:20],
                multiplicity=read_integer(multiplicities[index]),
                position=_place(places, name),
                occupancy=_occupancy(occupancies[index], name),
            )
        )
    if not rows:
        raise Unreadable("no-sites", "the block has no atom sites with fractional places.")
    return rows, notes


def element_of(kind: str | None, label: str | None) -> tuple[str, str | None]:
    """Return the element of a site and, where it was not plain, a note.

    Args:
        kind: type symbol, such as "Ti" or "Fe3+"; decides where there is one.
        label: site label, such as "Ti1" or "CA2"; two letters are an element where there is one.

    Raises:
        Unreadable: `unknown-element`.
    """
    written = kind or label or ""
    match = re.match(r"[A-Za-z]+", written)
    letters = match[0] if match else ""
    if _MIXTURE.search(written):
        raise Unreadable("disordered", f"site {written[:40]!r} is a mixture of elements.")
    if letters in _HEAVY_HYDROGEN:
        return "H", f"{letters} is read as H"
    symbol = letters.capitalize()
    # "CA" may be shouted calcium, but "NH" is the group of atoms, never nihonium.
    if symbol in ELEMENTS and (letters == symbol or symbol not in _RARE):
        return symbol, None
    if not kind:
        for length in (2, 1):
            # "OW1" is an oxygen; "Xx1" is nothing, though X is followed by a letter
            start = letters[:length].capitalize()
            if start in ELEMENTS and (length == 2 or letters[1:2].isupper()):
                return start, f"label {written[:20]!r} is read as {start}"
    raise Unreadable("unknown-element", f"{written[:20]!r} is no element.")


def _column(block: Block, tag: str, count: int) -> list[str | None]:
    """Return a column of the site loop; unknown values where it is absent or of another loop."""
    column = block.columns.get(tag, [])
    return column if len(column) == count else [None] * count


def _place(values: list[str | None], name: str) -> tuple[float, float, float]:
    """Return the fractional place of a site."""
    numbers = [read_number(value) for value in values]
    x, y, z = numbers
    if x is None or y is None or z is None or max(abs(x), abs(y), abs(z)) > MAX_FRACTION:
        written = ", ".join(str(value or "?")[:20] for value in values)
        raise Unreadable("bad-site", f"site {name[:20]} has no usable place ({written}).")
    return x, y, z


def _occupancy(value: str | None, name: str) -> float:
    """Return the occupancy of a site; 1 where none is written."""
    number = 1.0 if value is None else read_number(value)
    if number is None or not 0 <= number <= MAX_OCCUPANCY:
        raise Unreadable(
            "bad-occupancy", f"site {name[:20]} has occupancy {str(value)[:20]}, not 0 to 1."
        )
    return number
