"""Batches of texts of like length, the same for the same seed and step.

Texts of like length share a batch, so that little is padding; batches come in random order. One
text is one row: nothing is packed, so no text ever sees another one or its condition. (Packing
several texts into a row needs a mask, and took longer for texts as short as these.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.dataset import Prepared

_POOL_BATCHES = 64
"""Batches that are sorted by length together: fewer would pad more, more would mix less."""


@dataclass(frozen=True)
class Batch:
    """Some texts, padded to the longest.

    Attributes:
        ids: (b, t) tokens, beginning of the text first.
        targets: (b, t) the token that follows each; -1 where there is none.
        crystals: (b) indices in the data set.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    crystals: NDArray[np.int64]

    def share(self, rank: int, size: int) -> Batch:
        """Return the rows that one of `size` processes computes; there may be none."""
        rows = slice(rank, None, size)
        return Batch(self.ids[rows], self.targets[rows], self.crystals[rows])


class Batches:
    """The batches of a training run, found by their step.

    Args:
        data: the data set.
        crystals: indices of the crystals to go through in every epoch.
        tokens: most tokens of a batch, padding included; a longer text is a batch of its own.
        seed: of the order.
        epochs: passes over the crystals.
        pad: id that fills rows.
    """

    def __init__(
        self,
        data: Prepared,
        crystals: NDArray[np.int64],
        *,
        tokens: int,
        seed: int,
        epochs: int,
        pad: int,
    ) -> None:
        self._data, self._seed, self._pad = data, seed, pad
        self._crystals, self._tokens = crystals, tokens
        counts = [len(self._of_epoch(epoch)) for epoch in range(epochs)]
        self._ends = np.cumsum(counts)
        self._epoch, self._order = -1, list[NDArray[np.int64]]()

    @property
    def steps(self) -> int:
        """Number of batches in all epochs."""
        return int(self._ends[-1])

    def epoch_of(self, step: int) -> float:
        """Return how many passes are done before `step`."""
        epoch = int(np.searchsorted(self._ends, step, side="right"))
        if epoch == len(self._ends):
            return float(epoch)
        first = int(self._ends[epoch - 1]) if epoch else 0
        return epoch + (step - first) / (int(self._ends[epoch]) - first)

    def at(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        epoch = int(np.searchsorted(self._ends, step, side="right"))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._of_epoch(epoch)
        first = int(self._ends[epoch - 1]) if epoch else 0
        return make_batch(self._data, self._order[step - first], self._pad)

    def _of_epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the crystals of each batch of an epoch."""
        random = np.random.default_rng([self._seed, epoch])
        crystals = random.permutation(self._crystals)
        lengths = self._data.lengths
        pool = max(1, int(_POOL_BATCHES * self._tokens / lengths[crystals].mean()))
        batches = []
        for start in range(0, len(crystals), pool):
            pooled = crystals[start : start + pool]
            by_length = pooled[np.argsort(lengths[pooled], kind="stable")]
            batches += cut(by_length, lengths[by_length], self._tokens)
        return [batches[index] for index in random.permutation(len(batches))]


def cut(
    crystals: NDArray[np.int64], lengths: NDArray[np.int64], tokens: int
) -> list[NDArray[np.int64]]:
    """Cut crystals that are sorted by length into batches of at most `tokens`, padding included.

    Args:
        crystals: (n) indices, shortest text first.
        lengths: (n) tokens of their texts.
        tokens: most tokens of a batch.
    """
    batches, start = [], 0
    for end in range(1, len(crystals) + 1):
        if end == len(crystals) or lengths[end] * (end + 1 - start) > tokens:
            batches.append(crystals[start:end])
            start = end
    return batches


def make_batch(data: Prepared, crystals: Sequence[int] | NDArray[np.int64], pad: int) -> Batch:
    """Put some crystals into a batch."""
    chosen = np.asarray(crystals, dtype=np.int64)
    # The last token of a text predicts nothing, so rows are one shorter than the longest text.
    width = int(data.lengths[chosen].max()) - 1
    ids = np.full((len(chosen), width), pad, dtype=np.int64)
    targets = np.full((len(chosen), width), -1, dtype=np.int64)
    for row, crystal in enumerate(chosen):
        text = data.ids[data.offsets[crystal] : data.offsets[crystal + 1]]
        ids[row, : len(text) - 1] = text[:-1]
        targets[row, : len(text) - 1] = text[1:]
    return Batch(ids, targets, chosen)
