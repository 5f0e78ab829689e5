"""-ICOHP of real crystals with GPAW: published values, invariances, resuming, refusals."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from bondwright.bonding.icohp import BondSettings, IcohpError, bond_curves, bond_strengths
from bondwright.errors import InputError

pytest.importorskip("gpaw")

# Coarse, but the same for all: the comparisons here are between equal settings.
COARSE = BondSettings(
    orbitals="pbe",
    max_length_A=2.6,
    kpoints=(3, 3, 3),
    scf_kpoint_spacing_per_A=0.7,
    grid_spacing_A=0.3,
)


# Bonds that symmetry makes equal meet the coarse grid differently: up to 1.2 % was seen.
EGG_BOX = 0.02


@pytest.fixture(scope="module")
def silicon() -> Atoms:
    return bulk("Si", "diamond", a=5.43)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bonds")


def test_the_four_bonds_of_silicon_are_equal_and_strong(silicon, kept):
    table = bond_strengths(silicon, COARSE, kept)
    assert len(table) == 4
    assert np.ptp(table.icohp_eV) < EGG_BOX * table.icohp_eV.mean()
    # LOBSTER 4 on VASP/PBE: 4.5 eV (Naik et al., mp-149); covalent bonds come out a fifth stronger
    # here (docs/icohp.md).
    assert table.icohp_eV.mean() == pytest.approx(1.2 * 4.5, rel=0.1)
    assert table.charge_spilling is not None
    assert 0.0 < table.charge_spilling < 0.02


def test_the_same_request_is_answered_from_the_folder(silicon, kept):
    first = bond_strengths(silicon, COARSE, kept)
    lines: list[str] = []
    again = bond_strengths(silicon, COARSE, kept, lines.append)
    assert not lines
    np.testing.assert_array_equal(first.icohp_eV, again.icohp_eV)


def test_another_length_takes_the_density_from_the_folder(silicon, kept):
    bond_strengths(silicon, COARSE, kept)
    lines: list[str] = []
    longer = BondSettings(**{**vars(COARSE), "max_length_A": 4.0})
    table = bond_strengths(silicon, longer, kept, lines.append)
    assert len(table) == 4 + 12
    assert not any(line.startswith("SCF") for line in lines)


@pytest.mark.parametrize("change", ["order", "outside", "rotation", "translation", "edge"])
def test_what_only_renames_the_crystal_changes_no_bond(silicon, kept, tmp_path, change):
    moved = silicon.copy()
    if change == "order":
        moved = moved[[1, 0]]
    elif change == "outside":
        moved.positions += np.array([[2, -1, 0], [0, 1, 3]]) @ moved.cell.array
    elif change == "rotation":
        moved.rotate(37.0, (1.0, 2.0, 3.0), rotate_cell=True)
    elif change == "edge":
        # Rounding leaves atoms of crystals a hair outside; GPAW takes them to the opposite face.
        moved.positions -= 1e-15
    else:
        moved.positions += 0.25 * moved.cell.array[0]
    plain = bond_strengths(silicon, COARSE, kept)
    table = bond_strengths(moved, COARSE, tmp_path)
    assert np.abs(table.length_A - np.linalg.norm(table.vectors_A(), axis=1)).max() < 1e-9
    np.testing.assert_allclose(np.sort(table.icohp_eV), np.sort(plain.icohp_eV), rtol=EGG_BOX)


def test_a_supercell_holds_the_bonds_of_the_primitive_cell(silicon, kept, tmp_path):
    triple = make_supercell(silicon, np.diag([3, 1, 1]))
    settings = BondSettings(**{**vars(COARSE), "kpoints": (1, 3, 3)})
    table = bond_strengths(triple, settings, tmp_path)
    plain = bond_strengths(silicon, COARSE, kept)
    assert len(table) == 12
    np.testing.assert_allclose(table.icohp_eV, plain.icohp_eV.mean(), rtol=EGG_BOX)
    assert table.details["band_energy_eV"] == pytest.approx(
        3 * plain.details["band_energy_eV"], rel=2e-3
    )


def test_sodium_chloride_meets_the_published_value(tmp_path):
    # LOBSTER 4 on VASP/PBE: -0.57 eV for each of six Na-Cl bonds (Naik et al., Scientific Data 10,
    # 610 (2023), mp-22862). The bases differ; 10 % is the scatter that docs/icohp.md finds.
    salt = bulk("NaCl", "rocksalt", a=5.64)
    settings = BondSettings(orbitals="pbe", max_length_A=3.0, kpoints=(5, 5, 5))
    table = bond_strengths(salt, settings, tmp_path)
    assert len(table) == 6
    assert table.icohp_eV.mean() == pytest.approx(0.57, rel=0.10)
    curves = bond_curves(salt, settings, tmp_path, low_eV=-30.0)
    # The 3s band of Cl begins above -20 eV; Na 2p, far below, hardly takes part.
    np.testing.assert_allclose(curves.at_fermi_level().sum(axis=0), table.icohp_eV, atol=0.03)


def test_iron_has_two_spin_channels_and_semicore_orbitals(tmp_path):
    iron = bulk("Fe", "bcc", a=2.866)
    settings = BondSettings(
        max_length_A=2.6, kpoints=(2, 2, 2), scf_kpoint_spacing_per_A=0.8, grid_spacing_A=0.28
    )
    table = bond_strengths(iron, settings, tmp_path)
    assert table.icohp_by_spin_eV is not None
    np.testing.assert_allclose(table.icohp_by_spin_eV.sum(axis=0), table.icohp_eV)
    assert table.details["orbitals"] == 1 + 3 + 1 + 5  # 3s 3p 4s 3d
    assert table.details["magnetic_moment"] == pytest.approx(2.2, abs=0.6)
    assert (table.icohp_eV > 0.3).all()


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (Atoms(), "no atoms"),
        (Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]], cell=[8, 8, 8]), "periodic"),
        (Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.3]], cell=[4, 4, 4], pbc=True), "0.30 Å"),
        (Atoms("Tc", cell=[3, 3, 3], pbc=True), "Tc"),
    ],
)
def test_what_cannot_be_computed_is_said_in_one_line(atoms, words, tmp_path):
    with pytest.raises(InputError, match=words) as caught:
        bond_strengths(atoms, COARSE, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"orbitals": "hartree"}, {"spin": "up"}, {"max_length_A": 0.0}, {"smearing_eV": 0.0}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError):
        BondSettings(**wrong)


def test_a_density_that_does_not_converge_is_an_error_with_a_reason(silicon, tmp_path, monkeypatch):
    monkeypatch.setattr("bondwright.bonding.potential._MAX_SCF_STEPS", 2)
    with pytest.raises(IcohpError) as caught:
        bond_strengths(silicon, COARSE, tmp_path)
    assert caught.value.reason == "scf-not-converged"
