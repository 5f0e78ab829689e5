"""The command line as a user meets it: real processes, exit codes, answers on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ase.build import bulk

from bondwright.structure.write import cif_text

SILICON = cif_text(bulk("Si"), symprec=0.1)
QUICK = (
    *("--skip", "stability", "--skip", "property", "--skip", "dft"),
    *("--reference", "none", "--workers", "1"),
)


def bondwright(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bondwright", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        env={**os.environ, "NO_COLOR": "1"},
    )


def refusal(*words: str | Path, code: int = 2, cwd: Path | None = None) -> str:
    """Run a command that must be refused in one line, and return the line."""
    answer = bondwright(*words, cwd=cwd)
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 1, answer.stderr
    return lines[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign of a crystal, a copy of it and a broken text, screened by the command line."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "a.cif").write_text(SILICON)
    (folder / "b.cif").write_text(cif_text(bulk("Si").repeat((1, 1, 2))))
    (folder / "c.cif").write_text(SILICON[: len(SILICON) // 2])
    answer = bondwright("screen", folder, "--campaign", folder / "run", *QUICK)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip().splitlines()[-1] == f"Report: {folder / 'run' / 'report.html'}"
    return folder / "run"


def test_help_answers_without_heavy_imports() -> None:
    code = "import sys; from bondwright.cli.app import app; print(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"torch", "pymatgen", "pymatgen.core", "ase", "numpy", "pandas", "scipy", "chgnet"}
    assert heavy.isdisjoint(loaded)


def test_the_funnel_in_numbers(finished: Path) -> None:
    funnel = json.loads(bondwright("status", finished, "--json").stdout)
    stages = {stage["name"]: stage for stage in funnel["stages"]}
    assert (stages["read"]["entered"], stages["read"]["passed"]) == (3, 2)
    assert sum(stages["read"]["rejected"].values()) == 1
    assert stages["novelty"]["rejected"] == {"duplicate": 1}
    assert len(funnel["survivors"]) == 1
    text = bondwright("status", finished).stdout
    assert "novelty: rejected 1 duplicate" in text


def test_same_command_again_does_nothing(finished: Path) -> None:
    answer = bondwright("screen", finished.parent, "--campaign", finished, *QUICK)
    # The folder now holds the campaign's own files too, which are no structures.
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Nothing to do")


def test_show_explains_a_candidate(finished: Path) -> None:
    told = bondwright("show", "b", "--campaign", finished).stdout
    assert "novelty: rejected (duplicate)" in told
    data = json.loads(bondwright("show", "b", "--campaign", finished, "--json").stdout)
    assert data["verdicts"]["novelty"]["reason"] == "duplicate"
    key = data["key"]
    assert bondwright("show", key[:6], "--campaign", finished, "--text").stdout.startswith("data_")
    assert "no candidate 'zz'" in refusal("show", "zz", "--campaign", finished)


def test_export_by_suffix(finished: Path, tmp_path: Path) -> None:
    import pandas as pd

    assert bondwright("export", finished, tmp_path / "all.csv", "--all").returncode == 0
    table = pd.read_csv(tmp_path / "all.csv")
    assert len(table) == 3
    assert set(table.novelty_reason.dropna()) == {"duplicate"}
    assert bondwright("export", finished, tmp_path / "cifs").returncode == 0
    assert len(list((tmp_path / "cifs").glob("*.cif"))) == 1
    assert ".docx" in refusal("export", finished, tmp_path / "x.docx")


def test_bad_input_is_one_line_that_says_how_to_mend_it(finished: Path, tmp_path: Path) -> None:
    assert "no such file" in refusal("screen", tmp_path / "nothing.cif", "-c", tmp_path / "x")
    assert "bondwright init" in refusal("run", tmp_path)
    (tmp_path / "campaign.toml").write_text('name = "x"\n[stages.stability]\ntemprature = 3\n')
    assert "temprature" in refusal("run", tmp_path)
    (tmp_path / "a.cif").write_text(SILICON)
    wrong = ("screen", tmp_path / "a.cif", "-c", tmp_path / "y")
    assert "Did you mean 'stability'?" in refusal(*wrong, "--skip", "stabilty")
    assert "PROPERTY=VALUE:TOLERANCE" in refusal(*wrong, "--target", "band_gap=3")
    assert "expected a number" in refusal(*wrong, "--asked", "band_gap=wide")
    assert "already describes a campaign" in refusal("screen", tmp_path / "a.cif", "-c", finished)
    assert "Did you mean" in refusal("data", "get", "matbench_mp_gp")
    assert not (tmp_path / "y").exists()


def test_init_writes_a_campaign_that_runs(tmp_path: Path) -> None:
    (tmp_path / "a.cif").write_text(SILICON)
    assert bondwright("init", "mine", "a.cif", cwd=tmp_path).returncode == 0
    config = tmp_path / "mine" / "campaign.toml"
    from bondwright.campaign.config import load_config

    loaded = load_config(config)
    assert loaded.inputs[0].files == ("../a.cif",)
    assert loaded.funnel[-1] == "dft"


def test_reference_is_built_and_used(tmp_path: Path) -> None:
    (tmp_path / "si.cif").write_text(cif_text(bulk("Si").repeat((2, 1, 1))))
    index = tmp_path / "known.parquet"
    built = bondwright("reference", "build", tmp_path / "si.cif", "--out", index, "--workers", "1")
    assert built.returncode == 0, built.stderr
    (tmp_path / "a.cif").write_text(SILICON)
    words = [w for w in QUICK if w not in ("--reference", "none")]
    campaign = tmp_path / "run"
    done = bondwright(
        "screen", tmp_path / "a.cif", "-c", campaign, "--reference", index, *words, "--json"
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["stages"][-1]["rejected"] == {"known": 1}
    assert answer["survivors"] == []
    page = (campaign / "report.html").read_text("utf-8")
    assert "survived" in page
