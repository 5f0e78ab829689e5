"""What a task keeps between calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bondwright.dft.task_state import TaskState
from bondwright.errors import InputError

INPUTS = {"structure": "abc", "settings": {"cutoff_eV": 300.0, "kpoints": (2, 2, 2)}}


def test_points_are_there_again(tmp_path: Path) -> None:
    TaskState(tmp_path, "bands", INPUTS).keep("a", {"energy_eV": 0.1 + 0.2})
    again = TaskState(tmp_path, "bands", INPUTS)
    assert again.points == {"a": {"energy_eV": 0.1 + 0.2}}  # to the last bit
    assert TaskState(tmp_path, "other", INPUTS).points == {}


def test_says_what_is_different(tmp_path: Path) -> None:
    TaskState(tmp_path, "bands", INPUTS).keep("a", {})
    with pytest.raises(InputError, match="another settings;"):
        TaskState(tmp_path, "bands", {**INPUTS, "settings": {}})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"points": {}}', '{"inputs": 1, "points": 2}'])
def test_a_file_that_is_no_state_is_refused_and_left(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bands.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bands\.json"):
        TaskState(tmp_path, "bands", INPUTS)
    assert path.read_text() == text


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    state = TaskState(tmp_path, "bands", INPUTS)
    state.keep("a", {"energy_eV": 1.0})
    with pytest.raises(ValueError, match="JSON compliant"):
        state.keep("b", {"energy_eV": float("nan")})
    assert list(json.loads(state.path.read_text())["points"]) == ["a"]


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        TaskState(tmp_path / "file", "bands", INPUTS).keep("a", {})
