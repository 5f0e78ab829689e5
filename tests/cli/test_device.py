"""`--device` for a GPU that is not there: one line, and nothing is begun."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import unigram
from program import Program

from bondwright.crystals.device import known_device
from bondwright.errors import InputError

ABSENT = f"cuda:{torch.cuda.device_count()}"
"""The first GPU that this machine does not have; "cuda" means it where there is none."""


@pytest.fixture
def program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    unigram.make_model(tmp_path / "model")
    (tmp_path / "table.csv").write_text("id,cif\n")
    return Program(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "TiO2", "--model", "model"),
        ("generate", "TiO2", "--model", "model", "--screen", "tio2"),
        ("evaluate", "crystals", "model", "--table", "table.csv", "--out", "evaluation"),
        ("train", "crystals", "table.csv", "--out", "run"),
    ],
)
@pytest.mark.parametrize(
    ("device", "said"),
    [
        (ABSENT, "cannot be used"),
        pytest.param(
            "cuda",
            "torch finds no GPU here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="THERE IS A GPU"),
        ),
        ("cuba", "'cuba': there is no such device; take cpu, cuda or cuda:1."),
    ],
)
def test_absent_device_is_refused_in_one_line(
    words: tuple[str, ...], device: str, said: str, program: Program
) -> None:
    before = sorted(program.folder.iterdir())
    line = program.refuse(*words, "--device", device)
    assert line.startswith("bondwright: device ")
    assert said in line
    assert len(line) < 100
    assert sorted(program.folder.iterdir()) == before


@pytest.mark.parametrize("name", ["", "cuda:x", "meta", "mps"])
def test_names_of_no_use_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="there is no such device"):
        known_device(name)
    assert known_device("cpu").type == "cpu"
