"""How a crystal language model is trained: sizes, schedule, and what must not change on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bondwright.crystals.conditioning import KINDS, Kind
from bondwright.errors import InputError, nearest

SIZES: Mapping[str, tuple[int, int, int]] = {
    "tiny": (4, 4, 128),
    "small": (6, 4, 256),
    "medium": (8, 6, 384),
    "25m": (8, 8, 512),
}
"""Name -> layers, heads, width."""


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides what a training run computes.

    Attributes:
        layers: of the network.
        heads: attention heads of each layer.
        width: of the embeddings; a multiple of `heads`.
        dropout: share of activations left out in training.
        conditioning: how conditions enter: "prefix", "residual" or "prepend".
        condition_dropout: share of texts whose conditions are all left out; of several conditions
            each one is left out as often again.
        epochs: passes over the training crystals; with `batch_tokens` this fixes the schedule.
        batch_tokens: most tokens of a batch, padding included.
        learning_rate: the highest, after warm-up.
        final_share: of `learning_rate` at the end of the cosine.
        warm_up: share of all steps in which the rate rises linearly.
        weight_decay: of matrices; vectors have none.
        clip: largest norm of the gradient.
        validations: how often the validation loss is computed; the best weights are kept.
        samples: crystals sampled and tested after every validation; 0 for none.
        seed: of weights, order, dropout and samples.
        augment: whether a crystal is described in another equivalent way every time.
        start_from: SHA-256 of the weights that training begins with; "" for random ones.
    """

    layers: int = 6
    heads: int = 4
    width: int = 256
    dropout: float = 0.1
    conditioning: Kind = "prefix"
    condition_dropout: float = 0.1
    epochs: int = 30
    batch_tokens: int = 4096
    learning_rate: float = 1e-3
    final_share: float = 0.05
    warm_up: float = 0.02
    weight_decay: float = 0.1
    clip: float = 1.0
    validations: int = 40
    samples: int = 32
    seed: int = 0
    augment: bool = False
    start_from: str = ""

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step (from 0) of a run of `steps`."""
        rising = max(1, round(self.warm_up * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        share = (step - rising) / max(1, steps - rising)
        cosine = 0.5 * (1 + math.cos(math.pi * share))
        return self.learning_rate * (self.final_share + (1 - self.final_share) * cosine)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)


def size_of(name: str) -> tuple[int, int, int]:
    """Return layers, heads and width of a size: a name, or "LxHxW" such as 6x4x256.

    Raises:
        InputError: it is neither, or the width is no multiple of the heads.
    """
    if name in SIZES:
        return SIZES[name]
    try:
        layers, heads, width = (int(part) for part in name.split("x"))
    except ValueError:
        raise InputError(
            f"--size {name}: no such size.{nearest(name, SIZES)} Give one of "
            f"{', '.join(SIZES)}, or LAYERSxHEADSxWIDTH, such as 6x4x256."
        ) from None
    if min(layers, heads, width) < 1 or width % heads:
        raise InputError(f"--size {name}: the width must be a multiple of the heads.")
    return layers, heads, width


def check_same(stored: Mapping[str, Any], now: Mapping[str, Any], folder: object) -> None:
    """Refuse to go on with a run whose settings or data were others.

    Raises:
        InputError: names the first few differences.
    """
    differing = [k for k in sorted({*stored, *now}) if stored.get(k) != now.get(k)]
    if differing:
        said = ", ".join(f"{k} {stored.get(k)} then, {now.get(k)} now" for k in differing[:3])
        raise InputError(
            f"{folder} holds a run with other settings ({said}); give the same ones to go on, or "
            "another --out."
        )


def kind_of(name: str) -> Kind:
    """Return the kind of conditioning of that name.

    Raises:
        InputError: there is none.
    """
    for kind in KINDS:
        if kind == name:
            return kind
    raise InputError(f"--conditioning {name}: no such kind.{nearest(name, KINDS)}")
