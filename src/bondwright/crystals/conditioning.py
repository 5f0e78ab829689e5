"""How numbers (a band gap, a density) enter the network: three small modules.

- `Prefix`: key/value pairs in front of every layer's own (prefix attention).
- `Prepend`: embeddings in front of the text's.
- `Residual`: every layer's queries attend to one key/value per variable, apart from the text; what
  they find is added with a factor that starts at zero, so a trained network is not disturbed.

Values are normalised and float32; NaN says that a value is not known. A row of the batch may hold
several crystals (*segments*): values are then given for each of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["prefix", "residual", "prepend"]
KINDS: tuple[Kind, ...] = ("prefix", "residual", "prepend")
EXTREME = 100.0  # |values| beyond it count as unknown where a number stands for "unknown"


@dataclass(frozen=True)
class ConditionConfig:
    """Shape of a conditioning module.

    Attributes:
        kind: "prefix", "residual" or "prepend".
        variables: numbers given for each crystal.
        hidden: width of the hidden layer.
        inner: width of the second hidden layer (prefix) or of the first of two (residual).
        tokens: key/value pairs (prefix) or embeddings (prepend) in front of the text.
        activation: "gelu" or "relu" (prefix, prepend).
        share: attention heads that use the same key and value (residual).
        mixing: whether heads are mixed before what they found is added (residual).
        marker: number put in place of an unknown value; None tells the module by a second input
            which values are known. Has no effect in residual attention, which hides unknown ones.
    """

    kind: Kind
    variables: int
    hidden: int = 64
    inner: int = 64
    tokens: int = 2
    activation: Literal["gelu", "relu"] = "gelu"
    share: int = 1
    mixing: bool = False
    marker: float | None = None


def drop_conditions(values: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Make all values of randomly chosen crystals unknown.

    A network trained so can also do without: classifier-free guidance (Ho and Salimans,
    arXiv:2207.12598) needs that.

    Args:
        values: (..., K).
        share: expected share of crystals that lose their values.
        generator: source of the choice, on the CPU.
    """
    chosen = torch.rand(values.shape[:-1], generator=generator) < share
    return values.masked_fill(chosen[..., None].to(values.device), math.nan)


class Encoder(nn.Module):
    """Values (..., K) to a hidden vector (..., hidden) and on to (..., out)."""

    def __init__(self, config: ConditionConfig, out: int) -> None:
        super().__init__()
        self.marker = config.marker
        inputs = config.variables * (2 if config.marker is None else 1)
        self.first = nn.Linear(inputs, config.hidden)
        self.norm = nn.LayerNorm(config.hidden)
        self.activation = nn.GELU() if config.activation == "gelu" else nn.ReLU()
        self.second = nn.Linear(config.hidden, out)

    def forward(self, values: Tensor) -> Tensor:
        """Return the vectors."""
        unknown = values.isnan()
        if self.marker is None:
            values = torch.cat(
                [values.masked_fill(unknown, 0.0), (~unknown).to(values.dtype)], dim=-1
            )
        else:
            values = values.masked_fill(unknown, self.marker)
        hidden: Tensor = self.second(self.activation(self.norm(self.first(values))))
        return hidden


class Prefix(nn.Module):
    """Key/value pairs for every layer."""

    def __init__(self, config: ConditionConfig, layers: int, heads: int, width: int) -> None:
        super().__init__()
        self.shape = (layers, 2, config.tokens, heads, width // heads)
        self.encoder = Encoder(config, config.inner)
        self.pairs = nn.Linear(config.inner, 2 * layers * config.tokens * width)

    def forward(self, values: Tensor) -> Tensor:
        """Turn values (B, S, K) into (layers, 2, B, heads, S * tokens, head width)."""
        rows, segments, _ = values.shape
        layers, _, tokens, heads, size = self.shape
        flat = self.pairs(self.encoder(values)).view(rows, segments, *self.shape)
        ordered: Tensor = flat.permute(2, 3, 0, 5, 1, 4, 6)
        return ordered.reshape(layers, 2, rows, heads, segments * tokens, size)


class Prepend(nn.Module):
    """Embeddings before the text, the same vector at learned places."""

    def __init__(self, config: ConditionConfig, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(config, width)
        self.places = nn.Parameter(torch.zeros(config.tokens, width))

    def forward(self, values: Tensor) -> Tensor:
        """Turn values (B, S, K) into (B, S * tokens, width)."""
        placed: Tensor = self.encoder(values)[:, :, None] + self.places
        return placed.flatten(1, 2)


@dataclass
class Facts:
    """What the queries of one layer find about the values.

    Attributes:
        keys: (B, heads, S * K, head width).
        values: the same.
        known: (B, S * K) bool.
    """

    keys: Tensor
    values: Tensor
    known: Tensor


class Residual(nn.Module):
    """One layer's attention to the values; every variable has its own small perceptron."""

    def __init__(self, config: ConditionConfig, heads: int, width: int) -> None:
        super().__init__()
        self.heads, self.share = heads, config.share
        self.limit = math.inf if config.marker is None else EXTREME
        pairs = 2 * (width // config.share)

        def weights(*shape: int, inputs: int) -> nn.Parameter:
            bound = 1 / math.sqrt(inputs)
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

        variables, inner, hidden = config.variables, config.inner, config.hidden
        self.weight_1 = weights(variables, inner, inputs=1)
        self.bias_1 = weights(variables, inner, inputs=1)
        self.weight_2 = weights(variables, hidden, inner, inputs=inner)
        self.bias_2 = weights(variables, hidden, inputs=inner)
        self.weight_3 = weights(variables, pairs, hidden, inputs=hidden)
        self.bias_3 = weights(variables, pairs, inputs=hidden)
        self.mix = nn.Linear(width, width) if config.mixing else nn.Identity()
        self.factor = nn.Parameter(torch.zeros(()))

    def facts(self, values: Tensor) -> Facts:
        """Turn values (B, S, K) into keys and values of one layer."""
        known = values.abs() < self.limit  # False for NaN
        x = values.masked_fill(~known, 0.0)[..., None]
        x = torch.tanh(x * self.weight_1 + self.bias_1)
        x = torch.tanh(torch.einsum("vhi,bsvi->bsvh", self.weight_2, x) + self.bias_2)
        x = torch.einsum("vph,bsvh->bsvp", self.weight_3, x) + self.bias_3
        x = x.flatten(1, 2)
        x = x.view(*x.shape[:2], 2, self.heads // self.share, -1)
        keys, found = x.repeat_interleave(self.share, dim=3).permute(2, 0, 3, 1, 4)
        return Facts(keys, found, known.flatten(1, 2))

    def forward(self, queries: Tensor, facts: Facts, visible: Tensor | None) -> Tensor:
        """Return what is added to the layer's output, (B, T, width).

        Args:
            queries: (B, heads, T, head width).
            facts: of these rows.
            visible: (B, T, S * K) bool: values of the token's own crystal; None shows all.
        """
        allowed = facts.known[:, None, None, :]
        if visible is not None:
            allowed = allowed & visible[:, None]
        scores = queries @ facts.keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
        hidden = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        # Where nothing is known softmax gives equal weights; the product makes them zero.
        weights = functional.softmax(hidden, dim=-1) * allowed
        found = (weights @ facts.values).transpose(1, 2).flatten(2)
        added: Tensor = self.mix(found) * self.factor
        return added
