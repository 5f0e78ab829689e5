"""Normalisers: published values, inverse, ranges, JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondwright.crystals.normaliser import Normaliser, normalise
from bondwright.errors import InputError

GAP = Normaliser("band_gap", "eV", "log", 0.0, 9.245, 0.8, seen_low=0.0, seen_high=9.2)
DENSITY = Normaliser("density", "g/cm3", "linear", 0.4, 22.5)


def test_published_band_gap_scale() -> None:
    """The condition vectors of the published TiO2 table: 1.5 eV is 0.4745, 4.5 eV is 0.7798."""
    # Four digits are published; the maximum of 9.245 eV was solved from these two numbers.
    assert GAP.forward(1.5) == pytest.approx(0.4745, abs=1.5e-4)
    assert GAP.forward(4.5) == pytest.approx(0.7798, abs=1.5e-4)
    assert GAP.forward(0.0) == 0.0


@given(st.floats(-50, 200), st.sampled_from([GAP, DENSITY]))
def test_inverse_undoes_forward(value: float, normaliser: Normaliser) -> None:
    # expm1 of a logarithm loses a few digits for large values only.
    assert normaliser.inverse(normaliser.forward(value)) == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_out_of_range_is_a_message_and_not_finite_is_refused() -> None:
    assert GAP.check(9.2) == ""
    message = GAP.check(12)
    assert "band_gap 12 eV" in message
    assert "0 to 9.2 eV" in message
    assert "density 0.1 g/cm3" in DENSITY.check(0.1)
    for value in (math.nan, math.inf):
        with pytest.raises(InputError, match="band_gap"):
            GAP.check(value)


def test_fit_spans_the_finite_values() -> None:
    fitted = Normaliser.fit("gap", "eV", [math.nan, 0.0, 2.5, 5.0], "log", 0.8)
    assert (fitted.forward(0.0), fitted.forward(5.0)) == (0.0, 1.0)
    assert (fitted.seen_low, fitted.seen_high) == (0.0, 5.0)
    with pytest.raises(InputError, match="fewer than two"):
        Normaliser.fit("gap", "eV", [1.0, math.nan, 1.0])


def test_json_and_bad_scales() -> None:
    assert Normaliser.from_json(json.loads(json.dumps(GAP.to_json()))) == GAP
    with pytest.raises(InputError, match="normaliser"):
        Normaliser.from_json({"name": "gap"})
    with pytest.raises(InputError, match="low < high"):
        Normaliser("gap", "eV", "linear", 1.0, 1.0)
    with pytest.raises(InputError, match="'cubic'"):
        Normaliser("gap", "eV", "cubic", 0.0, 1.0)  # type: ignore[arg-type]


def test_values_by_name_become_a_vector() -> None:
    vector, messages = normalise([GAP, DENSITY], {"density": 30.0, "band_gap": None})
    assert math.isnan(vector[0])
    assert vector[1] == pytest.approx(29.6 / 22.1)
    assert len(messages) == 1
    with pytest.raises(InputError, match="'gap'; it takes band_gap, density"):
        normalise([GAP, DENSITY], {"gap": 1.0})
