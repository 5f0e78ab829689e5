"""The network: GPT-2 (pre-norm, learned positions, tied output), conditions, and a cache.

Two ways through the same blocks:

- `Network.forward` reads whole rows at once, for training. A row may hold several crystals, its
  *segments*: a token sees its own crystal only, and positions restart with each.
- `Network.feed` goes on where a `Cache` (sampling_cache.py) stands, for sampling: any number of
  new tokens for every row, rows of different length side by side. Only tokens that exist are
  multiplied; padding appears nowhere but in the attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bondwright.crystals.conditioning import ConditionConfig, Facts, Prefix, Prepend, Residual

if TYPE_CHECKING:
    from bondwright.crystals.sampling_cache import Step

# Queries, keys and values (..., width) to what attention finds, and what is added to its output.
Attend = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network.

    Attributes:
        vocabulary: number of tokens.
        context: most tokens of one crystal.
        layers: number of blocks.
        heads: attention heads of a block.
        width: length of a token's vector; a multiple of `heads`.
        bias: whether linear layers and norms have biases.
        activation: "gelu", or "gelu_new" for its tanh approximation as in GPT-2.
        dropout: share of embedding and block outputs left out in training. Attention weights are
            kept: dropping them rules out the fast attention kernels.
        condition: the conditioning module; None for a network without.
    """

    vocabulary: int
    context: int
    layers: int
    heads: int
    width: int
    bias: bool = False
    activation: Literal["gelu", "gelu_new"] = "gelu"
    dropout: float = 0.0
    condition: ConditionConfig | None = None


class Block(nn.Module):
    """Attention and perceptron, each added to what comes in."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, bias = config.width, config.bias
        self.norm_1 = nn.LayerNorm(width, bias=bias)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.norm_2 = nn.LayerNorm(width, bias=bias)
        self.up = nn.Linear(width, 4 * width, bias=bias)
        self.down = nn.Linear(4 * width, width, bias=bias)
        self.dropout = nn.Dropout(config.dropout)
        self.activation = _tanh_gelu if config.activation == "gelu_new" else functional.gelu

    def forward(self, x: Tensor, attend: Attend, only: Tensor | None = None) -> Tensor:
        """Change vectors (..., width); `attend` decides who sees whom.

        With `only` (R,) no more than these of N vectors come out; all are seen.
        """
        found, added = attend(*self.qkv(self.norm_1(x)).chunk(3, dim=-1))
        if only is not None:
            x, found, added = x[only], found[only], None if added is None else added[only]
        change = self.out(found)
        if added is not None:
            change = change + added
        x = x + self.dropout(change)
        hidden = self.activation(self.up(self.norm_2(x)))
        changed: Tensor = x + self.dropout(self.down(hidden))
        return changed


class _Table(nn.Embedding):
    """A table of vectors; without memory (device meta) it starts with no weights at all.

    Drawing normal numbers there makes torch load its compiler: a second of every worker's start.
    """

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class Network(nn.Module):
    """The language model of crystals."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = _Table(config.vocabulary, config.width)
        self.positions = _Table(config.context, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=config.bias)
        self._start()
        # Made after the common start: these modules start in ways of their own.
        self.prefix: Prefix | None = None
        self.prepend: Prepend | None = None
        self.residual: nn.ModuleList | None = None
        condition = config.condition
        if condition is not None and condition.kind == "prefix":
            self.prefix = Prefix(condition, config.layers, config.heads, config.width)
        elif condition is not None and condition.kind == "prepend":
            self.prepend = Prepend(condition, config.width)
        elif condition is not None:
            self.residual = nn.ModuleList(
                Residual(condition, config.heads, config.width) for _ in range(config.layers)
            )

    def _start(self) -> None:
        """Draw the weights as GPT-2 does: outputs of blocks shrink with the number of them."""
        small = 0.02 / math.sqrt(2 * self.config.layers)
        for name, parameter in self.named_parameters():
            if parameter.is_meta:
                continue
            if parameter.ndim == 2:
                last = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=small if last else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def _residual(self, layer: int) -> Residual | None:
        return None if self.residual is None else cast(Residual, self.residual[layer])

    @property
    def front(self) -> int:
        """Places that the condition takes before a crystal's first token."""
        condition = self.config.condition
        return 0 if condition is None or condition.kind == "residual" else condition.tokens

    def forward(
        self, ids: Tensor, *, condition: Tensor | None = None, segments: Tensor | None = None
    ) -> Tensor:
        """Return the logits of every next token.

        Args:
            ids: (B, T) int64. Padding on the right needs no mask: no token sees what follows it.
            condition: (B, K) normalised values, or (B, S, K) with one line for each segment; NaN
                is unknown. None makes all unknown.
            segments: (B, T) int64: which crystal of the row a token belongs to, 0, 1, ... in
                order; -1 is padding. None: one crystal in each row.

        Returns:
            (B, T, vocabulary).
        """
        rows, length = ids.shape
        values = self.condition_values(condition, rows)
        x = self.tokens(ids) + self.positions(_positions(ids, segments))
        if self.prepend is not None:
            x = torch.cat([self.prepend(values), x], dim=1)
        x = self.dropout(x)
        pairs = None if self.prefix is None else self.prefix(values)
        seen, visible = self._masks(values, segments, ids, x.shape[1])
        for layer, block in enumerate(self.blocks):
            residual = self._residual(layer)
            facts = None if residual is None or values is None else residual.facts(values)

            def attend(
                q: Tensor,
                k: Tensor,
                v: Tensor,
                layer: int = layer,
                residual: Residual | None = residual,
                facts: Facts | None = facts,
            ) -> tuple[Tensor, Tensor | None]:
                q, k, v = (self._split(t).transpose(1, 2) for t in (q, k, v))
                if pairs is not None:
                    k = torch.cat([pairs[layer, 0], k], dim=2)
                    v = torch.cat([pairs[layer, 1], v], dim=2)
                found = functional.scaled_dot_product_attention(
                    q, k, v, attn_mask=seen, is_causal=seen is None
                )
                added = None if residual is None or facts is None else residual(q, facts, visible)
                return found.transpose(1, 2).flatten(2), added

            x = block(x, attend)
        return self._logits(x[:, -length:])

    def _masks(
        self, values: Tensor | None, segments: Tensor | None, ids: Tensor, length: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return which keys `length` queries see (None: all up to their own), and which values."""
        rows = len(ids)
        count = 0 if values is None else values.shape[1]
        front = self.front * count
        if segments is None and not front:
            return None, None
        own = torch.zeros_like(ids) if segments is None else segments
        numbers = torch.arange(count, device=ids.device)
        whose = torch.cat([numbers.repeat_interleave(self.front).expand(rows, -1), own], dim=1)
        order = torch.arange(whose.shape[1], device=ids.device)
        asking = whose.shape[1] - length  # prefix pairs are seen, but see nothing
        seen = (order[asking:, None] >= order) & (whose[:, asking:, None] == whose[:, None])
        if values is None or segments is None:
            return seen[:, None], None
        return seen[:, None], segments[..., None] == numbers.repeat_interleave(values.shape[2])

    def feed(self, step: Step, ids: Tensor) -> Tensor:
        """Read new tokens into a cache.

        Args:
            step: from `Cache.step`: which rows go on, and by how many tokens.
            ids: (N,) the new tokens of all rows, one row's after the other's.

        Returns:
            (R, vocabulary): logits of what follows the last token of each row.
        """
        x = self.tokens(ids) + self.positions(step.place - self.front)
        return self._logits(self.go_on(step, x))

    def go_on(self, step: Step, x: Tensor) -> Tensor:
        """Pass vectors (N, width) of new tokens through the blocks; the cache keeps them.

        Returns:
            (R, width): the vectors of the last token of each row.
        """
        for layer, block in enumerate(self.blocks):

            def attend(
                q: Tensor, k: Tensor, v: Tensor, layer: int = layer
            ) -> tuple[Tensor, Tensor | None]:
                keys, values = step.remember(layer, self._split(k), self._split(v))
                asked = step.spread(self._split(q))
                found = functional.scaled_dot_product_attention(
                    asked, keys, values, attn_mask=step.seen
                )
                residual, added = self._residual(layer), None
                if residual is not None:
                    added = step.gather(residual(asked, step.facts(layer), None))
                return step.gather(found.transpose(1, 2).flatten(2)), added

            x = block(x, attend, step.last if layer == len(self.blocks) - 1 else None)
        step.finish()
        return x

    def _split(self, x: Tensor) -> Tensor:
        """Split vectors (..., width) into heads (..., heads, head width)."""
        return x.view(*x.shape[:-1], self.config.heads, -1)

    def _logits(self, x: Tensor) -> Tensor:
        return functional.linear(self.norm(x), self.tokens.weight)

    def condition_values(self, condition: Tensor | None, rows: int) -> Tensor | None:
        """Return values as (B, S, K); None where the network takes none."""
        if self.config.condition is None:
            if condition is not None:
                raise ValueError("this network was built without a condition")
            return None
        weight = self.tokens.weight
        if condition is None:
            return weight.new_full((rows, 1, self.config.condition.variables), math.nan)
        return (condition if condition.ndim == 3 else condition[:, None]).to(weight.dtype)


def _positions(ids: Tensor, segments: Tensor | None) -> Tensor:
    """Return each token's place within its crystal."""
    order = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    if segments is None:
        return order
    new = torch.ones_like(segments, dtype=torch.bool)
    new[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return order - torch.where(new, order, 0).cummax(dim=1).values


def _tanh_gelu(x: Tensor) -> Tensor:
    """Return GPT-2's approximation of GELU, 0.5 x (1 + tanh(u)) with u = sqrt(2/pi) (x + c x^3)."""
    if x.device.type != "cpu":
        return functional.gelu(x, approximate="tanh")
    # The same as x sigmoid(2 u), which takes half the time on a CPU: its tanh is slow.
    steep = 0.07135481627260025 * x * x + 1.5957691216057308
    if torch.is_grad_enabled():
        return x * torch.sigmoid(steep * x)
    return steep.mul_(x).sigmoid_().mul_(x)
