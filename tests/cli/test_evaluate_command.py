"""`bondwright evaluate crystals` as a user meets it, with a small model made here."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import unigram
from ase.build import bulk
from program import Program

from bondwright.crystals.splits import Splits
from bondwright.structure.write import cif_text

METALS = ("Mg", "Ca", "Sr", "Ba", "Mn", "Ni", "Cd")


@pytest.fixture
def program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    """Seven oxides with the structure of rock salt; about half of them are held out."""
    rule = Splits(test=0.5).to_json()
    unigram.make_model(tmp_path / "model", card={"data": {"splits": rule}})
    names = [f"{metal}O" for metal in METALS]
    cells = [bulk(name, "rocksalt", a=4.2 + 0.2 * k) for k, name in enumerate(names)]
    table = pd.DataFrame({"id": names, "cif": [cif_text(cell) for cell in cells]})
    table.to_csv(tmp_path / "salts.csv", index=False)
    return Program(tmp_path, monkeypatch, capsys)


COMMAND = (
    *("evaluate", "crystals", "model", "--table", "salts.csv", "--out", "evaluation"),
    *("-n", "3", "--targets", "1", "--tries", "2", "--largest", "8", "--baseline", "none"),
    *("--reference", "none", "--workers", "1"),
)


def test_figures_are_printed_and_the_second_time_nothing_is_done(program: Program) -> None:
    answer = program(*COMMAND)
    assert answer.code == 0, answer.err
    for words in ("Validity and novelty", "held-out, unconstrained", "Prediction of 1 structures"):
        assert words in answer.out
    assert "Note: salts.csv is not among the files that the model was trained on." in answer.err
    folder = program.folder / "evaluation"
    landed = {p: p.stat().st_mtime_ns for p in folder.glob("*/**/*.parquet")}
    again = program(*COMMAND, "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out) == json.loads((folder / "summary.json").read_text())
    assert {p: p.stat().st_mtime_ns for p in folder.glob("*/**/*.parquet")} == landed != {}
    told = json.loads(again.out)
    assert set(told["arms"]) == {"real", "held-out", "held-out, unconstrained", "any"}
    assert told["arms"]["held-out"]["grammatical"]["share"] == 1.0
    assert program.refuse(*COMMAND, "--seed", "1").endswith("it was begun with.")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--split", "tset"), "held out are 'test' and 'validation'"),
        (("--predict", "others"), "expected NAME=TABLE"),
        (("--prompt", "formla"), "Did you mean 'formula'"),
        (("--baseline", "rando"), "Did you mean 'random'"),
        (("--table", "none.csv"), "none.csv: there is no such table"),
        (("--predict", "others=none.csv:mp"), "none.csv: there is no such table"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    more: tuple[str, ...], said: str, program: Program
) -> None:
    before = sorted(program.folder.iterdir())
    assert said in program.refuse(*COMMAND, *more)
    assert sorted(program.folder.iterdir()) == before
