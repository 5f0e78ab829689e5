"""A small dialect for tests of sampling: forced runs short and long, texts of any length.

    N{n} = d d ; d ; d ... ! closing words <eos>

n is the number of atoms asked for (the prompt), each d a digit, of which the first is not 0; the
sum of a crystal's digits is at most 30.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.crystal import Crystal, Site
from bondwright.crystals.dialect import Request
from bondwright.errors import InputError

TOKENS = ("<pad>", "<eos>", *"0123456789", "N", "=", ";", "!", *"closingwrd")
PAD, EOS, ZERO, NAME, IS, NEXT, STOP = 0, 1, 2, 12, 13, 14, 15
CLOSING = [TOKENS.index(c, 16) for c in "closingclosing"]


class ToyVocabulary:
    tokens = TOKENS
    pad = PAD


class ToyGrammar:
    strained = False

    def __init__(self) -> None:
        self.done = False
        self._steps = self._text()
        self._allowed = next(self._steps)

    def allowed(self) -> NDArray[np.int64]:
        return np.array(self._allowed, dtype=np.int64)

    def advance(self, token: int) -> None:
        if token not in self._allowed:
            raise ValueError(f"{token} may not come here")
        try:
            self._allowed = self._steps.send(token)
        except StopIteration:
            self.done, self._allowed = True, []

    def _text(self) -> Iterator[list[int]]:
        yield [IS]
        digit = yield list(range(ZERO + 1, ZERO + 10))
        total = digit - ZERO
        while True:
            digit = yield [ZERO + d for d in range(10) if total + d <= 30]
            total += digit - ZERO
            mark = yield [NEXT, STOP]
            if mark == STOP:
                break
            if total == 30:
                yield [ZERO]
        for token in [*CLOSING, EOS]:
            yield [token]


class ToyDialect:
    name = "toy"
    vocabulary = ToyVocabulary()

    def prompt(self, request: Request) -> list[int]:
        if request.formula is None:
            return [NAME]
        count = sum(request.formula.values())
        if count > 200:
            raise InputError(f"{count} atoms are too many.")
        return [NAME] * count

    def grammar(self, request: Request) -> ToyGrammar:
        self.prompt(request)
        return ToyGrammar()

    def encode(self, crystal: Crystal) -> list[int]:
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> Crystal:
        text = self.text(ids)
        names, found, rest = text.partition("=")
        digits, stop, end = rest.partition("!")
        parts = digits.split(";")
        good = found and stop and end == "closingclosing<eos>" and set(names) == {"N"}
        if not good or not all(p.isdigit() for p in parts) or len(parts[0]) != 2:
            raise InputError("not a text of this dialect.")
        length = float(digits.replace(";", ""))
        site = Site("Si", len(names), "a", (0.0, 0.0, 0.0))
        return Crystal(1, (length,) * 3, (90.0,) * 3, (site,))

    def text(self, ids: Sequence[int]) -> str:
        return "".join(TOKENS[i] for i in ids)
