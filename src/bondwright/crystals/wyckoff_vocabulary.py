"""The tokens of the Wyckoff dialect.

| tokens | meaning |
|---|---|
| `<pad>`, `<bos>`, `<eos>` | filling, begin, end |
| `H` ... `Lr` | elements |
| `#1` ... | atoms of the element before it in the reduced formula |
| `Z1` ... | formula units in the conventional cell |
| `sg1` ... `sg230` | space group |
| `×0.05` ... `×19.2` | a length in units of the usual one, in steps of 5 % |
| `30°` ... | whole part of an angle |
| `.00` ... `.99` | first two decimals of a coordinate |
| `00` ... `99` | decimals of an angle, last two of a coordinate, steps of 0.05 % of a length |
| `a` ... `z`, `A` | Wyckoff letters |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ase.data import chemical_symbols

MOST_COUNT = 150
"""Largest number in a reduced formula; of 46,345 known crystals 149 is the largest."""

MOST_UNITS = 96
"""Most formula units in the conventional cell; of 2,015 known crystals 56 is the most."""

SMALLEST, FINE, LENGTHS = 0.05, 5e-4, range(120)
"""Length k.j of a cell is 0.05 exp(0.0005 (100 k + j)) usual lengths, k in LENGTHS, j in 0..99."""

ANGLES = range(30, 151)
"""Whole parts of cell angles, degrees."""

LETTERS = "abcdefghijklmnopqrstuvwxyzA"

_KINDS: Mapping[str, tuple[str, ...]] = {
    "mark": ("<pad>", "<bos>", "<eos>"),
    "element": tuple(chemical_symbols[1:104]),
    "count": tuple(f"#{n}" for n in range(1, MOST_COUNT + 1)),
    "units": tuple(f"Z{n}" for n in range(1, MOST_UNITS + 1)),
    "group": tuple(f"sg{n}" for n in range(1, 231)),
    "length": tuple(f"×{SMALLEST * math.exp(100 * FINE * k):.3g}" for k in LENGTHS),
    "angle": tuple(f"{n}°" for n in ANGLES),
    "hundredths": tuple(f".{n:02}" for n in range(100)),
    "decimals": tuple(f"{n:02}" for n in range(100)),
    "letter": tuple(LETTERS),
}


@dataclass(frozen=True)
class WyckoffVocabulary:
    """All tokens; `ids[kind]` are the ids of one kind of token, in order.

    Attributes:
        tokens: all tokens, in the order of their ids.
        ids: kind of token -> its ids.
        id_of: token -> id.
    """

    tokens: tuple[str, ...]
    ids: Mapping[str, range]
    id_of: Mapping[str, int] = field(repr=False)

    @property
    def pad(self) -> int:
        """Id that fills rows."""
        return 0

    @property
    def begin(self) -> int:
        """Id that every text starts with."""
        return 1

    @property
    def end(self) -> int:
        """Id that every text ends with."""
        return 2


def _build() -> WyckoffVocabulary:
    tokens: list[str] = []
    ids = {}
    for kind, members in _KINDS.items():
        ids[kind] = range(len(tokens), len(tokens) + len(members))
        tokens += members
    return WyckoffVocabulary(tuple(tokens), ids, {token: k for k, token in enumerate(tokens)})


VOCABULARY = _build()
