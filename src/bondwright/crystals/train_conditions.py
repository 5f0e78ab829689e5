"""The conditions of a training run: their scales, and which are shown at a step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from bondwright.crystals.conditioning import drop_conditions
from bondwright.crystals.dataset import Prepared
from bondwright.crystals.normaliser import Normaliser
from bondwright.crystals.splits import TRAIN
from bondwright.errors import InputError

UNITS = {"band_gap": "eV", "e_above_hull": "eV/atom", "density": "g/cm3"}
"""Of the columns that structure tables usually have; others are written without one."""

_EXPONENT = 0.8  # of log scales, as in the published band-gap models
_SPANNED = (0.005, 0.995)
"""Quantiles that become 0 and 1: a wrong value or two must not take up most of the scale."""


def scales_of(data: Prepared, kinds: Mapping[str, str]) -> list[Normaliser]:
    """Fit the scale of each condition to its values in the training part.

    Args:
        data: the data set.
        kinds: condition -> "log" or "linear".

    Raises:
        InputError: a condition with fewer than two different values.
    """
    rows = data.of_part(TRAIN)
    found = []
    for number, name in enumerate(data.condition_names):
        known = data.conditions[rows, number].astype(np.float64)
        known = known[np.isfinite(known)]
        if len(np.unique(known)) < 2:
            raise InputError(f"{name}: the training data hold fewer than two different values.")
        low, high = np.quantile(known, _SPANNED)
        if low == high:
            low, high = known.min(), known.max()
        found.append(
            Normaliser(
                name,
                UNITS.get(name, ""),
                "linear" if kinds[name] == "linear" else "log",
                float(low),
                float(high),
                1.0 if kinds[name] == "linear" else _EXPONENT,
                float(known.min()),
                float(known.max()),
            )
        )
    return found


def normalised(data: Prepared, normalisers: Sequence[Normaliser]) -> Tensor:
    """Return the conditions of all crystals (n, k), normalised, NaN where not known."""
    columns = [
        [math.nan if math.isnan(v) else normaliser.forward(v) for v in column]
        for normaliser, column in zip(normalisers, data.conditions.T.tolist(), strict=True)
    ]
    return (
        torch.tensor(columns, dtype=torch.float32)
        .reshape(len(normalisers), len(data))
        .T.contiguous()
    )


def shown(values: Tensor, share: float) -> Tensor:
    """Return the conditions (b, k) that a step shows: some crystals lose all, some single ones.

    Both are needed: a user may give no condition at all, or one of several.
    """
    random = torch.default_generator
    values = drop_conditions(values, share, random)
    if values.shape[1] > 1:
        single = torch.rand(values.shape, generator=random) < share
        values = values.masked_fill(single, math.nan)
    return values
