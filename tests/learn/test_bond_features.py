"""Features of a bond: what must not change them, and what must."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from bondwright.learn.bond_curves import BondCurve, fit_curve, strength_table
from bondwright.learn.bond_features import FeatureMaker, FeatureSettings
from bondwright.structure.neighbours import Pairs, neighbour_pairs

CURVES = {
    "Zr-Zr": BondCurve(0.74, 1.9, 0.0, 2.2, 4.2),
    "Zr-Cu": BondCurve(-0.47, 2.1, 0.0, 2.0, 4.2),
    "Cu-Cu": BondCurve(-1.96, 2.4, 0.0, 1.9, 4.2),
    "Cu-Al": BondCurve(-0.6, 1.9, 0.0, 1.9, 4.2),
}


@pytest.fixture(scope="module")
def maker() -> FeatureMaker:
    return FeatureMaker(strength_table(["Zr", "Cu", "Al"], CURVES), FeatureSettings())


@pytest.fixture(scope="module")
def glass() -> Atoms:
    random = np.random.default_rng(3)
    places = np.stack(np.meshgrid(*[np.arange(3) * 2.9] * 3), -1).reshape(-1, 3)
    cell = np.array([[8.7, 0, 0], [1.5, 8.7, 0], [0, -0.8, 8.7]])
    atoms = Atoms(random.choice(["Zr", "Cu", "Al"], 27), positions=places, cell=cell, pbc=True)
    atoms.positions += random.normal(0, 0.25, (27, 3))
    return atoms


def features(maker: FeatureMaker, atoms: Atoms, pairs: Pairs | None = None) -> np.ndarray:
    pairs = neighbour_pairs(atoms, 4.0) if pairs is None else pairs
    return maker.surroundings(atoms).features(pairs).values.numpy()


def in_any_order(values: np.ndarray, length: np.ndarray) -> np.ndarray:
    return values[np.argsort(length)]


def test_turning_and_shifting_change_nothing(maker: FeatureMaker, glass: Atoms) -> None:
    turned = glass.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    turned.positions += (1.0, -2.0, 0.3)
    np.testing.assert_allclose(features(maker, turned), features(maker, glass), atol=2e-4)


def test_order_of_atoms_and_a_supercell_change_nothing(maker: FeatureMaker, glass: Atoms) -> None:
    pairs = neighbour_pairs(glass, 4.0)
    before = in_any_order(features(maker, glass, pairs), pairs.distance)
    order = np.random.default_rng(0).permutation(len(glass))
    mixed = glass[order]
    found = neighbour_pairs(mixed, 4.0)
    after = in_any_order(features(maker, mixed, found), found.distance)
    swapped = in_any_order(features(maker, mixed, found)[:, maker.exchange.numpy()], found.distance)
    # Two like atoms may stand in either order: then the features are those exchanged.
    same = np.minimum(np.abs(after - before).max(1), np.abs(swapped - before).max(1))
    assert same.max() < 2e-4
    double = glass.repeat((2, 1, 1))
    found = neighbour_pairs(double, 4.0)
    assert len(found) == 2 * len(pairs)
    inside = found.select((found.i < 27) & (found.j < 27) & ~found.image.any(axis=1))
    single = pairs.select(~pairs.image.any(axis=1))
    np.testing.assert_allclose(
        features(maker, double, inside), features(maker, glass, single), atol=2e-4
    )


def test_cluster_with_a_halo_equals_the_crystal(maker: FeatureMaker, glass: Atoms) -> None:
    pairs = neighbour_pairs(glass, 4.0)
    big = glass.repeat((3, 3, 3))
    big.pbc = False
    shift = 13 * 27
    centre = pairs.select(~pairs.image.any(axis=1))
    moved = Pairs(centre.i + shift, centre.j + shift, centre.image, centre.vector, centre.distance)
    np.testing.assert_allclose(
        features(maker, big, moved), features(maker, glass, centre), atol=2e-4
    )


def test_a_bond_taken_from_its_other_end_is_exchanged(maker: FeatureMaker, glass: Atoms) -> None:
    pairs = neighbour_pairs(glass, 4.0)
    back = Pairs(pairs.j, pairs.i, -pairs.image, -pairs.vector, pairs.distance)
    one, other = features(maker, glass, pairs), features(maker, glass, back)
    alike = glass.numbers[pairs.i] == glass.numbers[pairs.j]
    np.testing.assert_allclose(one[~alike], other[~alike], atol=2e-4)
    np.testing.assert_allclose(one[alike], other[alike][:, maker.exchange.numpy()], atol=2e-4)


def test_species_and_place_of_a_neighbour_count(maker: FeatureMaker) -> None:
    def bond(symbol: str, at: tuple[float, float, float]) -> np.ndarray:
        atoms = Atoms(["Zr", "Cu", symbol], positions=[(0, 0, 0), (2.7, 0, 0), at])
        vector = np.array([[2.7, 0.0, 0.0]])
        pair = Pairs(*(np.array([k]) for k in (0, 1)), np.zeros((1, 3), int), vector, vector[:, 0])
        return features(maker, atoms, pair)[0]

    here = bond("Al", (1.0, 2.4, 0))
    np.testing.assert_allclose(here, bond("Al", (1.0, 0, -2.4)), atol=1e-5)  # about the axis
    assert np.abs(here - bond("Cu", (1.0, 2.4, 0))).max() > 0.1
    assert np.abs(here - bond("Al", (1.7, 2.4, 0))).max() > 0.05
    out = bond("Al", (0.0, 30.0, 0))
    np.testing.assert_allclose(bond("Al", (1.35, 6.2, 0)), out, atol=1e-5)  # beyond the reach
    assert torch.isfinite(torch.from_numpy(out)).all()


def test_unknown_elements_are_told(maker: FeatureMaker, glass: Atoms) -> None:
    strange = glass.copy()
    strange.symbols[0] = "Ni"
    pairs = neighbour_pairs(strange, 4.0)
    pairs = pairs.select((pairs.i != 0) & (pairs.j != 0))
    found = maker.surroundings(strange).features(pairs)
    near = neighbour_pairs(strange, maker.settings.reach_A, full=True)
    touching = np.unique(near.j[near.i == 0])
    expected = np.isin(pairs.i, touching) | np.isin(pairs.j, touching)
    np.testing.assert_array_equal(found.foreign, expected)
    assert not maker.surroundings(glass).features(pairs).foreign.any()


def test_curve_is_recovered_and_goes_on_sanely() -> None:
    length = np.linspace(2.3, 4.2, 60)
    label = np.exp(0.7 - 1.9 * (length - 3))
    curve = fit_curve(length, label)
    np.testing.assert_allclose(curve.strength(length), label, rtol=0.02)
    short = curve.strength(np.array([1.8, 2.0, 2.3]))
    assert (np.diff(short) < 0).all()
    assert short[0] == pytest.approx(np.exp(0.7 + 1.9 * 1.2), rel=0.1)


def test_strength_of_a_pair_without_labels_comes_from_its_elements() -> None:
    table = strength_table(["Zr", "Cu", "Al"], CURVES)
    np.testing.assert_allclose(table.level, table.level.T)
    zr, al = table.level[0, 0] / 2, -0.6 - table.level[1, 1] / 2
    assert table.level[0, 2] == pytest.approx(zr + al, abs=0.5)
    assert table.level[0, 1] == pytest.approx(-0.47)
