"""ICOHPLIST, ICOOPLIST and ICOBILIST of LOBSTER 2 to 5.

What the versions write for a bond (both spins follow as a second block, or in version 5 as a
second column):

    2     number atomA atomB distance value count     one row for `count` equal bonds, no images
    3-5   number atomA atomB distance tx ty tz value [value of spin 2]

Rows of pairs of orbitals ("Na1_3s") follow the row of their bond.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bondwright.bonding.lobster.text import MAX_BYTES, Line, read_text, split_atom
from bondwright.errors import InputError

Orbitals = dict[tuple[str, str], tuple[float, ...]]
"""(orbital of the first atom, of the second) -> value of each spin."""

_COLUMNS_2 = 6
_TITLE_3 = "  COHP#  atomMU  atomNU", "  COOP#  atomMU  atomNU"
"""The narrow titles of LOBSTER 3; versions 4 and 5 have wider columns."""


class Quantity(StrEnum):
    """What a LOBSTER file lists: energies (COHP), electrons (COOP) or bond orders (COBI)."""

    COHP = "cohp"
    COOP = "coop"
    COBI = "cobi"

    @property
    def sign(self) -> int:
        """Factor that makes a bonding value of the file positive."""
        return -1 if self is Quantity.COHP else 1


@dataclass(frozen=True)
class BondList:
    """The rows of an ICOHPLIST as they stand, values converted so that positive is bonding.

    Rows are not yet bonds of a structure: `images.bond_table` makes them so.

    Attributes:
        path: the file.
        quantity: what is listed.
        line: (n,) line of each row in the file (of its first block), counted from 1.
        first: labels of the first atom (or fragment), e.g. "Na1".
        second: labels of the second.
        length_A: (n,) listed distance, Å.
        translation: (n, 3) as written; None in files of LOBSTER 2, which have none.
        count: (n,) number of equal bonds that a row stands for; 1 except in LOBSTER 2.
        values: (spins, n) -ICOHP in eV, ICOOP in electrons, or ICOBI, of one bond. A file without
            spins has one channel that holds both.
        translation_on_first: whether the program that wrote this layout shifted the first atom by
            the translation (LOBSTER 3) or the second (4 and 5).
        fragments: whether the rows join fragments (LCFO) rather than atoms.
        orbitals: row -> its pairs of orbitals; empty where the file is not orbital-resolved.
    """

    path: Path
    quantity: Quantity
    line: NDArray[np.int64]
    first: tuple[str, ...]
    second: tuple[str, ...]
    length_A: NDArray[np.float64]
    translation: NDArray[np.int64] | None
    count: NDArray[np.int64]
    values: NDArray[np.float64]
    translation_on_first: bool
    fragments: bool = False
    orbitals: dict[int, Orbitals] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def spin_polarised(self) -> bool:
        """Whether the file tells the spins apart."""
        return len(self.values) == 2

    def atoms(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the 0-based indices (n,) and (n,) of the two atoms of each row.

        Raises:
            InputError: the rows join fragments.
        """
        pairs = [
            (split_atom(a), split_atom(b)) for a, b in zip(self.first, self.second, strict=True)
        ]
        if self.fragments or any(a is None or b is None for a, b in pairs):
            raise InputError(
                f"{self.path} lists fragments (LCFO), not atoms; read the list without LCFO."
            )
        index = np.array([(a[1], b[1]) for a, b in pairs if a and b], dtype=np.int64).reshape(-1, 2)
        return index[:, 0], index[:, 1]


def read_icohplist(path: Path, *, most: int = MAX_BYTES) -> BondList:
    """Read an ICOHPLIST, ICOOPLIST or ICOBILIST of LOBSTER 2 to 5, plain or gzipped.

    Args:
        path: the file.
        most: longest text that is read, bytes.

    Returns:
        Its rows, values with positive for bonding.

    Raises:
        InputError: not such a file, damaged or cut off; the message names the line.
    """
    headers, blocks = _blocks(path, read_text(path, most))
    title = headers[0].text
    fragments = "fragment" in title
    quantity = Quantity(headers[0].words[0][:4].lower())
    first, *others = [_read_block(rows, fragments, quantity.sign) for rows in blocks]
    for header, other in zip(headers[1:], others, strict=True):
        if other.names != first.names or other.orbitals.keys() != first.orbitals.keys():
            raise header.error(
                f"spin 2 has {len(other.names)} bonds and spin 1 has {len(first.names)}, or "
                "others; the file is cut off or damaged."
            )
        if len(first.values) == 2:
            raise header.error("a second block, but the first holds both spins; it is damaged.")
    old = bool(first.names) and len(first.names[0]) == 4
    shape = (len(first.names), 0 if old else 3)
    return BondList(
        path=path,
        quantity=quantity,
        line=first.line,
        first=tuple(name[1] for name in first.names),
        second=tuple(name[2] for name in first.names),
        length_A=first.length,
        translation=None if old else np.reshape(first.translation, shape),
        count=first.count,
        values=np.concatenate([first.values, *(other.values for other in others)]),
        translation_on_first=title.startswith(_TITLE_3),
        fragments=fragments,
        orbitals=_join_orbitals([first, *others]),
    )


@dataclass(frozen=True)
class _Block:
    """The rows of one block: (n,) or (values, n) each; `names` must be the same in both spins."""

    line: NDArray[np.int64]
    names: list[list[str]]
    length: NDArray[np.float64]
    translation: NDArray[np.int64]
    count: NDArray[np.int64]
    values: NDArray[np.float64]
    orbitals: dict[int, Orbitals]


def _blocks(path: Path, text: str) -> tuple[list[Line], list[list[Line]]]:
    """Split the file into blocks (one for each spin, but in version 5) and their titles."""
    headers: list[Line] = []
    blocks: list[list[Line]] = []
    for number, content in enumerate(text.splitlines(), start=1):
        line = Line(path, number, content)
        if not line.words:
            continue
        if line.words[0] in ("COHP#", "COOP#", "COBI#"):
            headers.append(line)
            blocks.append([])
        elif not headers:
            raise line.error("not an ICOHPLIST, ICOOPLIST or ICOBILIST of LOBSTER 2 to 5.")
        elif line.words[0] != "for":  # the second line of a title in version 5
            blocks[-1].append(line)
    if not headers:
        raise InputError(f"{path} is empty; LOBSTER did not finish, or the copy was cut off.")
    if "Nc-ICO" in headers[0].text:
        raise headers[0].error("bonds of more than two centres are not read; give ICOBILIST.")
    if len(headers) > 2:
        raise headers[2].error("a third block of bonds; the file holds several lists.")
    return headers, blocks


def _read_block(lines: list[Line], fragments: bool, sign: int) -> _Block:
    """Read the rows of one block."""
    columns = len(lines[0].words) if lines else 8
    if columns not in (_COLUMNS_2, 8, 9):
        raise lines[0].error(f"{columns} columns; LOBSTER 2 writes 6, 3 and 4 write 8, 5 up to 9.")
    for line in lines:
        if len(line.words) != columns:
            raise line.error(
                f"{len(line.words)} columns where {columns} are expected; the file is cut off or "
                "damaged."
            )
    old = columns == _COLUMNS_2
    places = [4] if old else list(range(7, columns))
    # + 0.0 turns a negative zero into zero
    values = sign * np.array([_reals(lines, k, "the value") for k in places]) + 0.0
    bonds, orbitals = _split_orbitals(lines, fragments, values)
    chosen = [lines[k] for k in bonds]
    count = _integers(chosen, 5, "the number of bonds") if old else np.ones(len(bonds), np.int64)
    if (count < 1).any():
        raise chosen[int((count < 1).argmax())].error("a row for no bond; the file is damaged.")
    cells = [_integers(chosen, k, "the translation") for k in (() if old else (4, 5, 6))]
    if lines:
        _check_last(lines, places[-1])
    return _Block(
        line=np.array([line.number for line in chosen], dtype=np.int64),
        names=[line.words[: 4 if old else 7] for line in chosen],
        length=_reals(chosen, 3, "the distance"),
        translation=np.array(cells, dtype=np.int64).T,
        count=count,
        values=values[:, bonds],
        orbitals=orbitals,
    )


def _split_orbitals(
    lines: list[Line], fragments: bool, values: NDArray[np.float64]
) -> tuple[list[int], dict[int, Orbitals]]:
    """Return which lines are bonds, and for each bond the values of its pairs of orbitals."""
    bonds: list[int] = []
    orbitals: dict[int, Orbitals] = {}
    for row, line in enumerate(lines):
        number, first, second = line.words[:3]
        if first.count("_") <= fragments:
            bonds.append(row)
            continue
        if not bonds or lines[bonds[-1]].words[0] != number:
            raise line.error("orbitals without the row of their bond; this is not supported.")
        names = (word.split("_", 1 + fragments)[-1] for word in (first, second))
        orbitals.setdefault(len(bonds) - 1, {})[next(names), next(names)] = tuple(
            values[:, row].tolist()
        )
    return bonds, orbitals


def _reals(lines: list[Line], place: int, what: str) -> NDArray[np.float64]:
    """Return a column as finite numbers: all at once, and line by line to name a wrong one."""
    try:
        column = np.array([line.words[place] for line in lines], dtype=float)
    except ValueError:
        column = np.array([np.nan])
    if np.isfinite(column).all():
        return column
    return np.array([line.real(place, what) for line in lines])


def _integers(lines: list[Line], place: int, what: str) -> NDArray[np.int64]:
    """Return a column as whole numbers."""
    column = _reals(lines, place, what)
    if (column == np.rint(column)).all() and np.abs(column).max(initial=0) < 1e9:
        return column.astype(np.int64)
    return np.array([line.integer(place, what) for line in lines], dtype=np.int64)


def _check_last(lines: list[Line], place: int) -> None:
    """Refuse a last number that is shorter than its peers: the end of the file is missing."""
    first, last = (len(line.words[place].partition(".")[2]) for line in (lines[0], lines[-1]))
    if last < first:
        raise lines[-1].error(f"the last value has {last} decimals, not {first}: it is cut off.")


def _join_orbitals(blocks: list[_Block]) -> dict[int, Orbitals]:
    """Put the spins of each pair of orbitals together.

    Raises:
        InputError: the spins list other orbitals.
    """
    joined = blocks[0].orbitals
    for block in blocks[1:]:
        for row, pairs in block.orbitals.items():
            if pairs.keys() != joined[row].keys():
                raise InputError("the two spins of a list name other orbitals; it is damaged.")
            joined[row] = {names: joined[row][names] + pairs[names] for names in pairs}
    return joined
