"""What is written is read back as the same crystal."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from scipy.optimize import linear_sum_assignment

from bondwright.errors import InputError
from bondwright.structure.cif import parse_cif
from bondwright.structure.identity import composition
from bondwright.structure.read import read_candidates
from bondwright.structure.symmetry import find_space_group
from bondwright.structure.write import cif_text, write_extxyz, write_text

CRYSTALS = {
    "silicon": bulk("Si"),
    "rocksalt": bulk("NaCl", "rocksalt", a=5.64),
    "rutile": crystal(
        ("Ti", "O"), [(0, 0, 0), (0.3048, 0.3048, 0)], spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    ),
    "anatase": crystal(
        ("Ti", "O"), [(0, 0, 0), (0, 0, 0.2081)], spacegroup=141,
        cellpar=[3.784, 3.784, 9.515, 90, 90, 90],
    ),
    "corundum": crystal(
        ("Al", "O"), [(0, 0, 0.3522), (0.3063, 0, 0.25)], spacegroup=167,
        cellpar=[4.759, 4.759, 12.991, 90, 90, 120],
    ),
    "baddeleyite": crystal(
        ("Zr", "O", "O"),
        [(0.2754, 0.0395, 0.2083), (0.07, 0.3317, 0.3447), (0.4496, 0.7569, 0.4792)],
        spacegroup=14, cellpar=[5.1505, 5.2116, 5.3173, 90, 99.23, 90],
    ),
    "triclinic": Atoms(
        "KNbO3", scaled_positions=np.random.default_rng(3).random((5, 3)) * 3 - 1,
        cell=[[5.1, 0.2, -0.4], [-1.1, 6.2, 0.9], [0.3, -2.2, 7.3]], pbc=True,
    ),
    "left-handed": Atoms(
        "TiO", scaled_positions=[(0, 0, 0), (0.4, 0.5, 0.55)],
        cell=[[0, 4, 0], [4.2, 0, 0], [0, 0.5, 4.4]], pbc=True,
    ),
}  # fmt: skip


def largest_shift(first: Atoms, second: Atoms) -> float:
    """Largest distance (Å) between partners, by the best pairing of equal elements in one cell."""
    assert composition(first) == composition(second)
    apart = first.get_scaled_positions()[:, None] - second.get_scaled_positions()[None]
    apart -= np.rint(apart)
    distance = np.linalg.norm(apart @ first.cell.array, axis=-1)
    cost = np.where(first.numbers[:, None] == second.numbers[None], distance, 1e3)
    return float(cost[linear_sum_assignment(cost)].max())


@pytest.mark.parametrize("name", CRYSTALS)
def test_plain_cif_comes_back(name):
    atoms = CRYSTALS[name]
    [parsed] = parse_cif(cif_text(atoms, name=name))
    assert parsed.problem is None
    assert parsed.declared.block == name
    assert parsed.atoms.get_chemical_symbols() == atoms.get_chemical_symbols()
    np.testing.assert_allclose(parsed.atoms.cell.cellpar(), atoms.cell.cellpar(), atol=1e-7)
    assert largest_shift(parsed.atoms, atoms) < 1e-4


@pytest.mark.parametrize("name", CRYSTALS)
def test_symmetrised_cif_comes_back(name):
    """The operations as written fill the standard cell exactly, with the right multiplicities."""
    atoms = CRYSTALS[name]
    [parsed] = parse_cif(cif_text(atoms, symprec=0.01))
    assert parsed.problem is None, parsed.problem
    standard = spglib.standardize_cell(
        (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=0.01
    )
    expected = Atoms(standard[2], cell=standard[0], scaled_positions=standard[1], pbc=True)
    np.testing.assert_allclose(parsed.atoms.cell.cellpar(), expected.cell.cellpar(), atol=1e-6)
    assert largest_shift(parsed.atoms, expected) < 1e-4
    group = find_space_group(atoms, 0.01)
    assert find_space_group(parsed.atoms, 0.01) == group
    assert parsed.declared.space_group_symbol == group.symbol
    assert parsed.declared.space_group_number == group.number
    assert sum(site.multiplicity for site in parsed.declared.sites) == len(parsed.atoms)
    assert len(parsed.declared.sites) <= len(atoms)


def test_symmetrised_text_needs_no_operation_list():
    """The symbol alone gives the same crystal: written settings are the default settings."""
    for name, atoms in CRYSTALS.items():
        text = cif_text(atoms, symprec=0.01)
        head, _, tail = text.partition("loop_\n _symmetry_equiv_pos_site_id")
        bare = head + tail[tail.index("loop_") :]
        [full], [short] = parse_cif(text), parse_cif(bare)
        assert largest_shift(full.atoms, short.atoms) < 1e-4, name


@pytest.mark.parametrize(
    "atoms",
    [
        Atoms(),
        Atoms("H", positions=[[0, 0, 0]]),
        Atoms("H", positions=[[np.nan, 0, 0]], cell=[3, 3, 3], pbc=True),
    ],
)
def test_what_is_no_crystal_is_refused(atoms):
    with pytest.raises(InputError, match="cannot write"):
        cif_text(atoms)


def test_no_symmetry_found_is_said():
    coincident = Atoms("Ti2", positions=np.zeros((2, 3)), cell=[3, 3, 3], pbc=True)
    with pytest.raises(InputError, match="no space group"):
        cif_text(coincident, symprec=0.1)


def test_block_names_are_safe():
    assert cif_text(bulk("Si"), name="a b\nloop_ é").startswith("data_a_b_loop___\n")


def test_extended_xyz_comes_back(tmp_path):
    frames = list(CRYSTALS.values())
    write_extxyz(tmp_path / "all.xyz", frames)
    read = [c.atoms for c in read_candidates(tmp_path / "all.xyz")]
    assert len(read) == len(frames)
    for atoms, back in zip(frames, read, strict=True):
        assert back.get_chemical_symbols() == atoms.get_chemical_symbols()
        np.testing.assert_allclose(back.positions, atoms.positions, atol=1e-7)
        np.testing.assert_allclose(back.cell.array, atoms.cell.array, atol=1e-7)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """Fault 47: a reader never sees half a file."""
    path = tmp_path / "deep" / "out.cif"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \udcff")
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["out.cif"]
    write_text(path, "new")
    assert path.read_text() == "new"
