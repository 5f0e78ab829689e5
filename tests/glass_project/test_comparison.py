"""Active learning beside random choice, and labels of two methods used together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from projects import add_labelled, alloy, law, project

from bondwright.campaign.glass.comparison import Comparison, compare
from bondwright.campaign.glass.corrections import (
    corrected_cells,
    correction_file,
    learn_correction,
    load_correction,
)
from bondwright.campaign.glass.models import fit_with
from bondwright.campaign.glass.training_set import draw
from bondwright.errors import InputError
from bondwright.learn.cells import LabelledCell
from bondwright.learn.model import ModelSettings

QUICK = fit_with(ModelSettings(fewest_bonds=5, likelihood_bonds=30, inducing_bonds=30))


def cells(count: int) -> list[LabelledCell]:
    found = []
    for number in range(1, count + 1):
        table = law(alloy(number)).sort()
        run = f"Zr50Cu50/{number}"
        found.append(LabelledCell(f"{run}/0", "Zr50Cu50", run, "0", table))
    return found


def test_both_strategies_spend_the_same_budget_from_the_same_start(tmp_path: Path) -> None:
    pool = cells(4)
    test = ["Zr50Cu50/4/0"]
    found = compare(pool, QUICK, test=test, budget=2, seeds=(0, 1, 2), first=1)
    assert len(found.points) == 3 * 2 * 2
    assert not found.within_run
    for seed in (0, 1, 2):
        mine = [p for p in found.points if p.seed == seed]
        firsts = {tuple(p.cells) for p in mine if p.labels == 1}
        assert len(firsts) == 1
        for strategy in ("active", "random"):
            path = [p.cells for p in mine if p.strategy == strategy]
            assert [len(names) for names in path] == [1, 2]
            assert path[1][:1] == path[0]
            assert len(set(path[1])) == 2
            assert not set(path[1]) & set(test)
    # Every curve is the mean over the seeds, with its spread.
    labels, mean, spread = found.curve("active")[-1]
    values = [p.rmse_eV() for p in found.points if p.strategy == "active" and p.labels == 2]
    assert labels == 2
    assert (mean, spread) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values)))
    found.save(tmp_path / "al.json")
    assert Comparison.load(tmp_path / "al.json") == found


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"seeds": (0, 1)}, "three"),
        ({"budget": 9}, "does not fit"),
        ({"test": []}, "test on"),
        ({"test": ["Zr50Cu50/99/0"]}, "test on"),
    ],
)
def test_a_comparison_without_sense_is_refused(wrong: dict, word: str) -> None:
    asked = {"test": ["Zr50Cu50/3/0"], "budget": 2, "seeds": (0, 1, 2), **wrong}
    with pytest.raises(InputError, match=word):
        compare(cells(3), QUICK, **asked)


def test_labels_of_two_methods_are_learned_from_together_when_asked(tmp_path: Path) -> None:
    folder, _ = project(tmp_path)
    for number in (1, 2, 3, 4):
        add_labelled(folder, f"Zr50Cu50/{number}/0", alloy(number), "cheap/1", 0.8)
    for number in (1, 2, 3):
        add_labelled(folder, f"Zr50Cu50/{number}/0", alloy(number), "dear/1", 1.0)
    found = learn_correction(folder, "cheap/1", "dear/1")
    assert found.pairs["Zr-Cu"].slope == pytest.approx(1.25, abs=1e-3)
    assert found.pairs["Zr-Cu"].before_eV > 0.01
    assert found.pairs["Zr-Cu"].after_eV < 1e-3
    path = correction_file(folder, "towards-dear")
    found.save(path)
    joined = corrected_cells(folder, load_correction(folder, "towards-dear"))
    assert [cell.name for cell in joined] == [f"Zr50Cu50/{k}/0" for k in (1, 2, 3, 4)]
    (method,) = {cell.bonds.method for cell in joined}
    assert "dear/1 and cheap/1 -> dear/1" in method
    own = [cell.bonds.details["label_method"] for cell in joined]
    assert own[:3] == ["dear/1"] * 3
    assert own[3].startswith("cheap/1 -> dear/1")
    truth = law(joined[3].atoms).sort()
    assert np.abs(joined[3].bonds.icohp_eV - truth.icohp_eV).max() < 1e-3
    assert draw(joined).method == method
    with pytest.raises(InputError, match="Did you mean 'towards-dear'"):
        load_correction(folder, "towards-deer")
    with pytest.raises(InputError, match="cannot name"):
        correction_file(folder, "../x")


def test_methods_without_a_structure_in_common_cannot_be_joined(tmp_path: Path) -> None:
    folder, _ = project(tmp_path)
    add_labelled(folder, "Zr50Cu50/1/0", alloy(1), "cheap/1")
    add_labelled(folder, "Zr50Cu50/2/0", alloy(2), "dear/1")
    with pytest.raises(InputError, match="no structure has labels by both"):
        learn_correction(folder, "cheap/1", "dear/1")
