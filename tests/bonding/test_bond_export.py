"""Tables in files: complete and equal when read back, refused when damaged."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from ase.build import bulk

from bondwright.bonding.analysis import atom_sums
from bondwright.bonding.export import (
    from_frame,
    from_json,
    read_parquet,
    to_frame,
    to_json,
    write_csv,
    write_extxyz,
    write_json,
    write_parquet,
)
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.structure.neighbours import neighbour_pairs


def table(*, spins: bool = False) -> BondTable:
    atoms = bulk("NaCl", "rocksalt", a=5.64) * (2, 1, 1)
    atoms.rattle(0.1, seed=4)
    atoms.positions[1] += 2 * atoms.cell.array[2]  # not wrapped
    pairs = neighbour_pairs(atoms, 4.3)
    strength = np.random.default_rng(1).normal(0.3, 0.3, (2, len(pairs)))
    return BondTable.build(
        atoms,
        pairs.i,
        pairs.j,
        pairs.image,
        strength.sum(axis=0),
        "bondwright-lcao/1",
        icohp_by_spin_eV=strength if spins else None,
        charge_spilling=0.0123,
        details={"basis": "sz", "kpoints": [4, 4, 4]},
    )


def assert_same(back: BondTable, given: BondTable) -> None:
    """Equal to the last bit, in the same order, with structure and method."""
    np.testing.assert_array_equal(back.keys(), given.keys())
    np.testing.assert_array_equal(back.length_A, given.length_A)
    np.testing.assert_array_equal(back.icohp_eV, given.icohp_eV)
    assert (back.icohp_by_spin_eV is None) == (given.icohp_by_spin_eV is None)
    if given.icohp_by_spin_eV is not None and back.icohp_by_spin_eV is not None:
        np.testing.assert_array_equal(back.icohp_by_spin_eV, given.icohp_by_spin_eV)
    np.testing.assert_array_equal(back.atoms.positions, given.atoms.positions)
    np.testing.assert_array_equal(back.atoms.numbers, given.atoms.numbers)
    np.testing.assert_array_equal(back.atoms.cell.array, given.atoms.cell.array)
    np.testing.assert_array_equal(back.atoms.pbc, given.atoms.pbc)
    assert (back.method, back.charge_spilling, back.details) == (
        given.method,
        given.charge_spilling,
        given.details,
    )


@pytest.mark.parametrize("spins", [False, True])
def test_parquet_and_json_are_complete(tmp_path: Path, spins: bool) -> None:
    given = table(spins=spins).sort("strength")
    write_parquet(tmp_path / "bonds.parquet", given)
    assert_same(read_parquet(tmp_path / "bonds.parquet"), given)
    write_json(tmp_path / "bonds.json", given)
    assert_same(from_json(json.loads((tmp_path / "bonds.json").read_text())), given)
    unknown = replace(given, charge_spilling=None)
    assert from_json(to_json(unknown)).charge_spilling is None
    empty = given.select(np.zeros(len(given), dtype=bool))
    write_parquet(tmp_path / "none.parquet", empty)
    assert len(read_parquet(tmp_path / "none.parquet")) == 0
    assert len(from_json(json.loads(json.dumps(to_json(empty))))) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "bonds.json",
        "bonds.parquet",
        "none.parquet",
    ]


def test_columns_carry_their_units_and_sign() -> None:
    given = table(spins=True)
    frame = to_frame(given)
    assert list(frame.columns) == [
        *("i", "j", "element_i", "element_j", "pair", "image_a", "image_b", "image_c"),
        *("length_A", "minus_icohp_eV", "minus_icohp_spin1_eV", "minus_icohp_spin2_eV"),
    ]
    np.testing.assert_array_equal(frame["minus_icohp_eV"], given.icohp_eV)
    back = from_frame(
        frame, given.atoms, given.method, charge_spilling=0.0123, details=given.details
    )
    assert_same(back, given)


def test_csv_opens_anywhere(tmp_path: Path) -> None:
    given = table()
    write_csv(tmp_path / "bonds.csv", given)
    with (tmp_path / "bonds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(given)
    assert float(rows[5]["minus_icohp_eV"]) == given.icohp_eV[5]
    assert rows[0]["pair"] in {"Na-Cl", "Na-Na", "Cl-Cl"}
    back = from_frame(pd.read_csv(tmp_path / "bonds.csv"), given.atoms, given.method)
    np.testing.assert_array_equal(back.icohp_eV, given.icohp_eV)


def test_extended_xyz_holds_a_sum_for_each_atom(tmp_path: Path) -> None:
    given = table()
    path = tmp_path / "atoms.xyz"
    write_extxyz(path, given, {"group": np.array([1, 2, 1, 2])})
    back = ase.io.read(path)
    np.testing.assert_allclose(
        back.arrays["minus_icohp_sum_eV"], atom_sums(given), atol=1e-7
    )  # 8 decimals
    assert back.arrays["group"].tolist() == [1, 2, 1, 2]
    assert back.info["method"] == "bondwright-lcao/1"
    np.testing.assert_allclose(back.positions, given.atoms.positions, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"i": None}, "needs the column i"),
        ({"length_A": 9.0}, "Å long in the table"),
        ({"j": 40}, "names atom 40"),
        ({"image_a": 0.5}, "whole numbers"),
        ({"minus_icohp_eV": "strong"}, "no numbers"),
        ({"minus_icohp_eV": np.inf}, "not finite"),
    ],
)
def test_frames_that_are_no_bonds(change: dict[str, object], message: str) -> None:
    given = table()
    frame = to_frame(given)
    for column, value in change.items():
        frame = frame.drop(columns=column) if value is None else frame.assign(**{column: value})
    with pytest.raises(InputError, match=message):
        from_frame(frame, given.atoms, given.method)


def test_files_that_are_no_bond_tables(tmp_path: Path) -> None:
    path = tmp_path / "bonds.parquet"
    with pytest.raises(InputError, match="cannot be read"):
        read_parquet(path)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be read"):
        read_parquet(path)
    to_frame(table()).to_parquet(path)
    with pytest.raises(InputError, match="header is missing"):
        read_parquet(path)
    write_parquet(path, table())
    arrow = pq.read_table(path)
    header = json.loads(arrow.schema.metadata[b"bondwright"])
    header["structure"]["positions"] = [[0, 0]]
    pq.write_table(arrow.replace_schema_metadata({b"bondwright": json.dumps(header)}), path)
    with pytest.raises(InputError, match="damaged"):
        read_parquet(path)
    data = to_json(table())
    data["i"] = data["i"][:-1]
    with pytest.raises(InputError):
        from_json(data)
    with pytest.raises(InputError, match="damaged"):
        from_json({})
