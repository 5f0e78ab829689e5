"""Losses of a crystal language model: in training, on held-out crystals, and trivial ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bondwright.crystals.batches import Batch, cut, make_batch
from bondwright.crystals.dataset import Prepared
from bondwright.crystals.network import Network


@dataclass(frozen=True)
class HeldOut:
    """Loss on crystals that the model was not trained on.

    Attributes:
        crystals: their number.
        per_token: nats per predicted token.
        per_crystal: nats per crystal: minus the log probability of its whole text.
        condition_gain: nats per crystal that knowing the conditions saves, on the crystals that
            have one; above 0 when the model uses them. None without conditions.
    """

    crystals: int
    per_token: float
    per_crystal: float
    condition_gain: float | None


def total_loss(network: Network, batch: Batch, values: Tensor | None) -> Tensor:
    """Return the summed cross-entropy (nats) of all predicted tokens of a batch.

    Args:
        network: on its device.
        batch: the texts.
        values: (b, k) normalised conditions on the same device; None for a network without.
    """
    device = network.tokens.weight.device
    ids = torch.from_numpy(batch.ids).to(device)
    targets = torch.from_numpy(batch.targets).to(device)
    logits = network(ids, condition=values)
    loss: Tensor = functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-1, reduction="sum"
    )
    return loss


@torch.no_grad()
def held_out(
    network: Network,
    data: Prepared,
    crystals: NDArray[np.int64],
    values: Tensor,
    *,
    tokens: int,
    pad: int,
) -> HeldOut:
    """Return the loss on some crystals; the network is left in training or evaluation as it was.

    Args:
        network: on its device.
        data: the data set.
        crystals: indices, at least one.
        values: (n, k) normalised conditions of the whole data set.
        tokens: most tokens of a batch.
        pad: id that fills rows.
    """
    training = network.training
    network.eval()
    conditional = network.config.condition is not None
    lengths = data.lengths[crystals]
    order = np.argsort(lengths, kind="stable")
    total, gain, known = 0.0, 0.0, 0
    for chosen in cut(crystals[order], lengths[order], tokens):
        batch = make_batch(data, chosen, pad)
        here = values[torch.from_numpy(chosen)].to(network.tokens.weight.device)
        total += float(total_loss(network, batch, here if conditional else None))
        with_value = ~here.isnan().all(dim=1).cpu().numpy()
        if conditional and with_value.any():
            known += int(with_value.sum())
            those = Batch(batch.ids[with_value], batch.targets[with_value], chosen[with_value])
            given = here[torch.from_numpy(with_value).to(here.device)]
            blind = torch.full_like(given, math.nan)
            gain += float(total_loss(network, those, blind) - total_loss(network, those, given))
    network.train(training)
    predicted = int(lengths.sum()) - len(crystals)
    return HeldOut(
        crystals=len(crystals),
        per_token=total / predicted,
        per_crystal=total / len(crystals),
        condition_gain=gain / known if known else None,
    )


def unigram_entropy(data: Prepared, crystals: NDArray[np.int64]) -> float:
    """Return the nats per token of a model that knows how frequent tokens are, and nothing else."""
    counts = np.zeros(int(data.ids.max()) + 1)
    for crystal in crystals:
        text = data.ids[data.offsets[crystal] + 1 : data.offsets[crystal + 1]]
        np.add.at(counts, text, 1)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
