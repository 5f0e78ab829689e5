"""Texts side by side in one cache: who reads what, and nothing is read twice.

Texts that begin alike (same certain tokens, same condition) are read once: a row that held such a
text goes back to where the certain part ended, other rows copy it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bondwright.crystals.network import Network
from bondwright.crystals.sampling_cache import Cache
from bondwright.crystals.sampling_text import Text

Floats = NDArray[np.float64]
Beginning = tuple[tuple[int, ...], bytes]

RUN = 8  # tokens that a row reads at once: more make the others wait longer than they save
TOGETHER = 8192  # tokens of beginnings read at once


class Rows:
    """The rows of a cache and what they hold.

    Args:
        network: the model.
        rows: most texts side by side.
        capacity: tokens that there is room for at the start.
        guidance: 1 for plain sampling; otherwise every text is also read without its condition,
            and the logits are mixed.
    """

    def __init__(self, network: Network, rows: int, capacity: int, guidance: float) -> None:
        self._network, self._guidance = network, guidance
        self._each = 1 if guidance == 1 else 2  # rows of the cache that a text takes
        self._cache = Cache(network, rows * self._each, capacity)
        self._device = network.tokens.weight.device
        self._begun: list[Beginning | None] = [None] * rows
        self._first: list[Floats | None] = [None] * rows

    def begin(self, places: Mapping[int, Text]) -> dict[int, Floats]:
        """Read the certain beginnings of texts into their rows.

        Returns:
            For each row the logits of its first choice, (2, V): mixed, and with the condition.
        """
        new: dict[Beginning, int] = {}
        copies: list[tuple[int, int]] = []
        for row, text in places.items():
            beginning = _beginning(text)
            text.read = text.certain
            if self._begun[row] == beginning:
                self._cache.rewind(self._both([row]), text.certain)
            elif beginning in new:
                copies.append((new[beginning], row))
            else:
                held = [
                    r
                    for r, begun in enumerate(self._begun)
                    if begun == beginning
                    and (r not in places or _beginning(places[r]) == beginning)
                ]
                if held:
                    copies.append((held[0], row))
                else:
                    new[beginning] = row
        self._read(new)
        for source, row in copies:
            (ids, _) = beginning = _beginning(places[row])
            self._cache.copy(self._both([source]), self._both([row]), len(ids))
            self._begun[row], self._first[row] = beginning, self._first[source]
        first: dict[int, Floats] = {}
        for row in places:
            logits = self._first[row]
            assert logits is not None  # noqa: S101 (set above for every row)
            first[row] = logits
        return first

    def go_on(self, texts: Sequence[Text]) -> dict[int, Floats]:
        """Read what texts (in rows 0, 1, ...) have gained, a run at most.

        Returns:
            As `begin`, for the rows that have read all of their text.
        """
        runs = [text.ids[text.read : text.read + RUN] for text in texts]
        for text, run in zip(texts, runs, strict=True):
            text.read += len(run)
        self._cache.reserve(max(text.read for text in texts))
        logits = self._feed(None, runs)
        return {i: logits[i] for i, text in enumerate(texts) if text.read == len(text.ids)}

    def move(self, source: int, target: int, text: Text) -> None:
        """Let row `target` hold the text of row `source`."""
        self._cache.copy(self._both([source]), self._both([target]), text.read)
        self._begun[target], self._first[target] = self._begun[source], self._first[source]

    def _read(self, new: Mapping[Beginning, int]) -> None:
        """Read beginnings that no row holds, similar lengths together."""
        waiting = sorted(new.items(), key=lambda item: len(item[0][0]))
        while waiting:
            longest, count = 0, 0
            while count < len(waiting) and (count + 1) * len(waiting[count][0][0]) <= TOGETHER:
                count += 1
            part, waiting = waiting[: max(count, 1)], waiting[max(count, 1) :]
            rows, longest = [row for _, row in part], len(part[-1][0][0])
            self._cache.reserve(longest)
            self._cache.begin(self._both(rows), self._conditions([b for b, _ in part]))
            logits = self._feed(rows, [ids for (ids, _), _ in part])
            for (beginning, row), found in zip(part, logits, strict=True):
                self._begun[row], self._first[row] = beginning, found

    def _conditions(self, beginnings: Sequence[Beginning]) -> torch.Tensor | None:
        """Return the conditions of texts; every second one unknown where logits are mixed."""
        if self._network.config.condition is None:
            return None
        values = np.stack([np.frombuffer(b[1], dtype=np.float32) for b in beginnings])
        if self._each == 2:
            values = np.stack([values, np.full_like(values, np.nan)], axis=1)
            values = values.reshape(-1, values.shape[-1])
        return torch.from_numpy(values.copy()).to(self._device)

    def _feed(self, rows: Sequence[int] | None, runs: Sequence[Sequence[int]]) -> Floats:
        """Let the network read runs; return logits (R, 2, V) on the CPU."""
        ids, counts = _flat(runs, self._each)
        step = self._cache.step(
            None if rows is None else self._both(rows), torch.from_numpy(counts).to(self._device)
        )
        logits = self._network.feed(step, torch.from_numpy(ids).to(self._device))
        found: Floats = logits.to("cpu", torch.float64).numpy()
        if self._each == 1:
            return np.stack([found, found], axis=1)
        known, unknown = found[0::2], found[1::2]
        return np.stack([unknown + self._guidance * (known - unknown), known], axis=1)

    def _both(self, rows: Iterable[int]) -> torch.Tensor:
        """Return the rows of the cache that rows of texts take."""
        wide = [self._each * row + extra for row in rows for extra in range(self._each)]
        return torch.tensor(wide, dtype=torch.int64, device=self._device)


def _beginning(text: Text) -> Beginning:
    values = np.array(text.values, dtype=np.float32).tobytes()
    return tuple(text.ids[: text.certain]), values


def _flat(runs: Sequence[Sequence[int]], times: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all tokens one after the other, and the length of each run; each run `times` times."""
    ids = [token for run in runs for _ in range(times) for token in run]
    counts = [len(run) for run in runs for _ in range(times)]
    return np.array(ids, dtype=np.int64), np.array(counts, dtype=np.int64)
