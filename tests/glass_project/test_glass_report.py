"""The page of a glass project: what stands in it, at every state of the project."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from glass_predictors import crowd_model, glass

from bondwright.bonding.table import BondTable
from bondwright.campaign.glass.analysis import AnalysisSettings, analyse
from bondwright.campaign.glass.analysis_frames import predicted_frames
from bondwright.campaign.glass.config_text import make_project
from bondwright.campaign.glass.costs import Cost, add_cost
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.labels import ACCEPTED, FAILED, LabelRecord, store_label
from bondwright.campaign.glass.predict import predict_frames
from bondwright.campaign.glass.report import render_glass_page, write_glass_report
from bondwright.campaign.glass.report.page import cost_rows
from bondwright.campaign.glass.report.scene import glass_scene
from bondwright.errors import InputError
from bondwright.glasses.lammps_files import Frame
from bondwright.structure.identity import content_hash

NASTY = "</script><script>alert(1)</script>"


def data_of(page: str) -> dict[str, Any]:
    """Return the data of a page's scripts."""
    found = re.search(r'<script id="campaign-data"[^>]*>(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def text_of(page: str) -> str:
    """Return what is read on a page, without its scripts and styles."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).replace("\u202f", "").split())


def project(root: Path) -> GlassFolder:
    make_project(root, ["Cu50Zr50"])
    return GlassFolder(root)


def predicted(folder: Path, atoms: int = 150, frames: int = 1) -> Path:
    made = [Frame(k, glass(atoms, 1 + k), np.arange(1, atoms + 1)) for k in range(frames)]
    list(predict_frames(made, crowd_model(), folder))
    return folder


def add_label(folder: GlassFolder, run: str, *, good: bool = True) -> None:
    atoms = glass(60, int(run), al=False)
    name = CellName("Cu50Zr50", run)
    folder.add(name, atoms, {"source": "test"})
    record = LabelRecord(
        key=f"key{run}",
        name=str(name),
        structure=content_hash(atoms),
        method="LOBSTER 3.0.0",
        status=ACCEPTED if good else FAILED,
        reason="" if good else "scf-not-converged",
        seconds=12.0,
        cpu_seconds=24.0,
        charge_spilling=0.015 if good else None,
        bonds=0,
    )
    if not good:
        store_label(folder, record)
        return
    found = crowd_model().loader().predict(atoms)
    table = BondTable.build(
        atoms, found.pairs.i, found.pairs.j, found.pairs.image, found.mean_eV, record.method
    )
    store_label(folder, LabelRecord(**{**vars(record), "bonds": len(table)}), table)


def test_an_empty_project_names_the_next_commands(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    text = text_of(render_glass_page(folder.root))
    for command in ("generate", "label", "train", "improve", "predict"):
        assert f"bondwright glass {command} {folder.root}" in text
    assert "Nothing has been made yet." in text


def test_cells_and_labels_are_told(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    add_label(folder, "1")
    add_label(folder, "2")
    add_label(folder, "3", good=False)
    page = render_glass_page(folder.root)
    text, data = text_of(page), data_of(page)
    assert "3 independent melt-quenches" in text
    assert "Not usable: 1 the SCF did not settle" in text
    assert "LOBSTER 3.0.0" in text
    drawn = data["plots"]["label-lengths"]["series"]
    assert {series["text"] for series in drawn} == {"Zr-Zr", "Zr-Cu", "Cu-Cu"}
    assert all(len(series["x"]) == len(series["y"]) > 0 for series in drawn)
    rdf = data["plots"]["rdf-Cu50Zr50"]["series"]
    # One pair has one colour in all figures.
    assert {s["text"]: s["style"] for s in rdf} == {s["text"]: s["style"] for s in drawn}


def test_a_prediction_alone_has_a_page(tmp_path: Path) -> None:
    folder = predicted(tmp_path / "glass")
    text = text_of(render_glass_page(folder))
    assert "bonds of a glass of 150 atoms predicted" in text
    assert f"bondwright glass analyse {folder}" in text
    analyse(folder, settings=AnalysisSettings(figures=False))
    page = render_glass_page(folder)
    assert "glass analyse" not in text_of(page)
    data = data_of(page)
    shares = data["plots"]["strengths-glass"]
    step = shares["series"][0]["x"][1] - shares["series"][0]["x"][0]
    assert sum(shares["series"][0]["y"]) * step == pytest.approx(1, abs=1e-3)
    assert write_glass_report(folder).stat().st_size > 10_000


def test_a_trajectory_is_told(tmp_path: Path) -> None:
    folder = predicted(tmp_path / "glass", frames=3)
    analyse(folder, settings=AnalysisSettings(figures=False))
    data = data_of(render_glass_page(folder))
    assert {"mean-glass", "strong-glass", "groups-glass"} <= set(data["plots"])
    change = data["plots"]["mean-glass"]["series"][0]
    assert len(change["x"]) == 3
    assert change["y"][0] == 0


def test_the_scene_holds_the_atoms_and_their_strengths(tmp_path: Path) -> None:
    """Atoms beside their cell, values of other atoms, bonds that end nowhere."""
    folder = predicted(tmp_path / "glass")
    (frame,) = predicted_frames(folder)
    scene = glass_scene(frame, "glass")
    atoms = frame.atoms()

    def numbers(text: str) -> np.ndarray:
        return np.frombuffer(base64.b64decode(text), "<f4")

    places = numbers(scene["positions"]).reshape(-1, 3)
    moved = np.linalg.solve(atoms.cell.T, (places - atoms.positions).T).T
    assert np.abs(moved - np.rint(moved)).max() < 1e-5
    inside = np.linalg.solve(atoms.cell.T, places.T).T
    assert inside.min() > -1e-6
    assert inside.max() < 1 + 1e-6
    assert numbers(scene["values"]["strength"]["data"]) == pytest.approx(atoms.mean_eV, abs=1e-5)
    kinds = np.frombuffer(base64.b64decode(scene["kinds"]), "u1")
    assert [scene["elements"][k]["name"] for k in kinds] == atoms.element.tolist()
    bonds = pd.read_parquet(frame.folder / "bonds.parquet").dropna()
    zr_cu = bonds[bonds["pair"] == "Zr-Cu"]
    ends = numbers(scene["bonds"]["strongest 1 % of each pair"]["ends"]).reshape(-1, 6)
    lengths = np.linalg.norm(ends[:, 3:] - ends[:, :3], axis=1)
    best = zr_cu.nlargest(max(1, round(0.01 * len(zr_cu))), "minus_icohp_eV")["length_A"]
    for length in best:
        assert np.abs(lengths - length).min() < 1e-4


def test_a_large_glass_is_shown_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = predicted(tmp_path / "glass")
    monkeypatch.setattr("bondwright.campaign.glass.report.scene.MOST_ATOMS", 40)
    page = render_glass_page(folder)
    assert "The view shows 40 atoms of 150" in text_of(page)
    (scene,) = data_of(page)["scenes"].values()
    assert len(base64.b64decode(scene["positions"])) == 40 * 12


def test_text_cannot_become_script(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    config = folder.config.read_text()
    config = re.sub(r"(?m)^name = .*$", f"name = '{NASTY}'", config)
    folder.config.write_text(config)
    page = render_glass_page(folder.root)
    assert NASTY not in page
    assert "&lt;/script&gt;" in page


def test_costs_are_summed_by_step(tmp_path: Path) -> None:
    path = tmp_path / "cost.jsonl"
    for count, seconds in ((1, 30.0), (3, 90.0)):
        add_cost(path, Cost("label", count, seconds / 2, seconds))
    add_cost(path, Cost("predict", 1000, 5.0, 10.0))
    from bondwright.campaign.glass.costs import read_costs

    label, predict = cost_rows(read_costs(path))
    assert (label.cpu_seconds, label.each, label.told) == (120.0, 30.0, "4 labels")
    assert label.share == pytest.approx(100 * 120 / 130)
    assert predict.each == pytest.approx(0.01)


def test_a_folder_of_neither_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"glass\.toml"):
        render_glass_page(tmp_path)
