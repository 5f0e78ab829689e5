"""The evaluation from samples to summary: real crystals pass, nothing vanishes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from ase import Atoms
from ase.spacegroup import crystal as make_crystal

from bondwright.cli.evaluate_crystals import show
from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.conditioning import ConditionConfig
from bondwright.crystals.crystal import from_atoms
from bondwright.crystals.dialect import Request
from bondwright.crystals.dialects import dialect
from bondwright.crystals.evaluation import (
    ANY,
    FREE,
    HELD_OUT,
    PREDICTIONS,
    STRUCTURES,
    EvaluationSettings,
    evaluate,
    splits_of,
)
from bondwright.crystals.evaluation_arms import EXCHANGE, RANDOM, REAL, Arm, Sampler
from bondwright.crystals.evaluation_held_out import held_out
from bondwright.crystals.evaluation_known import KnownSource, load_known, read_known
from bondwright.crystals.evaluation_novelty import novelty_figures, novelty_rows, training_index
from bondwright.crystals.evaluation_records import Going, Row
from bondwright.crystals.evaluation_stability import (
    estimate_relaxed,
    relax_some,
    stability_figures,
)
from bondwright.crystals.evaluation_validity import judge, validity_figures
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.normaliser import Normaliser
from bondwright.crystals.sampling import SamplingSettings
from bondwright.crystals.splits import PARTS, TEST, Splits
from bondwright.errors import InputError
from bondwright.screen.reference import empty_index
from bondwright.screen.stability import StabilitySettings
from bondwright.structure.write import cif_text

METALS = [
    "Mg",
    "Ca",
    "Sr",
    "Ba",
    "Mn",
    "Fe",
    "Co",
    "Ni",
    "Cd",
    "V",
    "Ti",
    "Pb",
    "Sn",
    "Eu",
    "Yb",
    "Zn",
]
ANIONS = ("O", "S", "Se")


def rock_salts() -> dict[str, Atoms]:
    """Rock salt of every metal with every anion; a and the rest do not matter here."""
    return {
        f"{metal}{anion}": make_crystal(
            [metal, anion],
            [(0, 0, 0), (0.5, 0.5, 0.5)],
            spacegroup=225,
            cellpar=[4.6 + 0.35 * k + 0.02 * i] * 3 + [90] * 3,
        )
        for i, metal in enumerate(METALS)
        for k, anion in enumerate(ANIONS)
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "salts.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "cif"])
        writer.writerows([name, cif_text(atoms)] for name, atoms in rock_salts().items())
    return path


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    """A network that has learned nothing: the grammar alone makes its crystals."""
    torch.manual_seed(0)
    spoken = dialect("wyckoff")
    condition = ConditionConfig("prepend", variables=1, hidden=8, inner=8)
    config = NetworkConfig(len(spoken.vocabulary.tokens), 256, 1, 2, 16, condition=condition)
    scale = Normaliser("band_gap", "eV", "linear", 0.0, 8.0, seen_low=0.0, seen_high=8.0)
    return LoadedModel(Network(config).eval().requires_grad_(False), "wyckoff", (scale,), {})


def sampler(model: LoadedModel | None, table: Path, folder: Path) -> Sampler:
    known = KnownSource((table,), splits=Splits(), part="train")
    return Sampler(model, SamplingSettings(batch=8), known, folder, seed=5)


def real_arm(structures: Sequence[Atoms]) -> Arm:
    crystals = tuple(from_atoms(atoms) for atoms in structures)
    return Arm(REAL, (Request(),) * len(crystals), REAL, real=crystals)


def test_samples_do_not_depend_on_interruptions(
    model: LoadedModel, table: Path, tmp_path: Path
) -> None:
    formulas = ({"Mg": 1, "O": 1}, {"Ca": 1, "S": 1})
    requests = tuple(Request(formula=f, max_atoms=8) for f in formulas for _ in range(3))
    for method in ("model", RANDOM, EXCHANGE):
        arm = Arm(method, requests, method)
        whole = sampler(model, table, tmp_path / "whole").draw(arm)
        assert [row["index"] for row in whole] == list(range(6))
        part = Arm(method, requests[:3], method)
        first = sampler(model, table, tmp_path / "part").draw(part)
        rest = sampler(model, table, tmp_path / "part").draw(arm)
        assert [row["crystal"] for row in first] == [row["crystal"] for row in whole[:3]]
        for again, row in zip(rest, whole, strict=True):
            assert again["crystal"] == row["crystal"]
            assert again["cif"] == row["cif"]
    made = sampler(model, table, tmp_path / "whole").draw(Arm(EXCHANGE, requests, EXCHANGE))
    # Rock salt is the only structure type here: one distinct crystal, two requests unanswered.
    assert [row["problem"] for row in made[:3]] == ["", "none-left", "none-left"]
    assert made[0]["crystal"]["space_group"] == 225


def test_constraints_are_what_makes_texts_crystals(
    model: LoadedModel, table: Path, tmp_path: Path
) -> None:
    requests = (Request(formula={"Mg": 1, "O": 1}, formula_units=4),) * 6
    draw = sampler(model, table, tmp_path)
    with_rules = judge(draw.draw(Arm(HELD_OUT, requests)), tmp_path / "a")
    without = judge(
        draw.draw(Arm(FREE, requests, constrained=False, twin=HELD_OUT)), tmp_path / "b"
    )
    figures, free = validity_figures(with_rules), validity_figures(without)
    assert figures["grammatical"]["share"] == figures["composition_exact"]["share"] == 1.0
    # A network that has learned nothing writes no crystal by chance in six texts.
    assert free["grammatical"]["share"] == 0.0
    assert free["composition_exact"] == {**free["composition_exact"], "count": 0, "of": 6}
    assert sum(free["problems"].values()) == 6
    assert free["published"]["of"] == free["strict"]["of"] == 6


def test_what_cannot_be_asked_is_counted(model: LoadedModel, table: Path, tmp_path: Path) -> None:
    # Two formula units of TiO2 find no positions in Fm-3m.
    request = Request(formula={"Ti": 1, "O": 2}, formula_units=1, space_group=225)
    for method in ("model", RANDOM):
        samples = sampler(model, table, tmp_path).draw(Arm(method, (request,) * 2, method))
        rows = judge(samples, tmp_path / f"judged-{method}")
        figures = validity_figures(rows)
        assert figures["samples"] == 2
        assert figures["problems"] == {"refused": 2}
        assert figures["grammatical"]["share"] == 0.0


@pytest.mark.data
def test_real_crystals_are_valid(data_dir: Path, tmp_path: Path) -> None:
    """The ceiling: 97 % of real crystals of up to 40 atoms pass the published test."""
    rows = pd.read_csv(
        data_dir / "crystals" / "structures.csv.gz", usecols=["id", "cif", "nsites", "nelements"]
    )
    small = rows[(rows.nsites <= 8) & (rows.nelements <= 3)].sample(40, random_state=1)
    path = tmp_path / "real.csv"
    small.to_csv(path, index=False)
    held, outcomes = held_out(read_known([path]), tmp_path / "held", count=40, largest=60, seed=0)
    assert outcomes == {"taken": 40}
    arm = Arm(REAL, (Request(),) * 40, REAL, real=tuple(h.crystal for h in held))
    figures = validity_figures(judge(sampler(None, path, tmp_path).draw(arm), tmp_path / "j"))
    assert figures["grammatical"]["share"] == 1.0
    # 97 % of 40 is 38.8; one more may fail by chance of the draw.
    assert figures["published"]["count"] >= 38
    assert figures["strict"]["count"] >= 39


def test_unique_and_new_count_valid_samples_once(table: Path, tmp_path: Path) -> None:
    salts = rock_salts()
    unknown = make_crystal(
        ["Mg", "O"],
        [(0, 0, 0), (0.5, 0.5, 0.5)],
        spacegroup=221,
        cellpar=[2.7, 2.7, 2.7, 90, 90, 90],
    )
    structures = [salts["MgO"], salts["MgO"], salts["CaO"], unknown]
    samples = sampler(None, table, tmp_path).draw(real_arm(structures))
    rows = judge(samples, tmp_path / "j")
    known = load_known(KnownSource((table,)))
    training = training_index(rows, known, "training")
    assert set(training.formulas) == {"MgO", "CaO"}
    novelty = novelty_rows(rows, training, None)
    figures = novelty_figures(rows, novelty, None)
    strict = sum(row["strict"] for row in rows)
    assert strict == 4
    assert figures["unique"]["count"] == 3
    assert figures["novel_against_training"]["count"] == 1  # CsCl-type MgO
    assert figures["novel_against_reference"] is None
    relaxed = [
        {
            "key": samples[3]["key"],
            "outcome": "passed",
            "reason": "",
            "e_above_hull": 0.05,
            "energy": -5.0,
            "hull": {"potential": "x"},
            "structure": rows[3]["structure"],
        }
    ]
    stable = stability_figures(rows, novelty, relaxed, training, None)
    assert stable["sun"]["share"] == pytest.approx(1 / 4)
    assert stable["stable_unique_new_after_relaxing"]["count"] == 1
    # Relaxed into the known crystal it is new no longer.
    into_known = [{**relaxed[0], "structure": rows[0]["structure"]}]
    assert stability_figures(rows, novelty, into_known, training, None)["sun"]["share"] == 0.0
    assert stability_figures(rows, novelty, [], training, None)["sun"]["share"] is None


def test_new_samples_are_relaxed_and_placed_on_the_hull(table: Path, tmp_path: Path) -> None:
    """MgO counted as new, relaxed by CHGNet: it is stable, so S.U.N. is all there is."""
    mgo = make_crystal(
        ["Mg", "O"],
        [(0, 0, 0), (0.5, 0.5, 0.5)],
        spacegroup=225,
        cellpar=[4.3, 4.3, 4.3, 90, 90, 90],
    )
    rows = judge(sampler(None, table, tmp_path).draw(real_arm([mgo])), tmp_path / "j")
    nothing = empty_index("nothing known")
    novelty = novelty_rows(rows, nothing, None)
    asked = {"count": 5, "seed": 0, "settings": StabilitySettings()}
    relaxed = relax_some(rows, novelty, tmp_path / "r", **asked)
    figures = stability_figures(rows, novelty, relaxed, nothing, None)
    assert figures["relaxed"] == 1
    assert figures["sun"]["share"] == 1.0
    # On the hull within CHGNet's own scatter between two relaxations of one phase.
    assert figures["median_e_above_hull"] == pytest.approx(0.0, abs=0.01)
    assert figures["hull"]["threshold_eV_per_atom"] == 0.1
    assert figures["hull"]["potential"].startswith("chgnet")
    assert relax_some(rows, novelty, tmp_path / "r", **asked) == relaxed


def test_a_property_is_estimated_of_what_relaxing_makes(table: Path, tmp_path: Path) -> None:
    """Blown-up MgO shrinks to the real one, whose gap (PBE: 4.5 eV) is found then."""
    salts = [
        make_crystal(
            ["Mg", "O"],
            [(0, 0, 0), (0.5, 0.5, 0.5)],
            spacegroup=225,
            cellpar=[a, a, a, 90, 90, 90],
        )
        for a in (4.8, 2.0)
    ]
    samples = sampler(None, table, tmp_path).draw(real_arm(salts))
    rows = judge(samples, tmp_path / "j", properties=["band_gap"])
    assert [row["strict"] for row in rows] == [True, False]
    place, settings = tmp_path / "r", StabilitySettings()
    relaxed, crushed = estimate_relaxed(rows, "band_gap", place, settings=settings)
    assert relaxed["band_gap"] == pytest.approx(4.5, abs=1.0)  # two sigma of the gap model
    assert abs(relaxed["band_gap"] - 4.5) < abs(rows[0]["band_gap"] - 4.5)
    assert crushed["band_gap"] is None  # not valid, so never relaxed
    kept_files = sorted(path.name for path in place.iterdir())
    assert estimate_relaxed(rows, "band_gap", place, settings=settings) == [relaxed, crushed]
    assert sorted(path.name for path in place.iterdir()) == kept_files


def test_an_evaluation_from_end_to_end(
    model: LoadedModel, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = EvaluationSettings(
        samples=3,
        largest=8,
        targets=2,
        tries=2,
        values=(1.0, 3.0),
        condition_samples=2,
        sampling=SamplingSettings(batch=8),
    )
    rule = Splits(test=0.3)  # so that three held-out salts are there
    model = replace(model, card={"data": {"splits": rule.to_json(), "made_from": {"files": []}}})
    sets = {"others": KnownSource((table,))}
    # Stopped when the first samples have landed; what is there is kept, and said to be a part.
    soon = Going(stop=lambda: any((tmp_path / "samples").rglob("*.parquet")))
    assert evaluate(model, table, settings, tmp_path, sets=sets, going=soon)["complete"] is False
    assert json.loads((tmp_path / "summary.json").read_text())["complete"] is False
    first = {p: p.stat().st_mtime_ns for p in (tmp_path / "samples").rglob("*.parquet")}
    summary = evaluate(model, table, settings, tmp_path, sets=sets)
    assert {path: path.stat().st_mtime_ns for path in first} == first != {}
    assert summary["complete"] is True
    assert "not among the files" in summary["warnings"][0]
    assert json.loads((tmp_path / "summary.json").read_text()) == json.loads(
        json.dumps(summary, default=str)
    )
    arms = summary["arms"]
    assert set(arms) == {REAL, HELD_OUT, FREE, ANY, RANDOM, EXCHANGE}
    assert {arm["samples"] for arm in arms.values()} == {3}
    for name in (HELD_OUT, ANY, RANDOM, EXCHANGE):
        assert arms[name]["grammatical"]["share"] == 1.0
    assert [g["samples"] for g in summary["condition"]["groups"]] == [3, 2, 2]
    for name in (HELD_OUT, "others"):
        methods = summary["prediction"][name]["methods"]
        assert set(methods) == {"model", RANDOM, EXCHANGE, "nearest"}
        assert all(found["targets"] == 2 for found in methods.values())
        # Held-out rock salts come from rock salts with other ions, the first time.
        assert methods[EXCHANGE]["n=1"]["match_rate"]["share"] == 1.0
        assert methods["nearest"]["n=1"]["match_rate"]["share"] == 1.0
        for found in methods.values():
            passed, most = found["n=1"]["gated_match_rate"], found["charge_balanced_targets"]
            assert passed["share"] <= most["share"]
    assert summary["prediction"][HELD_OUT]["compositions_in_training"] == 0
    predictions = pd.read_parquet(tmp_path / PREDICTIONS)
    others = predictions[predictions["set"] == "others"].drop_duplicates("key")["formula"]
    assert summary["prediction"]["others"]["compositions_in_training"] == sum(
        rule.part_of_formula(formula) == "train" for formula in others
    )
    table_of_rows = pq.read_table(tmp_path / STRUCTURES).to_pylist()
    assert len(table_of_rows) == 3 * 6 + 2 * 2
    assert len(pq.read_table(tmp_path / PREDICTIONS)) == 2 * 4 * 2
    show(summary)
    said = capsys.readouterr().out
    for words in (FREE, "gated %", "Asking for band gap", "Distance from the held-out crystals"):
        assert words in said
    # Again: everything is there, and the same.
    again = evaluate(model, table, settings, tmp_path, sets=sets)
    assert again == summary
    with pytest.raises(InputError, match="another evaluation"):
        evaluate(model, table, replace(settings, seed=1), tmp_path, sets=sets)


def test_nothing_held_out_gives_rates_that_are_unknown(
    model: LoadedModel, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 28: where no cell is small enough there is no sample, and no division by zero."""
    settings = EvaluationSettings(samples=2, largest=2, targets=1, tries=1, baselines=(RANDOM,))
    summary = evaluate(model, table, settings, tmp_path)
    assert summary["complete"] is True
    assert summary["held_out"][HELD_OUT]["looked_at"].keys() == {"too-large"}
    for name in (REAL, HELD_OUT, FREE, RANDOM):
        figures = summary["arms"][name]
        assert figures["samples"] == figures["strict"]["of"] == 0
        assert figures["strict"]["share"] is figures["grammatical"]["share"] is None
    assert summary["prediction"][HELD_OUT]["targets"] == 0
    show(summary)
    assert "nan" not in capsys.readouterr().out


def test_held_out_compositions_are_those_of_the_models_rule(
    model: LoadedModel, table: Path
) -> None:
    rule = Splits(salt="another", validation=0.2, test=0.4)
    said = replace(model, card={"data": {"splits": rule.to_json(), "made_from": {"files": []}}})
    found, warnings = splits_of(said, table)
    assert found == rule
    assert "does not say" in splits_of(model, table)[1][0]
    assert "not among the files" in warnings[0]
    held = load_known(KnownSource((table,), splits=found, part="test"))
    assert all(rule.part(dict(row.formula)) == TEST for row in held.rows)
    kept = [len(load_known(KnownSource((table,), splits=found, part=part)).rows) for part in PARTS]
    assert sum(kept) == len(METALS) * len(ANIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "formla"}, "Did you mean 'formula'"),
        ({"baselines": ("rando",)}, "Did you mean 'random'"),
        ({"tries": -1}, "0 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EvaluationSettings(**change)


def test_a_model_without_the_condition_is_not_asked(
    model: LoadedModel, table: Path, tmp_path: Path
) -> None:
    plain: Row = {}
    with pytest.raises(InputError, match="was not trained on 'band_gap'"):
        evaluate(
            replace(model, normalisers=(), card=plain),
            table,
            EvaluationSettings(values=(1.0,)),
            tmp_path,
        )
