"""Putting the blocks of bond features on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

SHARES = {"crowd": 0.005, "ends": 0.39, "bridges": 0.06, "grid": 0.5}
"""Share of the variance that each block of features gets. What crowding does inside cells of one
density says little of what another density does, hence the small share of "crowd"."""
USUAL = {"crowd": 0.21, "grid": 0.65}
"""Standard deviation of features of these blocks in a set of strained metallic glasses. The spread
in the training set would not do: cells of one density must not make density look decisive."""
EVENING = 0.15
"""Of the other blocks: how little a feature that hardly varies is blown up, 0 for not at all."""


def block_factors(
    features: Mapping[str, torch.Tensor], blocks: Sequence[tuple[str, int]]
) -> torch.Tensor:
    """Return (f,) factors for features from which their mean is taken.

    They are common to all pairs of elements, so that a feature that does not vary among the few
    bonds of a rare pair is not blown up for it.

    Args:
        features: pair -> (n, f) features of its training bonds.
        blocks: names and widths of the blocks of features.
    """
    variance = torch.stack([f.double().var(0, correction=0) for f in features.values()]).mean(0)
    factors = []
    begin = 0
    for name, width in blocks:
        part = variance[begin : begin + width]
        if name in USUAL:
            spread = torch.full_like(part, USUAL[name])
        else:
            spread = part.sqrt() + EVENING * part.mean().sqrt().clamp_min(1e-6)
        factors.append((SHARES[name] / width) ** 0.5 / spread)
        begin += width
    return torch.cat(factors)
