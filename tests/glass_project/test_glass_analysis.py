"""Analysis of predicted glasses against direct sums over all bonds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from glass_predictors import CrowdModel, crowd_model, glass

from bondwright.bonding.analysis import first_shell, strength_groups
from bondwright.bonding.table import BondTable
from bondwright.campaign.glass.analysis import AnalysisSettings, analyse, newest_analysis
from bondwright.campaign.glass.analysis_distributions import Axis, distributions, shell_ends
from bondwright.campaign.glass.analysis_frames import predicted_frames
from bondwright.campaign.glass.analysis_map import strength_map
from bondwright.campaign.glass.predict import predict_frames
from bondwright.errors import InputError
from bondwright.glasses.lammps_files import Frame

SHELL = {"Zr-Zr": 4.0, "Zr-Cu": 3.6, "Cu-Cu": 3.2}


def predicted(folder: Path, frames: list[Atoms]) -> Path:
    made = [
        Frame(1000 * k, atoms, np.arange(11, len(atoms) + 11)) for k, atoms in enumerate(frames)
    ]
    list(predict_frames(made, crowd_model(), folder))
    return folder


def direct(atoms: Atoms) -> BondTable:
    """All bonds that the model knows, without files."""
    found = CrowdModel().predict(atoms)
    pairs = found.pairs.select(found.known)
    return BondTable.build(
        atoms, pairs.i, pairs.j, pairs.image, found.mean_eV[found.known], "crowd/1"
    )


def test_groups_and_shells_equal_direct_sums(tmp_path: Path) -> None:
    atoms = glass(300)
    settings = AnalysisSettings(quantile=0.3, shell_A=SHELL, figures=False)
    found = analyse(predicted(tmp_path, [atoms]), settings=settings)
    table = direct(atoms)
    shell = first_shell(table, {tuple(p.split("-")): end for p, end in SHELL.items()})
    groups = strength_groups(table, quantile=0.3, keep=shell)
    rows = list(csv.DictReader((tmp_path / "analysis/groups.csv").open()))
    assert [r["group"] for r in rows] == [{0: "", 1: "weak", 2: "strong"}[g] for g in groups]
    assert rows[0]["id"] == "11"

    symbols = np.array(atoms.get_chemical_symbols())
    ends = [(table.i, table.j), (table.j, table.i)]
    around = np.concatenate(
        [symbols[b][shell[:, 0] & (groups[a] == 2) & (symbols[a] == "Zr")] for a, b in ends]
    )
    strong = next(g for g in found["groups"]["groups"] if g["name"] == "strong")
    percent = strong["elements"]["Zr"]["shell_percent"]
    assert percent["Cu"] == pytest.approx(100 * (around == "Cu").mean(), abs=0.006)
    assert sum(percent.values()) == pytest.approx(100, abs=0.02)
    zr = strong["elements"]["Zr"]
    assert zr["coordination"] == pytest.approx(len(around) / zr["atoms"], abs=1e-4)

    listed = (tmp_path / "analysis/strong.grp").read_text().split("\n")
    ids = [int(word) for line in listed for word in line.split()[3:]]
    assert ids == (np.flatnonzero(groups == 2) + 11).tolist()
    assert all(line.startswith("group strong id ") for line in listed if line)


def test_distributions_count_every_known_bond(tmp_path: Path) -> None:
    atoms = glass(200)
    (frame,) = predicted_frames(predicted(tmp_path, [atoms]))
    found = distributions(frame)
    table = direct(atoms)
    for k, pair in enumerate(found.pairs):
        mine = table.pair_types()[pair]
        assert found.strengths[k].sum() == found.lengths[k].sum() == len(mine)
        edges = found.strength.low + found.strength.step * np.arange(found.strength.bins + 1)
        counts, _ = np.histogram(table.icohp_eV[mine], edges)
        assert np.abs(found.strengths[k] - counts).sum() <= 2  # float32 at an edge
        near = np.abs(table.length_A[mine] - 3.025) < 0.025
        bin_ = round(3.0 / 0.05)
        if near.any():
            expected = table.icohp_eV[mine][near].mean()
            assert found.mean_eV[k, bin_] == pytest.approx(expected, rel=1e-3)
    assert "Zr-Al" not in found.pairs


def test_axis_has_round_bins_that_hold_the_ends() -> None:
    axis = Axis.spanning(-0.013, 3.07, 60)
    assert axis.step == pytest.approx(0.1)
    assert axis.low == pytest.approx(-0.1)
    assert axis.place(np.array([-0.013, 3.07])).tolist() == [0, axis.bins - 1]


def test_first_shells_end_where_neighbours_are_fewest(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    cube = Atoms("Cu512", cell=[24.0] * 3, pbc=True)  # shells at 3.0 and 4.24 Å
    cube.positions = 3.0 * np.argwhere(np.ones((8, 8, 8))) + random.normal(0, 0.08, (512, 3))
    (frame,) = predicted_frames(predicted(tmp_path, [cube]))
    ends = shell_ends(distributions(frame))
    assert 3.3 < ends["Cu-Cu"] < 4.0


def test_map_holds_every_bond_once(tmp_path: Path) -> None:
    """Midpoints beyond the cell, or in the wrong box."""
    atoms = glass(200, shape=np.array([[1, 0, 0], [0.5, 1, 0], [0, 0.2, 1.5]]))
    atoms.positions[::7] += 3 * atoms.cell[0]  # unwrapped
    (frame,) = predicted_frames(predicted(tmp_path, [atoms]))
    found = strength_map(frame, frame.atoms(), 4.0)
    table = direct(atoms)
    assert found.bonds.sum() == len(table)
    middle = atoms.positions[table.i] + table.vectors_A() / 2
    place = np.linalg.solve(atoms.cell.array.T, middle.T).T % 1.0
    box = (place * found.bonds.shape).astype(int)
    mine = (box == box[0]).all(axis=1)
    assert found.mean_eV[tuple(box[0])] == pytest.approx(table.icohp_eV[mine].mean(), rel=1e-5)
    weights = np.where(found.bonds > 0, found.bonds, 0)
    assert np.nansum(found.excess_eV * weights) == pytest.approx(0, abs=1e-3)


def test_compression_is_followed(tmp_path: Path) -> None:
    frames = []
    for strain in (0.0, -0.03, -0.06):
        atoms = glass(200)
        atoms.set_cell(atoms.cell.array * [[1 + strain], [1], [1]], scale_atoms=True)
        frames.append(atoms)
    settings = AnalysisSettings(figures=False)
    found = analyse(predicted(tmp_path, frames), settings=settings)
    moved = found["evolution"]
    assert moved["axis"] == 0
    assert [f["strain"] for f in moved["frames"]] == pytest.approx([0, -0.03, -0.06])
    assert [f["step"] for f in moved["frames"]] == [0, 1000, 2000]
    last = direct(frames[2])
    mine = last.pair_types()["Zr-Cu"]
    assert moved["frames"][2]["pairs"]["Zr-Cu"]["mean_eV"] == pytest.approx(
        last.icohp_eV[mine].mean(), rel=1e-4
    )
    assert moved["frames"][2]["pairs"]["Zr-Cu"]["total_eV"] == pytest.approx(
        last.icohp_eV[mine].sum(), rel=1e-4
    )
    first = direct(frames[0])
    limit = np.quantile(first.icohp_eV[first.pair_types()["Zr-Cu"]], 0.9)
    strong = moved["frames"][2]["pairs"]["Zr-Cu"]["strong_share"]
    assert strong == pytest.approx((last.icohp_eV[mine] >= limit).mean(), abs=0.002)
    # Strong atoms of the reference are stronger than weak ones there.
    assert moved["frames"][0]["strong_mean_eV"] > moved["frames"][0]["weak_mean_eV"]
    rows = list(csv.DictReader((tmp_path / "analysis/evolution.csv").open()))
    assert float(rows[1]["Zr-Cu mean_eV"]) == pytest.approx(
        moved["frames"][1]["pairs"]["Zr-Cu"]["mean_eV"], rel=1e-4
    )


def test_files_are_written_and_read_back(tmp_path: Path) -> None:
    predicted(tmp_path, [glass(120), glass(120, 2)])
    found = analyse(tmp_path)
    for name in found["files"]:
        assert Path(name).stat().st_size > 0
    back = newest_analysis(tmp_path)
    assert back["distributions"] == json.loads(json.dumps(found["distributions"]))
    assert newest_analysis(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quantile": 1.5}, "between 0 and 1"),
        ({"spacing_A": 0.0}, "above 0"),
        ({"frame": 7}, "no frame 7"),
    ],
)
def test_bad_settings_are_told(tmp_path: Path, settings: dict, words: str) -> None:
    predicted(tmp_path, [glass(60)])
    with pytest.raises(InputError, match=words):
        analyse(tmp_path, settings=AnalysisSettings(**settings))


def test_no_prediction_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="glass predict"):
        analyse(tmp_path)
