"""Whether asking had an effect: shifts are seen, noise is not, few data are not judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bondwright.screen.condition import Effect, condition_effect

GAP = {"name": "band_gap", "unit": "eV", "tolerance": 0.5}


@pytest.fixture(scope="module")
def tables(data_dir: Path) -> pd.DataFrame:
    folder = data_dir / "tio2-candidates"
    parts = {
        arm: pd.read_parquet(folder / f"TiO2_{arm}BG_candidates_10T15K.parquet")
        for arm in ("low", "high")
    }
    return pd.concat(parts, names=["table", None]).reset_index("table")


@pytest.mark.data
def test_no_effect_in_the_real_tio2_candidates(tables: pd.DataFrame) -> None:
    """The authors' generator was asked for 1.5 or 4.5 eV, and made the same gaps for both."""
    asked = tables["target_ALIGNN_BG"].round(1)
    found = {a: g.to_list() for a, g in tables["ALIGNN_bg (eV)"].groupby(asked)}
    assert {a: len(v) for a, v in found.items()} == {1.5: 316, 4.5: 336}
    effect = condition_effect(found, **GAP)
    assert effect.effect is Effect.NOT_SEEN
    assert effect.p_value is not None
    assert effect.p_value > 0.1
    low, high = effect.groups
    assert low.median == pytest.approx(high.median, abs=0.05)
    # Nearly all that was asked for 1.5 eV is a "hit", and so is what was asked for 4.5 eV.
    assert low.hit_rate == pytest.approx(low.control_rate, abs=0.03)
    assert high.hits == 0
    assert effect.conclusion.startswith("No effect of asking for a band gap is seen: medians 1.3")


@pytest.mark.data
def test_tables_chosen_by_the_found_gap_are_not_arms(tables: pd.DataFrame) -> None:
    """The trap: the two files were made by the found gap, so as "arms" they differ perfectly."""
    files = {
        value: tables.loc[tables["table"] == name, "ALIGNN_bg (eV)"].to_list()
        for name, value in (("low", 1.5), ("high", 4.5))
    }
    assert condition_effect(files, **GAP).statistic == 1.0
    # Each file holds candidates of both arms.
    for name in ("low", "high"):
        own = tables.loc[tables["table"] == name, "target_ALIGNN_BG"].round(1)
        assert set(own) == {1.5, 4.5}


def test_shift_towards_the_asked_values_is_seen() -> None:
    rng = np.random.default_rng(1)
    found = {1.5: rng.normal(1.6, 0.5, 80), 4.5: rng.normal(2.4, 0.7, 60)}
    effect = condition_effect(found, **GAP)
    assert effect.effect is Effect.SEEN
    assert effect.rank_correlation is not None
    assert effect.rank_correlation > 0.3
    low = effect.groups[0]
    assert low.hits == int((np.abs(found[1.5] - 1.5) <= 0.5).sum())
    assert low.control_rate == pytest.approx((np.abs(found[4.5] - 1.5) <= 0.5).mean())


def test_shift_the_wrong_way_is_named() -> None:
    rng = np.random.default_rng(2)
    found = {1.5: rng.normal(3.0, 0.5, 80), 4.5: rng.normal(2.0, 0.5, 80)}
    assert condition_effect(found, **GAP).effect is Effect.WRONG_WAY


def test_noise_is_called_an_effect_as_rarely_as_stated() -> None:
    """At 5 % significance 200 comparisons of equal groups give 10 +- 3 false alarms."""
    rng = np.random.default_rng(3)
    alarms = sum(
        condition_effect({1.5: rng.normal(2, 1, 60), 4.5: rng.normal(2, 1, 60)}, **GAP).effect
        in (Effect.SEEN, Effect.WRONG_WAY)
        for _ in range(200)
    )
    assert 1 <= alarms <= 20


def test_few_candidates_are_not_judged() -> None:
    effect = condition_effect({1.5: [1.0, 1.4, 2.0], 4.5: [1.1, 1.2, 1.9, 2.2]}, **GAP)
    assert effect.effect is Effect.TOO_FEW
    assert "n = 3" in effect.conclusion
    assert effect.conclusion.startswith("Too few to tell")


@pytest.mark.parametrize("found", [{}, {1.5: [1.0, 2.0]}, {1.5: [1.0, 2.0], 4.5: []}])
def test_one_group_cannot_be_compared(found: dict[float | None, list[float]]) -> None:
    effect = condition_effect(found, **GAP)
    assert effect.effect is Effect.TOO_FEW
    assert effect.p_value is None
    assert "nothing to compare" in effect.conclusion


def test_arm_that_was_asked_for_nothing_is_the_control() -> None:
    rng = np.random.default_rng(4)
    control = rng.normal(1.0, 0.8, 100)
    effect = condition_effect({3.0: rng.normal(2.6, 0.5, 100), None: control}, **GAP)
    assert effect.effect is Effect.SEEN
    assert [g.asked for g in effect.groups] == [None, 3.0]
    assert effect.groups[0].hits is None
    assert effect.groups[1].control_rate == pytest.approx((np.abs(control - 3) <= 0.5).mean())


def test_three_groups_take_the_rank_test() -> None:
    rng = np.random.default_rng(5)
    found = {a: rng.normal(1 + 0.5 * a, 0.5, 50) for a in (1.0, 2.0, 3.0)}
    effect = condition_effect(found, **GAP)
    assert effect.test == "Kruskal-Wallis"
    assert effect.effect is Effect.SEEN


def test_all_metals_are_no_effect() -> None:
    """Constant values (every candidate a metal) give no 0/0."""
    for asked in ((1.5, 4.5), (1.5, 3.0, 4.5)):
        effect = condition_effect({a: [0.0] * 40 for a in asked}, **GAP)
        assert effect.effect is Effect.NOT_SEEN
        assert effect.p_value == 1.0
        assert effect.rank_correlation is None


def test_unknown_values_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        condition_effect({1.5: [1.0, float("nan")], 4.5: [2.0]}, **GAP)
