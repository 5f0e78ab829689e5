"""Active learning for real: labels by GPAW of one or two aluminium atoms, rounds that survive."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from projects import add_labelled, alloy, project

from bondwright.campaign.glass.config import GlassConfig
from bondwright.campaign.glass.costs import read_costs
from bondwright.campaign.glass.driver import Watchers, run_project
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.improve import Tellers, improve, parse_budget
from bondwright.campaign.glass.labelling import Labelling, label_cells
from bondwright.campaign.glass.labels import read_records
from bondwright.campaign.glass.registry import list_models
from bondwright.campaign.glass.rounds import read_rounds
from bondwright.errors import InputError
from bondwright.structure.write import write_extxyz

SMALL = """
name = "small"
compositions = ["Al100"]
[label]
orbitals = "pbe"
grid_spacing_A = 0.35
kpoint_spacing_per_A = 1.5
scf_kpoint_spacing_per_A = 1.5
max_length_A = 4.2
[model]
fewest_bonds = 5
likelihood_bonds = 30
inducing_bonds = 30
[improve]
cells_per_round = 1
deformations = 2
new_runs = 0
rmse_eV = 1e-9
[run]
workers = 1
"""


def crooked(seed: int) -> Atoms:
    """One aluminium atom in a cell that is not quite that of fcc: bonds of nine lengths."""
    cell = np.array([[0, 2.02, 2.02], [2.02, 0, 2.02], [2.02, 2.02, 0]])
    return Atoms("Al", cell=cell + np.random.default_rng(seed).normal(0, 0.12, (3, 3)), pbc=True)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> GlassFolder:
    """Two runs, both labelled."""
    pytest.importorskip("gpaw")
    folder, config = project(tmp_path_factory.mktemp("begun"), SMALL)
    for number in (1, 2):
        folder.add(CellName("Al100", str(number)), crooked(number), {})
    done = label_cells(folder, config, folder.names())
    assert done.new == {"accepted": 2}
    return folder


@pytest.fixture
def copy(begun: GlassFolder, tmp_path: Path) -> tuple[GlassFolder, GlassConfig]:
    shutil.copytree(begun.root, tmp_path / "copy")
    return project(tmp_path / "copy", SMALL)


class Interrupted(Exception):
    """The user's patience has ended."""


def test_rounds_go_on_at_the_step_they_were_in(copy: tuple[GlassFolder, GlassConfig]) -> None:
    folder, config = copy

    def leave(state: Labelling) -> None:
        raise Interrupted

    waiting = improve(folder, config, 2, approve_first=True)
    assert (waiting.why, waiting.spent) == ("approval", 0)
    (first,) = read_rounds(folder)
    assert (first.state, first.number, first.action) == ("proposed", 1, "augment")
    (name,) = first.names
    assert first.proposals[0]["reason"]
    assert first.proposals[0]["sigma_eV"] > 0
    assert CellName.parse(name) in folder.names()

    # Not approved: nothing moves.
    assert improve(folder, config, 2, approve_first=True).why == "approval"
    assert len(read_records(folder)) == 2

    # Approved, and ended while the label is under way.
    with pytest.raises(Interrupted):
        improve(folder, config, 2, approve_first=True, approved=True, tell=Tellers(labels=leave))
    assert read_rounds(folder)[0].state == "approved"
    assert len(read_records(folder)) == 2

    # The same round goes on, without a new proposal; then the budget is spent unattended.
    done = improve(folder, config, 2)
    assert (done.why, done.spent) == ("budget", 2)
    one, two = done.rounds
    assert one.names == [name]
    assert [r.state for r in done.rounds] == ["done", "done"]
    assert one.labels == {name: "accepted"}
    assert (one.labelled, two.labelled) == (3, 4)
    assert (one.spent, two.spent) == (1, 2)
    assert one.trained == two.model
    assert [m.version for m in list_models(folder)] == [1, 2, 3]
    assert [m.record["parent"] for m in list_models(folder)] == [None, 1, 2]
    for entry in done.rounds:
        assert entry.split == "run"
        assert {s["pair"] for s in entry.scores} == {"Al-Al", "all"}
        assert entry.decision["action"] == "augment"


def test_random_choice_depends_on_the_seed_alone(copy: tuple[GlassFolder, GlassConfig]) -> None:
    folder, config = copy
    chosen = set()
    for seed in range(4):
        drawn = replace(config, seed=seed)
        names = [
            improve(folder, drawn, 1, approve_first=True, strategy="random").rounds[-1].names
            for _ in range(2)
        ]
        assert names[0] == names[1]
        chosen.add(names[0][0])
        shutil.rmtree(folder.rounds)
    assert len(chosen) > 1


def test_the_loop_stops_when_the_model_is_good_enough(
    copy: tuple[GlassFolder, GlassConfig],
) -> None:
    folder, config = copy
    easy = replace(config, improve=replace(config.improve, rmse_eV=5.0))
    assert improve(folder, easy, 3).why == "stop"
    assert read_rounds(folder) == []


def test_a_round_waits_for_labels_that_lobster_makes(tmp_path: Path) -> None:
    text = SMALL.replace('["Al100"]', '["Zr50Cu50"]')
    before, _, rest = text.partition("[label]")
    text = f'{before}[label]\nmethod = "lobster"\n[model]{rest.partition("[model]")[2]}'
    folder, config = project(tmp_path, text)
    for number in (1, 2):
        add_labelled(folder, f"Zr50Cu50/{number}/0", alloy(number))
    folder.add(CellName("Zr50Cu50", "3"), alloy(3), {})
    easy = replace(config, improve=replace(config.improve, deformations=0))
    with pytest.raises(InputError, match=r"waits for labels of Zr50Cu50/3/0.*glass import"):
        improve(folder, easy, 1)
    assert read_rounds(folder)[0].state == "approved"
    add_labelled(folder, "Zr50Cu50/3/0", alloy(3))
    done = improve(folder, easy, 1)
    assert (done.why, done.rounds[0].state, done.rounds[0].labelled) == ("budget", "done", 3)


def test_a_damaged_round_is_named(copy: tuple[GlassFolder, GlassConfig]) -> None:
    folder, config = copy
    folder.rounds.mkdir()
    (folder.rounds / "001.json").write_text(json.dumps({"number": 1, "state": "dreaming"}))
    with pytest.raises(InputError, match=r"001\.json.*dreaming"):
        improve(folder, config, 1)


@pytest.mark.parametrize(("text", "number"), [("10cells", 10), ("3", 3), ("1 cell", 1)])
def test_budgets(text: str, number: int) -> None:
    assert parse_budget(text) == number


@pytest.mark.parametrize("text", ["0", "-3", "ten", "10 hours", ""])
def test_budgets_without_sense(text: str) -> None:
    with pytest.raises(InputError, match="10cells"):
        parse_budget(text)


def test_without_any_label_or_cell_there_is_one_line(tmp_path: Path) -> None:
    folder, config = project(tmp_path, SMALL)
    with pytest.raises(InputError):
        improve(folder, config, 1)


def test_a_run_does_what_is_missing_down_to_the_report(
    copy: tuple[GlassFolder, GlassConfig],
) -> None:
    folder, _ = copy
    write_extxyz(folder.root / "block.extxyz", [crooked(7).repeat((2, 2, 2))])
    text = SMALL.replace("[label]", 'cells = 2\n[predict]\nfiles = ["block.extxyz"]\n[label]')
    folder, config = project(folder.root, text)
    said: list[str] = []
    watchers = Watchers(said.append, lambda _: None, lambda _: None, _quiet)
    done = run_project(folder, config, watchers)
    assert (done.cells, done.labelled, done.model, done.new_model) == (2, 2, 1, True)
    assert done.split == "run"
    assert {row["model"] for row in done.scores} >= {"model", "distance"}
    (summary,) = done.predictions.values()
    assert summary["atoms"] == 8
    assert summary["bonds"] > 0
    assert summary["all"]["mean_sigma_eV"] > 0
    assert done.report == folder.report
    assert "Al-Al" in folder.report.read_text()
    assert {c.what for c in read_costs(folder.costs)} == {"label", "train", "evaluate", "predict"}

    again = run_project(folder, config, watchers)
    assert (again.model, again.new_model) == (1, False)
    assert [s["new"] for s in again.predictions.values()] == [False]
    assert again.scores == done.scores


@contextmanager
def _quiet(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    yield lambda done, total: None
