"""Corrections between methods: what pays, rare pairs, left-out errors, names that do not mix."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_glass import made_cell

from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.learn.correction import Correction
from bondwright.learn.correction_fit import LabelledTwice, fit_correction


def twice(run: int, change, noise_eV: float = 0.0, **options) -> LabelledTwice:
    """A cell with cheap labels, and dear ones that `change` makes from the table."""
    cheap = made_cell(run, method="cheap/1", **options).bonds
    noise = noise_eV * np.random.default_rng(100 + run).normal(size=len(cheap))
    dear = replace(cheap, method="dear/2", icohp_eV=change(cheap) + noise)
    return LabelledTwice(f"made/{run}", cheap, dear)


def by_pair(table: BondTable) -> np.ndarray:
    slopes = {"Zr-Zr": 1.3, "Zr-Cu": 1.1, "Cu-Cu": 0.9}
    return table.icohp_eV * [slopes[pair] for pair in table.pairs()]


def test_each_pair_gets_its_slope_and_no_more_than_pays() -> None:
    cells = [twice(run, by_pair, 0.01) for run in (1, 2, 3)]

    found = fit_correction(cells, ridge_bonds=0.0)

    assert found.form == "slope"
    assert set(found.errors_eV) == {"slope", "slope and offset", "slope by length"}
    assert found.pairs["Zr-Zr"].slope == pytest.approx(1.3, abs=0.01)
    assert found.pairs["Cu-Cu"].slope == pytest.approx(0.9, abs=0.03)
    assert found.pairs["Zr-Zr"].after_eV == pytest.approx(0.01, rel=0.3)
    assert found.pairs["Zr-Zr"].before_eV > 0.05


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("slope and offset", lambda t: 1.1 * t.icohp_eV + 0.2),
        ("slope by length", lambda t: (1.1 + 0.2 * (t.length_A - 3)) * t.icohp_eV),
    ],
)
def test_flexible_form_is_chosen_where_the_data_have_it(form: str, change) -> None:
    cells = [twice(run, change, 0.003) for run in (1, 2, 3)]

    found = fit_correction(cells)

    assert found.form == form
    unseen = twice(4, change)
    error = found.apply(unseen.cheap).icohp_eV - unseen.dear.icohp_eV
    assert np.median(np.abs(error)) < 0.003  # a bond beyond the lengths of the fit may be worse


def test_rare_pair_is_held_near_the_correction_of_all() -> None:
    cells = [twice(run, lambda t: 1.2 * t.icohp_eV) for run in (1, 2)]
    bonds = cells[0].cheap.pairs() == "Cu-Cu"
    rare = np.flatnonzero(bonds)[:2]
    keep = np.setdiff1d(np.arange(len(bonds)), np.setdiff1d(np.flatnonzero(bonds), rare))
    odd = cells[0].dear.icohp_eV.copy()
    odd[rare] *= 3
    first = LabelledTwice(
        "made/1", cells[0].cheap.select(keep), replace(cells[0].dear, icohp_eV=odd).select(keep)
    )
    without = cells[1].cheap.pairs() != "Cu-Cu"
    second = LabelledTwice("made/2", cells[1].cheap.select(without), cells[1].dear.select(without))

    loose = fit_correction([first, second], ridge_bonds=0.0).pairs["Cu-Cu"]
    held = fit_correction([first, second]).pairs["Cu-Cu"]

    assert loose.slope == pytest.approx(3.6)
    assert 1.2 < held.slope < 1.6
    assert held.bonds == 2
    assert held.after_eV is None  # both bonds stand in one cell


def test_error_after_correction_is_that_of_unseen_cells() -> None:
    # Each cell has a slope of its own: the fit to both looks better than it is.
    cells = [twice(1, lambda t: 1.0 * t.icohp_eV), twice(2, lambda t: 1.4 * t.icohp_eV)]

    found = fit_correction(cells, forms=["slope"])

    corrected = [found.apply(cell.cheap).icohp_eV - cell.dear.icohp_eV for cell in cells]
    seen = float(np.sqrt(np.mean(np.concatenate(corrected) ** 2)))
    assert found.errors_eV["slope"] > 1.5 * seen


def test_corrected_table_says_what_it_is_and_is_not_taken_twice(tmp_path: Path) -> None:
    found = fit_correction([twice(run, by_pair) for run in (1, 2)])
    found.save(tmp_path / "correction.json")
    again = Correction.load(tmp_path / "correction.json")
    table = made_cell(5, elements=("Zr", "Cu", "Al"), method="cheap/1").bonds

    corrected = again.apply(table)

    assert again == found
    assert corrected.method.startswith("cheap/1 -> dear/2 (correction ")
    assert set(corrected.details["correction"]["pairs_by_all"]) >= {"Zr-Al", "Cu-Al"}
    assert corrected.details["correction"]["rmse_eV"]["Zr-Al"] is None
    with pytest.raises(InputError, match=r"takes labels of 'cheap/1', not of 'cheap/1 -> "):
        again.apply(corrected)
    with pytest.raises(InputError, match="are not put into one table"):
        table.join(corrected)
    other = fit_correction([twice(run, by_pair, 0.01) for run in (1, 2)])
    assert other.method != found.method


def test_one_cell_gives_a_slope_without_an_error() -> None:
    found = fit_correction([twice(1, lambda t: 1.2 * t.icohp_eV + 0.1)])

    assert found.form == "slope"
    assert found.errors_eV == {}
    assert {pair.after_eV for pair in found.pairs.values()} == {None}


def test_what_cannot_be_corrected_is_refused(tmp_path: Path) -> None:
    good = twice(1, by_pair)
    with pytest.raises(InputError, match="one cheap method in all cells, not no cell"):
        fit_correction([])
    with pytest.raises(InputError, match="there is nothing to correct"):
        fit_correction([LabelledTwice("made/1", good.cheap, good.cheap)])
    other = twice(2, by_pair)
    other = LabelledTwice("made/2", other.cheap, replace(other.dear, method="other"))
    with pytest.raises(InputError, match="one dear method in all cells, not dear/2 and other"):
        fit_correction([good, other])
    with pytest.raises(InputError, match="made/1 are of different structures"):
        fit_correction([LabelledTwice("made/1", good.cheap, twice(2, by_pair).dear)])
    with pytest.raises(InputError, match="do not rise together"):
        fit_correction([twice(1, lambda t: -t.icohp_eV)])
    path = tmp_path / "c.json"
    with pytest.raises(InputError, match="no readable correction"):
        Correction.load(path)
    path.write_text(json.dumps(fit_correction([good]).to_json() | {"form": "magic"}))
    with pytest.raises(InputError, match="stored correction is damaged"):
        Correction.load(path)
