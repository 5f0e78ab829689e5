"""Training through the real command: it learns, and a killed run ends like an undisturbed one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bondwright.cli import main
from bondwright.crystals.checkpoint import load_model
from bondwright.crystals.dataset import load_dataset
from bondwright.crystals.generate_arm import plan_arm
from bondwright.crystals.generate_wish import Wish
from bondwright.crystals.splits import Splits
from bondwright.crystals.train_log import RunLog, read_log
from bondwright.crystals.train_settings import TrainSettings

SMALL = [
    "--condition", "band_gap", "--unknown-from", "jarvis", "--size", "2x2x48", "--epochs", "25",
    "--batch-tokens", "1000", "--lr", "0.005", "--dropout", "0.1", "--validations", "4",
    "--context", "128", "--threads", "1", "--workers", "1", "--device", "cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def table(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 small cells."""
    frame = pd.read_csv(data_dir / "crystals" / "structures.csv.gz")
    path = tmp_path_factory.mktemp("train") / "table.csv"
    frame[frame["nsites"] <= 8].sample(200, random_state=2).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def undisturbed(table: Path) -> Path:
    out = table.parent / "undisturbed"
    assert _run(table, out) == 0
    return out


def _words(table: Path, out: Path, *more: str) -> list[str]:
    place = ["--out", str(out), "--data", str(table.parent / "data")]
    return ["train", "crystals", str(table), *place, *SMALL, *more]


def _run(table: Path, out: Path, *more: str) -> int:
    """Run the command in this process; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bondwright", *_words(table, out, *more)])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def _start(table: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bondwright", *_words(table, out, *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is there that a running process makes."""
    while not there():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def _told(out: Path) -> list[dict[str, Any]]:
    """Return the log without what depends on the machine's speed."""
    return [{k: v for k, v in e.items() if k != "tokens_per_second"} for e in read_log(out)]


def _same(one: Path, other: Path) -> bool:
    last = [sorted((out / "checkpoints").iterdir())[-1] for out in (one, other)]
    names = ("weights.safetensors", "optimizer.safetensors", "state.json")
    pairs = [tuple(folder / name for folder in last) for name in names]
    pairs.append((one / "model" / "model.safetensors", other / "model" / "model.safetensors"))
    return all(a.read_bytes() == b.read_bytes() for a, b in pairs)


@pytest.mark.data
def test_the_model_learns_more_than_how_frequent_tokens_are(undisturbed: Path) -> None:
    events = read_log(undisturbed)
    baseline = events[0]["unigram_loss"]
    validated = [event for event in events if "validation_loss" in event]
    losses = [event["validation_loss"] for event in validated]
    assert min(losses) < 0.75 * baseline
    assert min(losses) < losses[0]
    assert (undisturbed / "curves.svg").read_text().count("<svg") == 1
    assert all(e["validation_nats_per_crystal"] > e["validation_loss"] for e in validated)
    # What is kept is not the last model but the best one.
    best = min(validated, key=lambda event: event["validation_loss"])
    assert load_model(undisturbed / "model").card["validation"] == best


@pytest.mark.data
def test_the_model_tells_data_split_and_scale(table: Path, undisturbed: Path) -> None:
    model = load_model(undisturbed / "model")
    data = load_dataset(table.parent / "data")
    assert model.dialect == "wyckoff"
    assert Splits.from_json(model.card["data"]["splits"]) == data.splits
    assert model.card["data"]["sha256"] == data.card["sha256"]
    gaps = pd.read_csv(table)["band_gap"]
    scale = model.normalisers[0]
    assert (scale.name, scale.unit, scale.low) == ("band_gap", "eV", 0.0)
    assert scale.high <= gaps.max() * (1 + 1e-6)  # stored as float32


@pytest.mark.data
def test_the_model_tells_how_large_its_cells_were(table: Path, undisturbed: Path) -> None:
    """In training, not in the parts that were held out; whoever asks for larger ones is warned."""
    rows = pd.read_parquet(table.parent / "data" / "rows.parquet")
    kept = rows[rows["outcome"] == "kept"]
    parts = kept["formula"].map(Splits().part_of_formula)
    seen = kept.loc[parts == "train", "atoms"]
    place = undisturbed / "model"
    assert load_model(place).card["data"]["atoms"] == [seen.min(), seen.max()]
    assert seen.min() < seen.max() < 198
    wish = Wish(1, formula="TiO2", formula_units=66, max_atoms=200, model=str(place))
    said = plan_arm(wish, 0).warnings[0]
    assert f"198 atoms in a cell; the model has seen {seen.min()} to {seen.max()}" in said


@pytest.mark.data
def test_a_run_that_was_ended_twice_goes_on_to_the_same_result(
    table: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ended"
    assert _run(table, out, "--hours", "0") == 0  # ends the session after a step, not the schedule
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000001"]
    for number, code in ((signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)):
        before = len(read_log(out))
        process = _start(table, out, "--checkpoint-minutes", "0")
        _wait_for(lambda: len(read_log(out)) > before + 1, process)  # noqa: B023 - asked at once
        process.send_signal(number)
        told = process.communicate(timeout=60)[1]
        assert process.returncode == code, told
        if number == signal.SIGTERM:
            assert told.strip().splitlines()[-1] == "Stopped. The same command goes on from here."
        assert len(read_log(out)) < len(read_log(undisturbed))
    assert len(list((out / "checkpoints").glob("step-*"))) == 2
    assert _run(table, out) == 0
    assert _same(out, undisturbed)
    assert _told(out) == _told(undisturbed)


@pytest.mark.data
def test_two_processes_train_like_one(table: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Without dropout, which draws other numbers in every process, only rounding differs."""
    off = ["--dropout", "0", "--condition-dropout", "0", "--epochs", "2", "--samples", "0"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert _run(table, one, *off) == 0
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "bondwright", *_words(table, two, *off)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    losses = [
        [e["validation_loss"] for e in read_log(out) if "validation_loss" in e]
        for out in (one, two)
    ]
    # float32 sums in another order; Adam enlarges differences of tiny gradients.
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.data
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--seed", "7"], "seed 0 then, 7 now"),
        (["--size", "2x3x32"], "multiple of the heads"),
        (["--size", "smal"], "Did you mean 'small'?"),
        (["--condition", "gap"], "no table has a column 'gap'"),
        (["--condition", "band_gap:cubic"], "COLUMN:linear"),
        (["--conditioning", "prefx"], "Did you mean 'prefix'?"),
        (["--dialect", "wykoff"], "Did you mean 'wyckoff'?"),
        (["--device", "cuda:9"], "cuda:9"),
    ],
)
def test_other_settings_and_bad_options_are_refused_in_one_line(
    table: Path,
    undisturbed: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    assert _run(table, undisturbed, *more) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.data
def test_a_run_goes_on_with_its_processes_and_whole_checkpoints_only(
    table: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(out: Path) -> str:
        assert _run(table, out) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    several, damaged = tmp_path / "several", tmp_path / "damaged"
    several.mkdir()
    facts = json.loads((undisturbed / "run.json").read_text())
    (several / "run.json").write_text(json.dumps({**facts, "processes": 2}))
    assert "processes 2 then, 1 now" in refusal(several)
    shutil.copytree(undisturbed, damaged)
    (weights,) = damaged.glob("checkpoints/*/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "remove it to go on from the one before" in refusal(damaged)


@pytest.mark.data
def test_training_goes_on_from_a_model(
    table: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = undisturbed / "model"
    brief = ["--epochs", "1", "--lr", "0.0002", "--validations", "1", "--size", "tiny", "--augment"]
    assert _run(table, tmp_path / "on", *brief, "--start-from", str(model)) == 0
    before, after = load_model(model), load_model(tmp_path / "on" / "model")
    assert after.card["training"]["start_from"] == before.sha256 != after.sha256
    assert after.card["training"]["augment"]
    assert not before.card["training"]["augment"]
    assert (after.network.config, after.normalisers) == (before.network.config, before.normalisers)
    known = before.card["validation"]["validation_loss"]
    assert after.card["validation"]["validation_loss"] < known + 0.1
    # Other conditions, or another run in the same folder, are refused.
    other = ["--data", str(tmp_path / "data"), "--context", "64", "--start-from", str(model)]
    assert _run(table, tmp_path / "other", *brief, *other) == 2
    assert "context 128" in capsys.readouterr().err.strip().splitlines()[-1]
    assert _run(table, tmp_path / "on", *brief) == 2
    assert "start_from" in capsys.readouterr().err


@pytest.mark.data
def test_a_model_without_conditions(table: Path, tmp_path: Path) -> None:
    words = ["train", "crystals", str(table), "--out", str(tmp_path), "--context", "128"]
    words += ["--size", "2x2x32", "--epochs", "1", "--validations", "1", "--samples", "4"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bondwright", *words, "--workers", "1", "--threads", "1"])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code
    model = load_model(tmp_path / "model")
    assert model.normalisers == ()
    assert model.card["data"]["known"] == {}


@pytest.mark.data
def test_data_can_be_prepared_alone(
    table: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(table, tmp_path / "none", "--prepare-only", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["data"] == str(table.parent / "data")
    assert told["sha256"] == load_model(undisturbed / "model").card["data"]["sha256"]
    assert not (tmp_path / "none").exists()


def test_figures_are_mirrored_to_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("mlflow") is None:
        pytest.skip("MLFLOW ABSENT: install mlflow to see the log mirrored")
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    log = RunLog(tmp_path / "my-run", 0, {"seed": 7})
    log.add({"step": 20, "loss": 2.5})
    log.close()
    (run,) = mlflow.search_runs(output_format="list")
    assert run.info.run_name == "my-run"
    assert run.data.params == {"seed": "7"}
    assert run.data.metrics == {"loss": 2.5}


def test_the_rate_rises_then_falls_to_its_share() -> None:
    settings = TrainSettings(learning_rate=1e-3, warm_up=0.1, final_share=0.05)
    rates = [settings.rate(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) in (99, 100)
    assert rates[549] == pytest.approx(1e-3 * (0.05 + 0.95 / 2), rel=5e-3)
    assert rates[-1] == pytest.approx(5e-5, rel=1e-2)
