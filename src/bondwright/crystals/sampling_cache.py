"""Keys and values kept while texts are written, so that no token is computed twice.

Rows of the cache are texts of different length side by side. A `Step` reads new tokens into some
of them: it says where they go and which of the kept ones they see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from bondwright.crystals.conditioning import Facts, Residual

if TYPE_CHECKING:
    from bondwright.crystals.network import Network


class Cache:
    """Keys and values of the tokens that rows have read; memory is taken ahead.

    Args:
        network: whose tokens are kept; decides device and precision.
        rows: most rows.
        capacity: tokens of a row that there is room for; `reserve` makes more.
    """

    def __init__(self, network: Network, rows: int, capacity: int) -> None:
        config, weight = network.config, network.tokens.weight
        self.network = network
        shape = (config.heads, network.front + capacity, config.width // config.heads)
        self.keys = [weight.new_zeros((rows, *shape)) for _ in range(config.layers)]
        self.values = [weight.new_zeros((rows, *shape)) for _ in range(config.layers)]
        self.lengths = torch.zeros(rows, dtype=torch.int64, device=weight.device)
        self.facts: list[Facts] = []
        self.begin(torch.arange(rows, device=weight.device), None)

    @torch.no_grad()
    def begin(self, rows: Tensor, condition: Tensor | None) -> None:
        """Empty rows (R,) and give them their condition (R, K); None makes all unknown."""
        network = self.network
        self.lengths[rows] = 0
        values = network.condition_values(condition, len(rows))
        if network.prefix is not None:
            for layer, (keys, found) in enumerate(network.prefix(values)):
                self.keys[layer][rows, :, : network.front] = keys.to(self.keys[layer].dtype)
                self.values[layer][rows, :, : network.front] = found.to(self.keys[layer].dtype)
            self.lengths[rows] = network.front
        elif network.prepend is not None:
            x = network.prepend(values).flatten(0, 1)
            network.go_on(self.step(rows, torch.full_like(rows, network.front)), x)
        elif network.residual is not None and values is not None:
            news = [cast(Residual, module).facts(values) for module in network.residual]
            if not self.facts:  # the first time, all rows begin
                self.facts = news
                return
            for kept, new in zip(self.facts, news, strict=True):
                kept.keys[rows], kept.values[rows] = new.keys, new.values
                kept.known[rows] = new.known

    def step(self, rows: Tensor | None, counts: Tensor) -> Step:
        """Prepare to read new tokens into rows.

        Args:
            rows: (R,) the rows that go on; None for the first R. The others wait.
            counts: (R,) how many tokens are new to each; at least 1, and there must be room.
        """
        return Step(self, rows, counts)

    @torch.no_grad()
    def copy(self, source: Tensor, target: Tensor, length: int) -> None:
        """Make rows `target` (R,) stand where rows `source` (R,) stood after `length` tokens."""
        reach = self.network.front + length
        for stored in (*self.keys, *self.values):
            stored[target, :, :reach] = stored[source, :, :reach]
        for fact in self.facts:
            for kept in (fact.keys, fact.values, fact.known):
                kept[target] = kept[source]
        self.lengths[target] = reach

    def rewind(self, rows: Tensor, length: int) -> None:
        """Let rows (R,) go back to where they stood after `length` tokens."""
        self.lengths[rows] = self.network.front + length

    def reserve(self, capacity: int) -> None:
        """Make room for `capacity` tokens in every row; no more than the network can read."""
        size = self.keys[0].shape[2]
        wanted = self.network.front + capacity
        if wanted <= size:
            return
        wanted = min(
            max(wanted, size + size // 4), self.network.front + self.network.config.context
        )
        for stores in (self.keys, self.values):
            for layer, old in enumerate(stores):  # one layer at a time: two copies of one only
                stores[layer] = old.new_zeros((*old.shape[:2], wanted, old.shape[3]))
                stores[layer][:, :, :size] = old


class Step:
    """One reading of N new tokens of R rows.

    Attributes:
        place: (N,) where in its row of the cache each new token goes.
        last: (R,) which of the N tokens is the last of each row.
        seen: (R, 1, most, reach) 0 where a token sees another, -inf elsewhere; None: sees all.
    """

    def __init__(self, cache: Cache, rows: Tensor | None, counts: Tensor) -> None:
        self.cache, self.rows = cache, rows
        self.count = len(counts)
        before = cache.lengths[: self.count] if rows is None else cache.lengths[rows]
        self.row, self.offset = _ragged(counts)
        self.place = before[self.row] + self.offset
        self.kept_row = self.row if rows is None else rows[self.row]
        self.after = before + counts
        self.last = counts.cumsum(0) - 1
        self.reach, self.most = int(self.after.max()), int(counts.max())
        self.even = len(self.row) == self.count * self.most
        order = torch.arange(self.reach, device=before.device)
        last = before[:, None] + torch.arange(self.most, device=before.device)
        self.seen: Tensor | None = (order <= last[..., None])[:, None]
        if self.most == 1 and int(self.after.min()) == self.reach:
            self.seen = None
        else:
            zero = cache.keys[0].new_zeros(())
            self.seen = torch.where(self.seen, zero, -torch.inf)

    def remember(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values (N, heads, head width); return those of all tokens of the rows."""
        kept = (self.cache.keys[layer], self.cache.values[layer])
        for store, new in zip(kept, (keys, values), strict=True):
            store[self.kept_row, :, self.place] = new.to(store.dtype)
        if self.rows is None:
            return kept[0][: self.count, :, : self.reach], kept[1][: self.count, :, : self.reach]
        return kept[0][self.rows, :, : self.reach], kept[1][self.rows, :, : self.reach]

    def spread(self, queries: Tensor) -> Tensor:
        """Lay queries (N, heads, head width) out as (R, heads, most, head width)."""
        if self.even:
            return queries.view(self.count, self.most, *queries.shape[1:]).transpose(1, 2)
        padded = queries.new_zeros((self.count, self.most, *queries.shape[1:]))
        padded[self.row, self.offset] = queries
        return padded.transpose(1, 2)

    def gather(self, found: Tensor) -> Tensor:
        """Take the vectors of real tokens, (N, width), from (R, most, width)."""
        return found.flatten(0, 1) if self.even else found[self.row, self.offset]

    def facts(self, layer: int) -> Facts:
        """Return what the rows' condition says to this layer."""
        kept = self.cache.facts[layer]
        which = slice(self.count) if self.rows is None else self.rows
        return Facts(kept.keys[which], kept.values[which], kept.known[which])

    def finish(self) -> None:
        """Count the new tokens as read."""
        which = slice(self.count) if self.rows is None else self.rows
        self.cache.lengths[which] = self.after


def _ragged(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each of N = sum(counts) tokens its row and its place among the row's new ones."""
    row = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    starts = counts.cumsum(0) - counts
    return row, torch.arange(len(row), device=counts.device) - starts[row]
