"""The dialects by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from bondwright.crystals.cif_grammar import CifGrammar, prompt
from bondwright.crystals.cif_text import (
    CRYSTALLM_PI_SPEC,
    CRYSTALLM_SPEC,
    CifSpec,
    read_cif,
    write_cif,
)
from bondwright.crystals.cif_tokens import decode_ids, encode_text
from bondwright.crystals.cif_vocabulary import CifVocabulary
from bondwright.crystals.crystal import Crystal
from bondwright.crystals.dialect import Dialect, Grammar, Request
from bondwright.errors import InputError, nearest

NAMES = ("crystallm", "crystallm-pi", "wyckoff")
"""Names of the dialects."""


@cache
def dialect(name: str) -> Dialect:
    """Return a dialect by name.

    Raises:
        InputError: there is no such dialect; names the known ones.
    """
    if name == "crystallm":
        return CifDialect(CRYSTALLM_SPEC)
    if name == "crystallm-pi":
        return CifDialect(CRYSTALLM_PI_SPEC)
    if name == "wyckoff":
        from bondwright.crystals.wyckoff_text import WyckoffDialect

        return WyckoffDialect()
    known = ", ".join(NAMES)
    raise InputError(f"there is no dialect {name!r}; known are {known}.{nearest(name, NAMES)}")


class CifDialect:
    """One of the two published dialects; implements `Dialect`."""

    def __init__(self, spec: CifSpec) -> None:
        self._spec = spec

    @property
    def name(self) -> str:
        """Name in files and on the command line."""
        return self._spec.name

    @property
    def vocabulary(self) -> CifVocabulary:
        """The tokens."""
        return self._spec.vocabulary

    def encode(self, crystal: Crystal) -> list[int]:
        """Return the whole text of a crystal as ids; see `Dialect.encode`."""
        return encode_text(write_cif(crystal, self._spec), self.vocabulary)

    def decode(self, ids: Sequence[int]) -> Crystal:
        """Return the crystal that a whole text describes; see `Dialect.decode`."""
        text = decode_ids(ids, self.vocabulary)
        if not text.endswith("\n" + self._spec.layout.finish()):
            raise InputError("the text breaks off before its end.")
        return read_cif(text)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""
        return decode_ids(ids, self.vocabulary)

    def prompt(self, request: Request) -> list[int]:
        """Return the ids that a model is given before it goes on; see `Dialect.prompt`."""
        return prompt(self._spec, request)

    def grammar(self, request: Request) -> Grammar:
        """Return the state after `prompt(request)`; see `Dialect.grammar`."""
        grammar = CifGrammar(self._spec, request)
        for token in self.prompt(request):
            grammar.advance(token)
        return grammar
