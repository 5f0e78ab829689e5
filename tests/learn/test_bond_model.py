"""The bond model on real cells: better than length alone, calibrated, kept on disk, honest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.learn.baselines import DistanceModel
from bondwright.learn.calibration import HeldOut, calibrate, folds
from bondwright.learn.cells import LabelledCell, composition_name, read_lobster_cells
from bondwright.learn.model import BondModel, ModelSettings
from bondwright.learn.model_types import DRIFT, OUTSIDE_LENGTH, UNKNOWN_PAIR, Prediction
from bondwright.learn.training_bonds import bonds_as_pairs, elements_of, gather, training_hash
from bondwright.structure.neighbours import Pairs, neighbour_pairs

pytestmark = pytest.mark.data
SMALL = ModelSettings(likelihood_bonds=120, inducing_bonds=150)


@pytest.fixture(scope="module")
def cells(data_dir: Path) -> list[LabelledCell]:
    return read_lobster_cells(data_dir / "glass-zrcual" / "cells", ["0", "1", "3", "5"])


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def model(cells: list[LabelledCell], lines: list[str]) -> BondModel:
    return BondModel.fit(cells[:3], SMALL, lines.append)


def rmse(prediction: Prediction, cell: LabelledCell, pair: str) -> float:
    rows = cell.bonds.pairs() == pair
    return float(np.sqrt(np.mean((prediction.mean_eV - cell.bonds.icohp_eV)[rows] ** 2)))


def test_cells_are_read_with_their_names(cells: list[LabelledCell], data_dir: Path) -> None:
    assert [cell.name for cell in cells] == [f"Zr49Cu49Al2/21/{v}" for v in "0135"]
    assert {cell.run for cell in cells} == {"Zr49Cu49Al2/21"}
    assert [len(cell.bonds) for cell in cells] == [738, 829, 836, 844]
    assert composition_name(Atoms("CuZr2CuAl")) == "Zr40Cu40Al20"
    with pytest.raises(InputError, match="no folders"):
        read_lobster_cells(data_dir)


def test_held_out_sheared_cell_beats_length_alone(
    cells: list[LabelledCell], model: BondModel
) -> None:
    test = cells[3]
    asked = bonds_as_pairs(test.bonds)
    ours = model.predict(test.atoms, asked)
    length = DistanceModel.fit(cells[:3]).predict(test.atoms, asked)
    for pair in ("Cu-Cu", "Zr-Cu", "Zr-Zr"):
        assert rmse(ours, test, pair) < 0.75 * rmse(length, test, pair)
    inside = np.abs(ours.mean_eV - test.bonds.icohp_eV) <= 2 * ours.sigma_eV
    assert 0.88 < inside[ours.known].mean() < 0.995


def test_card_names_training_set_limits_and_figures(
    cells: list[LabelledCell], model: BondModel, lines: list[str]
) -> None:
    assert model.card["training_sha256"] == training_hash(cells[2::-1])
    assert model.card["training_sha256"] != training_hash(cells[:2])
    assert model.card["method"] == "LOBSTER 3.0.0"
    assert model.card["elements"] == ["Zr", "Cu", "Al"]
    assert model.card["held_out"]["rule"] == "strain"
    entry = model.card["pairs"]["Zr-Cu"]
    assert entry["shortest_A"] < 2.4
    assert 0.02 < entry["held_out"]["rmse_eV"] < 0.15
    assert 0.94 <= entry["held_out"]["within_two_sigma"] <= 0.995
    assert any("calibration" in line for line in lines)
    json.dumps(model.card)


def test_same_bonds_in_any_order_chunk_and_image_get_the_same(
    cells: list[LabelledCell], model: BondModel
) -> None:
    cell = cells[0]
    pairs = neighbour_pairs(cell.atoms, 4.2)
    whole = model.predict(cell.atoms)
    np.testing.assert_array_equal(whole.pairs.distance, pairs.distance)
    back = Pairs(pairs.j, pairs.i, -pairs.image, -pairs.vector, pairs.distance)
    chopped = replace(model, settings=replace(model.settings, chunk=17))
    for other in (model.predict(cell.atoms, back), chopped.predict(cell.atoms, pairs)):
        np.testing.assert_allclose(other.mean_eV, whole.mean_eV, atol=2e-4)
        np.testing.assert_allclose(other.sigma_eV, whole.sigma_eV, rtol=1e-2)


def test_cluster_with_its_halo_is_predicted_like_the_crystal(
    cells: list[LabelledCell], model: BondModel
) -> None:
    atoms = cells[0].atoms
    pairs = neighbour_pairs(atoms, 4.2)
    row = int(np.flatnonzero(pairs.image.any(axis=1))[0])
    bond = pairs.select(np.array([row]))
    middle = atoms.positions[bond.i[0]] + bond.vector[0] / 2
    big = atoms.repeat((3, 3, 3))
    big.positions -= atoms.cell.array.sum(0)
    near = np.linalg.norm(big.positions - middle, axis=1) < model.environment_reach_A + 1e-6
    cluster = big[near]
    cluster.pbc = False
    ends = [
        int(np.linalg.norm(cluster.positions - place, axis=1).argmin())
        for place in (middle - bond.vector[0] / 2, middle + bond.vector[0] / 2)
    ]
    asked = Pairs(
        np.array(ends[:1]), np.array(ends[1:]), np.zeros((1, 3), int), bond.vector, bond.distance
    )
    found, wanted = model.predict(cluster, asked), model.predict(atoms, bond)
    np.testing.assert_allclose(found.mean_eV, wanted.mean_eV, atol=2e-4)
    np.testing.assert_allclose(found.sigma_eV, wanted.sigma_eV, rtol=1e-2)


def test_unknown_elements_lengths_and_environments_are_flagged(
    cells: list[LabelledCell], model: BondModel
) -> None:
    atoms = cells[0].atoms.copy()
    atoms.symbols[5] = "Ni"
    found = model.predict(atoms)
    with_nickel = (found.pairs.i == 5) | (found.pairs.j == 5)
    assert (found.flag[with_nickel] == UNKNOWN_PAIR).all()
    assert not found.known[with_nickel].any()
    assert np.isinf(found.sigma_eV[with_nickel]).all()
    assert (found.mean_eV[with_nickel] == 0).all()
    beside = ~with_nickel & ((found.flag & DRIFT) > 0)
    usual = model.predict(cells[0].atoms)
    assert beside.sum() > 20
    assert ((usual.flag & DRIFT) > 0).mean() < 0.1
    assert not np.isnan(found.sigma_eV).any()
    squeezed = atoms.copy()
    squeezed.set_cell(atoms.cell.array * 0.7, scale_atoms=True)
    pressed = model.predict(squeezed)
    assert ((pressed.flag & DRIFT) > 0).sum() > 0.5 * pressed.known.sum()
    pairs = neighbour_pairs(squeezed, 4.2)
    too_short = model.predict(squeezed, pairs.select(pairs.distance < 1.8))
    assert ((too_short.flag[too_short.known] & OUTSIDE_LENGTH) > 0).all()


def test_saved_model_predicts_the_same(
    cells: list[LabelledCell], model: BondModel, tmp_path: Path
) -> None:
    model.save(tmp_path)
    back = BondModel.load(tmp_path)
    one, other = model.predict(cells[1].atoms), back.predict(cells[1].atoms)
    np.testing.assert_array_equal(one.mean_eV, other.mean_eV)
    np.testing.assert_array_equal(one.sigma_eV, other.sigma_eV)
    np.testing.assert_array_equal(one.flag, other.flag)
    assert back.settings == model.settings
    assert back.card == model.card
    numbers = tmp_path / "model.safetensors"
    numbers.write_bytes(numbers.read_bytes()[:-8] + bytes(8))
    with pytest.raises(InputError, match="does not belong"):
        BondModel.load(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        BondModel.load(tmp_path)
    with pytest.raises(InputError, match="not a bond model"):
        BondModel.load(tmp_path / "elsewhere")


def test_labels_of_two_methods_are_refused(cells: list[LabelledCell]) -> None:
    other = replace(cells[1], bonds=replace(cells[1].bonds, method="another/1"))
    with pytest.raises(InputError, match="different methods"):
        BondModel.fit([cells[0], other])
    with pytest.raises(InputError, match="there is none"):
        BondModel.fit([])
    empty = replace(cells[0], bonds=cells[0].bonds.select(np.zeros(738, bool)))
    with pytest.raises(InputError, match="label more"):
        BondModel.fit([empty])


def test_rare_pairs_stay_unknown(cells: list[LabelledCell]) -> None:
    found = gather(cells, (1.8, 4.2), 20)
    assert "Al-Al" not in found
    assert elements_of(found) == ["Zr", "Cu", "Al"]
    table = found["Zr-Zr"]
    bonds: BondTable = cells[table.cell[-1]].bonds
    assert bonds.icohp_eV[table.row[-1]] == table.icohp_eV[-1]


def test_factor_makes_two_sigma_hold_what_it_says() -> None:
    random = np.random.default_rng(0)
    sigma = random.uniform(0.01, 0.2, 4000)
    held = {"Zr-Cu": HeldOut(random.normal(0, 1.7 * sigma), sigma, sigma)}
    factor, drift = calibrate(held, "run")["Zr-Cu"]
    assert factor == pytest.approx(1.7, rel=0.05)
    assert np.mean(sigma > drift) == pytest.approx(0.02, abs=0.002)
    few = HeldOut(random.normal(0, 9 * sigma[:5]), sigma[:5], sigma[:5])
    assert calibrate({**held, "Al-Al": few}, "run")["Al-Al"][0] < 6
    assert calibrate({}, "none") == {}
    sure = {"Zr-Cu": HeldOut(0.1 * sigma, sigma, sigma)}
    assert calibrate(sure, "run")["Zr-Cu"][0] < 1 < calibrate(sure, "strain")["Zr-Cu"][0]


def test_runs_are_held_out_where_there_are_several(cells: list[LabelledCell]) -> None:
    groups, rule = folds(cells)
    assert (rule, len(groups)) == ("strain", 4)
    copy = cells[0].atoms.copy()
    copy.set_cell(copy.cell.array * 1.02, scale_atoms=True)
    near = replace(cells[0], bonds=replace(cells[0].bonds, atoms=copy))
    assert folds([cells[0], cells[1], near]) == ([[0, 2], [1]], "strain")
    assert folds([cells[0]])[1] == "none"
    runs = [replace(cell, run=f"r{k // 2}") for k, cell in enumerate([*cells, *cells[:2]])]
    assert folds(runs) == ([[0, 1], [2, 3], [4, 5]], "run")
