"""The bond table: one way to write a bond, and what it refuses."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from bondwright.bonding.acceptance import accept_label
from bondwright.bonding.analysis import first_shell, strength_groups
from bondwright.bonding.describe import describe
from bondwright.bonding.export import read_parquet, write_parquet
from bondwright.bonding.lengths import strength_by_length
from bondwright.bonding.lobster import bond_table, icohplist_text, read_icohplist
from bondwright.bonding.network import bond_network
from bondwright.bonding.pairs import pair_label, pair_labels
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.structure.neighbours import neighbour_pairs


def rocksalt() -> Atoms:
    return bulk("NaCl", "rocksalt", a=5.64)


def table_of(atoms: Atoms, cutoff: float = 4.2) -> BondTable:
    """Bonds whose strength falls with length; the numbers are only marks here."""
    pairs = neighbour_pairs(atoms, cutoff)
    strength = np.exp(-pairs.distance) + 0.001 * np.arange(len(pairs))
    return BondTable.build(atoms, pairs.i, pairs.j, pairs.image, strength, "test")


def test_either_order_of_atoms_is_the_same_bond() -> None:
    atoms = rocksalt()
    pairs = neighbour_pairs(atoms, 4.2, full=True)
    turned = pairs.select((pairs.i > pairs.j) | (pairs.image[:, 0] < 0))
    table = BondTable.build(atoms, turned.i, turned.j, turned.image, np.ones(len(turned)), "test")
    assert (table.i <= table.j).all()
    np.testing.assert_allclose(table.length_A, turned.distance, rtol=1e-12)
    own = table.select(table.i == table.j)
    assert all(tuple(image) > (0, 0, 0) for image in own.image.tolist())
    with pytest.raises(InputError, match="stands twice"):
        BondTable.build(atoms, pairs.i, pairs.j, pairs.image, np.ones(len(pairs)), "test")


def test_counts_of_rocksalt() -> None:
    """6 Na-Cl bonds, and 6 of each atom with its own images (12 neighbours, each bond once)."""
    table = table_of(rocksalt())
    assert {pair: len(rows) for pair, rows in table.pair_types().items()} == {
        "Cl-Cl": 6,
        "Na-Cl": 6,
        "Na-Na": 6,
    }
    assert len(table.of_pair("Cl", "Na")) == len(table.of_pair("Na", "Cl")) == 6
    assert not len(table.missing(4.2))
    nearest = table.between(2.0, 3.0)
    assert set(nearest.pairs().tolist()) == {"Na-Cl"}
    absent = nearest.missing({("Na", "Na"): 4.2, ("Na", "Cl"): 3.0})
    assert len(absent) == 6
    assert (absent.i == absent.j).all()


def test_order_and_selection_keep_rows_together() -> None:
    table = table_of(rocksalt())
    spins = np.stack([0.4 * table.icohp_eV, 0.6 * table.icohp_eV])
    table = replace(table, icohp_by_spin_eV=spins)
    strongest = table.sort("strength")
    assert (np.diff(strongest.icohp_eV) <= 0).all()
    assert strongest.icohp_by_spin_eV is not None
    np.testing.assert_allclose(strongest.icohp_by_spin_eV.sum(axis=0), strongest.icohp_eV)
    strongest.check()
    shortest = table.sort("length")
    assert (np.diff(shortest.length_A) >= 0).all()
    again = shortest.sort("atoms")
    np.testing.assert_array_equal(again.keys(), table.sort().keys())
    np.testing.assert_array_equal(again.icohp_eV, table.sort().icohp_eV)


def test_tables_of_one_structure_are_matched() -> None:
    atoms = rocksalt()
    here, there = table_of(atoms).sort("strength"), table_of(atoms, 3.0).sort("length")
    mine, theirs = here.match(there)
    assert len(mine) == len(there) == 6
    np.testing.assert_array_equal(here.keys()[mine], there.keys()[theirs])
    nothing = here.select(np.zeros(len(here), dtype=bool))
    assert all(len(rows) == 0 for rows in here.match(nothing))
    nothing.check()
    assert nothing.pair_types() == {}


def test_two_windows_of_lengths_are_joined() -> None:
    whole = table_of(rocksalt()).sort("length")
    short, long = whole.between(0, 3.5), whole.between(2.5, 5.0)
    joined = short.join(long)
    assert not len(joined.missing(4.2))
    np.testing.assert_array_equal(joined.sort().icohp_eV, whole.sort().icohp_eV)
    joined.check()
    with pytest.raises(InputError, match=r"bond Na0-Cl1 .* in one table and"):
        short.join(replace(long, icohp_eV=long.icohp_eV + 0.1))
    with pytest.raises(InputError, match="'test' and 'other'"):
        short.join(replace(long, method="other"))
    moved = rocksalt()
    moved.rattle(0.01, seed=1)
    with pytest.raises(InputError, match="different structures"):
        short.join(table_of(moved))


def test_a_large_glass_takes_no_time(tmp_path: Path) -> None:
    """70,000 bonds of 10,000 atoms: 2.7 s of CPU for all of this, first imports included.

    The limit is six times that, for slow machines; work that loops over pairs of bonds fails it.
    """
    edge, random = 55.97, np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(22)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    places = grid[random.permutation(len(grid))[:10_000]] * edge / 22
    atoms = Atoms(["Zr"] * 4900 + ["Cu"] * 4900 + ["Al"] * 200, places, cell=[edge] * 3, pbc=True)
    atoms.rattle(0.2, seed=1)
    table = table_of(atoms, 3.8)
    assert 60_000 < len(table) < 80_000
    begin = time.process_time()
    table.check()
    assert len(table.match(table.sort("strength"))[0]) == len(table)
    assert not len(table.missing(3.8))
    assert len(describe(table)) > 100
    assert len(strength_by_length(table)) == 6
    assert first_shell(table).shape == (len(table), 2)
    assert strength_groups(table, quantile=0.5).max() == 2
    assert bond_network(table).dimension.max() == 3
    write_parquet(tmp_path / "bonds.parquet", table)
    assert len(read_parquet(tmp_path / "bonds.parquet")) == len(table)
    (tmp_path / "ICOHPLIST.lobster").write_text(icohplist_text(table))
    assert len(bond_table(read_icohplist(tmp_path / "ICOHPLIST.lobster"), atoms)) == len(table)
    assert time.process_time() - begin < 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"icohp_eV": np.full(18, np.nan)}, "not finite"),
        ({"length_A": np.full(18, 2.0)}, "Å long in the table but"),
        ({"j": np.zeros(18, dtype=np.int64)}, "i <= j|stands twice"),
        ({"j": np.full(18, 7)}, "names atom 7 .* has 2 atoms"),
        ({"i": np.zeros(3, dtype=np.int64)}, "different lengths"),
        ({"icohp_by_spin_eV": np.zeros((2, 3))}, "different lengths"),
    ],
)
def test_broken_tables_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(table_of(rocksalt()), **change).check()


def test_pairs_are_named_as_in_formulas() -> None:
    """Less electronegative first, as in a formula; the names of the published data among them."""
    expected = "Zr-Cu Cu-Al Zr-Al Na-Cl C-H H-O Ti-O Be-Te La-F U-O B-N Ge-Si Ga-As Hf-C N-H"
    for name in expected.split()[:-1]:
        first, second = name.split("-")
        assert pair_label(first, second) == pair_label(second, first) == name
    assert pair_label("H", "N") == "N-H"
    labels = pair_labels(np.array([29, 40, 13]), np.array([40, 29, 13]))
    assert labels.tolist() == ["Zr-Cu", "Zr-Cu", "Al-Al"]


def test_a_table_of_our_own_is_accepted_by_its_spilling() -> None:
    table = replace(table_of(rocksalt()), charge_spilling=0.05)
    assert accept_label(table).accepted
    verdict = accept_label(replace(table, charge_spilling=0.0501))
    assert (verdict.accepted, verdict.reason) == (False, "charge-spilling")


def test_missing_bonds_in_a_small_skewed_cell(tmp_path: Path) -> None:
    """Several images of one pair are different bonds, whatever the shape of the cell."""
    atoms = Atoms("Cu2", cell=[[2.6, 0, 0], [5.1, 2.6, 0], [0.3, 5.0, 2.9]], pbc=True)
    atoms.set_scaled_positions([[0, 0, 0], [0.45, 0.5, 0.55]])
    table = table_of(atoms, 5.0)
    counts = np.unique(table.keys()[:, :2], axis=0, return_counts=True)[1]
    assert counts.min() > 3
    dropped = table.select(np.arange(len(table)) != 4)
    absent = dropped.missing(5.0)
    assert [absent.i[0], absent.j[0], *absent.image[0]] == table.keys()[4].tolist()
    assert len(absent) == 1
