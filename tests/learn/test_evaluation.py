"""Evaluations: every figure follows from kept predictions, folds stay apart, figures are drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from made_glass import made_cell, stretch

from bondwright.errors import InputError
from bondwright.learn.cells import LabelledCell
from bondwright.learn.evaluation import Evaluation, evaluate, read_evaluation
from bondwright.learn.evaluation_figures import learning_curve_figure, parity_figure
from bondwright.learn.evaluation_kept import KeptFolds
from bondwright.learn.evaluation_scores import score_frame, scores_text
from bondwright.learn.learning_curve import learning_curve
from bondwright.learn.model_types import UNKNOWN_PAIR, Prediction
from bondwright.learn.published import PublishedModel
from bondwright.learn.splits import split_by_composition, split_by_run, split_by_variant_class
from bondwright.structure.neighbours import Pairs


@dataclass(frozen=True)
class MeanModel:
    """Predicts the mean label of its training, whatever the bond."""

    mean_eV: float
    spread_eV: float

    @classmethod
    def fit(cls, cells: Sequence[LabelledCell]) -> MeanModel:
        labels = np.concatenate([cell.bonds.icohp_eV for cell in cells])
        return cls(float(labels.mean()), float(labels.std()))

    def predict(self, atoms: Atoms, pairs: Pairs | None = None) -> Prediction:
        assert pairs is not None
        full = np.ones(len(pairs))
        flag = np.zeros(len(pairs), dtype=np.uint8)
        return Prediction(pairs, self.mean_eV * full, self.spread_eV * full, flag)


def few(train: Sequence[LabelledCell]) -> PublishedModel:
    return PublishedModel.fit(train, max_bonds_per_pair=80)


@pytest.fixture(scope="module")
def cells() -> list[LabelledCell]:
    strains = {"0": None, "8": stretch(0.8)}
    return [made_cell(run, v, strain=s) for run in (1, 2, 3) for v, s in strains.items()]


@pytest.fixture(scope="module")
def evaluation(cells: list[LabelledCell]) -> Evaluation:
    return evaluate(few, cells, split_by_run(cells), baselines={"mean": MeanModel.fit})


def hand_made(**columns: object) -> pd.DataFrame:
    base = {"model": "model", "pair": "Zr-Cu", "cell": "a", "flag": 0, "sigma_eV": 0.1}
    return pd.DataFrame({**base, **columns})


def test_scores_are_those_of_a_calculation_by_hand() -> None:
    frame = hand_made(
        label_eV=[1.0, 1.0, 2.0, 2.0],
        mean_eV=[1.1, 0.85, 2.25, 2.0],
        sigma_eV=[0.2, 0.1, 0.1, 0.1],
        cell=["a", "a", "b", "b"],
    )

    row = score_frame(frame).set_index("pair").loc["Zr-Cu"]

    assert row["n"] == 4
    assert row["rmse_eV"] == pytest.approx(np.sqrt((0.01 + 0.0225 + 0.0625) / 4))
    assert row["mae_eV"] == pytest.approx(0.125)
    assert row["bias_eV"] == pytest.approx(0.05)  # predicted too strong on average
    assert row["label_spread_eV"] == pytest.approx(0.5)
    assert (row["within_1_sigma"], row["within_2_sigma"]) == (0.5, 0.75)
    assert row["mean_sigma_eV"] == pytest.approx(0.125)
    logs = np.log([0.2, 0.1, 0.1, 0.1]) + 0.5 * np.log(2 * np.pi)
    assert row["nll"] == pytest.approx(np.mean(logs + np.array([0.125, 1.125, 3.125, 0.0])))
    left_out = np.sqrt([0.0625 / 2, 0.0325 / 2])
    assert row["rmse_error_eV"] == pytest.approx(abs(left_out[0] - left_out[1]) / 2)


def test_unknown_pairs_are_counted_and_never_scored() -> None:
    frame = hand_made(
        label_eV=[1.0, 2.0, 3.0],
        mean_eV=[1.1, 0.0, 0.0],
        sigma_eV=[0.1, np.inf, np.inf],
        flag=[0, UNKNOWN_PAIR, UNKNOWN_PAIR],
        pair=["Zr-Cu", "Zr-Cu", "Zr-Al"],
    )

    scores = score_frame(frame)

    rows = scores.set_index("pair")
    assert (rows.loc["all", "n"], rows.loc["all", "unknown"]) == (1, 2)
    assert rows.loc["all", "rmse_eV"] == pytest.approx(0.1)
    assert np.isnan(rows.loc["Zr-Al", "rmse_eV"])
    lines = scores_text(scores).splitlines()
    assert "unknown" in lines[0]
    assert lines[1].split()[:6] == ["Zr-Al", "model", "0", "1", "-", "-"]


def test_models_never_see_the_run_that_they_are_tested_on(cells: list[LabelledCell]) -> None:
    seen: list[set[str]] = []

    def fit(train: Sequence[LabelledCell]) -> MeanModel:
        seen.append({cell.run for cell in train})
        return MeanModel.fit(train)

    found = evaluate(fit, cells, split_by_run(cells), baselines={})

    for fold, runs in zip(found.folds, seen, strict=True):
        assert {name.rpartition("/")[0] for name in fold["test"]}.isdisjoint(runs)
    bonds = sum(len(cell.bonds.between(1.8, 4.2)) for cell in cells)
    assert len(found.frame) == bonds
    assert not found.frame.duplicated(["cell", "i", "j", "image_a", "image_b", "image_c"]).any()


def test_published_model_beats_the_mean_and_both_stand_side_by_side(
    evaluation: Evaluation,
) -> None:
    scores = evaluation.scores().set_index(["pair", "model"])["rmse_eV"]

    assert evaluation.models == ["model", "mean"]
    for pair in ("Cu-Cu", "Zr-Cu", "Zr-Zr", "all"):
        assert scores[pair, "model"] < 0.8 * scores[pair, "mean"]
    text = evaluation.text()
    assert text.startswith("held out by run; 3 folds, 6 test cells; labels: made up/1;")
    assert text.splitlines()[2].split()[:2] == ["Cu-Cu", "model"]


def test_figures_follow_from_the_stored_predictions(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write(tmp_path)

    kept = pd.read_parquet(tmp_path / "predictions.parquet")
    card = json.loads((tmp_path / "evaluation.json").read_text())

    mine = kept[(kept["model"] == "model") & (kept["pair"] == "Zr-Cu")]
    rmse = np.sqrt(((mine["mean_eV"] - mine["label_eV"]) ** 2).mean())
    row = next(s for s in card["scores"] if (s["model"], s["pair"]) == ("model", "Zr-Cu"))
    assert row["rmse_eV"] == pytest.approx(rmse)
    again = read_evaluation(tmp_path)
    pd.testing.assert_frame_equal(again.scores(), evaluation.scores())
    assert replace(again, frame=evaluation.frame) == replace(evaluation, frame=evaluation.frame)

    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(InputError, match="no readable evaluation"):
        read_evaluation(tmp_path)


def test_windows_and_groups(evaluation: Evaluation) -> None:
    short = evaluation.between(1.8, 2.8)
    assert short.frame["length_A"].max() <= 2.8
    assert "bonds of 1.8 to 2.8" in short.text()
    both = evaluation.scores("variant_class")
    assert set(both["variant_class"]) == {"mild", "compression"}
    parts = both[(both["pair"] == "all") & (both["model"] == "model")]["n"].sum()
    assert parts == len(evaluation.frame) / 2


def test_evaluation_within_a_run_carries_the_word(cells: list[LabelledCell]) -> None:
    split = split_by_variant_class(cells, within_run=True)
    found = evaluate(MeanModel.fit, cells, split, baselines={})

    assert found.within_run
    assert found.card()["split"] == "variant class, within run"
    assert found.text().startswith("held out by variant class, within run;")


def test_new_element_in_the_test_is_told_not_hidden(cells: list[LabelledCell]) -> None:
    ternary = made_cell(9, composition="Zr40Cu40Al20", elements=("Zr", "Cu", "Al"))
    mixed = [cells[0], cells[2], ternary]

    found = evaluate(PublishedModel.fit, mixed, split_by_composition(mixed), baselines={})

    of_ternary = found.scores("composition").set_index(["composition", "pair"])
    row = of_ternary.loc[("Zr40Cu40Al20", "Zr-Al")]
    assert row["n"] == 0
    assert row["unknown"] > 0
    assert of_ternary.loc[("Zr40Cu40Al20", "Zr-Cu")]["n"] > 0


def test_interrupted_evaluation_continues_where_it_stopped(
    cells: list[LabelledCell], tmp_path: Path
) -> None:
    fitted: list[int] = []

    def fit(train: Sequence[LabelledCell]) -> MeanModel:
        if len(fitted) == 2:
            raise KeyboardInterrupt
        fitted.append(len(train))
        return MeanModel.fit(train)

    split, kept = split_by_run(cells), KeptFolds(tmp_path, "mean/1")
    with pytest.raises(KeyboardInterrupt):
        evaluate(fit, cells, split, baselines={}, kept=kept)
    fitted.clear()
    found = evaluate(fit, cells, split, baselines={}, kept=kept)

    assert len(fitted) == 1
    fresh = evaluate(MeanModel.fit, cells, split, baselines={})
    pd.testing.assert_frame_equal(found.frame, fresh.frame)
    fitted.clear()
    bonds = replace(cells[0].bonds, icohp_eV=2 * cells[0].bonds.icohp_eV)
    changed = [replace(cells[0], bonds=bonds), *cells[1:]]
    with pytest.raises(KeyboardInterrupt):  # a changed label is in every fold
        evaluate(fit, changed, split, baselines={}, kept=kept)
    fitted.clear()
    with pytest.raises(KeyboardInterrupt):  # and so are other settings
        evaluate(fit, cells, split, baselines={}, kept=replace(kept, settings="mean/2"))


def test_labels_of_two_methods_and_empty_windows_are_refused(cells: list[LabelledCell]) -> None:
    split = split_by_run(cells)
    other = replace(cells[0], bonds=replace(cells[0].bonds, method="LOBSTER 5"))
    with pytest.raises(InputError, match=r"\(LOBSTER 5, made up/1\) are not mixed"):
        evaluate(MeanModel.fit, [other, *cells[1:]], split, baselines={})
    with pytest.raises(InputError, match="widen the window"):
        evaluate(MeanModel.fit, cells, split, baselines={}, window_A=(0.1, 0.2))


def test_learning_curve_adds_cells_in_a_seeded_order(
    cells: list[LabelledCell], tmp_path: Path
) -> None:
    split = split_by_run(cells)

    def run(seed: int) -> pd.DataFrame:
        return learning_curve(
            MeanModel.fit, cells, split, [1, 4, 9], seed=seed, baselines={}
        ).points

    one = run(1)

    assert set(one["train_cells"]) == {1, 4}  # no fold has nine training cells
    pd.testing.assert_frame_equal(one, run(1))
    assert not one.equals(run(2))
    curve = learning_curve(few, cells, split, [1, 4], baselines={"mean": MeanModel.fit})
    summary = curve.summary().set_index(["model", "pair", "train_cells"])["rmse_eV"]
    assert summary["model", "Zr-Cu", 4] < summary["model", "Zr-Cu", 1]
    learning_curve_figure(curve, tmp_path / "curve.svg")
    assert (tmp_path / "curve.svg").read_text().rstrip().endswith("</svg>")
    with pytest.raises(InputError, match="sizes of 1 to 4 training cells"):
        learning_curve(MeanModel.fit, cells, split, [0, 9])


def test_parity_figures_are_written_and_bad_requests_named(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    parity_figure(evaluation, tmp_path / "parity.png", error_bars=True)
    assert (tmp_path / "parity.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="no model 'ours'; it has model, mean"):
        parity_figure(evaluation, tmp_path / "parity.png", models=["ours"])
    with pytest.raises(InputError, match=r"parity.gif: a figure ends in"):
        parity_figure(evaluation, tmp_path / "parity.gif")
