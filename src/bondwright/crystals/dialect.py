"""What every way of writing a crystal as tokens has in common.

A *dialect* turns a `Crystal` into a sequence of tokens and back. Its *grammar* follows one text
while it is being written and tells, at every step, which tokens can still lead to a crystal that
keeps the request: that is what makes constrained decoding possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.crystal import Crystal


@dataclass(frozen=True)
class Request:
    """What a crystal has to be; None leaves the choice to the model.

    Attributes:
        formula: element -> atoms in one formula unit, as asked, e.g. {"Ti": 1, "O": 2}; need not
            be reduced, but `formula_units` counts units of exactly this formula.
        formula_units: Z, formula units in the conventional cell.
        space_group: International Tables number.
        elements: chemical system: every one of these elements and no other. Not together with
            `formula`.
        max_atoms: most atoms in the conventional cell.
    """

    formula: Mapping[str, int] | None = None
    formula_units: int | None = None
    space_group: int | None = None
    elements: tuple[str, ...] | None = None
    max_atoms: int = 200


class Vocabulary(Protocol):
    """The tokens of a dialect; a token's id is its place in `tokens`."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens, in the order of their ids."""

    @property
    def pad(self) -> int:
        """Id that fills rows; never predicted (a dialect without one uses its end token)."""


class Grammar(Protocol):
    """Follows one text; made by `Dialect.grammar` with the prompt already read."""

    @property
    def done(self) -> bool:
        """Whether the text is complete."""

    @property
    def strained(self) -> bool:
        """Whether atoms are, or will have to be, at distances that the grammar closes."""

    def allowed(self) -> NDArray[np.int64]:
        """Ids that may come next, ascending; never empty before `done`."""

    def advance(self, token: int) -> None:
        """Read the next token.

        Raises:
            ValueError: the token is not among `allowed()`.
        """


class Dialect(Protocol):
    """A way of writing crystals as tokens."""

    @property
    def name(self) -> str:
        """Name in files and on the command line."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens."""

    def encode(self, crystal: Crystal) -> list[int]:
        """Return the whole text as ids, from the first token to the one that ends it.

        Raises:
            InputError: an element or space group that the vocabulary lacks, named.
        """

    def decode(self, ids: Sequence[int]) -> Crystal:
        """Return the crystal that a whole text (prompt included) describes.

        Raises:
            InputError: the text is not a crystal; says where it breaks off or goes wrong.
        """

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids as people read it."""

    def prompt(self, request: Request) -> list[int]:
        """Return the ids that a model is given before it goes on.

        Raises:
            InputError: the request cannot be met (no such composition, no element, too many
                atoms) or cannot be said in this dialect.
        """

    def grammar(self, request: Request) -> Grammar:
        """Return the state after `prompt(request)`.

        Raises:
            InputError: as `prompt`; also when no combination of Wyckoff positions gives the
                composition in the space group.
        """
