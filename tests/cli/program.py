"""Calling the command line as a user does, in this process where no signal is sent."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bondwright.cli import main


@dataclass(frozen=True)
class Answer:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


class Program:
    """The program, called in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys

    def __call__(self, *words: str | Path) -> Answer:
        """Run one command."""
        self._monkeypatch.chdir(self.folder)
        self._monkeypatch.setattr(sys, "argv", ["bondwright", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        code = ended.value.code
        return Answer(code if isinstance(code, int) else 0, said.out, said.err)

    def refuse(self, *words: str | Path) -> str:
        """Run a command that must be refused in one line, and return the line."""
        answer = self(*words)
        assert answer.code == 2, answer
        assert answer.out == ""
        lines = answer.err.strip().splitlines()
        assert len(lines) == 1, answer.err
        return lines[0]
