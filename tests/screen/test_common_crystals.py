"""The table of well-known crystals against symmetry, bond lengths and measured densities."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.data import covalent_radii

from bondwright.screen.common_crystals import PROTOTYPES, common_crystals, common_rows
from bondwright.screen.hull import parse_formula, reduced_formula
from bondwright.screen.reference_energies import structure_atoms
from bondwright.structure.neighbours import neighbour_pairs
from bondwright.structure.symmetry import find_space_group, symmetry_dataset

# g/cm³ near room temperature, CRC Handbook of Chemistry and Physics (physical constants of
# inorganic compounds; properties of minerals and of semiconductors).
DENSITIES = {
    "MgO-rocksalt": 3.58,
    "NaCl-rocksalt": 2.165,
    "KBr-rocksalt": 2.74,
    "PbS-rocksalt": 7.60,
    "TiC-rocksalt": 4.93,
    "CsCl-cscl": 3.988,
    "TiO2-rutile": 4.25,
    "TiO2-anatase": 3.89,
    "TiO2-brookite": 4.13,
    "SnO2-rutile": 6.85,
    "Al2O3-corundum": 3.98,
    "Fe2O3-corundum": 5.25,
    "SiO2-quartz": 2.65,
    "SiO2-cristobalite": 2.33,
    "ZrO2-baddeleyite": 5.68,
    "GaAs-zincblende": 5.32,
    "ZnS-zincblende": 4.04,
    "ZnO-wurtzite": 5.6,
    "CaF2-fluorite": 3.18,
    "SrTiO3-perovskite": 5.12,
    "MgAl2O4-spinel": 3.55,
    "CaCO3-calcite": 2.71,
    "CaWO4-scheelite": 6.06,
    "FeS2-pyrite": 5.02,
    "MoS2-mos2-2h": 5.06,
    "Cu2O-cuprite": 6.0,
    "WC-tungsten-carbide": 15.6,
}


@pytest.fixture(scope="module")
def crystals() -> dict[str, Atoms]:
    pairs = list(common_crystals())
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def _parts(name: str) -> tuple[str, str]:
    """Return the formula and the prototype that an identifier names."""
    prefix, formula, prototype = name.split("-", 2)
    assert prefix == "common"
    return formula, prototype


def test_composition_is_the_one_the_identifier_names(crystals: dict[str, Atoms]) -> None:
    for name, atoms in crystals.items():
        found = reduced_formula(dict(atoms.symbols.formula.count()))
        assert found == reduced_formula(parse_formula(_parts(name)[0])), name


def test_space_group_is_the_prototypes_and_the_cell_primitive(crystals: dict[str, Atoms]) -> None:
    for name, atoms in crystals.items():
        # 0.01 Å: far below any distortion that tells one prototype from its parent.
        data = symmetry_dataset(atoms, 0.01)
        assert data is not None, name
        assert data.number == PROTOTYPES[_parts(name)[1]].group, name
        assert len(set(data.mapping_to_primitive)) == len(atoms), name
        assert atoms.pbc.all()


def test_every_atom_has_a_neighbour_at_bonding_distance(crystals: dict[str, Atoms]) -> None:
    """Wrong free coordinates or a wrong origin put atoms upon each other or far apart.

    Covalent radii by Cordero et al. (doi:10.1039/b801115j). W-O in CaWO4 and K-O in K2O fall 20 %
    short of their sum, Tl-Cl in CsCl type exceeds it by a third.
    """
    for name, atoms in crystals.items():
        pairs = neighbour_pairs(atoms, 5.0, full=True)
        radii = covalent_radii[atoms.numbers]
        ratio = pairs.distance / (radii[pairs.i] + radii[pairs.j])
        nearest = np.full(len(atoms), np.inf)
        np.minimum.at(nearest, pairs.i, ratio)
        assert nearest.min() > 0.75, name
        assert nearest.max() < 1.35, name


@pytest.mark.parametrize(("name", "density"), DENSITIES.items())
def test_density_is_the_handbooks(crystals: dict[str, Atoms], name: str, density: float) -> None:
    atoms = crystals[f"common-{name}"]
    found = atoms.get_masses().sum() / units._Nav / (atoms.get_volume() * 1e-24)
    # 3 %: handbook densities of powders and minerals scatter that much about the X-ray value.
    assert found == pytest.approx(density, rel=0.03)


def test_known_bond_lengths(crystals: dict[str, Atoms]) -> None:
    """Shortest metal-oxygen distances in Å; they depend on the free coordinates (Wyckoff)."""
    known = {
        "TiO2-rutile": 1.95,
        "TiO2-anatase": 1.94,
        "SiO2-quartz": 1.61,
        "Al2O3-corundum": 1.86,
        "MgAl2O4-spinel": 1.92,
        "CaCO3-calcite": 1.28,
        "CaWO4-scheelite": 1.78,
        "CuAlO2-delafossite": 1.86,
        "LiCoO2-layered-rocksalt": 1.92,
    }
    for name, length in known.items():
        pairs = neighbour_pairs(crystals[f"common-{name}"], 2.5)
        assert pairs.distance.min() == pytest.approx(length, abs=0.03), name


def test_rows_keep_the_crystals(crystals: dict[str, Atoms]) -> None:
    rows = common_rows()
    assert len({row.key for row in rows}) == len(rows) == len(crystals)
    assert rows == sorted(rows, key=lambda row: (len(row.cif), row.id))
    for row in rows[::31]:
        atoms = structure_atoms(row.cif)
        assert atoms.symbols.formula.count() == crystals[row.id].symbols.formula.count()
        assert atoms.get_volume() == pytest.approx(crystals[row.id].get_volume(), rel=1e-6)
        assert find_space_group(atoms, 0.01) == find_space_group(crystals[row.id], 0.01)
