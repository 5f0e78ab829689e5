"""Standard cells, paths and meshes."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from model_engines import cubic_band

from bondwright.dft.brillouin import irreducible_mesh, standard_path, standard_primitive
from bondwright.dft.settings import Spin
from bondwright.errors import InputError


def test_the_primitive_cell_is_the_same_from_any_cell() -> None:
    primitive = bulk("Si", "diamond", a=5.43)
    rotated = bulk("Si", "diamond", a=5.43, cubic=True).repeat((2, 1, 1))
    rotated.rotate(37, (1, 2, 3), rotate_cell=True)
    rotated.positions += 0.3
    first, second = (standard_primitive(a, Spin.NONE) for a in (primitive, rotated))
    assert len(first) == len(second) == 2
    assert first.cell.array == pytest.approx(second.cell.array, abs=1e-6)


def test_an_antiferromagnet_keeps_its_cell() -> None:
    iron = bulk("Fe", "bcc", a=2.87, cubic=True)
    assert len(standard_primitive(iron, Spin.AUTO)) == 1
    iron.set_initial_magnetic_moments([2.0, -2.0])
    kept = standard_primitive(iron, Spin.AUTO)
    assert sorted(kept.get_initial_magnetic_moments()) == [-2.0, 2.0]
    assert len(standard_primitive(iron, Spin.NONE)) == 1


def test_molecules_are_refused() -> None:
    with pytest.raises(InputError, match="periodic"):
        standard_primitive(Atoms("H2", [(0, 0, 0), (0, 0, 0.7)], cell=[5, 5, 5]), Spin.NONE)


def test_path_of_fcc_has_the_lengths_of_its_brillouin_zone() -> None:
    a = 5.43
    path = standard_path(bulk("Si", "diamond", a=a), 0.1)
    assert path.path.startswith("GXWKGLUWLK")
    ticks = dict(path.ticks[:4])
    unit = 2 * np.pi / a
    assert ticks["X"] == pytest.approx(unit)
    assert ticks["W"] - ticks["X"] == pytest.approx(unit / 2)
    steps = np.diff(path.distances_per_A)
    assert steps.max() <= 0.1
    assert len(path.kpoints) == len(path.distances_per_A)


def test_a_coarse_path_keeps_its_lengths() -> None:
    # Where a stretch holds no point but its ends, it is still a stretch and not a jump.
    fine, coarse = (standard_path(bulk("Si", "diamond", a=5.43), s) for s in (0.05, 9.0))
    assert [t for _, t in coarse.ticks] == pytest.approx([t for _, t in fine.ticks])
    assert len(coarse.kpoints) == len(coarse.ticks)
    assert (np.diff(coarse.distances_per_A) == 0).sum() == 1  # the jump from K to U


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan")])
def test_spacing_of_a_path_must_be_positive(spacing: float) -> None:
    with pytest.raises(InputError):
        standard_path(bulk("Si", "diamond", a=5.43), spacing)


def test_irreducible_points_of_fcc_are_those_of_the_literature() -> None:
    # Numbers of irreducible points of Gamma-centred meshes of a full cubic point group (fcc).
    atoms = bulk("Al", "fcc", a=4.05)
    for size, irreducible in ((2, 3), (4, 8), (6, 16), (8, 29)):
        mesh = irreducible_mesh(atoms, (size, size, size), Spin.NONE)
        assert len(mesh.kpoints) == irreducible
        assert mesh.weights.sum() == pytest.approx(1.0)


def test_every_point_of_the_mesh_finds_its_equal() -> None:
    # A band with the symmetry of the lattice is the same on the full and on the unfolded mesh.
    atoms = Atoms("Po", cell=np.eye(3) * 3.3, pbc=True)
    size = (5, 5, 5)
    mesh = irreducible_mesh(atoms, size, Spin.NONE)
    full = np.stack(np.meshgrid(*(np.arange(n) / n for n in size), indexing="ij"), axis=-1)
    band = cubic_band(0.0, 1.0)
    unfolded = band(mesh.kpoints)[mesh.full_to_irreducible]
    assert unfolded.ravel() == pytest.approx(band(full.reshape(-1, 3)), abs=1e-12)
    assert mesh.weights @ band(mesh.kpoints) == pytest.approx(band(full.reshape(-1, 3)).mean())


def test_a_stretched_cube_has_more_irreducible_points() -> None:
    atoms = Atoms("Fe2", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[3, 3, 3], pbc=True)
    plain = len(irreducible_mesh(atoms, (4, 4, 4), Spin.NONE).kpoints)
    atoms.set_cell([3, 3, 3.3], scale_atoms=True)
    stretched = len(irreducible_mesh(atoms, (4, 4, 4), Spin.NONE).kpoints)
    assert stretched > plain
