"""`bondwright bonds`: bonds that LOBSTER found, and bonds computed here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from program import Program

from bondwright.bonding.export import read_parquet
from bondwright.structure.write import write_extxyz


@pytest.fixture
def program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    return Program(tmp_path, monkeypatch, capsys)


@pytest.mark.data
def test_bonds_of_a_lobster_run_are_shown_and_written(program: Program, data_dir: Path) -> None:
    run = data_dir / "glass-zrcual" / "cells" / "21-0"
    files = ("--csv", "--parquet", "--extxyz", "--lobster", "--figure")
    answer = program("bonds", run, "--out", "found", *files)
    assert answer.code == 0, answer.err
    assert answer.out.startswith("21-0: 738 bonds by LOBSTER 3.0.0")
    assert "charge spilling 1.6%" in answer.out
    assert "may be used" in answer.out
    found = program.folder / "found"
    table = read_parquet(found / "bonds.parquet")
    assert (len(table), table.method) == (738, "LOBSTER 3.0.0")
    frame = pd.read_csv(found / "bonds.csv")
    assert np.allclose(frame.minus_icohp_eV, table.icohp_eV, atol=1e-9)
    assert "<svg" in (found / "bonds.svg").read_text()
    assert "minus_icohp_sum_eV" in (found / "atoms.extxyz").read_text()

    # What was written for LOBSTER's tools reads back as the same bonds.
    again = program.folder / "again"
    again.mkdir()
    shutil.copy(found / "ICOHPLIST.lobster", again)
    shutil.copy(run / "lobsterout", again)
    shutil.copy(run / "Zr49Cu49Al2.xyz", again)
    answer = program("bonds", "again", "--json", "--max", "2.6")
    short = table.between(0, 2.6)
    told = json.loads(answer.out)
    assert told["bonds"] == len(short) > 50
    pairs = {row["pair"]: row for row in told["pairs"]}
    for pair, rows in short.pair_types().items():
        assert pairs[pair]["count"] == len(rows)
        # Five decimals are written.
        mean = float(short.icohp_eV[rows].mean())
        assert pairs[pair]["mean_minus_icohp_eV"] == pytest.approx(mean, abs=1e-5)


@pytest.mark.data
def test_gzipped_run_is_read_with_the_structure_beside_it(program: Program, data_dir: Path) -> None:
    run = data_dir / "crystals" / "lobster" / "lobsterpy-tests" / "NaCl"
    told = json.loads(program("bonds", run, "--json").out)
    # Six Na-Cl bonds of 2.85 Å with ICOHP -0.565 eV, both spins, in its ICOHPLIST.
    assert told["pairs"][0]["pair"] == "Na-Cl"
    assert told["pairs"][0]["strongest_minus_icohp_eV"] == pytest.approx(0.565, abs=0.005)
    assert told["method"].startswith("LOBSTER 4")
    assert list(program.folder.iterdir()) == []  # nothing asked for, nothing written


def test_computed_bonds_are_kept_and_lengths_chosen(program: Program) -> None:
    pytest.importorskip("gpaw")
    write_extxyz(program.folder / "si.xyz", [bulk("Si", a=5.43)])
    words = ("bonds", "si.xyz", "--kpoints", "3", "3", "3", "--json", "--max")
    first = program(*words, "4", "--parquet")
    assert first.code == 0, first.err
    told = json.loads(first.out)
    assert told["accepted"] is True
    assert told["charge_spilling"] < 0.05
    assert told["pairs"][0]["count"] == 4 + 12  # half the neighbours of both atoms in two shells
    table = read_parquet(program.folder / "si-bonds" / "bonds.parquet")
    near, far = table.between(2.3, 2.4).icohp_eV, table.between(3.8, 3.9).icohp_eV
    assert (len(near), len(far)) == (4, 12)
    # The four are equal by symmetry; the real-space grid leaves one per cent.
    assert np.ptp(near) < 0.02 * near.mean()
    # Covalent: the nearest are an order of magnitude above all others.
    assert near.min() > 10 * np.abs(far).max()
    again = program(*words, "4")
    assert json.loads(again.out)["pairs"] == told["pairs"]
    assert again.err == ""  # answered from the folder: no SCF was told
    shorter = json.loads(program(*words, "2.6").out)
    assert shorter["pairs"][0]["count"] == 4


def test_bad_input_is_one_line(program: Program) -> None:
    write_extxyz(program.folder / "si.xyz", [bulk("Si")])
    (program.folder / "empty").mkdir()
    refuse = program.refuse
    assert "--structure" in refuse("bonds", "empty")
    assert "missing.cif" in refuse("bonds", "missing.cif")
    assert "LOBSTER folder" in refuse("bonds", "si.xyz", "--structure", "si.xyz")
    assert "at least 1" in refuse("bonds", "si.xyz", "--kpoints", "0", "1", "1")
    assert "shortest" in refuse("bonds", "si.xyz", "--min", "3", "--max", "2")
    assert "polarised" in refuse("bonds", "si.xyz", "--spin", "up")
    for name in ("a.xyz", "b.xyz"):
        shutil.copy(program.folder / "si.xyz", program.folder / "empty" / name)
    assert "a.xyz, b.xyz" in refuse("bonds", "empty")
    assert "ICOHPLIST.lobster" in refuse("bonds", "empty", "--structure", "empty/a.xyz")
    assert "done" in refuse("bonds", "empty", "--kpoints", "2", "2", "2")
