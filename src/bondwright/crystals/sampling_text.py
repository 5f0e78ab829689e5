"""One text while it is written: what is there, what may come next, and its own random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.crystal import Crystal
from bondwright.crystals.dialect import Dialect, Request, Vocabulary
from bondwright.crystals.sampling_flaw import flaw_of, has_odd_bonds
from bondwright.errors import InputError

UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Sample:
    """One text that a model wrote.

    Attributes:
        index: which of the requests it answers.
        ids: the whole text, prompt included.
        text: the same as people read it.
        crystal: what it describes; None where it describes none.
        problem: "", "unfinished" (the limit of tokens was reached), or "malformed: ...".
        log_probability: ln p, summed over the tokens that were chosen (not the prompt, nor tokens
            that the grammar left no choice about), as the model with its condition gives them at
            temperature 1, before constraints.
        tokens: how many were chosen.
        attempts: texts that were begun for it, this one included.
    """

    index: int
    ids: tuple[int, ...]
    text: str
    crystal: Crystal | None
    problem: str
    log_probability: float
    tokens: int
    attempts: int = 1


@dataclass(frozen=True)
class Choice:
    """One choice on the way.

    Attributes:
        tokens: (n,) ids that were allowed.
        shares: (n,) their probabilities among themselves.
        taken: the id that was taken.
    """

    tokens: NDArray[np.int64]
    shares: NDArray[np.float64]
    taken: int


class Text:
    """A text that is being written.

    Args:
        index: which of the requests it answers.
        request: what is asked.
        values: its condition, normalised, NaN where unknown.
        dialect: of the text.
        constrained: whether a grammar says what may come next.
        limit: most tokens, prompt included.
        seed: of the run; with the index and the attempt it decides all random numbers.
        attempts: how often the text may be begun; see `begin_again`.
        chosen: tokens that are chosen beforehand, one for each choice, in order.
        record: whether to keep every choice with its alternatives, in `choices`.
    """

    def __init__(
        self,
        index: int,
        request: Request,
        values: tuple[float, ...],
        dialect: Dialect,
        *,
        constrained: bool,
        limit: int,
        seed: int,
        attempts: int = 1,
        chosen: Sequence[int] = (),
        record: bool = False,
    ) -> None:
        self.index, self.values = index, values
        self.record, self.choices = record, list[Choice]()
        self._request, self._dialect, self._limit = request, dialect, limit
        self._constrained, self._seed = constrained, seed
        self._attempt, self._attempts = 0, attempts if constrained else 1
        self._end = end_of_text(dialect.vocabulary)
        self._begin()
        for token in chosen:
            self._write(token)
            self._follow()
        self.certain = len(self.ids)

    def _begin(self) -> None:
        """Write the prompt and all that is certain after it."""
        self._attempt += 1
        first = self._attempt == 1
        stream = [self._seed, self.index] if first else [self._seed, self.index, self._attempt]
        self._random = np.random.Generator(np.random.PCG64(stream))
        self._grammar = self._dialect.grammar(self._request) if self._constrained else None
        self.allowed: NDArray[np.int64] | None = None
        self.ids = list(self._dialect.prompt(self._request))
        self.log_probability, self.chosen = 0.0, 0
        self._outcome: tuple[Crystal | None, str] | None = None
        check_room(len(self.ids), self._limit, self.index)
        self._follow()
        self.certain = len(self.ids)
        self.read = 0  # tokens that the network has seen

    def begin_again(self) -> bool:
        """Begin a finished text anew where its crystal is none, flawed or oddly bonded.

        It stays when no tries are left. What remains of the model's distribution is the part that
        passes: rejection sampling.

        Returns:
            Whether it was begun anew.
        """
        if self._attempt >= self._attempts:
            return False
        crystal = None if self._strained else self._decoded()[0]
        if crystal is not None and not flaw_of(crystal) and not has_odd_bonds(crystal):
            return False
        self._begin()
        return True

    @property
    def finished(self) -> bool:
        """Whether nothing more will be written, unless it is begun anew."""
        return self._complete or len(self.ids) >= self._limit or self._strained

    @property
    def _strained(self) -> bool:
        """Whether the rest is not worth writing: the crystal will be flawed, and tries are left."""
        if self._grammar is None or self._attempt >= self._attempts:
            return False
        return self._grammar.strained

    @property
    def _complete(self) -> bool:
        if self._grammar is not None:
            return self._grammar.done
        return tuple(self.ids[-len(self._end) :]) == self._end

    def note(self, logits: NDArray[np.float64], temperature: float, token: int) -> None:
        """Keep a choice: what was allowed, its probabilities from logits (V,), what was taken."""
        allowed = np.arange(len(logits)) if self.allowed is None else self.allowed
        shares = np.exp((logits[allowed] - logits[allowed].max()) / max(temperature, 1e-3))
        self.choices.append(Choice(allowed, shares / shares.sum(), token))

    def random(self) -> float:
        """Return the random number of the next choice."""
        return float(self._random.random())

    def choose(self, token: int, log_probability: float) -> None:
        """Write a token that was chosen, and all that are certain after it."""
        self.chosen += 1
        self.log_probability += log_probability
        self._write(token)
        self._follow()

    def sample(self) -> Sample:
        """Return the finished text as a sample."""
        crystal, problem = self._decoded()
        return Sample(
            self.index,
            tuple(self.ids),
            self._dialect.text(self.ids),
            crystal,
            problem,
            self.log_probability,
            self.chosen,
            self._attempt,
        )

    def _decoded(self) -> tuple[Crystal | None, str]:
        """Return the crystal of a finished text, or what is wrong with it; decoded once."""
        if self._outcome is None:
            if not self._complete:
                self._outcome = None, UNFINISHED
            else:
                try:
                    self._outcome = self._dialect.decode(self.ids), ""
                except InputError as error:
                    self._outcome = None, f"malformed: {error}"
        return self._outcome

    def _write(self, token: int) -> None:
        if self._grammar is not None:
            self._grammar.advance(token)
        self.ids.append(token)

    def _follow(self) -> None:
        """Write tokens as long as there is only one that may come."""
        if self._grammar is None:
            return
        while not self.finished:
            self.allowed = self._grammar.allowed()
            if len(self.allowed) != 1:
                return
            self._write(int(self.allowed[0]))


def end_of_text(vocabulary: Vocabulary) -> tuple[int, ...]:
    """Return the tokens that end a text: the end token, or an empty line in a dialect without."""
    tokens = vocabulary.tokens
    if "<eos>" in tokens:
        return (tokens.index("<eos>"),)
    return (tokens.index("\n"),) * 2


def check_room(prompt: int, limit: int, index: int) -> None:
    """Refuse a prompt that leaves no room for a text.

    Raises:
        InputError: names the request.
    """
    if prompt >= limit:
        raise InputError(
            f"the prompt of request {index} has {prompt} tokens, and the text may have {limit}; "
            "ask for a smaller formula or a longer text."
        )
