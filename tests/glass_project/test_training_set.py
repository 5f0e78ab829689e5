"""Training sets and the published file formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from projects import alloy, law

from bondwright.campaign.glass.bnd_export import export_databases, export_mixed
from bondwright.campaign.glass.training_set import draw, load, save, select, set_file
from bondwright.errors import InputError
from bondwright.learn.cells import LabelledCell


def cell(name: str, seed: int, zirconium: int = 4, method: str = "law/1") -> LabelledCell:
    composition, run, variant = name.split("/")
    table = law(alloy(seed, zirconium), method).sort()
    return LabelledCell(name, composition, f"{composition}/{run}", variant, table)


@pytest.fixture
def glasses() -> list[LabelledCell]:
    return [
        cell("Zr50Cu50/1/0", 1),
        cell("Zr50Cu50/2/0", 2),
        cell("Zr50Cu50/2/d1", 3),
        cell("Zr75Cu25/1/0", 4, zirconium=6),
    ]


def test_a_draw_does_not_depend_on_the_order_of_cells(glasses: list[LabelledCell]) -> None:
    one = draw(glasses, 9, seed=3)
    other = draw(glasses[::-1], 9, seed=3)
    assert one == other
    assert one.sha256 == other.sha256
    assert draw(glasses, 9, seed=4).sha256 != one.sha256


def test_counts_follow_the_weights(glasses: list[LabelledCell]) -> None:
    drawn = draw(glasses, {"Zr-Cu": 12, "Zr-Zr": 5}, weights={"Zr50Cu50": 2, "Zr75Cu25": 1}, seed=1)
    assert drawn.counts == {
        "Zr-Cu": {"Zr50Cu50": 8, "Zr75Cu25": 4},
        "Zr-Zr": {"Zr50Cu50": 3, "Zr75Cu25": 2},
    }
    chosen = select(drawn, glasses)
    pairs = np.concatenate([c.bonds.pairs() for c in chosen])
    assert sorted(pairs.tolist()) == ["Zr-Cu"] * 12 + ["Zr-Zr"] * 5
    assert len(drawn) == 17


def test_a_scarce_pair_gives_all_it_has(glasses: list[LabelledCell]) -> None:
    there = sum(int((c.bonds.pairs() == "Cu-Cu").sum()) for c in glasses)
    drawn = draw(glasses, {"Cu-Cu": 10_000})
    assert len(drawn) == there


def test_all_bonds_within_a_window(glasses: list[LabelledCell]) -> None:
    drawn = draw(glasses, window_A=(2.5, 3.5))
    wanted = sum(
        int(((c.bonds.length_A >= 2.5) & (c.bonds.length_A <= 3.5)).sum()) for c in glasses
    )
    assert len(drawn) == wanted > 0


def test_a_recorded_set_is_redrawn_identically(glasses: list[LabelledCell], tmp_path: Path) -> None:
    drawn = draw(glasses, 7, seed=5)
    path = set_file(tmp_path, "DB7")
    save(path, drawn)
    assert load(path) == drawn
    first, again = select(drawn, glasses), select(load(path), glasses)
    for a, b in zip(first, again, strict=True):
        assert (a.bonds.keys() == b.bonds.keys()).all()
    # A further cell changes nothing in what was recorded.
    more = [*glasses, cell("Zr50Cu50/0/0", 9)]
    assert [c.name for c in select(load(path), more)] == [c.name for c in first]


def test_a_set_that_was_changed_or_lost_its_labels_is_refused(
    glasses: list[LabelledCell], tmp_path: Path
) -> None:
    drawn = draw(glasses, 7)
    path = set_file(tmp_path, "DB7")
    save(path, drawn)
    other = [cell("Zr50Cu50/1/0", 99), *glasses[1:]]
    with pytest.raises(InputError, match="Zr50Cu50/1/0: its labels are not"):
        select(drawn, other)
    with pytest.raises(InputError, match="Zr50Cu50/1/0: the training set needs"):
        select(drawn, glasses[1:])
    data = json.loads(path.read_text())
    data["cells"][0]["rows"] = [0]
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="changed by hand"):
        load(path)
    with pytest.raises(InputError, match="DB7"):
        load(set_file(tmp_path, "DB8"))
    with pytest.raises(InputError, match="cannot name"):
        set_file(tmp_path, "../outside")


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        ({"per_pair": {"Zr-Ni": 3}}, "Zr-Ni"),
        ({"per_pair": {"Zr-Cu": -3}}, "-3"),
        ({"per_pair": 0}, "0 bonds"),
        ({"weights": {"Zr50Cu51": 1.0}}, "Did you mean 'Zr50Cu50'"),
        ({"weights": {"Zr50Cu50": 0.0}}, "weight 0"),
    ],
)
def test_requests_without_sense_are_refused(
    glasses: list[LabelledCell], request_: dict, word: str
) -> None:
    with pytest.raises(InputError, match=word):
        draw(glasses, **request_)


def test_methods_are_not_mixed(glasses: list[LabelledCell]) -> None:
    with pytest.raises(InputError, match=r"law/1; law/2"):
        draw([*glasses, cell("Zr50Cu50/5/0", 5, method="law/2")])


def test_databases_have_the_published_columns(glasses: list[LabelledCell], tmp_path: Path) -> None:
    files = export_databases(tmp_path, glasses, descriptors=True)
    path = tmp_path / "Zr50Cu50-PBSSDB" / "Zr-Cu.bnd"
    assert path in files
    rows = np.loadtxt(path)
    table = glasses[0].bonds.of_pair("Zr", "Cu")
    mine = rows[(rows[:, 0] == 1) & (rows[:, 1] == 0)]
    assert mine.shape == (len(table), 6)
    symbols = glasses[0].atoms.get_chemical_symbols()
    assert {symbols[int(a) - 1] for a in mine[:, 2]} == {"Zr"}
    assert {symbols[int(b) - 1] for b in mine[:, 3]} == {"Cu"}
    assert np.abs(np.sort(mine[:, 5]) - np.sort(table.icohp_eV)).max() < 1e-6
    # A drawn deformation has no published number: it gets one, and a file says which.
    assert (tmp_path / "Zr50Cu50-PBSSDB" / "variants.info").read_text() == "1001 d1\n"
    with np.load(tmp_path / "Zr50Cu50-PBSSDB" / "Cu-Cu-SOAPS.npz", allow_pickle=False) as data:
        assert data["soaps"].shape == (len(data["keys"]), 953)
        assert np.abs(np.linalg.norm(data["soaps"], axis=1) - 1).max() < 1e-9
        assert data["keys"][0].startswith("1-0-")


def test_a_mixed_database_names_its_compositions(
    glasses: list[LabelledCell], tmp_path: Path
) -> None:
    drawn = draw(glasses, {"Zr-Cu": 6}, seed=2)
    export_mixed(tmp_path, "DB1", select(drawn, glasses))
    assert (tmp_path / "DB1" / "Zr-Cu.info").read_text() == "DB1 Zr-Cu\nZr50Cu50 3\nZr75Cu25 3\n"
    rows = np.loadtxt(tmp_path / "DB1" / "Zr-Cu.bnd")
    assert rows.shape == (6, 7)
    assert rows[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
