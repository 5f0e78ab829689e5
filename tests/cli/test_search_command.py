"""Searching through the real command: into a table, and through a campaign to its report."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import unigram
from program import Program


@pytest.fixture
def program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    monkeypatch.setenv("BONDWRIGHT_DATA", str(tmp_path / "nothing"))
    unigram.make_model(tmp_path / "small")
    return Program(tmp_path, monkeypatch, capsys)


def test_tree_search_by_one_command(program: Program) -> None:
    command = ("generate", "TiO2", "--n", "3", "--search", "tree", "--max-atoms", "6")
    command = (*command, "--model", "small", "--workers", "2", "--seed", "4")
    answer = program(*command)
    assert answer.code == 0, answer.err
    assert "tree search: 3 crystals, the most rewarded of 15 texts" in answer.out
    table = pd.read_csv(program.folder / "TiO2.csv")
    assert list(table["number"]) == [0, 1, 2]
    assert list(table["reward"]) == sorted(table["reward"], reverse=True)
    assert program(*command).out.startswith("Nothing to do")
    other = (*command, "--out", "again.csv", "--workers", "1")
    assert program(*other).code == 0
    pd.testing.assert_frame_equal(pd.read_csv(program.folder / "again.csv"), table)


def test_searches_of_a_campaign_are_arms_of_their_own(program: Program) -> None:
    screening = ("--skip", "stability", "--skip", "property", "--skip", "dft")
    command = ("generate", "TiO2", "--n", "3", "--search", "tree", "--max-atoms", "6")
    command = (*command, "--model", "small", "--workers", "1", "--against", "random")
    answer = program(*command, "--screen", "c", *screening, "--reference", "none")
    assert answer.code == 0, answer.err
    assert 'search = "tree"' in (program.folder / "c" / "campaign.toml").read_text()
    status = json.loads(program("status", "c", "--json").out)
    labels = ["model, asked for nothing, tree search", "random"]
    assert [arm["label"] for arm in status["arms"]] == labels
    report = (program.folder / "c" / "report.html").read_text()
    assert "tree search, most attempts 1, best of 5, seed 0" in report
    assert program("run", "c").out.startswith("Nothing to do")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--search", "formula-units"], "give the formula, too"),
        (["TiO2", "--formula-units", "2", "--search", "formula-units"], "leave formula_units out"),
        (["TiO2", "--method", "random", "--search", "tree"], "'random' cannot search"),
        (["TiO2", "--search", "tre"], "Did you mean 'tree'?"),
        (["TiO2", "--search", "tree", "--known", "no.csv"], "no such table of known crystals"),
    ],
)
def test_searches_that_cannot_be_made_are_refused(
    words: list[str], said: str, program: Program
) -> None:
    assert said in program.refuse("generate", *words, "--model", "small")
