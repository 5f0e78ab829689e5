"""The published descriptor: QUIP's own vectors, invariances, periodic cells, foreign elements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read

from bondwright.errors import InputError
from bondwright.learn.atom_soap import SoapSettings, atom_soap


@pytest.mark.data
def test_vectors_of_quip_are_reproduced_component_by_component(data_dir: Path) -> None:
    folder = data_dir / "glass-zrcual"
    environments = read(folder / "soap_golden_environments.xyz", ":")
    golden = np.load(folder / "soap_golden_vectors.npz")["vectors"]

    mine = np.concatenate([atom_soap(each, centres=np.array([0])) for each in environments])

    assert mine.shape == golden.shape == (40, 2101)
    np.testing.assert_allclose(mine, golden, atol=1e-10)


def test_length_is_the_published_one() -> None:
    assert SoapSettings().length(3) == 2101


def cluster(seed: int = 1) -> Atoms:
    random = np.random.default_rng(seed)
    grid = np.array([[x, y, z] for x in range(3) for y in range(3) for z in range(2)]) * 2.6
    positions = grid + random.uniform(-0.3, 0.3, grid.shape)
    return Atoms(random.choice(["Cu", "Zr", "Al"], len(grid)), positions=positions)


def test_turning_shifting_and_renumbering_change_nothing() -> None:
    atoms = cluster()
    turned = atoms.copy()
    turned.rotate(47, (1, 2, 3))
    turned.translate((3.0, -1.0, 0.4))
    order = np.random.default_rng(2).permutation(len(atoms))

    before = atom_soap(atoms)

    np.testing.assert_allclose(atom_soap(turned[order]), before[order], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(before, axis=1), 1.0)
    assert np.abs(before[0] - before[1]).max() > 1e-3


def test_small_periodic_cell_equals_the_middle_of_a_large_cluster() -> None:
    cell = bulk("Cu", "fcc", a=3.6)  # edges of 2.55 A: each atom is its own neighbour
    big = bulk("Cu", "fcc", a=3.6, cubic=True).repeat(5)
    big.pbc = False
    middle = int(np.linalg.norm(big.positions - big.positions.mean(axis=0), axis=1).argmin())

    vector = atom_soap(cell, ["Cu"])
    expected = atom_soap(big, ["Cu"], centres=np.array([middle]))

    np.testing.assert_allclose(vector, expected, atol=1e-12)


def test_neighbour_beyond_the_cutoff_does_not_count_and_its_element_does() -> None:
    alone = atom_soap(Atoms("Cu"))
    far = atom_soap(Atoms("CuZr", [[0, 0, 0], [3.76, 0, 0]]), centres=np.array([0]))
    copper = atom_soap(Atoms("CuCu", [[0, 0, 0], [2.6, 0, 0]]), centres=np.array([0]))
    zirconium = atom_soap(Atoms("CuZr", [[0, 0, 0], [2.6, 0, 0]]), centres=np.array([0]))

    np.testing.assert_array_equal(far, alone)
    assert float((copper @ zirconium.T)[0, 0]) < 0.95


def test_foreign_element_is_named() -> None:
    with pytest.raises(InputError, match="structure holds Ti"):
        atom_soap(Atoms("CuTi", [[0, 0, 0], [0, 0, 2.5]]))
