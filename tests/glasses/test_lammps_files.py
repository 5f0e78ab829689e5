"""LAMMPS data and dump files, also damaged ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from bondwright.errors import InputError
from bondwright.glasses.lammps_files import read_data, read_dump_frames, write_data
from bondwright.structure.neighbours import neighbour_pairs

TYPES = {1: "Zr", 2: "Cu"}
FRAME = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
3
ITEM: BOX BOUNDS pp pp pp
-1.0 9.0
-1.0 9.0
-1.0 19.0
ITEM: ATOMS id type xs ys zs
2 2 0.5 0.5 0.5
1 1 0.1 0.2 0.3
7 1 0.9 0.9 0.9
"""


def _dump(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "trajectory.dump"
    path.write_text(text)
    return path


def test_scaled_frames_are_sorted_by_id_and_counted_from_the_corner(tmp_path: Path) -> None:
    path = _dump(tmp_path, FRAME.format(step=0) + FRAME.format(step=500))
    frames = list(read_dump_frames(path, TYPES))
    assert [frame.step for frame in frames] == [0, 500]
    atoms = frames[1].atoms
    assert atoms.get_chemical_symbols() == ["Zr", "Cu", "Zr"]
    assert frames[1].ids.tolist() == [1, 2, 7]
    assert np.allclose(atoms.positions[0], [1, 2, 6])
    assert np.allclose(atoms.cell.lengths(), [10, 10, 20])
    assert atoms.pbc.all()


def test_absolute_and_scaled_coordinates_agree(tmp_path: Path) -> None:
    absolute = FRAME.format(step=0).replace("xs ys zs", "x y z")
    absolute = absolute.replace("2 2 0.5 0.5 0.5", "2 2 4 4 9")
    absolute = absolute.replace("1 1 0.1 0.2 0.3", "1 1 0 1 5")
    absolute = absolute.replace("7 1 0.9 0.9 0.9", "7 1 8 8 17")
    one = next(read_dump_frames(_dump(tmp_path, absolute), TYPES)).atoms
    two = next(read_dump_frames(_dump(tmp_path, FRAME.format(step=0)), TYPES)).atoms
    assert np.allclose(one.positions, two.positions)


def test_a_triclinic_box_is_found_inside_its_upright_bounds(tmp_path: Path) -> None:
    text = """ITEM: TIMESTEP
7
ITEM: NUMBER OF ATOMS
1
ITEM: BOX BOUNDS xy xz yz pp pp ff
-2.0 13.0 -2.0
0.0 11.0 3.0
0.0 12.0 1.0
ITEM: ATOMS element id x y z
Al 1 0.0 0.0 0.0
"""
    frame = next(read_dump_frames(_dump(tmp_path, text)))
    assert np.allclose(frame.atoms.cell.array, [[10, 0, 0], [-2, 10, 0], [3, 1, 12]])
    assert frame.atoms.pbc.tolist() == [True, True, False]


def test_gzip_and_a_dump_that_breaks_off_keep_the_good_frames(tmp_path: Path) -> None:
    whole = FRAME.format(step=0) + FRAME.format(step=1)
    path = tmp_path / "cut.dump.gz"
    path.write_bytes(gzip.compress((whole + FRAME.format(step=2)[:-9]).encode()))
    notes: list[str] = []
    assert [f.step for f in read_dump_frames(path, TYPES, note=notes.append)] == [0, 1]
    assert notes == [f"{path} breaks off inside frame 3; 2 frames are complete."]
    packed = path.read_bytes()
    path.write_bytes(packed[: len(packed) - 12])  # the end of the compressed stream is missing
    assert len(list(read_dump_frames(path, TYPES, note=notes.append))) <= 2


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("3\nITEM: BOX", "5\nITEM: BOX", "5 atoms are stated and 3 are listed"),
        ("id type xs ys zs", "id type q r s", "columns id and x y z"),
        ("id type xs ys zs", "id type xs ys zs mol", "do not have the 6 columns"),
        ("1 1 0.1", "1 3 0.1", "no element is given for atom type 3"),
        ("1 1 0.1", "1 1 nan", "no number"),
        ("1 1 0.1", "1 1 inf", "not finite"),
        ("1 1 0.1", "1 1 abc", "no number"),
        ("1 1 0.1", "7 1 0.1", "id 7 occurs twice"),
        ("-1.0 9.0\n", "9.0 -1.0\n", "no volume"),
        ("ITEM: TIMESTEP\n0", "ITEM: TIMESTEP\nzero", "no whole number"),
        ("ITEM: TIMESTEP\n0", "TIMESTEP\n0", "where an ITEM: line belongs"),
    ],
)
def test_a_wrong_dump_is_refused_in_one_line(tmp_path: Path, old: str, new: str, part: str) -> None:
    text = FRAME.format(step=0)
    assert old in text
    path = _dump(tmp_path, text.replace(old, new) + FRAME.format(step=1))
    with pytest.raises(InputError, match="frame 1") as caught:
        list(read_dump_frames(path, TYPES))
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_elements_must_be_known(tmp_path: Path) -> None:
    path = _dump(tmp_path, FRAME.format(step=0))
    with pytest.raises(InputError, match="say which element"):
        list(read_dump_frames(path))
    with pytest.raises(InputError, match="'Qq', which is no element"):
        list(read_dump_frames(path, {1: "Qq"}))
    with pytest.raises(InputError, match="cannot be opened"):
        list(read_dump_frames(tmp_path / "none.dump", TYPES))


def test_data_files_round_trip_with_their_elements(tmp_path: Path) -> None:
    sheared = Atoms(
        "ZrCuAl",
        positions=[[0, 0, 0], [2, 2, 2], [4, 1, 3]],
        cell=[[6, 3, 0], [0, 7, 0], [1, 0, 8]],
        pbc=True,
    )
    path = tmp_path / "glass.data"
    write_data(path, sheared, ["Zr", "Cu", "Al"])
    again = read_data(path)
    assert again.get_chemical_symbols() == ["Zr", "Cu", "Al"]
    # The box is turned, the distances stay.
    before, after = (neighbour_pairs(atoms, 6.0).distance for atoms in (sheared, again))
    assert np.allclose(np.sort(before), np.sort(after), atol=1e-9)
    renamed = read_data(path, {1: "Ti", 2: "Ni", 3: "Al"})
    assert renamed.get_chemical_symbols() == ["Ti", "Ni", "Al"]
    assert np.allclose(renamed.positions, again.positions)
    with pytest.raises(InputError, match="atom type 3"):
        read_data(path, {1: "Ti", 2: "Ni"})
    with pytest.raises(InputError, match="lacks Al"):
        write_data(path, sheared, ["Zr", "Cu"])


def test_a_data_file_with_fewer_atoms_than_stated_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "glass.data"
    write_data(path, Atoms("Cu2", positions=[[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True))
    path.write_text("\n".join(path.read_text().rstrip().splitlines()[:-1]) + "\n")
    with pytest.raises(InputError, match="data"):
        read_data(path)


@pytest.mark.data
def test_the_published_glass_is_read(data_dir: Path) -> None:
    folder = data_dir / "glass-zrcual" / "ultimate"
    atoms = read_data(folder / "Zr49Cu49Al2-10000-1-1-1.data")
    assert len(atoms) == 10000
    assert atoms.get_chemical_symbols().count("Al") == 200
    assert np.allclose(atoms.cell.lengths(), 55.969)
