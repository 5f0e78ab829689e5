"""The steps of which a grammar is made: forced tokens, choices, numbers.

A text is followed by a generator. It yields a tuple of ids where nothing is open, and a `Choice`
where something is; it is sent the id that was chosen. `follow` of these steps is in `cif_grammar`.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.cif_text import DECIMALS
from bondwright.crystals.cif_vocabulary import CRYSTALLM

Value = TypeVar("Value")
Ids = tuple[int, ...]


class Choice(NamedTuple):
    """Tokens of which one must come next.

    Attributes:
        ids: ascending.
        members: the same, for look-up.
    """

    ids: NDArray[np.int64]
    members: frozenset[int]


Steps = Generator[Ids | Choice, int, Value]

# Both vocabularies have these at the same place.
DIGITS: Ids = tuple(CRYSTALLM.ids[digit] for digit in "0123456789")
POINT = CRYSTALLM.ids["."]

_DIGIT_OF = {token: digit for digit, token in enumerate(DIGITS)}
_SCALE: int = 10**DECIMALS


@lru_cache(maxsize=16384)
def choice(ids: Ids) -> Choice:
    """Return the choice of ids (ascending)."""
    array = np.array(ids, dtype=np.int64)
    array.flags.writeable = False
    return Choice(array, frozenset(ids))


def one_of(ids: Iterable[int]) -> Steps[int]:
    """Let one of some tokens be chosen; return it."""
    found = tuple(sorted(ids))
    if len(found) == 1:
        yield found
        return found[0]
    token = yield choice(found)
    return token


def pick(options: Mapping[Ids, Value]) -> Steps[Value]:
    """Let one of several texts be written; return what it stands for.

    No text may be the beginning of another one.
    """
    texts, place = list(options), 0
    while len(texts) > 1:
        token = yield from one_of({text[place] for text in texts})
        texts = [text for text in texts if text[place] == token]
        place += 1
    (text,) = texts
    if text[place:]:
        yield text[place:]
    return options[text]


def number(low: int, high: int) -> Steps[int]:
    """Let a decimal number between two bounds be written; return it in units of 0.0001."""
    first, last = _digits(low), _digits(high)
    text = ""
    if len(first) == len(last):
        text = "".join(first[: _common(first, last)])
        if text:
            yield tuple(POINT if c == "." else DIGITS[int(c)] for c in text)
    while "." not in text or len(text) - text.index(".") <= DECIMALS:
        token = yield from one_of(_continuations(low, high, text))
        text += "." if token == POINT else str(_DIGIT_OF[token])
    return int(text.replace(".", ""))


def four_digits(values: Iterable[int] | NDArray[np.bool_] | None) -> Steps[int]:
    """Let the four decimals of a coordinate be written; return it in units of 0.0001.

    Args:
        values: those allowed, or flags (10000,) of them, or None for all.
    """
    if values is None:
        value = 0
        for _ in range(DECIMALS):
            value = 10 * value + _DIGIT_OF[(yield _ANY_DIGIT)]
        return value
    if not isinstance(values, np.ndarray):
        return (yield from pick({_four(value): value for value in values}))
    low, width = 0, _SCALE
    while width > 1:
        width //= 10
        open_ = np.logical_or.reduce(values[low : low + 10 * width].reshape(10, width), axis=1)
        token = yield from one_of(itertools.compress(DIGITS, open_.tolist()))
        low += width * _DIGIT_OF[token]
    return low


def _digits(units: int) -> str:
    """Return a number in units of 0.0001 as text."""
    return f"{units // _SCALE}.{units % _SCALE:0{DECIMALS}d}"


def _common(first: str, second: str) -> int:
    """Return how many characters two texts begin with in common."""
    pairs = enumerate(zip(first, second, strict=True))
    return next((index for index, (a, b) in pairs if a != b), len(first))


@lru_cache(maxsize=65536)
def _continuations(low: int, high: int, text: str) -> tuple[int, ...]:
    """Return the tokens that may follow the beginning of a number between two bounds."""
    if "." in text:
        width = 10 ** (DECIMALS - (len(text) - text.index(".") - 1))
        start = int(text.replace(".", "")) * width
        step = width // 10
        return tuple(
            DIGITS[d]
            for d in range(10)
            if start + d * step <= high and start + (d + 1) * step - 1 >= low
        )
    tokens = [DIGITS[d] for d in range(10) if _may_begin(low, high, text + str(d))]
    if text and int(text) * _SCALE <= high and (int(text) + 1) * _SCALE > low:
        tokens.append(POINT)
    return tuple(tokens)


def _may_begin(low: int, high: int, text: str) -> bool:
    """Say whether the whole part of some number between the bounds begins with these digits."""
    if text.startswith("0") and text != "0":
        return False
    start, end = int(text), int(text) + 1
    while start * _SCALE <= high:
        if end * _SCALE > low:
            return True
        if not start:
            return False
        start, end = 10 * start, 10 * end
    return False


@lru_cache(maxsize=_SCALE)
def _four(value: int) -> Ids:
    """Return the tokens of four digits."""
    return tuple(DIGITS[int(digit)] for digit in f"{value:0{DECIMALS}d}")


_ANY_DIGIT = choice(DIGITS)
