"""CIF text as token ids of the published vocabularies, and back.

Tokens are found by longest match. A space-group symbol is one token, but only behind the tag that
announces it: elsewhere "P1" is phosphorus and a digit. Nothing becomes `<unk>`; a word that has no
tokens is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from bondwright.crystals.cif_vocabulary import GROUP_SUFFIX, UNKNOWN, CifVocabulary
from bondwright.errors import InputError
from bondwright.structure.cif_sites import ELEMENTS as CHEMICAL_ELEMENTS

_BLANKS = re.compile(r"[ \t]+")
_GROUP = re.compile(r"(?<=_symmetry_space_group_name_H-M )(\[?)([^\s\[\]]+)(?=\]?\n)")
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_WORD = re.compile(r"[^\s,'\[\]]+")


def tidy(text: str) -> str:
    """Return a text from elsewhere as the vocabularies expect it.

    Comments and empty lines go, and a run of blanks becomes one; CrystaLLM-pi's blank at the
    start of a line in a loop stays.
    """
    lines = (_BLANKS.sub(" ", line.rstrip()) for line in text.splitlines())
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join(kept) + "\n"


def encode_text(text: str, vocabulary: CifVocabulary) -> list[int]:
    """Return the ids of a text.

    Raises:
        InputError: naming the word, element or space group that the vocabulary lacks.
    """
    ids = vocabulary.ids
    pattern = _pattern(vocabulary)
    found: list[int] = []
    for piece, is_group in _pieces(text):
        if is_group:
            token = ids.get(piece + GROUP_SUFFIX)
            if token is None:
                raise InputError(f"{vocabulary.name} has no token for space group {piece!r}.")
            found.append(token)
            continue
        place = 0
        for match in pattern.finditer(piece):
            if match.start() != place:
                break
            found.append(ids[match.group()])
            place = match.end()
        if place != len(piece):
            raise InputError(_unknown(piece, place, vocabulary))
    return found


def decode_ids(ids: Sequence[int], vocabulary: CifVocabulary) -> str:
    """Return the text of ids.

    Raises:
        InputError: an id outside the vocabulary.
    """
    tokens = vocabulary.tokens
    outside = [index for index in ids if not 0 <= index < len(tokens)]
    if outside:
        raise InputError(
            f"{outside[0]} is no token of {vocabulary.name}, which has 0 to {len(tokens) - 1}."
        )
    return "".join(tokens[index].removesuffix(GROUP_SUFFIX) for index in ids)


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text in order and whether they are space-group symbols."""
    place = 0
    for match in _GROUP.finditer(text):
        yield text[place : match.start(2)], False
        yield match.group(2), True
        place = match.end()
    yield text[place:], False


@cache
def _pattern(vocabulary: CifVocabulary) -> re.Pattern[str]:
    """Return an expression that matches any token as written, longer ones first."""
    tokens = [t for t in vocabulary.tokens if not t.endswith(GROUP_SUFFIX) and t != UNKNOWN]
    return re.compile("|".join(re.escape(t) for t in sorted(tokens, key=len, reverse=True)))


def _unknown(piece: str, place: int, vocabulary: CifVocabulary) -> str:
    """Say which element or word of a text has no tokens."""
    line = piece.count("\n", 0, place) + 1
    for match in _SYMBOL.finditer(piece):
        if match.start() <= place < match.end() and match.group() in CHEMICAL_ELEMENTS:
            return f"{vocabulary.name} has no token for the element {match.group()} (line {line})."
    covering = (m.group() for m in _WORD.finditer(piece) if m.start() <= place < m.end())
    word = next(covering, piece[place])
    return f"{vocabulary.name} has no tokens for {word[:40]!r} (line {line})."
