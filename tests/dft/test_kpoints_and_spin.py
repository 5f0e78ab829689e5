"""Meshes from spacings, and which structures are polarised."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from bondwright.dft.kpoints import mesh, mesh_of
from bondwright.dft.settings import PRESETS, DftSettings, Spin, preset
from bondwright.dft.spin import element_moments, initial_moments
from bondwright.errors import InputError


def test_the_mesh_is_no_coarser_than_asked_and_no_finer_than_needed() -> None:
    rng = np.random.default_rng(7)
    for _ in range(100):
        cell = rng.normal(size=(3, 3)) * 3 + np.eye(3) * 5
        atoms = Atoms("Si", cell=cell, pbc=True)
        lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell).T, axis=1)
        counts = np.array(mesh(atoms, 0.3))
        assert (lengths / counts <= 0.3 * 1.0011).all()
        assert (lengths / np.maximum(counts - 1, 1) > 0.3).all() or counts.min() == 1


def test_equal_vectors_get_equal_numbers() -> None:
    """b = 1.2 Å^-1 over 0.3 is 4, whatever the last digits of a read cell say."""
    side = 2 * np.pi / 1.2
    atoms = Atoms("Si", cell=[side, side * (1 + 1e-9), side * (1 - 1e-6)], pbc=True)
    assert mesh(atoms, 0.3) == (4, 4, 4)
    atoms.pbc = [True, True, False]
    assert mesh(atoms, 0.3) == (4, 4, 1)


def test_an_explicit_mesh_wins_and_bad_ones_are_named() -> None:
    si = bulk("Si")
    assert mesh_of(si, DftSettings(kpoints=(1, 2, 3))) == (1, 2, 3)
    for spacing in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="positive"):
            mesh(si, spacing)
    with pytest.raises(InputError, match="at least 1"):
        mesh_of(si, DftSettings(kpoints=(0, 2, 2)))
    with pytest.raises(InputError, match="no volume"):
        mesh(Atoms("Si"), 0.3)


def test_materials_project_density() -> None:
    """64 points per Å^-3 of reciprocal space, the Materials Project's density, are met or exceeded
    by less than what rounding up costs."""
    settings = PRESETS["materials-project"]
    assert settings.cutoff_eV == 520.0
    for name in ("Si", "Cu", "Al", "Fe"):
        crystal = bulk(name, cubic=True)
        points = np.prod(mesh_of(crystal, settings))
        volume = (2 * np.pi) ** 3 / crystal.get_volume()
        assert 64 * 0.99 <= points / volume < 64 * 2


@pytest.mark.parametrize(
    ("formula", "moments"),
    [
        ("TiO2", {}), ("ZnO", {}), ("Cu2O", {}), ("V2O5", {}), ("ZrO2", {}), ("Al2O3", {}),
        ("La2O3", {}), ("CeO2", {}), ("KMnO4", {}), ("BaTiO3", {}), ("Si", {}), ("ZrCu", {}),
        ("Fe2O3", {"Fe": 5}), ("FeO", {"Fe": 4}), ("NiO", {"Ni": 2}), ("MnO", {"Mn": 5}),
        ("CuO", {"Cu": 1}), ("VO2", {"V": 1}), ("Cr2O3", {"Cr": 3}), ("LiFePO4", {"Fe": 4}),
        ("Gd2O3", {"Gd": 7}), ("Fe", {"Fe": 3}), ("Ni3Al", {"Ni": 1}),
        ("NdFeB", {"Fe": 3, "Nd": 3}),
    ],
)  # fmt: skip
def test_open_shells_by_charge(formula: str, moments: dict[str, float]) -> None:
    """High-spin moments of textbook ions: d0, d10, f0 are closed, d5 has five, d8 two, f7 seven."""
    count = len(Atoms(formula))
    atoms = Atoms(formula, positions=np.arange(3 * count).reshape(-1, 3), cell=[99] * 3, pbc=True)
    assert element_moments(atoms) == pytest.approx(moments)
    found = initial_moments(atoms, Spin.AUTO)
    assert (found is None) == (not moments)
    assert initial_moments(atoms, Spin.NONE) is None


def test_given_moments_are_used_and_asked_polarisation_starts_from_something() -> None:
    nio = bulk("NiO", "rocksalt", a=4.17) * (1, 1, 2)
    nio.set_initial_magnetic_moments([2, 0, -2, 0])
    found = initial_moments(nio, Spin.AUTO)
    assert found is not None
    assert found.tolist() == [2, 0, -2, 0]
    assert initial_moments(nio, Spin.NONE) is None
    asked = initial_moments(bulk("Si"), Spin.POLARISED)
    assert asked is not None
    assert (asked > 0).all(), "a start without moments stays without"


def test_presets_are_found_by_name() -> None:
    assert preset("materials-project").hubbard_u_eV["Fe"] == 5.3
    with pytest.raises(InputError, match="Did you mean 'quick'"):
        preset("quik")
    with pytest.raises(InputError, match="cutoff_eV"):
        preset("quick", cutof_eV=3)
