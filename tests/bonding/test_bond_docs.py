"""The example of the documentation runs as it is written."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest
from lobster_data import glass

from bondwright.bonding.export import read_parquet

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bonds.md"


@pytest.mark.data
def test_the_example_runs(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(glass(data_dir, 0), tmp_path / "run")
    (run / "Zr49Cu49Al2.xyz").rename(run / "structure.xyz")
    lines = PAGE.read_text("utf-8").splitlines()
    code = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
    assert code.startswith("from pathlib")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "bonds.md", "exec"), {})
    said = capsys.readouterr().out
    assert "accepted=True" in said
    assert "charge spilling 1.6%" in said
    assert len(read_parquet(tmp_path / "bonds.parquet")) == 738
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"run", "bonds.svg", "bonds.parquet", "bonds.csv", "atoms.xyz"}


def test_the_functions_named_in_the_page_exist() -> None:
    import importlib

    text = PAGE.read_text("utf-8")
    named = re.findall(r"`(analysis|lengths|network|describe|figures)\.(\w+)", text)
    assert len(named) >= 8
    for module, function in named:
        assert hasattr(importlib.import_module(f"bondwright.bonding.{module}"), function)
