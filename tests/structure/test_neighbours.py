"""Neighbours against brute force over images; faults 13, 19 and 22."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.neighborlist import neighbor_list

from bondwright.errors import InputError
from bondwright.structure.neighbours import neighbour_pairs, shortest_contact


def brute_force(atoms: Atoms, cutoff: float) -> set[tuple[int, ...]]:
    """All pairs within the cutoff, from a box of images that is certainly large enough."""
    inverse = np.linalg.inv(atoms.cell.complete().array)
    span = np.ptp(atoms.positions @ inverse, axis=0)
    reach = np.ceil(cutoff * np.linalg.norm(inverse, axis=0) + span).astype(int)
    ranges = [range(-r, r + 1) if p else (0,) for r, p in zip(reach, atoms.pbc, strict=True)]
    pairs = set()
    for image in np.array(np.meshgrid(*ranges)).T.reshape(-1, 3):
        vectors = atoms.positions[None] + image @ atoms.cell.array - atoms.positions[:, None]
        for i, j in np.argwhere(np.linalg.norm(vectors, axis=-1) <= cutoff):
            if i != j or image.any():
                pairs.add((int(i), int(j), *map(int, image)))
    return pairs


def random_cell(seed: int) -> Atoms:
    """A few atoms, partly outside their small and often very skewed cell."""
    rng = np.random.default_rng(seed)
    cell = rng.normal(size=(3, 3)) * 3
    while abs(np.linalg.det(cell)) < 20:
        cell = rng.normal(size=(3, 3)) * 3
    if seed % 3 == 0:
        cell[1] += 3 * cell[0]
        cell[2] -= 2 * cell[0]
    pbc = rng.random(3) > 0.5 if seed % 4 == 0 else True
    count = int(rng.integers(1, 6))
    numbers = rng.choice([8, 22], count)
    return Atoms(numbers, positions=rng.normal(size=(count, 3)) * 4, cell=cell, pbc=pbc)


@pytest.mark.parametrize("seed", range(24))
def test_pairs_equal_brute_force(seed):
    atoms = random_cell(seed)
    pairs = neighbour_pairs(atoms, 4.0, full=True)
    found = [
        (int(i), int(j), *map(int, image))
        for i, j, image in zip(pairs.i, pairs.j, pairs.image, strict=True)
    ]
    assert len(set(found)) == len(found)
    assert set(found) == brute_force(atoms, 4.0)
    expected = atoms.positions[pairs.j] + pairs.image @ atoms.cell.array - atoms.positions[pairs.i]
    np.testing.assert_allclose(pairs.vector, expected, atol=1e-12)
    np.testing.assert_allclose(pairs.distance, np.linalg.norm(expected, axis=1), atol=1e-12)


@pytest.mark.parametrize("seed", range(0, 24, 2))
def test_half_list_has_each_pair_once(seed):
    atoms = random_cell(seed)
    full, half = (neighbour_pairs(atoms, 4.0, full=flag) for flag in (True, False))
    assert 2 * len(half) == len(full)
    assert (half.i <= half.j).all()
    both = {(i, j, *m) for i, j, m in zip(half.i, half.j, half.image.tolist(), strict=True)}
    back = {
        (j, i, *(-m for m in image))
        for i, j, image in zip(half.i, half.j, half.image.tolist(), strict=True)
    }
    assert not both & back
    assert len(both | back) == len(full)


def test_coordination_of_known_crystals():
    rocksalt = bulk("NaCl", "rocksalt", a=5.64)
    assert len(neighbour_pairs(rocksalt, 2.83, full=True)) == 12  # 6 around each of 2 atoms
    assert len(neighbour_pairs(rocksalt, 5.65, full=True)) == 2 * (6 + 12 + 8 + 6)
    assert shortest_contact(rocksalt).distance == pytest.approx(2.82)
    assert shortest_contact(bulk("Cu", a=3.6)).distance == pytest.approx(3.6 / np.sqrt(2))


def test_cutoffs_by_pair_of_elements():
    atoms = bulk("NaCl", "rocksalt", a=5.64).repeat(2)
    pairs = neighbour_pairs(atoms, {("Cl", "Na"): 2.9, ("Na", "Na"): 4.0})
    kinds = {
        frozenset((atoms.symbols[i], atoms.symbols[j])): round(float(d), 2)
        for i, j, d in zip(pairs.i, pairs.j, pairs.distance, strict=True)
    }
    assert kinds == {frozenset(("Na", "Cl")): 2.82, frozenset(("Na",)): 3.99}


def test_same_count_as_ase_for_a_glass_like_cell():
    rng = np.random.default_rng(5)
    atoms = Atoms("Zr400", positions=rng.random((400, 3)) * 20, cell=[20, 20, 20], pbc=True)
    assert len(neighbour_pairs(atoms, 3.75, full=True)) == len(neighbor_list("i", atoms, 3.75))


def test_two_atoms_nearly_on_top_of_each_other():
    """Fault 13: atoms 0.1 Å apart are two atoms with a short contact."""
    atoms = Atoms("TiO", positions=[[0, 0, 0], [0.1, 0, 0]], cell=[4, 4, 4], pbc=True)
    assert shortest_contact(atoms).distance == pytest.approx(0.1)
    atoms.positions[1] = 0
    contact = shortest_contact(atoms)
    assert (contact.i, contact.j, contact.distance) == (0, 1, 0.0)


@pytest.mark.parametrize(
    "transform",
    [
        np.diag([2, 1, 3]),
        [[1, 9, 0], [0, 1, 0], [4, 0, 1]],  # fault 22: the same lattice in a very skewed basis
        [[1, 1, 0], [-1, 1, 0], [0, 0, 1]],
    ],
)
def test_contact_does_not_depend_on_the_description(transform):
    """Faults 19 and 22: supercell, skew, shift and order leave the shortest contact alone."""
    rutile = Atoms(
        "Ti2O4",
        scaled_positions=[
            (0, 0, 0), (0.5, 0.5, 0.5),
            (0.3048, 0.3048, 0), (0.6952, 0.6952, 0), (0.8048, 0.1952, 0.5), (0.1952, 0.8048, 0.5),
        ],
        cell=[4.594, 4.594, 2.959],
        pbc=True,
    )  # fmt: skip
    other = make_supercell(rutile, transform, wrap=False)[::-1]
    other.positions += (0.3, 7.0, -11.0)
    expected = shortest_contact(rutile).distance
    assert expected == pytest.approx(1.949, abs=2e-3)  # Å; Ti-O in rutile 1.949 and 1.980
    assert shortest_contact(other).distance == pytest.approx(expected, abs=1e-9)
    per_atom = len(neighbour_pairs(rutile, 6.0)) / len(rutile)
    assert len(neighbour_pairs(other, 6.0)) / len(other) == per_atom


@pytest.mark.parametrize(
    "cell",
    [
        np.zeros((3, 3)),
        [[3, 0, 0], [6, 0, 0], [0, 0, 3]],
        [[3, 0, 0], [0, np.nan, 0], [0, 0, 3]],
        [[1e-4, 0, 0], [0, 1e-4, 0], [0, 0, 1e-4]],
    ],
)
def test_degenerate_cells_are_refused(cell):
    atoms = Atoms("H", positions=[[0, 0, 0]], pbc=True)
    atoms.cell[:] = cell
    with pytest.raises(InputError, match="cell"):
        neighbour_pairs(atoms, 5.0)


def test_contact_of_a_molecule_and_of_nothing():
    water = Atoms("OH2", positions=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    assert shortest_contact(water).distance == pytest.approx(0.96)
    for nothing in (Atoms(), Atoms("H")):
        with pytest.raises(InputError, match="two atoms"):
            shortest_contact(nothing)
