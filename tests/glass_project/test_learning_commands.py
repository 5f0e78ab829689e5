"""`bondwright glass train`, `evaluate`, `models`, `features`, `compare`, on small cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from projects import add_labelled, alloy, project
from typer.testing import CliRunner

from bondwright.cli.app import app
from bondwright.errors import InputError

TEXT = """
name = "small"
compositions = ["Zr50Cu50"]
seed = 4
[model]
fewest_bonds = 5
likelihood_bonds = 40
inducing_bonds = 40
[run]
workers = 1
"""


def call(*words: str | Path) -> str:
    answer = CliRunner().invoke(app, ["glass", *map(str, words)], catch_exceptions=False)
    assert answer.exit_code == 0, answer
    return answer.stdout


def answer(*words: str | Path) -> Any:
    return json.loads(call(*words, "--json"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, _ = project(tmp_path_factory.mktemp("session") / "small", TEXT)
    for number in (1, 2, 3):
        add_labelled(folder, f"Zr50Cu50/{number}/0", alloy(number))
    return folder.root


def test_models_are_numbered_and_remember_what_they_learned(root: Path) -> None:
    first = answer("train", root)
    assert (first["version"], first["new"], first["parent"]) == (1, True, None)
    assert first["method"] == "law/1"
    assert first["training_set"]["cells"] == 3
    again = answer("train", root)
    assert (again["version"], again["new"]) == (1, False)

    call("draw", root, "DB1", "--per-pair", "12")
    second = answer("train", root, "--set", "DB1")
    assert (second["version"], second["parent"]) == (2, 1)
    assert second["training_set"]["name"] == "DB1"
    assert second["training_set"]["bonds"] == 36
    recorded = json.loads((root / "training" / "DB1.json").read_text())
    assert second["training_set"]["sha256"] == recorded["sha256"]

    found = answer("evaluate", root, "--model", "1", "--curve", "1,2")
    assert found["evaluation"] == "run"
    assert not found["within_run"]
    errors = {(r["model"], r["pair"]): r["rmse_eV"] for r in found["scores"]}
    assert 0 < errors["model", "all"] < 0.2
    assert {model for model, _ in errors} == {"model", "distance", "published"}
    curve = (root / "models" / "1" / "evaluation" / "learning-curve.csv").read_text()
    assert curve.startswith("train_cells,model,pair")

    listed = answer("models", root)
    assert [m["version"] for m in listed] == [1, 2]
    assert list(listed[0]["evaluations"]) == ["run"]
    assert f"{errors['model', 'all']:.3f} (run)" in call("models", root)
    assert json.loads(call("status", root, "--json"))["model"] == 2
    with pytest.raises(InputError, match="no model 7"):
        call("evaluate", root, "--model", "7")


def test_features_are_written_once(root: Path) -> None:
    assert answer("features", root)["new"] == 3
    assert answer("features", root)["new"] == 0
    assert "3 cells, 0 computed now" in call("features", root)


def test_the_comparison_lands_where_the_report_finds_it(root: Path) -> None:
    said = call("compare", root, "--budget", "2cells", "--test", "Zr50Cu50/3")
    assert "active: RMSE (eV)" in said
    kept = json.loads((root / "active-learning.json").read_text())
    assert kept["test"] == ["Zr50Cu50/3/0"]
    assert {point["seed"] for point in kept["points"]} == {0, 1, 2}
