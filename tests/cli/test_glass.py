"""The commands of a glass project, called as a user does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import Answer, Program

from bondwright.campaign.glass.folder import GlassFolder


@pytest.fixture
def program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    return Program(tmp_path, monkeypatch, capsys)


def done(answer: Answer) -> str:
    assert answer.code == 0, answer
    return answer.out


def test_a_new_project_is_empty_and_says_what_to_do(program: Program) -> None:
    said = done(program("glass", "init", "new", "Zr49Cu49Al2", "--seed", "3"))
    assert "glass.toml" in said
    text = (program.folder / "new" / "glass.toml").read_text()
    assert 'compositions = ["Zr49Cu49Al2"]' in text
    assert "seed = 3" in text
    assert "glass generate" in done(program("glass", "status", "new"))
    assert "no labels yet" in done(program("glass", "labels", "new"))
    assert "no model yet" in done(program("glass", "models", "new"))
    assert json.loads(done(program("glass", "labels", "new", "--json"))) == []


def test_what_cannot_be_done_is_one_line(program: Program) -> None:
    assert "glass init" in program.refuse("glass", "status", "absent")
    assert "glass init" in program.refuse("glass", "run", "absent")
    done(program("glass", "init", "new"))
    assert "already" in program.refuse("glass", "init", "new")
    assert "no cell" in program.refuse("glass", "label", "new", "Zr50Cu50/9")
    assert "10cells" in program.refuse("glass", "improve", "new", "--budget", "much")
    assert "NAME=NUMBER" in program.refuse("glass", "draw", "new", "x", "--weight", "Zr50Cu50")
    assert "training set" in program.refuse("glass", "train", "new", "--set", "absent")
    (program.folder / "new" / "glass.toml").write_text("name = 'x'\ncompsitions = ['ZrCu']\n")
    assert "Did you mean 'compositions'?" in program.refuse("glass", "status", "new")


def test_a_project_that_is_driven_is_left_alone(program: Program) -> None:
    done(program("glass", "init", "new"))
    with GlassFolder(program.folder / "new").driver_lock():
        assert program("glass", "label", "new").code == 3
        assert program("glass", "run", "new").code == 3
        assert program("glass", "status", "new").code == 0


@pytest.mark.data
def test_from_lobster_folders_to_databases(program: Program, data_dir: Path) -> None:
    done(program("glass", "init", "real", "Zr49Cu49Al2"))
    source = data_dir / "glass-zrcual" / "cells"
    assert "15 runs, 15 new; 14 labels" in done(program("glass", "import", "real", source))
    again = json.loads(done(program("glass", "import", "real", source, "--json")))
    assert [entry["new"] for entry in again] == [False] * 15
    status = json.loads(done(program("glass", "status", "real", "--json")))
    assert status["compositions"] == [
        {
            "composition": "Zr49Cu49Al2",
            "runs": 1,
            "cells": 15,
            "labelled": 14,
            "failed": 1,
            "left": 0,
        }
    ]
    assert status["methods"] == {"LOBSTER 3.0.0 Bunge": 14}
    assert "21/13" in done(program("glass", "status", "real"))

    drawn = done(program("glass", "draw", "real", "DB1", "--per-pair", "Zr-Cu=50", "--seed", "1"))
    assert "50 bonds" in drawn
    assert "already" in program.refuse("glass", "draw", "real", "DB1", "--per-pair", "3")
    files = done(program("glass", "export", "real", "out", "--set", "DB1")).split()
    assert [Path(f).name for f in files] == ["Zr-Cu.bnd", "Zr-Cu.info"]
    assert len((program.folder / files[0]).read_text().splitlines()) == 50
    done(program("glass", "export", "real", "out"))
    whole = (program.folder / "out" / "Zr49Cu49Al2-PBSSDB" / "Cu-Al.bnd").read_text()
    assert len(whole.splitlines()) == 228
