"""From files to files: trajectories are read, a stored model predicts, the commands say so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.io import write
from glass_predictors import CrowdModel, glass
from typer.testing import CliRunner

from bondwright.bonding.table import BondTable
from bondwright.campaign.glass.predict import PredictionSettings, predict_frames
from bondwright.campaign.glass.predict_model import model_folder, open_model, read_frames
from bondwright.cli.app import app
from bondwright.errors import InputError
from bondwright.glasses.lammps_files import Frame, write_data
from bondwright.learn.cells import LabelledCell
from bondwright.learn.model import BondModel, ModelSettings

DUMP = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 10
0 10
0 10
ITEM: ATOMS id type x y z
7 2 1 1 {z}
3 1 1 1 1
"""


def refuse(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on three small cells with strengths that can be worked out by hand."""
    cells = []
    for seed in (1, 2, 3):
        atoms = glass(60, seed, al=False)
        found = CrowdModel().predict(atoms)
        pairs = found.pairs
        table = BondTable.build(atoms, pairs.i, pairs.j, pairs.image, found.mean_eV, "crowd/1")
        run = f"Cu50Zr50/{seed}"
        cells.append(LabelledCell(f"{run}/0", "Cu50Zr50", run, "0", table))
    model = BondModel.fit(cells, ModelSettings(likelihood_bonds=40, inducing_bonds=40))
    folder = tmp_path_factory.mktemp("model")
    model.save(folder)
    return folder


def test_blocks_of_the_real_model_equal_one_call(stored: Path, tmp_path: Path) -> None:
    """A halo too thin for the model's features."""
    atoms = glass(200, 8, shape=np.array([[1, 0, 0], [0.6, 1, 0], [0, 0.3, 2]]))
    whole = BondModel.load(stored).predict(atoms)
    opened = open_model(stored)
    settings = PredictionSettings(block_atoms=45)
    frame = Frame(0, atoms, np.arange(1, 201))
    list(predict_frames([frame], opened, tmp_path / "p", settings))
    found = pd.read_parquet(tmp_path / "p/frames/000000/bonds.parquet")
    assert len(found) == len(whole)
    known = whole.known
    assert found["minus_icohp_eV"][known].to_numpy() == pytest.approx(
        whole.mean_eV[known], abs=2e-6
    )
    assert found["sigma_eV"][known].to_numpy() == pytest.approx(whole.sigma_eV[known], abs=2e-6)
    assert (found["flag"].to_numpy() == whole.flag).all()
    assert known.any()
    assert not known.all()  # Al was never trained on


def test_dumps_and_data_files_are_read(tmp_path: Path) -> None:
    dump = tmp_path / "run.dump"
    dump.write_text("".join(DUMP.format(step=s, z=3 + s / 100) for s in (0, 100, 200)))
    frames = list(read_frames(dump, {1: "Zr", 2: "Cu"}, every=2, note=refuse))
    assert [frame.step for frame in frames] == [0, 200]
    assert frames[1].atoms.get_chemical_symbols() == ["Zr", "Cu"]
    assert frames[1].ids.tolist() == [3, 7]
    assert frames[1].atoms.positions[1] == pytest.approx([1, 1, 5])
    atoms = glass(60)
    write_data(tmp_path / "glass.data", atoms)
    (read,) = read_frames(tmp_path / "glass.data", note=refuse)
    assert read.atoms.get_chemical_symbols() == atoms.get_chemical_symbols()
    write(tmp_path / "two.xyz", [atoms, atoms], format="extxyz")
    assert len(list(read_frames(tmp_path / "two.xyz", note=refuse))) == 2


def test_a_model_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a model"):
        model_folder(tmp_path)
    (tmp_path / "glass.toml").write_text("")
    with pytest.raises(InputError, match="glass train"):
        model_folder(tmp_path)


def test_the_commands_from_prediction_to_report(stored: Path, tmp_path: Path) -> None:
    write_data(tmp_path / "glass.data", glass(120, 5, al=False))
    out = tmp_path / "out"
    run = CliRunner().invoke
    options = ["--out", str(out), "--workers", "1", "--lobster", "--extxyz", "--json"]
    told = run(app, ["glass", "predict", str(stored), str(tmp_path / "glass.data"), *options])
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    assert answer["frames"][0]["atoms"] == 120
    assert answer["frames"][0]["new"]
    assert (out / "frames/000000/ICOHPLIST.lobster").stat().st_size > 0
    again = run(app, ["glass", "predict", str(stored), str(tmp_path / "glass.data"), *options])
    assert not json.loads(again.stdout)["frames"][0]["new"]
    found = run(app, ["glass", "analyse", str(out), "--no-figures", "--shell", "Zr-Cu=3.6"])
    assert found.exit_code == 0, found.output
    assert "by chance" in found.output
    assert (out / "analysis/strong.grp").is_file()
    page = run(app, ["glass", "report", str(out)])
    assert page.exit_code == 0, page.output
    assert (out / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "{model}", "absent.data"], "absent.data"),
        (["predict", "{model}", "glass.data", "--elements", "Zr,Qq"], "'Qq' is no element"),
        (["analyse", "{model}"], "glass predict"),
        (["analyse", "{model}", "--shell", "Zr-Cu"], "Zr-Cu=3.9"),
    ],
)
def test_what_a_user_can_mend_is_told(
    stored: Path, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["glass", *(word.format(model=stored) for word in arguments)]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, InputError)
    assert words in str(result.exception)
    assert list(tmp_path.iterdir()) == []
