"""Scales of conditions, and what a training step shows of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_data import made_data

from bondwright.crystals.train_conditions import normalised, scales_of, shown
from bondwright.errors import InputError


@pytest.mark.parametrize("kind", ["log", "linear"])
def test_scale_spans_the_training_part_without_its_outliers(kind: str) -> None:
    """Of 0, 1, ..., 1000 eV the quantiles 0.5 % and 99.5 % are 5 and 995."""
    data = made_data([2] * 1003)
    values = np.array([*range(1001), 5000.0, np.nan], dtype=np.float32)[:, None]
    parts = np.array([0] * 1001 + [1, 0], dtype=np.int8)  # the largest one is held out
    data = replace(data, conditions=values, parts=parts)
    (scale,) = scales_of(data, {"band_gap": kind})
    assert (scale.name, scale.unit, scale.method) == ("band_gap", "eV", kind)
    assert (scale.low, scale.high) == pytest.approx((5.0, 995.0))
    assert (scale.seen_low, scale.seen_high) == (0.0, 1000.0)
    shown_values = normalised(data, [scale])[:, 0]
    assert shown_values[5] == pytest.approx(0.0)
    assert shown_values[995] == pytest.approx(1.0)
    middle = shown_values[500]
    assert middle == pytest.approx(0.5) if kind == "linear" else middle > 0.6
    assert torch.isnan(shown_values[1002])


def test_column_of_one_value_is_no_condition() -> None:
    data = made_data([2, 2, 2])
    data = replace(data, conditions=np.array([[1], [1], [np.nan]], dtype=np.float32))
    with pytest.raises(InputError, match=r"band_gap: .* fewer than two different values"):
        scales_of(data, {"band_gap": "log"})


def test_some_crystals_lose_all_conditions_and_some_single_ones() -> None:
    """Either happens with probability 0.2; bounds are five standard deviations of 20,000."""
    torch.manual_seed(3)
    hidden = torch.isnan(shown(torch.ones(20_000, 2), 0.2))
    none = 0.2 + 0.8 * 0.2**2
    one = 2 * 0.8 * 0.2 * 0.8
    found = [float((hidden.sum(1) == n).double().mean()) for n in (2, 1)]
    for share, expected in zip(found, (none, one), strict=True):
        assert share == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 20_000))
    alone = torch.isnan(shown(torch.ones(20_000, 1), 0.2))
    assert float(alone.double().mean()) == pytest.approx(0.2, abs=0.015)
    assert not torch.isnan(shown(torch.ones(50, 2), 0.0)).any()
