"""`bondwright generate` as a user meets it, with a small model made here."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
import unigram
from ase.data import chemical_symbols
from ase.spacegroup import crystal
from program import Program

from bondwright.campaign.generating import Making, Workshop, plan_arms
from bondwright.campaign.work import Progress
from bondwright.crystals.generate_wish import Wish
from bondwright.run import LocalPool, Resources
from bondwright.structure.read import read_candidates
from bondwright.structure.write import cif_text

COMMON = ("--max-atoms", "12", "--workers", "1", "--seed", "4")


@pytest.fixture
def program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    return Program(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    unigram.make_model(folder)
    return folder


@pytest.fixture(scope="module")
def workers() -> Iterator[LocalPool]:
    with LocalPool(1) as pool:
        yield pool


@pytest.fixture
def warm(workers: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalPool:
    """Commands share one worker: the start of one costs more than what it does here."""
    workers.submit(os.chdir, (tmp_path,), Resources()).result()
    monkeypatch.setattr("bondwright.run.LocalPool", lambda _: nullcontext(workers))
    return workers


def test_from_formula_to_table_and_nothing_to_do_the_second_time(
    program: Program, model: Path
) -> None:
    command = ("generate", "O2 Ti", "--n", "12", "--band-gap", "3", "--unconditional", "8")
    command = (*command, "--against", "random", *COMMON, "--model", model)
    answer = program(*command, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["new"] == told["crystals"] == 32
    assert 0 < told["valid"] <= told["looked_at"] == 32
    assert [arm["rows"] for arm in told["arms"]] == [12, 8, 12]
    table = pd.read_csv(program.folder / "TiO2.csv")
    assert table["id"].is_unique
    assert Counter(table["formula"]) == {"TiO2": 32}
    assert Counter(table["asked_band_gap"].dropna()) == {3.0: 12}
    assert set(table["seed"]) == {4}
    again = program(*command)
    assert (again.code, again.out) == (0, "Nothing to do: TiO2.csv holds these 32 crystals.\n")
    candidates = list(
        read_candidates(program.folder / "TiO2.csv", asked_columns={"band_gap": "asked_band_gap"})
    )
    assert Counter(c.asked.get("band_gap") for c in candidates) == {3.0: 12, None: 20}
    assert all(c.atoms is not None and c.name.startswith("TiO2-") for c in candidates)
    line = program.refuse(*(word if word != "12" else "13" for word in command))
    assert "holds other crystals" in line


def test_stopped_command_goes_on_where_it_was(
    program: Program, model: Path, warm: LocalPool
) -> None:
    """Parts that have landed are kept: the second run makes the rest only."""
    done = 0

    def tell(now: Progress) -> None:
        nonlocal done
        done = now.done

    wish = Wish(40, formula="TiO2", max_atoms=12, model=str(model))
    arms = plan_arms([wish], seed=4)
    parts = program.folder / "TiO2.csv.parts"
    shop = Workshop(parts, Making(1), lambda: warm, tell, lambda: done > 0)
    assert shop.make_all(arms) is None
    assert done == 32
    answer = program("generate", "TiO2", "--n", "40", *COMMON, "--model", model, "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["new"] == 8
    table = pd.read_csv(program.folder / "TiO2.csv")
    assert list(table["id"]) == [f"{arms[0].name}-{number}" for number in range(40)]
    assert not parts.exists()


@pytest.mark.usefixtures("warm")
def test_folder_of_cif_files_and_the_likeliest(program: Program, model: Path) -> None:
    answer = program(
        *("generate", "TiO2", "--n", "4", "--best", "3", "--space-group", "P n m a"),
        *(*COMMON, "--model", model, "--out", "cifs"),
    )
    assert answer.code == 0, answer.err
    assert "the likeliest of 12" in answer.out
    files = sorted(path.name for path in (program.folder / "cifs").iterdir())
    assert len(files) == 5
    assert files[-1] == "generated.csv"
    table = pd.read_csv(program.folder / "cifs" / "generated.csv")
    assert set(table["space_group"]) == {62}
    assert list(table["perplexity"]) == sorted(table["perplexity"])
    assert set(table["best_of"]) == {3}
    assert "cif" not in table
    assert not (program.folder / "cifs.parts").exists()


@pytest.mark.usefixtures("warm")
def test_nothing_usable_is_said_with_an_exit_code(program: Program, tmp_path: Path) -> None:
    """Fault 28: no text comes to an end, and no number is divided by zero."""
    unigram.make_model(tmp_path / "short", context=7)
    answer = program(
        *("generate", "TiO2", "--n", "3", "--out", "t.parquet", "--model", "short", *COMMON),
    )
    assert answer.code == 4
    assert answer.err.strip().splitlines()[-1] == (
        "bondwright: none of the 3 texts is a crystal (3 unfinished); t.parquet tells of each why."
    )
    table = pd.read_parquet(program.folder / "t.parquet")
    assert list(table["problem"]) == ["unfinished"] * 3  # kept, with their texts
    assert table["text"].str.startswith("<bos> Ti").all()


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_crystals_of_which_none_is_valid_are_no_success(
    program: Program, json_too: tuple[str, ...]
) -> None:
    """Fault 28: the one known crystal lends its oxygen atoms at 0.7 Å from the metal."""
    crushed = crystal(
        ("Sn", "O"),
        [(0, 0, 0), (0.1, 0.1, 0)],
        spacegroup=136,
        cellpar=[4.74, 4.74, 3.19, 90, 90, 90],
    )
    row = {"id": ["crushed"], "cif": [cif_text(crushed, symprec=0.01)]}
    pd.DataFrame(row).to_csv(program.folder / "known.csv", index=False)
    command = ("generate", "TiO2", "--n", "3", "--method", "ion-exchange", "--known", "known.csv")
    answer = program(*command, "--workers", "1", *json_too)
    assert answer.code == 4
    assert answer.err.strip().splitlines()[-1] == (
        "bondwright: none of the 1 crystals looked at is valid (short-contact 1); TiO2.csv holds "
        "them all the same."
    )
    table = pd.read_csv(program.folder / "TiO2.csv")
    assert table["problem"].fillna("").str.partition(":")[0].tolist() == ["", *["no-parent"] * 2]
    if json_too:
        told = json.loads(answer.out)
        assert (told["crystals"], told["looked_at"], told["valid"]) == (1, 1, 0)
    else:
        assert "Valid: 0 of 1 looked at" in answer.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Ti0O2"], "a count of 0"),
        (["".join(chemical_symbols[1:26])], "25 elements"),
        (["Xx2O3"], "no element 'Xx'"),
        (["TiO2", "--formula-units", "1", "--space-group", "225"], "Wyckoff positions"),
        (["TiO2", "--space-group", "P9"], "no space group"),
        (["TiO2", "--property", "density=4.2"], "it takes band_gap"),
        (["TiO2", "--property", "density"], "expected PROPERTY=VALUE"),
        (["TiO2", "--method", "modle"], "Did you mean 'model'?"),
        (["TiO2", "--against", "chance"], "--against chance: no such method"),
        (["TiO2", "--method", "random", "--band-gap", "1"], "cannot be asked"),
        (["--chemical-system", "Ti-Qq"], "no element 'Qq'"),
        (["TiO2", "--out", "t.xyz"], "cannot write '.xyz'"),
        (["TiO2", "--target", "band_gap=3:1"], "give --screen CAMPAIGN"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    words: list[str], said: str, program: Program, model: Path
) -> None:
    """Faults 23 and 25, and options that do not go together. The weights are not even there."""
    card = program.folder / "card" / "model.json"
    card.parent.mkdir()
    shutil.copy(model / "model.json", card)
    assert said in program.refuse("generate", *words, "--model", "card")
    assert sorted(path.name for path in program.folder.iterdir()) == ["card"]


def test_missing_model_is_told(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bondwright.crystals.shipped.MODELS", tmp_path / "none")
    assert "no model is shipped" in program.refuse("generate", "TiO2")
    assert "there is no such model" in program.refuse("generate", "TiO2", "--model", "there")


@pytest.mark.usefixtures("warm")
def test_damaged_model_is_refused_by_the_worker(program: Program, model: Path) -> None:
    """Fault 29: the checksum is compared when the weights are read."""
    shutil.copytree(model, program.folder / "bad")
    weights = program.folder / "bad" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    assert "cut short" in program.refuse("generate", "TiO2", "--n", "1", "--model", "bad", *COMMON)


def test_straight_into_a_campaign(program: Program, model: Path) -> None:
    """One command from formula to report; what cannot be met leaves no folder behind."""
    screening = ("--screen", "tio2", "--skip", "stability", "--skip", "property", "--skip", "dft")
    line = program.refuse("generate", "TiO2", "--property", "x=1", "--model", model, *screening)
    assert "it takes band_gap" in line
    assert not (program.folder / "tio2").exists()
    command = ("generate", "TiO2", "--n", "6", "--band-gap", "3", "--unconditional", "6", *COMMON)
    command = (*command, "--model", model, *screening, "--reference", "none")
    answer = program(*command)
    assert answer.code == 0, answer.err
    assert answer.out.strip().splitlines()[-1] == f"Report: {Path('tio2') / 'report.html'}"
    again = program(*command)
    assert again.out.startswith("Nothing to do")
    status = json.loads(program("status", "tio2", "--json").out)
    assert [arm["label"] for arm in status["arms"]] == [
        "model, band gap 3",
        "model, asked for nothing",
    ]
    assert [arm["tally"]["made"] for arm in status["arms"]] == [6, 6]
    assert "Did asking have any effect?" in (program.folder / "tio2" / "report.html").read_text()
