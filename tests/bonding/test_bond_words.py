"""Descriptions in words and figures: what they say must be in the table."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from lobster_data import glass, glass_atoms, lobster, poscar

from bondwright.bonding.curves import CohpCurves
from bondwright.bonding.describe import describe
from bondwright.bonding.figures import cohp_figure, strength_figure
from bondwright.bonding.lobster import bond_table, read_icohplist, read_lobster_folder
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError


def raw(data_dir: Path, name: str) -> BondTable:
    folder = lobster(data_dir) / "lobsterpy-tests" / name
    structure = sorted([*folder.glob("CONTCAR*"), *folder.glob("POSCAR*")])[0]
    bonds = read_icohplist(next(folder.glob("ICOHPLIST*")))
    return bond_table(bonds, poscar(structure), method="LOBSTER 4.1.0", charge_spilling=0.003)


@pytest.mark.data
def test_an_ionic_crystal(data_dir: Path) -> None:
    """Published for NaCl: 6 Na-Cl bonds, mean ICOHP -0.57 eV."""
    assert describe(raw(data_dir, "NaCl")) == (
        "The cell of NaCl (2 atoms) is held by 6 Na-Cl bonds of 2.85 Å with -ICOHP 0.57 eV each. "
        "Strong bonds per atom: Na has 6 (to Cl); Cl has 6 (to Na). They make a framework. 26 "
        "further listed contacts are weaker than 0.10 eV. Method: LOBSTER 4.1.0; charge spilling "
        "0.3%."
    )


@pytest.mark.data
def test_a_covalent_crystal(data_dir: Path) -> None:
    words = describe(raw(data_dir, "C"))
    assert "4 C-C bonds of 1.55 Å with -ICOHP 9.59 eV each" in words
    assert "C has 4 (to C). They make a framework." in words
    assert "12 contacts are antibonding, most of all C-C at 2.96 Å with -0.01 eV" in words


@pytest.mark.data
def test_a_metal_with_many_lengths(data_dir: Path) -> None:
    table = read_lobster_folder(glass(data_dir, 0), glass_atoms(data_dir, 0))
    words = describe(table)
    limit = 0.1 * table.icohp_eV.max()
    for pair, rows in table.pair_types().items():
        strong = rows[table.icohp_eV[rows] >= limit]
        mean = table.icohp_eV[strong].mean()
        assert f"{len(strong)} {pair} bonds of" in words
        assert f"mean -ICOHP {mean:.2f} eV" in words
    assert "LOBSTER 3.0.0; charge spilling 1.6%" in words


@pytest.mark.data
def test_noble_gases_have_no_bonds(data_dir: Path) -> None:
    words = describe(raw(data_dir, "Featurizer_test_data/No_bonds_cases/mp-111"))
    assert words.startswith("Ne has no bond of 0.10 eV or more: the strongest of 27 listed")


def one_bond(strength: float) -> BondTable:
    return BondTable.build(
        Atoms("HF", positions=[[0, 0, 0], [0.92, 0, 0]], cell=[9, 9, 9], pbc=True),
        np.array([0]),
        np.array([1]),
        np.zeros((1, 3), dtype=np.int64),
        np.array([strength]),
        "test",
        charge_spilling=0.2,
    )


def test_one_bond_no_bond_and_an_antibonding_one() -> None:
    words = describe(one_bond(5.0))
    assert "held by 1 H-F bond of 0.92 Å with -ICOHP 5.00 eV." in words
    assert "They make molecules." in words
    assert "charge spilling 20.0%, more than 5%: do not trust" in words
    nothing = one_bond(5.0).select(np.zeros(1, dtype=bool))
    assert describe(nothing) == "HF: no bonds are listed."
    against = describe(one_bond(-1.0))
    assert "HF has no bond of 0.10 eV or more" in against
    assert "-1.00 eV" in against
    unknown = describe(replace(one_bond(5.0), charge_spilling=None))
    assert "the charge spilling is not known" in unknown


@pytest.mark.data
def test_the_figure_of_lengths_names_every_pair(data_dir: Path, tmp_path: Path) -> None:
    table = read_lobster_folder(glass(data_dir, 0), glass_atoms(data_dir, 0))
    strength_figure(table, tmp_path / "bonds.svg", title="a glass")
    svg = (tmp_path / "bonds.svg").read_text()
    said = re.findall(r"<!-- (.+?) -->", svg)  # matplotlib notes each text that it draws as paths
    for pair, rows in table.pair_types().items():
        assert any(line.startswith(f"{pair}: {len(rows)} bonds, fit leaves") for line in said)
    for ending in ("png", "pdf"):
        strength_figure(table, tmp_path / f"bonds.{ending}")
        assert (tmp_path / f"bonds.{ending}").stat().st_size > 5_000
    with pytest.raises(InputError, match="a figure ends in"):
        strength_figure(table, tmp_path / "bonds.doc")
    with pytest.raises(InputError, match="no bonds"):
        strength_figure(table.select(np.zeros(len(table), dtype=bool)), tmp_path / "no.svg")
    assert not list(tmp_path.glob(".*"))


def test_the_figure_of_curves_adds_bonds_and_spins(tmp_path: Path) -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    energies = np.linspace(-8, 4, 61)
    line = np.exp(-((energies + 3) ** 2)) - 0.4 * np.exp(-((energies - 2) ** 2))
    curves = CohpCurves(
        energies_eV=energies,
        fermi_eV=0.0,
        i=np.array([0, 0, 1]),
        j=np.array([1, 1, 1]),
        length_A=np.array([2.8, 2.8, 4.0]),
        minus_cohp=np.stack([line, line, 0.2 * line])[None].repeat(2, axis=0),
        minus_icohp_eV=np.zeros((2, 3, 61)),
        orbitals=(None, None, None),
    )
    cohp_figure(curves, atoms, tmp_path / "cohp.svg", energies_eV=(-6, 3))
    said = re.findall(r"<!-- (.+?) -->", (tmp_path / "cohp.svg").read_text())
    assert "Na-Cl (2 bonds)" in said
    assert "Cl-Cl (1 bond)" in said
    only = replace(curves, orbitals=(("3s", "3s"),) * 3)
    with pytest.raises(InputError, match="whole bonds"):
        cohp_figure(only, atoms, tmp_path / "none.svg")
