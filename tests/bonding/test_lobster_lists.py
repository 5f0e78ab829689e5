"""Lists of bonds of LOBSTER 2 to 5: rows, signs, images, and files that are damaged (fault 45)."""

from __future__ import annotations

import gzip
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lobster_data import (
    GLASS_SUBS,
    PYMATGEN,
    glass,
    glass_atoms,
    lists,
    lobster,
    lobsterpy_folders,
    poscar,
    read_once,
    structure_of,
)

from bondwright.bonding.lobster import bond_table, icohplist_text, locate, read_icohplist
from bondwright.bonding.lobster.icohplist import Quantity
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.structure.neighbours import neighbour_pairs

TITLE = "  COHP#  atomMU  atomNU     distance     translation      ICOHP (at) eF   for spin  1\n"
# NaCl-like row: Na at 0, Cl at a/2 along x, a = 5 Å: two Na-Cl bonds along x.
ROWS = (
    "      1     Na1     Cl2      2.50000       0   0   0           -0.50000 \n"
    "      2     Na1     Cl2      2.50000       1   0   0           -0.40000 \n"
)


def chain() -> Atoms:
    return Atoms("NaCl", positions=[[0, 0, 0], [2.5, 0, 0]], cell=[5, 9, 9], pbc=True)


def kept(tmp_path: Path, text: str, name: str = "ICOHPLIST.lobster") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.data
def test_every_list_agrees_with_pymatgens_reader(data_dir: Path) -> None:
    """Numbers are parsed from the same digits, so they must be equal, not close."""
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.lobster import Icohplist

    files = lists(data_dir)
    assert len(files) == 66 + 14
    for path in files:
        ours = read_once(path)
        theirs = Icohplist(
            is_lcfo=ours.fragments,
            are_coops=ours.quantity is Quantity.COOP,
            are_cobis=ours.quantity is Quantity.COBI,
            filename=str(path),
        )
        rows = list(theirs.icohplist.values())
        assert len(ours) == len(rows), path
        assert ours.spin_polarised == theirs.is_spin_polarized, path
        assert bool(ours.orbitals) == bool(theirs.orbitalwise), path
        sign = -1 if ours.quantity is Quantity.COHP else 1
        for channel, spin in zip(ours.values, (Spin.up, Spin.down), strict=False):
            np.testing.assert_array_equal(channel, [sign * r["icohp"][spin] for r in rows])
        np.testing.assert_array_equal(ours.length_A, [r["length"] for r in rows])
        np.testing.assert_array_equal(ours.count, [r["number_of_bonds"] for r in rows])
        if ours.translation is not None:
            np.testing.assert_array_equal(ours.translation, [r["translation"] for r in rows])


@pytest.mark.data
def test_orbitals_add_up_to_their_bond(data_dir: Path) -> None:
    """Also where pymatgen's reader keeps no orbitals; 81 rounded terms leave 81 * 5e-6 at most."""
    checked = 0
    for path in lists(data_dir):
        bonds = read_once(path)
        if len(bonds.orbitals) != len(bonds) or "additional" in path.name:
            continue
        if bonds.quantity is Quantity.COBI:  # bond orders are no linear sum over pairs
            continue
        for row, pairs in bonds.orbitals.items():
            total = bonds.quantity.sign * bonds.values[:, row]
            parts = np.sum(list(pairs.values()), axis=0) * bonds.quantity.sign
            np.testing.assert_allclose(
                parts, total, atol=5e-6 * (len(pairs) + 1), err_msg=str(path)
            )
            checked += 1
    assert checked > 3000


@pytest.mark.data
def test_labelled_glass_cells_have_11967_bonds_with_recomputed_lengths(data_dir: Path) -> None:
    """LOBSTER 3: the translation shifts the first atom, positions are not wrapped.

    Files print distances to 1e-5 Å and positions to 1e-5 Å or better: 1e-4 Å holds the sum.
    (A published count of 13,584 rows includes two cells of another composition, 772 and 845
    bonds, that are not in the data folder.)
    """
    bonds = 0
    for sub in GLASS_SUBS:
        atoms = glass_atoms(data_dir, sub)
        listed = read_icohplist(glass(data_dir, sub) / "ICOHPLIST.lobster")
        table = bond_table(listed, atoms, tolerance_A=1e-4)
        assert len(table) == len(listed)
        np.testing.assert_allclose(
            np.linalg.norm(table.vectors_A(), axis=1), listed.length_A, atol=1e-4
        )
        # "every pair with 1.80 <= d <= 4.20 Å", so that nothing is missing and nothing is added
        missing = table.missing(4.20 - 1e-4)
        assert (missing.distance < 1.80 + 1e-4).all()
        assert table.length_A.min() > 1.80 - 1e-4
        assert table.length_A.max() < 4.20 + 1e-4
        bonds += len(table)
    assert bonds == 11_967


@pytest.mark.data
def test_images_do_not_depend_on_wrapping(data_dir: Path) -> None:
    """Fault: the translations hold for unwrapped positions only."""
    for sub in (0, 1, 14):
        atoms = glass_atoms(data_dir, sub)
        listed = read_icohplist(glass(data_dir, sub) / "ICOHPLIST.lobster")
        wrapped = atoms.copy()
        wrapped.wrap()
        assert np.abs(wrapped.positions - atoms.positions).max() > 5
        far = atoms.copy()
        cells = np.random.default_rng(sub).integers(-9, 10, (len(atoms), 3))
        far.positions += cells @ atoms.cell.array
        usual = bond_table(listed, atoms)
        for other in (bond_table(listed, wrapped), bond_table(listed, far)):
            np.testing.assert_array_equal(usual.icohp_eV, other.icohp_eV)
            np.testing.assert_allclose(usual.vectors_A(), other.vectors_A(), atol=1e-6)


@pytest.mark.data
def test_both_conventions_of_translations_are_found(data_dir: Path) -> None:
    """LOBSTER 3 shifts the first atom, 4 and 5 the second; the distances decide."""
    seen = {True: 0, False: 0}
    root = lobster(data_dir) / "pymatgen-cohp"
    for name, structure in PYMATGEN.items():
        bonds = read_icohplist(root / name)
        found = locate(bonds, poscar(root / structure))
        assert found.convention == (
            "translation shifts the first atom"
            if bonds.translation_on_first
            else "translation shifts the second atom"
        ), name
        seen[bonds.translation_on_first] += 1
    assert seen == {True: 3, False: 8}


@pytest.mark.data
def test_a_bond_seen_from_both_ends_stands_once(data_dir: Path) -> None:
    """An atom and its own image are listed twice; the table is complete up to the list's 6 Å."""
    for folder in lobsterpy_folders(data_dir):
        structure = structure_of(folder)
        assert structure
        atoms = poscar(structure)
        bonds = read_icohplist(next(folder.glob("ICOHPLIST*")))
        table = bond_table(bonds, atoms)
        reach = float(table.length_A.max())
        pairs = neighbour_pairs(atoms, reach + 1e-4)
        assert len(table) == len(pairs), folder
        assert not len(table.missing(reach)), folder
        own = int((table.i == table.j).sum())
        assert len(bonds) == len(table) + own, folder


@pytest.mark.data
def test_lobster_2_gives_averages_over_equal_bonds(data_dir: Path) -> None:
    root = lobster(data_dir) / "pymatgen-cohp"
    bonds = read_icohplist(root / "ICOHPLIST.lobster.BiSe")
    table = bond_table(bonds, poscar(root / "POSCAR.BiSe"))
    assert bonds.translation is None
    assert len(table) == bonds.count.sum() == 33
    # LOBSTER 2 lists lengths that are 4e-5 shorter than the structure's, all of them.
    np.testing.assert_allclose(table.length_A, np.repeat(bonds.length_A, bonds.count), rtol=5e-5)
    np.testing.assert_array_equal(table.icohp_eV, np.repeat(bonds.values[0], bonds.count))
    iron = read_icohplist(root / "ICOHPLIST.lobster")
    assert iron.values.tolist() == [[0.10218, 0.28485], [0.19701, 0.58279]]


@pytest.mark.data
def test_fragments_are_read_but_are_no_bonds_of_atoms(data_dir: Path) -> None:
    path = lobster(data_dir) / "pymatgen-cohp" / "ICOHPLIST.LCFO.lobster.AlN.gz"
    bonds = read_icohplist(path)
    assert bonds.fragments
    assert bonds.first[0] == "AlN_1"
    assert ("1a1", "1a1") in bonds.orbitals[0]
    with pytest.raises(InputError, match="fragments"):
        bonds.atoms()


@pytest.mark.data
def test_another_structure_is_refused_with_both_distances(data_dir: Path) -> None:
    root = lobster(data_dir) / "pymatgen-cohp" / "environments"
    bonds = read_icohplist(root / "ICOHPLIST.lobster.mp_190.gz")
    with pytest.raises(InputError, match=r"line 2: Re1-Re1 .* 5\.36327 Å but is 5\.32717 Å"):
        locate(bonds, poscar(root / "CONTCAR.mp-190.gz"))
    with pytest.raises(InputError, match=r"line 2: Re1, but atom 1 .* is Ag"):
        locate(bonds, poscar(root / "CONTCAR.mp-353.gz"))


def test_the_structure_decides_against_the_header(tmp_path: Path) -> None:
    """Cl lies between two Na: only one convention gives both lengths of 2.5 Å."""
    old = bond_table(read_icohplist(kept(tmp_path, TITLE + ROWS)), chain())
    turned = ROWS.replace("   1   0   0 ", "  -1   0   0 ")
    other = bond_table(read_icohplist(kept(tmp_path, TITLE + turned)), chain())
    for table in (old, other):
        assert table.image.tolist() == [[0, 0, 0], [-1, 0, 0]]
        assert table.icohp_eV.tolist() == [0.5, 0.4]


def test_the_header_decides_where_lengths_cannot(tmp_path: Path) -> None:
    """Cl lies across the translation: both conventions give the lengths, for other bonds."""
    atoms = Atoms("NaCl", positions=[[0, 0, 0], [0, 2.0, 0]], cell=[1.5, 9, 9], pbc=True)
    rows = ROWS.splitlines(keepends=True)
    text = rows[0].replace(" 0   0   0", " 1   0   0") + rows[1].replace(" 1   0   0", "-1   0   0")
    narrow = bond_table(read_icohplist(kept(tmp_path, TITLE + text)), atoms)
    assert narrow.image.tolist() == [[-1, 0, 0], [1, 0, 0]]
    wide = TITLE.replace("  atomMU  atomNU", "       atomMU       atomNU")
    new = bond_table(read_icohplist(kept(tmp_path, wide + text)), atoms)
    assert new.image.tolist() == [[1, 0, 0], [-1, 0, 0]]
    for table in (narrow, new):
        np.testing.assert_allclose(table.length_A, 2.5)
        assert table.icohp_eV.tolist() == [0.5, 0.4]


def test_spins_are_kept_and_added(tmp_path: Path) -> None:
    text = TITLE + ROWS + TITLE.replace("spin  1", "spin  2") + ROWS.replace("-0.5", "-0.1")
    table = bond_table(read_icohplist(kept(tmp_path, text)), chain())
    assert table.icohp_by_spin_eV is not None
    assert table.icohp_by_spin_eV.tolist() == [[0.5, 0.4], [0.1, 0.4]]
    np.testing.assert_allclose(table.icohp_eV, [0.6, 0.8], rtol=1e-15)


def test_wrapping_that_leaves_a_choice_is_refused(tmp_path: Path) -> None:
    """One bond of a pair does not tell where the other atom went."""
    one = TITLE + ROWS.splitlines(keepends=True)[0]
    moved = chain()
    moved.positions[1] += [10.0, 0, 0]
    with pytest.raises(InputError, match=r"listed at 2\.50000 Å but is 12\.50000 Å"):
        bond_table(read_icohplist(kept(tmp_path, one)), moved)


def test_rows_of_one_bond_that_disagree_are_refused(tmp_path: Path) -> None:
    twice = TITLE + ROWS + ROWS.splitlines()[0].replace("-0.50000", "-0.20000") + "\n"
    with pytest.raises(InputError, match="listed twice"):
        bond_table(read_icohplist(kept(tmp_path, twice)), chain())
    same = (
        TITLE + ROWS + "      3     Cl2     Na1      2.50000       0   0   0           -0.50000 \n"
    )
    assert len(bond_table(read_icohplist(kept(tmp_path, same)), chain())) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("hello\n", "line 1: not an ICOHPLIST"),
        (TITLE + ROWS[:-30], r"line 3: 4 columns where 8"),
        (TITLE + ROWS[:-5], "line 3: the last value has 2 decimals, not 5"),
        (TITLE + ROWS.replace("2.50000", "2.5x", 1), "line 2: the distance should be a number"),
        (TITLE + ROWS.replace("-0.40000", "nan"), "line 3: the value should be a number"),
        (TITLE + ROWS.replace("-0.40000", "-1e999"), "line 3: the value should be a number"),
        (TITLE + ROWS.replace("1   0   0 ", "1.5 0   0 "), "line 3: the translation should"),
        (TITLE + ROWS + TITLE + ROWS[:72], "line 4: spin 2 has 1 bonds and spin 1 has 2"),
        (TITLE + ROWS + TITLE + ROWS + TITLE + ROWS, "line 7: a third block"),
        (TITLE + "1 2\n", "line 2: 2 columns"),
        (2 * (TITLE + ROWS.replace(" \n", " 1.0\n")), "line 4: a second block, but the first"),
        (TITLE + "  1  Na1_3s  Cl2_3s  2.50000  0  0  0  -0.50000\n", "orbitals without the row"),
        ("  COBI#   No. of atoms  Nc-ICOBI (at) eF for spin 1\n", "more than two centres"),
    ],
)
def test_damaged_lists_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_icohplist(kept(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "ICOHPLIST.lobster.gz"
    whole = gzip.compress((TITLE + ROWS).encode())
    path.write_bytes(whole[:-20])
    with pytest.raises(InputError, match="gzip"):
        read_icohplist(path)
    path.write_bytes(whole)
    assert len(read_icohplist(path)) == 2
    with pytest.raises(InputError, match="longer than"):
        read_icohplist(path, most=100)
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(InputError, match="binary"):
        read_icohplist(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_icohplist(tmp_path / "absent")


def test_atoms_that_do_not_exist_and_other_quantities(tmp_path: Path) -> None:
    far = kept(tmp_path, TITLE + ROWS.replace("Cl2", "Cl9"))
    with pytest.raises(InputError, match="line 2: Cl9, but atom 9 of the structure is nothing"):
        bond_table(read_icohplist(far), chain())
    orders = kept(tmp_path, TITLE.replace("COHP", "COBI") + ROWS)
    with pytest.raises(InputError, match="COBIs"):
        bond_table(read_icohplist(orders), chain())
    assert read_icohplist(orders).values.tolist() == [[-0.5, -0.4]]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(0, 400), garble=st.binary(max_size=6), at=st.integers(0, 400))
def test_no_damage_ends_in_a_traceback(tmp_path: Path, cut: int, garble: bytes, at: int) -> None:
    data = (TITLE + ROWS + TITLE.replace("spin  1", "spin  2") + ROWS).encode()
    path = tmp_path / "ICOHPLIST.lobster"
    path.write_bytes(data[:at] + garble + data[at : len(data) - cut])
    with suppress(InputError):  # anything else is a bug
        bond_table(read_icohplist(path), chain())


@pytest.mark.parametrize("dialect", [3, 5])
@pytest.mark.parametrize("spins", [None, 2])
def test_written_lists_come_back_to_the_last_digit(
    tmp_path: Path, dialect: int, spins: int | None
) -> None:
    """And pymatgen reads the same bonds from them."""
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.lobster import Icohplist

    atoms = bulk("Cu", "fcc", a=3.6) * (2, 1, 1)
    atoms.symbols[1] = "Zr"
    atoms.rattle(0.05, seed=1)
    pairs = neighbour_pairs(atoms, 4.5)
    random = np.random.default_rng(3)
    by_spin = random.normal(0.5, 0.4, (2, len(pairs))).round(5)
    table = BondTable.build(
        atoms,
        pairs.i,
        pairs.j,
        pairs.image,
        by_spin.sum(axis=0),
        "test",
        icohp_by_spin_eV=by_spin if spins else None,
    )
    path = kept(tmp_path, icohplist_text(table, dialect))
    back = bond_table(read_icohplist(path), atoms)
    np.testing.assert_array_equal(back.keys(), table.keys())
    np.testing.assert_allclose(back.icohp_eV, table.icohp_eV, atol=1e-12)
    if spins:
        np.testing.assert_array_equal(back.icohp_by_spin_eV, by_spin)
    assert icohplist_text(back, dialect) == path.read_text()
    theirs = list(Icohplist(filename=str(path)).icohplist.values())
    own = table.i == table.j  # these stand twice, as LOBSTER writes them
    assert 0 < own.sum() < len(table)
    assert len(theirs) == len(table) + own.sum()
    sums = [-sum(r["icohp"].values()) for r in theirs]
    np.testing.assert_allclose(sums, np.repeat(table.icohp_eV, 1 + own), atol=1e-9)
    shifts = [tuple(r["translation"]) for r in theirs]
    turned = sum(a == tuple(-t for t in b) != (0, 0, 0) for a, b in pairwise(shifts))
    assert turned == own.sum()
    assert (Spin.down in theirs[0]["icohp"]) == bool(spins)


@pytest.mark.data
def test_a_real_list_is_written_as_lobster_wrote_it(data_dir: Path) -> None:
    """LOBSTER 3 without orbitals: the text itself, byte by byte, where atoms stand in order."""
    path = glass(data_dir, 0) / "ICOHPLIST.lobster"
    table = bond_table(read_icohplist(path), glass_atoms(data_dir, 0))
    theirs, ours = path.read_text().splitlines(), icohplist_text(table, 3).splitlines()
    assert len(theirs) == len(ours)
    # 18 characters hold the length, which we take from the structure: it may round otherwise
    same = [a[:23] + a[37:] == b[:23] + b[37:] for a, b in zip(theirs, ours, strict=True)]
    assert all(same)
