"""Writing crystals: many texts at a time, each within its grammar.

    for sample in sample(model, [request] * 200, [{"band_gap": 3.0}] * 200, seed=1):
        ...

A text that is finished makes room for the next at once. Every text has random numbers of its own,
from the seed and its index, one for each token that is chosen; batch size, order and number of
workers therefore do not change them. The logits of a token do depend on the shapes of the matrices
that computed them, in their last digits: ln p differs by some 1e-7 between batches, and so rarely
does a choice fall on the other side of its random number (none of 18,582 choices did between
batches of 23 and 200). With the same batch size the texts are the same.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.dialect import Request
from bondwright.crystals.dialects import dialect as dialect_by_name
from bondwright.crystals.network import Network
from bondwright.crystals.normaliser import normalise
from bondwright.crystals.sampling_choice import check_choice, choose, log_probabilities
from bondwright.crystals.sampling_rows import Floats, Rows
from bondwright.crystals.sampling_text import Sample, Text, check_room
from bondwright.errors import InputError

__all__ = ["Progress", "Sample", "SamplingSettings", "most_tokens", "sample", "write_texts"]

Progress = Callable[[int, int, float], object]
"""Told how many samples are done, of how many, and tokens written per second so far."""


@dataclass(frozen=True)
class SamplingSettings:
    """How tokens are chosen.

    Attributes:
        temperature: above 1 more variety, below 1 less; 0 takes the most probable token.
        top_k: choose among so many most probable tokens; 0 among all.
        top_p: choose among the most probable tokens that together have this probability.
        guidance: 1 uses the condition as it was learned; above 1 it weighs more (the network is
            asked with and without condition, which takes twice the time).
        constrained: whether only tokens that can lead to a crystal as requested may come.
        attempts: how often a text may be begun when constraints act: one whose atoms stand at
            distances that known crystals do not have, whose symmetry is not as declared, or whose
            bonds fail the published test, is begun anew; the last one stays in any case.
        batch: most texts at a time; fewer where memory does not suffice.
        max_tokens: most tokens of a text, prompt included; None for all that the network can read.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    guidance: float = 1.0
    constrained: bool = True
    attempts: int = 16
    batch: int = 128
    max_tokens: int | None = None


def sample(
    model: LoadedModel,
    requests: Sequence[Request],
    conditions: Sequence[Mapping[str, float | None]],
    seed: int,
    settings: SamplingSettings | None = None,
    progress: Progress | None = None,
    *,
    first: int = 0,
) -> Iterator[Sample]:
    """Write one text for each request.

    Args:
        model: the model.
        requests: what each crystal has to be.
        conditions: of each crystal, property -> value; what is missing or None is unknown.
        seed: decides, with the index of a request, all random numbers of its text.
        settings: how tokens are chosen; the defaults where None.
        progress: told after every finished text.
        first: index of the first request, for a part of a larger set: the texts are those that
            the whole set gives.

    Returns:
        The samples as they are finished, not in the order of the requests.

    Raises:
        InputError: settings that leave no choice, a condition that the model does not take, or a
            request that cannot be met; at once, before anything is computed.
    """
    settings = settings or SamplingSettings()
    _check(model, requests, conditions, settings)
    dialect = dialect_by_name(model.dialect)
    limit = most_tokens(model.network, settings)
    sizes: dict[str, int] = {}
    lengths: list[int] = []
    values: list[tuple[float, ...]] = []
    for request, condition in zip(requests, conditions, strict=True):
        values.append(tuple(normalise(model.normalisers, condition)[0]))
        if (name := repr(request)) not in sizes:
            sizes[name] = len(dialect.prompt(request))
            check_room(sizes[name], limit, first + len(lengths))
            dialect.grammar(request)  # refuses what cannot be met
        lengths.append(sizes[name])

    def begin(number: int) -> Text:
        return Text(
            first + number,
            requests[number],
            values[number],
            dialect,
            constrained=settings.constrained,
            limit=limit,
            seed=seed,
            attempts=settings.attempts,
        )

    # Long ones first: the last texts to be finished then are short ones.
    order = sorted(range(len(requests)), key=lambda i: (-lengths[i], i))
    return (text.sample() for text in write_texts(model, begin, order, settings, progress))


def write_texts(
    model: LoadedModel,
    begin: Callable[[int], Text],
    order: Sequence[int],
    settings: SamplingSettings,
    progress: Progress | None = None,
) -> Iterator[Text]:
    """Write texts to their ends; yield them as they are finished.

    Args:
        model: the model.
        begin: makes the text of a number; called again for the same one when memory ran out.
        order: the numbers, in the order in which the texts begin.
        settings: how tokens are chosen.
        progress: told after every finished text.

    Raises:
        InputError: there is not enough memory for a single text.
    """
    return _Writing(model.network, settings, begin, order, progress).results()


def most_tokens(network: Network, settings: SamplingSettings) -> int:
    """Return how many tokens a text may have."""
    context = network.config.context
    return min(context, settings.max_tokens or context)


def _check(
    model: LoadedModel,
    requests: Sequence[Request],
    conditions: Sequence[Mapping[str, float | None]],
    settings: SamplingSettings,
) -> None:
    check_choice(settings.temperature, settings.top_k, settings.top_p)
    if len(requests) != len(conditions):
        raise InputError(
            f"{len(requests)} requests but {len(conditions)} conditions; give one for each."
        )
    if settings.attempts < 1:
        raise InputError("the attempts at a text must be 1 or more.")
    if settings.batch < 1 or (settings.max_tokens is not None and settings.max_tokens < 1):
        raise InputError("the batch and the most tokens of a text must be 1 or more.")
    if settings.guidance != 1 and not model.normalisers:
        raise InputError("guidance needs a model with a condition; this one has none.")
    if not np.isfinite(settings.guidance):
        raise InputError(f"guidance {settings.guidance} is not a number.")


class _Writing:
    """All texts of one call."""

    def __init__(
        self,
        network: Network,
        settings: SamplingSettings,
        begin: Callable[[int], Text],
        order: Sequence[int],
        progress: Progress | None,
    ) -> None:
        self._network, self._settings, self._begin = network, settings, begin
        self._waiting, self._total = deque(order), len(order)
        self._limit = most_tokens(network, settings)
        self._progress, self._done, self._written = progress, 0, 0
        self._live: list[tuple[int, Text]] = []
        self._given: set[int] = set()
        self._started = time.perf_counter()
        self._batch = min(settings.batch, self._total)

    def results(self) -> Iterator[Text]:
        """Yield texts as they are finished."""
        while self._waiting:
            try:
                yield from self._write()
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                if self._batch == 1:
                    raise InputError(
                        f"not enough memory for one text of {self._limit} tokens; set a lower "
                        "max_tokens or use a smaller model."
                    ) from None
                # The texts that were being written begin again, with the same random numbers.
                again = [number for number, _ in self._live if number not in self._given]
                self._waiting.extendleft(reversed(again))
                self._live = []
                self._batch = max(1, self._batch // 2)
            if self._network.tokens.weight.is_cuda:
                torch.cuda.empty_cache()

    @torch.inference_mode()
    def _write(self) -> Iterator[Text]:
        """Write texts until none is left."""
        capacity = min(self._limit, 384)
        self._batch = _affordable(self._network, self._batch, self._limit, self._settings)
        rows = Rows(self._network, self._batch, capacity, self._settings.guidance)
        fresh: dict[int, Text] = {}
        while self._waiting and len(self._live) < self._batch:
            text = self._next()
            fresh[len(self._live) - 1] = text
        while self._live:
            ready = rows.begin(fresh) if fresh else rows.go_on([text for _, text in self._live])
            finished = self._choose(ready)
            fresh = {}
            done = []
            for row in finished:
                number, text = self._live[row]
                if text.begin_again():
                    fresh[row] = text
                    continue
                done.append(row)
                self._given.add(number)
                self._tell(text)
                yield text
            for row in sorted(done, reverse=True):
                if self._waiting:
                    fresh[row] = self._next(row)
                    continue
                last = len(self._live) - 1
                if row != last:
                    if last in fresh:
                        fresh[row] = fresh.pop(last)
                    else:
                        rows.move(last, row, self._live[last][1])
                    self._live[row] = self._live[last]
                self._live.pop()

    def _next(self, row: int | None = None) -> Text:
        """Begin the next text, in a row or after the last one."""
        number = self._waiting.popleft()
        text = self._begin(number)
        if row is None:
            self._live.append((number, text))
        else:
            self._live[row] = (number, text)
        return text

    def _choose(self, ready: Mapping[int, Floats]) -> list[int]:
        """Write the next token of texts whose logits are there; return the rows that are done."""
        finished = [row for row in ready if self._live[row][1].finished]
        rows = [row for row in ready if row not in finished]
        if not rows:
            return finished
        texts = [self._live[row][1] for row in rows]
        logits = np.stack([ready[row] for row in rows])
        allowed = np.zeros((len(rows), logits.shape[2]), dtype=np.bool_)
        for open_, text in zip(allowed, texts, strict=True):
            open_[slice(None) if text.allowed is None else text.allowed] = True
        ids = choose(
            logits[:, 0],
            allowed,
            np.array([text.random() for text in texts]),
            temperature=self._settings.temperature,
            top_k=self._settings.top_k,
            top_p=self._settings.top_p,
        )
        known = log_probabilities(logits[:, 1], ids)
        for i, (row, text) in enumerate(zip(rows, texts, strict=True)):
            if text.record:
                text.note(logits[i, 0], self._settings.temperature, int(ids[i]))
            text.choose(int(ids[i]), float(known[i]))
            if text.finished:
                finished.append(row)
        return finished

    def _tell(self, text: Text) -> None:
        self._done += 1
        self._written += len(text.ids)
        if self._progress is not None:
            seconds = time.perf_counter() - self._started
            self._progress(self._done, self._total, self._written / max(seconds, 1e-9))


def _affordable(network: Network, batch: int, limit: int, settings: SamplingSettings) -> int:
    """Return how many texts fit into half of the memory that is free."""
    config, weight = network.config, network.tokens.weight
    usual = network.front + min(limit, 512)
    each = 2 * config.layers * config.width * weight.element_size() * usual
    each *= 1 if settings.guidance == 1 else 2
    if weight.is_cuda:
        free = torch.cuda.mem_get_info(weight.device)[0]
    else:
        free = psutil.virtual_memory().available
    return max(1, min(batch, free // 2 // each))


def _out_of_memory(error: BaseException) -> bool:
    """Tell a lack of memory from other errors; torch says it of a CPU in words only."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "not enough memory" in str(error) or "can't allocate memory" in str(error)
    )
