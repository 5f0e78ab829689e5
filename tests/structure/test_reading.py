"""Files, folders and tables to candidates; faults 1 to 4, 16, 31."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.io import write as ase_write

from bondwright.errors import InputError
from bondwright.structure.identity import composition
from bondwright.structure.read import ReadLimits, expand_paths, read_candidates
from bondwright.structure.write import cif_text, write_extxyz

SALT = bulk("NaCl", "rocksalt", a=5.64)
SALT_CIF = cif_text(SALT, name="salt")
SILICON_CIF = cif_text(bulk("Si"), name="silicon")
DATA = """# two types

3 atoms
2 atom types

0.0 4.0 xlo xhi
0.0 5.0 ylo yhi
0.0 6.0 zlo zhi
{tilt}
Masses

1 {first}
2 {second}

Atoms {style}

1 1 {extra}0.5 0.5 0.5
3 2 {extra}2.5 2.5 -2.5
2 1 {extra}1.5 1.5 7.5
"""
DUMP = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 4.0
0.0 4.0
0.0 {height}
ITEM: ATOMS id type {columns}
1 1 {one}0.5 0.5 0.5
2 2 {two}2.0 2.0 2.0
"""


def read(path, **options):
    candidates = list(read_candidates(path, **options))
    assert all((c.atoms is None) == (c.problem is not None) for c in candidates)
    assert len({c.key for c in candidates}) == len(candidates)
    return candidates


def only(path, **options):
    [candidate] = read(path, **options)
    return candidate


def problem(path, **options):
    return only(path, **options).problem.code


def test_a_single_cif(tmp_path):
    path = tmp_path / "salt.cif"
    path.write_text(SALT_CIF)
    candidate = only(path, control=True, asked={"band_gap": 5.0})
    assert candidate.name == "salt"
    assert candidate.control
    assert candidate.asked == {"band_gap": 5.0}
    assert candidate.text == SALT_CIF
    assert candidate.origin.source == f"{tmp_path.name}/salt.cif"
    assert candidate.declared.formula_sum == "Cl1 Na1"
    assert composition(candidate.atoms) == {"Cl": 1, "Na": 1}
    assert only(path).key == candidate.key
    path.write_text(SALT_CIF + "\n")
    assert only(path).key != candidate.key


def test_blocks_are_candidates(tmp_path):
    """Fault 6."""
    path = tmp_path / "both.cif"
    path.write_text(SALT_CIF + SILICON_CIF)
    first, second = read(path)
    assert (first.name, second.name) == ("both.1", "both.2")
    assert (first.origin.block, second.origin.block) == (0, 1)
    assert "data block 2 of 2" in second.notes


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),  # fault 1
        (b" \n\n", "empty"),
        (bytes(range(256)) * 10, "not-text"),  # fault 2
        (SALT_CIF.encode("utf-16"), "not-text"),
        (SALT_CIF.encode("utf-16-le"), "not-text"),
        (gzip.compress(SALT_CIF.encode()), "not-text"),
        (SALT_CIF[:-40].encode(), "truncated"),  # fault 4
        (b"x" * 50_000_000, "too-large"),  # fault 3
    ],
)
def test_bad_files_keep_their_row(tmp_path, content, code):
    path = tmp_path / "bad.cif"
    path.write_bytes(content)
    assert problem(path) == code


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "salt.cif"
    path.write_bytes(("# Ångström\r\n" + SALT_CIF.replace("\n", "\r\n")).encode(encoding))
    candidate = only(path)
    assert composition(candidate.atoms) == {"Cl": 1, "Na": 1}
    assert (encoding == "latin-1") == ("not UTF-8; read as Latin-1" in candidate.notes)


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR", "salt.vasp", "POSCAR_salt"])
def test_poscar(tmp_path, name):
    ase_write(tmp_path / name, SALT, format="vasp")
    candidate = only(tmp_path / name)
    assert candidate.text is None
    assert candidate.declared is None
    assert candidate.name == f"{tmp_path.name}/{name}"
    np.testing.assert_allclose(candidate.atoms.positions, SALT.positions, atol=1e-8)


def test_bad_poscars(tmp_path):
    path = tmp_path / "POSCAR"
    ase_write(path, SALT, format="vasp")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]))
    assert problem(path) in ("syntax", "truncated")
    path.write_text("\n".join(lines[:4]))
    assert problem(path) == "truncated"
    path.write_text("\n".join([*lines[:2], "nan 0 0", *lines[3:]]))
    assert problem(path) == "bad-cell"
    path.write_text("\n".join([*lines[:5], *lines[6:]]))
    with pytest.raises(InputError, match=r"POSCAR.*VASP 4.*add a line"):
        read(path)


def test_frames_of_extended_xyz(tmp_path):
    path = tmp_path / "run.xyz"
    write_extxyz(path, [SALT, bulk("Si"), bulk("Cu")])
    candidates = read(path)
    assert [c.name for c in candidates] == ["run.xyz#0", "run.xyz#1", "run.xyz#2"]
    assert [c.origin.row for c in candidates] == [0, 1, 2]
    assert [c.atoms.get_chemical_formula() for c in candidates] == ["ClNa", "Si2", "Cu"]


def test_a_bad_frame_leaves_the_others(tmp_path):
    path = tmp_path / "run.xyz"
    path.write_text(
        "1\nno lattice here\nH 0 0 0\n"
        '1\nLattice="3 0 0 0 3 0 0 0 3"\nXx 0 0 0\n'
        '1\nLattice="3 0 0 0 3 0 0 0 3"\nH nan 0 0\n'
        '1\nLattice="3 0 0 0 3 0 0 0 0"\nH 0 0 0\n'
        '1\nLattice="3 0 0 0 3 0 0 0 3"\nH 4 5 -6\n\n'
        '2\nLattice="3 0 0 0 3 0 0 0 3"\nH 0 0 0\n'
    )
    candidates = read(path)
    codes = [c.problem.code if c.problem else "" for c in candidates]
    assert codes[0] == "no-cell"
    assert codes[1] in ("unknown-element", "syntax")
    assert codes[2] == "bad-site"
    assert codes[3] in ("bad-cell", "syntax")  # ASE itself refuses a singular cell
    assert codes[4:] == ["", "truncated"]
    np.testing.assert_allclose(candidates[4].atoms.positions, [[4, 5, -6]])


@pytest.mark.parametrize(
    "text", ["", "hello\n", "5\n", "-3\nx\n", "99999999999999999999\nx\nH 0 0 0\n"]
)
def test_what_is_no_xyz(tmp_path, text):
    path = tmp_path / "x.xyz"
    path.write_text(text)
    assert problem(path) in ("empty", "syntax", "truncated")


@pytest.mark.parametrize(
    ("style", "extra"), [("# atomic", ""), ("", ""), ("# charge", "0.25 "), ("", "0.25 ")]
)
@pytest.mark.parametrize(("first", "second"), [("91.22", "63.55"), ("1.0 # Zr", "1.0 # Cu")])
def test_lammps_data(tmp_path, style, extra, first, second):
    path = tmp_path / "glass.data"
    path.write_text(
        DATA.format(
            tilt="1.5 0.0 0.25 xy xz yz\n", style=style, extra=extra, first=first, second=second
        )
    )
    atoms = only(path).atoms
    assert atoms.get_chemical_symbols() == ["Zr", "Zr", "Cu"]
    np.testing.assert_allclose(atoms.cell.array, [[4, 0, 0], [1.5, 5, 0], [0, 0.25, 6]])
    np.testing.assert_allclose(atoms.positions[1], [1.5, 1.5, 7.5])


@pytest.mark.parametrize(("first", "named"), [("1.0", "mass 1"), ("7777", "mass 7777")])
def test_lammps_data_without_elements(tmp_path, first, named):
    path = tmp_path / "glass.data"
    text = DATA.format(tilt="", style="# atomic", extra="", first=first, second="63.55")
    path.write_text(text)
    with pytest.raises(InputError, match=f"glass.data.*{named}.*comment"):
        read(path)
    path.write_text(text.replace("Masses", "Nothing"))
    with pytest.raises(InputError, match="add a Masses section"):
        read(path)


def test_lammps_dump(tmp_path):
    path = tmp_path / "run.dump"
    frames = [
        DUMP.format(step=step, height=4.0 + step, columns="element x y z", one="Zr ", two="Cu ")
        for step in (0, 1)
    ]
    path.write_text("".join(frames))
    first, second = read(path)
    assert first.atoms.get_chemical_symbols() == ["Zr", "Cu"]
    np.testing.assert_allclose(first.atoms.positions[0], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(second.atoms.cell.lengths(), [4, 4, 5])
    path.write_text(DUMP.format(step=0, height=4.0, columns="x y z", one="", two=""))
    with pytest.raises(InputError, match=r"run\.dump.*does not name elements.*dump_modify"):
        read(path)


def table(tmp_path, frame, name):
    path = tmp_path / name
    frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet"])
def test_tables(tmp_path, name):
    frame = pd.DataFrame(
        {
            "Generated CIF": [SALT_CIF, None, SILICON_CIF, SALT_CIF, "data_cut\n_cell_length_a 3"],
            "gap": [1.5, np.nan, 0.0, 2.0, 1.0],
            "valid": [True, False, True, True, False],
            "log": ["x" * 10_000] * 5,
        }
    )
    path = table(tmp_path, frame, name)
    seen = []
    candidates = read(
        path, asked_columns={"band_gap": "gap"}, asked={"e": 0.0},
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert [c.name for c in candidates] == [f"{name}#{row}" for row in range(5)]
    assert [c.origin.row for c in candidates] == list(range(5))
    assert [c.problem.code if c.problem else "" for c in candidates] == (
        ["", "empty", "", "", "truncated"]
    )
    assert [c.asked.get("band_gap") for c in candidates] == [1.5, None, 0.0, 2.0, 1.0]
    assert all(c.asked["e"] == 0.0 for c in candidates)
    assert candidates[0].extra == {"gap": 1.5, "valid": True}
    assert candidates[1].extra == {"gap": None, "valid": False}
    json.dumps([c.extra for c in candidates], allow_nan=False)
    assert seen == [(done, 5) for done in range(1, 6)]


def test_rows_are_named_by_a_unique_identifier(tmp_path):
    frame = pd.DataFrame({"Material ID": ["mp-1", "mp-2"], "cif": [SALT_CIF, SILICON_CIF]})
    assert [c.name for c in read(table(tmp_path, frame, "a.csv"))] == ["mp-1", "mp-2"]
    frame["Material ID"] = "same"
    assert [c.name for c in read(table(tmp_path, frame, "a.csv"))] == ["a.csv#0", "a.csv#1"]


def test_an_unclear_cif_column(tmp_path):
    frame = pd.DataFrame({"cif": [SALT_CIF], "Generated CIF": [SILICON_CIF], "x": [1]})
    path = table(tmp_path, frame, "a.csv")
    with pytest.raises(InputError, match=r"several columns.*'cif', 'Generated CIF'.*--column"):
        read(path)
    assert composition(only(path, column="cif").atoms) == {"Cl": 1, "Na": 1}
    with pytest.raises(InputError, match=r"no column 'Generatd CIF'.*Did you mean 'Generated CIF'"):
        read(path, column="Generatd CIF")
    path = table(tmp_path, frame[["x"]], "b.parquet")
    with pytest.raises(InputError, match=r"no column that is recognised.*--column.*'x'"):
        read(path)
    with pytest.raises(InputError, match="no column 'gap'"):
        read(table(tmp_path, frame, "a.csv"), column="cif", asked_columns={"band_gap": "gap"})


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.parquet", b"no parquet", "no readable table"),
        ("a.csv", b"", "no readable table"),
        ("a.csv.gz", b"no gzip", "no readable table"),
        ("a.csv.gz", gzip.compress(b"cif\n1\n", mtime=0)[:-9], "no readable table"),
        ("a.csv", b"\xff\xfe\x00\x01,\x00\n", "no readable table|no column"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n", "git-LFS"),  # fault 31
        ("a.cif", b"version https://git-lfs.github.com/spec/v1\n", "git-LFS"),
        ("a.docx", b"x", "no known format"),
    ],
)
def test_unusable_files(tmp_path, name, content, match):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=match) as caught:
        read(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_of_tables_only(tmp_path):
    path = tmp_path / "salt.cif"
    path.write_text(SALT_CIF)
    with pytest.raises(InputError, match="not a table"):
        read(path, column="cif")
    with pytest.raises(InputError, match="not a file"):
        read(tmp_path / "absent.cif")


def test_folders_are_expanded_in_order(tmp_path, caplog):
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in (
        "z.cif",
        "b/a.cif",
        "b/POSCAR",
        "run.xyz",
        "notes.txt",
        "b/x.png",
        ".hidden/c.cif",
    ):
        (tmp_path / name).write_text("x")
    table(tmp_path, pd.DataFrame({"cif": [SALT_CIF]}), "rows.csv")
    table(tmp_path, pd.DataFrame({"energy": [1]}), "results.csv")
    with caplog.at_level("INFO"):
        found = expand_paths([tmp_path, tmp_path / "z.cif"])
    names = [str(path.relative_to(tmp_path)) for path in found]
    assert names == ["b/POSCAR", "b/a.cif", "rows.csv", "run.xyz", "z.cif"]
    assert "4 files" in caplog.text
    with pytest.raises(InputError, match="does not exist"):
        expand_paths([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nothing to read"):
        expand_paths([tmp_path / "empty"])


def test_limits_reach_the_parser(tmp_path):
    path = tmp_path / "salt.cif"
    path.write_text(SALT_CIF)
    assert problem(path, limits=ReadLimits(atoms=1)) == "too-many-atoms"
    assert problem(path, limits=ReadLimits(text_bytes=100)) == "too-large"
    write_extxyz(tmp_path / "salt.xyz", [SALT.repeat(3)])
    assert problem(tmp_path / "salt.xyz", limits=ReadLimits(atoms=10)) == "too-many-atoms"
    assert problem(tmp_path / "salt.xyz", limits=ReadLimits(text_bytes=200)) == "too-large"
