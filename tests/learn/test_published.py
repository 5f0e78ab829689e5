"""The published model equals its formulas written out, and says what it does not know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.learn.atom_soap import atom_soap
from bondwright.learn.cells import LabelledCell
from bondwright.learn.model_types import OUTSIDE_LENGTH, UNKNOWN_PAIR
from bondwright.learn.published import PublishedModel
from bondwright.structure.neighbours import Pairs, neighbour_pairs


def labelled(seed: int, elements: tuple[str, ...] = ("Zr", "Cu"), reach: float = 3.6):
    """A small disordered cell whose -ICOHP falls with length and knows its neighbours."""
    random = np.random.default_rng(seed)
    atoms = bulk("Cu", "fcc", a=4.2, cubic=True).repeat((2, 1, 1))
    atoms.symbols = random.choice(elements, len(atoms))
    atoms.positions += random.normal(0, 0.12, atoms.positions.shape)
    found = neighbour_pairs(atoms, reach)
    crowd = np.bincount(np.r_[found.i, found.j], minlength=len(atoms))
    label = np.exp(-found.distance) * (20 - 0.3 * (crowd[found.i] + crowd[found.j]))
    bonds = BondTable.build(atoms, found.i, found.j, found.image, label, "made up/1")
    name = f"made/{seed}"
    return LabelledCell(f"{name}/0", "made", name, "0", bonds)


def naive(model_cells, atoms: Atoms, pairs: Pairs, pair: str, theta: float, gamma: float):
    """The formulas of the paper: four products per kernel value, an explicit inverse."""
    rows = []
    for cell in model_cells:
        vectors = atom_soap(cell.atoms, ("Cu", "Zr"))
        bonds = cell.bonds.select(cell.bonds.pairs() == pair)
        for k in range(len(bonds)):
            rows.append(
                (vectors[bonds.i[k]], vectors[bonds.j[k]], bonds.length_A[k], bonds.icohp_eV[k])
            )
    a, b, d, y = (np.array(column) for column in zip(*rows, strict=True))

    def kernel(a1, b1, d1):
        dots = (a @ a1 + b @ b1 + a @ b1 + b @ a1) / 4
        return np.exp(-((d - d1) ** 2) / (2 * theta**2)) * dots

    matrix = np.array([kernel(*row[:3]) for row in rows])
    weights = np.linalg.inv(matrix + gamma * y.std() * np.eye(len(y))) @ y
    vectors = atom_soap(atoms, ("Cu", "Zr"))
    found = []
    for i, j, distance in zip(pairs.i, pairs.j, pairs.distance, strict=True):
        found.append(weights @ kernel(vectors[i], vectors[j], distance))
    return np.array(found)


@pytest.mark.parametrize(("pair", "theta", "gamma"), [("Zr-Cu", 1.0, 0.04), ("Zr-Zr", 0.5, 0.01)])
def test_means_are_those_of_the_published_formulas(pair: str, theta: float, gamma: float) -> None:
    cells = [labelled(1), labelled(2)]
    unseen = labelled(3)
    model = PublishedModel.fit(cells)
    chosen = unseen.bonds.select(unseen.bonds.pairs() == pair)
    pairs = Pairs(chosen.i, chosen.j, chosen.image, chosen.vectors_A(), chosen.length_A)

    prediction = model.predict(unseen.atoms, pairs)

    expected = naive(cells, unseen.atoms, pairs, pair, theta, gamma)
    np.testing.assert_allclose(prediction.mean_eV, expected, rtol=1e-6)
    assert np.corrcoef(prediction.mean_eV, chosen.icohp_eV)[0, 1] > 0.8
    assert (prediction.sigma_eV > 0).all()


def test_bond_named_from_its_other_end_has_the_same_prediction() -> None:
    model = PublishedModel.fit([labelled(1)])
    atoms = labelled(3).atoms
    pairs = neighbour_pairs(atoms, 3.4)
    turned = Pairs(pairs.j, pairs.i, -pairs.image, -pairs.vector, pairs.distance)

    here, there = model.predict(atoms, pairs), model.predict(atoms, turned)

    np.testing.assert_allclose(here.mean_eV, there.mean_eV, rtol=1e-12)


def test_sigma_scales_with_the_labels_and_grows_away_from_them() -> None:
    cells = [labelled(1), labelled(2)]
    ten = [replace(c, bonds=replace(c.bonds, icohp_eV=10 * c.bonds.icohp_eV)) for c in cells]
    atoms = labelled(3).atoms
    model = PublishedModel.fit(cells)

    seen = model.predict(cells[0].atoms)
    new = model.predict(atoms)

    assert np.median(new.sigma_eV) > np.median(seen.sigma_eV)
    # gamma multiplies std(y), which is not a variance: sigma grows, but not by ten exactly.
    assert np.median(PublishedModel.fit(ten).predict(atoms).sigma_eV) > 5 * np.median(new.sigma_eV)


def test_foreign_elements_and_lengths_are_flagged_not_refused() -> None:
    model = PublishedModel.fit([labelled(1), labelled(2)], window_A=(2.6, 3.2))
    atoms = labelled(3, ("Zr", "Cu", "Al")).atoms
    pairs = neighbour_pairs(atoms, 3.6)

    prediction = model.predict(atoms, pairs)

    foreign = (atoms.numbers[pairs.i] == 13) | (atoms.numbers[pairs.j] == 13)
    assert foreign.any()
    np.testing.assert_array_equal(prediction.flag & UNKNOWN_PAIR > 0, foreign)
    assert np.isinf(prediction.sigma_eV[foreign]).all()
    assert (prediction.mean_eV[foreign] == 0).all()
    assert np.isfinite(prediction.sigma_eV[~foreign]).all()
    assert (prediction.flag[~foreign & (pairs.distance > 3.2)] & OUTSIDE_LENGTH).all()


def test_draw_is_limited_and_repeatable() -> None:
    cells = [labelled(1), labelled(2)]
    atoms = labelled(3).atoms

    first = PublishedModel.fit(cells, 12, seed=5)

    assert {len(p.length_A) for p in first.processes.values()} == {12}
    again = PublishedModel.fit(cells, 12, seed=5).predict(atoms).mean_eV
    np.testing.assert_array_equal(first.predict(atoms).mean_eV, again)
    assert (PublishedModel.fit(cells, 12, seed=6).predict(atoms).mean_eV != again).any()


def test_labels_of_two_methods_are_refused() -> None:
    other = labelled(2)
    other = replace(other, bonds=replace(other.bonds, method="LOBSTER 5"))
    with pytest.raises(InputError, match=r"\(LOBSTER 5, made up/1\) are not mixed"):
        PublishedModel.fit([labelled(1), other])
