"""What to label next: uncertainty, novelty, cost, and the author's three rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_glass import made_cell, stretch

from bondwright.errors import InputError
from bondwright.learn.acquisition import CandidateCell, propose, random_choice
from bondwright.learn.cells import LabelledCell
from bondwright.learn.evaluation import Evaluation, evaluate
from bondwright.learn.policy import PolicyLimits, decide
from bondwright.learn.published import PublishedModel
from bondwright.learn.splits import split_by_run, split_by_variant_class


def candidate(cell: LabelledCell, cost: float = 1.0) -> CandidateCell:
    return CandidateCell(cell.name, cell.atoms, cost)


@pytest.fixture(scope="module")
def labelled() -> list[LabelledCell]:
    return [made_cell(1), made_cell(2)]


@pytest.fixture(scope="module")
def model(labelled: list[LabelledCell]) -> PublishedModel:
    return PublishedModel.fit(labelled, max_bonds_per_pair=60)


@pytest.fixture(scope="module")
def pool() -> list[CandidateCell]:
    """A near copy of a labelled cell, two near copies of a new one, and a squeezed one."""
    cells = [
        made_cell(1, "7", strain=stretch(1.002)),
        made_cell(5),
        made_cell(5, "7", strain=stretch(1.002)),
        made_cell(1, "8", strain=stretch(0.8)),
    ]
    return [candidate(cell) for cell in cells]


def test_copies_wait_until_last(
    model: PublishedModel, pool: list[CandidateCell], labelled: list[LabelledCell]
) -> None:
    chosen = propose(model, pool, labelled, budget=2)

    assert chosen[0].name == "Zr50Cu50/1/8"  # its bonds are the least known
    assert chosen[1].name.startswith("Zr50Cu50/5/")  # one of the two copies, not both
    every = propose(model, pool, labelled, budget=9)
    assert {each.name for each in every[2:]} == {
        "Zr50Cu50/1/7",
        ({"Zr50Cu50/5/0", "Zr50Cu50/5/7"} - {chosen[1].name}).pop(),
    }
    assert every[-1].novelty < 0.05 * every[0].novelty
    gains = [each.gain_eV2 for each in every]
    assert gains == sorted(gains, reverse=True)


def test_proposals_give_their_numbers_and_repeat(
    model: PublishedModel, pool: list[CandidateCell], labelled: list[LabelledCell]
) -> None:
    first = propose(model, pool, labelled, budget=2)

    assert first == propose(model, pool[::-1], labelled, budget=2)
    best = first[0]
    assert best.gain_eV2 == pytest.approx(best.sigma_eV**2 * best.novelty)
    assert best.nearest == "Zr50Cu50/1/0"
    sigma = model.predict(pool[3].atoms).sigma_eV
    assert best.sigma_by_pair_eV["Zr-Zr"] <= sigma.max()
    assert f"sigma {best.sigma_eV:.3f} eV per bond" in best.reason
    assert "typical distances from Zr50Cu50/1/0" in best.reason


def test_cost_and_budget_decide(
    model: PublishedModel, pool: list[CandidateCell], labelled: list[LabelledCell]
) -> None:
    dear = [*pool[:3], replace(pool[3], cost=1000.0)]

    assert propose(model, dear, labelled, budget=1.0)[0].name.startswith("Zr50Cu50/5/")
    assert propose(model, dear, labelled, budget=0.5) == []
    assert sum(each.cost for each in propose(model, dear, labelled, budget=999)) == 3.0


def test_weights_and_diversity_can_be_turned_off(
    model: PublishedModel, pool: list[CandidateCell], labelled: list[LabelledCell]
) -> None:
    by_sigma = propose(model, pool, labelled, budget=4, diversity=0.0)
    assert [each.sigma_eV for each in by_sigma] == sorted(
        (each.sigma_eV for each in by_sigma), reverse=True
    )
    only = propose(model, pool, labelled, budget=1, pair_weights={"Cu-Cu": 1.0})[0]
    every = propose(model, pool, labelled, budget=1)[0]
    assert only.sigma_eV != every.sigma_eV
    with pytest.raises(InputError, match="no weighted pair of elements has bonds"):
        propose(model, pool, labelled, budget=1, pair_weights={"Ni-Al": 1.0})


def test_new_element_counts_as_unknown_not_as_certain(
    model: PublishedModel, pool: list[CandidateCell], labelled: list[LabelledCell]
) -> None:
    ternary = made_cell(9, elements=("Zr", "Cu", "Al"), composition="Zr40Cu40Al20")

    best = propose(model, [pool[1], candidate(ternary)], labelled, budget=1)[0]

    assert best.name == ternary.name
    assert best.unknown_bonds > 0
    assert all(np.isfinite(value) for value in best.sigma_by_pair_eV.values())
    assert "bonds of unknown pairs" in best.reason


def test_labelled_structure_is_not_proposed_again(
    model: PublishedModel, labelled: list[LabelledCell]
) -> None:
    again = CandidateCell("another name", labelled[0].atoms)
    assert propose(model, [again], labelled, budget=5) == []


def test_control_is_seeded_and_pays_the_same_costs(pool: list[CandidateCell]) -> None:
    one = random_choice(pool, 2, seed=1)
    assert len(one) == 2
    assert one == random_choice(pool[::-1], 2, seed=1)
    assert len({tuple(c.name for c in random_choice(pool, 2, seed=s)) for s in range(9)}) > 2


def test_bad_candidates_are_named(
    model: PublishedModel, pool: list[CandidateCell], labelled: list[LabelledCell]
) -> None:
    with pytest.raises(InputError, match="no candidate"):
        propose(model, [], labelled, 1)
    with pytest.raises(InputError, match="two candidates are called 'Zr50Cu50/5/0'"):
        propose(model, [pool[1], pool[1]], labelled, 1)
    with pytest.raises(InputError, match="must be positive, not 0"):
        random_choice([replace(pool[0], cost=0.0)], 1, seed=0)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    cells = [made_cell(run) for run in (1, 2, 3)]
    return evaluate(PublishedModel.fit, cells, split_by_run(cells), baselines={})


def worse(evaluation: Evaluation, factor: float) -> Evaluation:
    frame = evaluation.frame
    error = frame["mean_eV"] - frame["label_eV"]
    return replace(evaluation, frame=frame.assign(mean_eV=frame["label_eV"] + factor * error))


def test_policy_follows_the_three_rules(evaluation: Evaluation) -> None:
    scores = evaluation.scores().set_index("pair")["rmse_eV"]
    fine = PolicyLimits(rmse_eV=2 * float(scores.max()))
    strict = PolicyLimits(rmse_eV=0.5 * float(scores.min()))

    stop = decide(evaluation, limits=fine, drift_shares={"Zr-Cu": 0.01})
    augment = decide(evaluation, limits=strict, drift_shares={"Zr-Cu": 0.01})
    cells = decide(evaluation, limits=strict, drift_shares={"Zr-Cu": 0.4, "Zr-Zr": 0.1})
    poor = decide(
        evaluation,
        limits=fine,
        across_compositions=worse(evaluation, 3.0),
        drift_shares={"Zr-Cu": 0.4},
    )

    assert [d.action for d in (stop, augment, cells, poor)] == [
        "stop",
        "augment",
        "new-cells",
        "new-compositions",
    ]
    worst = max(scores.drop("all"))
    assert f"{worst:.3f} eV" in augment.reason
    assert "40.0% of the target's Zr-Cu bonds" in cells.reason
    assert "3.0 times" in poor.reason
    assert poor.numbers["limits"]["transfer_ratio"] == 1.5


def test_small_errors_elsewhere_do_not_ask_for_compositions(evaluation: Evaluation) -> None:
    fine = PolicyLimits(rmse_eV=1.0)
    across = worse(evaluation, 3.0)  # three times worse, but still within the limit
    assert decide(evaluation, across_compositions=across, limits=fine).action == "stop"


def test_an_evaluation_within_one_run_never_says_stop() -> None:
    cells = [made_cell(1), made_cell(1, "8", strain=stretch(0.8))]
    split = split_by_variant_class(cells, within_run=True)
    found = evaluate(PublishedModel.fit, cells, split, baselines={})

    decision = decide(found, limits=PolicyLimits(rmse_eV=10.0))

    assert decision.action == "new-cells"
    assert "within one run" in decision.reason
    with pytest.raises(InputError, match="no pair of elements has 9999 test bonds"):
        decide(found, limits=PolicyLimits(least_bonds=9999))
