"""Prediction in blocks: every bond once, as in one call, and nothing lost when it is stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from glass_predictors import WINDOW, CrowdModel, crowd_model, glass

from bondwright.bonding.lobster import bond_table, read_icohplist
from bondwright.campaign.glass.domains import Window, block_bonds, cut_blocks
from bondwright.campaign.glass.predict import PredictionSettings, predict_frames
from bondwright.campaign.glass.predict_drift import CARD_KEY, structure_ranges
from bondwright.errors import InputError
from bondwright.glasses.lammps_files import Frame
from bondwright.structure.neighbours import neighbour_pairs

SHEAR = np.array([[1.0, 0, 0], [0.9, 1, 0], [-0.6, 0.8, 1]])


def frame(atoms: Atoms, step: int = 0) -> Frame:
    return Frame(step, atoms, np.arange(1, len(atoms) + 1))


def bonds_of(folder: Path, number: int = 0) -> pd.DataFrame:
    return pd.read_parquet(folder / f"frames/{number:06d}/bonds.parquet")


@pytest.mark.parametrize(
    "atoms",
    [
        pytest.param(glass(300), id="cube"),
        pytest.param(glass(100, shape=SHEAR), id="skewed, smaller than the halo"),
        pytest.param(bulk("Cu") * (1, 1, 1), id="one atom, bonded to its own images"),
        pytest.param(bulk("Cu", cubic=True) * (1, 2, 3), id="all bonds on the borders"),
    ],
)
@pytest.mark.parametrize("block_atoms", [1, 40, 10_000])
def test_blocks_hold_each_bond_once(atoms: Atoms, block_atoms: int) -> None:
    """Bonds lost or doubled at borders, or a halo that is too thin."""
    whole = CrowdModel().predict(atoms)
    found = []
    for block in cut_blocks(atoms, WINDOW, block_atoms):
        assert block.owned <= block_atoms
        cluster = block.cluster()
        bonds = block_bonds(block, cluster, WINDOW)
        predicted = CrowdModel().predict(cluster, bonds.pairs)
        found.append((bonds.i, bonds.j, bonds.image, predicted.mean_eV, predicted.sigma_eV))
    i, j, image, mean, sigma = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((*image.T[::-1], j, i))
    assert (i[order] == whole.pairs.i).all()
    assert (j[order] == whole.pairs.j).all()
    assert (image[order] == whole.pairs.image).all()
    assert mean[order] == pytest.approx(whole.mean_eV, abs=1e-12)
    assert sigma[order] == pytest.approx(whole.sigma_eV, abs=1e-12)


@pytest.mark.parametrize("pbc", [(True, False, True), False])
def test_blocks_of_films_and_clusters(pbc: object) -> None:
    atoms = glass(200)
    atoms.positions += 30.0  # unwrapped, as trajectories are
    atoms.pbc = pbc
    window = Window(1.8, 4.2, 4.0)
    near = neighbour_pairs(atoms, 4.2)
    whole = near.select(near.distance >= 1.8)
    keys = [
        np.column_stack([bonds.i, bonds.j, bonds.image])
        for block in cut_blocks(atoms, window, 23)
        for bonds in [block_bonds(block, block.cluster(), window)]
    ]
    found = np.unique(np.concatenate(keys), axis=0)
    assert len(found) == sum(map(len, keys)) == len(whole)


def test_a_degenerate_cell_is_refused() -> None:
    flat = Atoms("Cu", cell=[[3, 0, 0], [3, 1e-12, 0], [0, 0, 3]], pbc=True)
    with pytest.raises(InputError, match="volume"):
        next(cut_blocks(flat, WINDOW, 10))


def test_results_do_not_depend_on_workers_or_blocks(tmp_path: Path) -> None:
    atoms = glass(300)
    tables = []
    for name, settings in (
        ("one", PredictionSettings(block_atoms=37)),
        ("two", PredictionSettings(block_atoms=37, workers=2)),
        ("whole", PredictionSettings(block_atoms=10_000)),
    ):
        (summary,) = predict_frames([frame(atoms)], crowd_model(), tmp_path / name, settings)
        tables.append(bonds_of(tmp_path / name))
        assert summary["bonds"] == len(tables[-1])
    assert (tmp_path / "one/frames/000000/bonds.parquet").read_bytes() == (
        tmp_path / "two/frames/000000/bonds.parquet"
    ).read_bytes()
    pd.testing.assert_frame_equal(tables[0], tables[2], atol=1e-6, rtol=0)


def test_files_of_a_frame(tmp_path: Path) -> None:
    """Unknown bonds taken for zeros, wrong sums, a list that LOBSTER's readers cannot read."""
    atoms = glass(150)
    settings = PredictionSettings(block_atoms=50, lobster=True, extxyz=True)
    (summary,) = predict_frames([frame(atoms, 700)], crowd_model(), tmp_path, settings)
    whole = CrowdModel().predict(atoms)
    known = whole.known
    table = bonds_of(tmp_path)
    assert (table["step"] == 700).all()
    assert (table["minus_icohp_eV"].isna() == ~known).all()
    assert (table["sigma_eV"].isna() == ~known).all()
    assert table["minus_icohp_eV"][known].to_numpy() == pytest.approx(
        whole.mean_eV[known], rel=1e-6
    )
    assert (table["flag"].to_numpy() == whole.flag).all()
    assert {"Zr-Zr", "Zr-Cu", "Cu-Cu", "Zr-Al"} <= set(table["pair"])

    sums = np.bincount(whole.pairs.i, whole.mean_eV, 150)
    sums += np.bincount(whole.pairs.j, whole.mean_eV, 150)
    written = read(tmp_path / "frames/000000/atoms.extxyz")
    assert written.arrays["minus_icohp_sum_eV"] == pytest.approx(sums, abs=2e-6)
    assert written.positions == pytest.approx(atoms.positions, abs=1e-7)
    assert written.cell.array == pytest.approx(atoms.cell.array, abs=1e-8)
    stored = pd.read_parquet(tmp_path / "frames/000000/atoms.parquet")
    assert stored["bonds"].sum() == 2 * known.sum()
    assert stored["unknown_bonds"].sum() == 2 * (~known).sum()

    listed = bond_table(read_icohplist(tmp_path / "frames/000000/ICOHPLIST.lobster"), atoms)
    assert len(listed) == known.sum()
    assert (listed.image == whole.pairs.image[known]).all()
    assert listed.icohp_eV == pytest.approx(whole.mean_eV[known], abs=1.1e-5)

    pair = next(p for p in summary["pairs"] if p["pair"] == "Zr-Cu")
    mine = (table["pair"] == "Zr-Cu").to_numpy()
    assert pair["bonds"] == mine.sum()
    assert pair["mean_minus_icohp_eV"] == pytest.approx(whole.mean_eV[mine].mean(), rel=1e-5)
    assert pair["std_length_A"] == pytest.approx(whole.pairs.distance[mine].std(), rel=1e-4)
    assert pair["share_outside_length"] == pytest.approx((whole.pairs.distance[mine] > 4.0).mean())
    al = next(p for p in summary["pairs"] if p["pair"] == "Zr-Al")
    assert al["mean_minus_icohp_eV"] is None
    assert al["share_unknown_pair"] == 1
    assert summary["flags"]["unknown_pair"] == pytest.approx((~known).mean())


def test_interrupted_prediction_goes_on(tmp_path: Path) -> None:
    """Frames computed twice or torn files after a stop."""
    frames = [frame(glass(120, seed), 100 * seed) for seed in (1, 2, 3)]

    def stopped() -> Iterator[Frame]:
        yield from frames[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(predict_frames(stopped(), crowd_model(), tmp_path))
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == ["000000", "000001"]
    found = list(predict_frames(frames, crowd_model(), tmp_path))
    assert [summary["new"] for summary in found] == [False, False, True]
    assert [summary["step"] for summary in found] == [100, 200, 300]


def test_a_crash_inside_a_frame_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    @contextmanager
    def show(what: str, unit: str):
        yield failing

    with pytest.raises(KeyboardInterrupt):
        list(predict_frames([frame(glass(100))], crowd_model(), tmp_path, show=show))
    assert list((tmp_path / "frames").iterdir()) == []


def test_a_folder_belongs_to_one_model_and_one_glass(tmp_path: Path) -> None:
    list(predict_frames([frame(glass(60))], crowd_model(), tmp_path))
    with pytest.raises(InputError, match="another model"):
        list(predict_frames([frame(glass(60))], crowd_model("crowd/2"), tmp_path))
    with pytest.raises(InputError, match="another structure"):
        list(predict_frames([frame(glass(60, 2))], crowd_model(), tmp_path))


def test_progress_counts_bonds(tmp_path: Path) -> None:
    seen = []

    @contextmanager
    def show(what: str, unit: str):
        yield lambda done, total: seen.append((done, total))

    settings = PredictionSettings(block_atoms=30)
    (summary,) = predict_frames([frame(glass(120))], crowd_model(), tmp_path, settings, show)
    assert len(seen) == 4
    assert seen[-1] == (summary["bonds"], summary["bonds"])
    assert seen[0][1] == pytest.approx(summary["bonds"], rel=0.5)


def test_drift_is_told_in_words(tmp_path: Path) -> None:
    cells = [glass(100, seed, al=False) for seed in range(4)]
    card = {CARD_KEY: json.loads(json.dumps(structure_ranges(cells, 1.8, 4.2)))}
    like = glass(300, 9, al=False)
    squeezed = like.copy()
    squeezed.set_cell(squeezed.cell * 0.95, scale_atoms=True)
    alloyed = glass(300, 9)
    alloyed.numbers[::4] = 13
    frames = [frame(atoms) for atoms in (like, squeezed, alloyed)]
    model = crowd_model(**card)
    told = [
        {check["what"]: check for check in summary["drift"]["checks"]}
        for summary in predict_frames(frames, model, tmp_path)
    ]
    assert not any(told[0][what]["outside"] for what in ("composition", "density", "strain"))
    assert told[1]["density"]["outside"]
    assert told[1]["strain"]["outside"]
    assert "shorter" in told[1]["strain"]["text"]
    assert "Al was in no training cell" in told[2]["composition"]["text"]
    assert told[2]["bonds"]["outside"]
