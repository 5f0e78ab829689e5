"""The model that comes with the package: what its card says, and what it writes."""

from __future__ import annotations

import hashlib
import itertools
import json
import math

import pytest
from safetensors import safe_open

from bondwright.crystals.dialect import Request
from bondwright.crystals.generate_cif import crystal_cif
from bondwright.crystals.make_shipped import LARGEST
from bondwright.crystals.sampling import Sample, SamplingSettings, sample
from bondwright.crystals.shipped import SHIPPED, describe_model, model_place, open_model
from bondwright.crystals.splits import Splits
from bondwright.crystals.strict import reason_against

PLACE = model_place(SHIPPED)


def held_out(count: int) -> list[dict[str, int]]:
    """Oxides and sulfides whose compositions were not in training, by the rule in the card."""
    splits = Splits.from_json(describe_model(PLACE).card["data"]["splits"])
    metals = ["Li", "Na", "K", "Mg", "Ca", "Sr", "Ba", "Ti", "Zr", "Zn", "Al", "Ga", "Y", "La"]
    formulas = []
    for one, other, anion in itertools.product(metals, metals, ["O", "S"]):
        for counts in ((1, 1, 2), (1, 1, 3), (1, 2, 4)):
            formula = dict(zip((one, other, anion), counts, strict=True))
            if one != other and splits.part(formula) != 0:
                formulas.append(formula)
    return formulas[:count]


def test_the_card_tells_where_it_comes_from() -> None:
    facts = describe_model(PLACE)
    assert facts.dialect == "wyckoff"
    assert "band_gap" in facts.properties
    card = facts.card
    assert "bondwright train crystals" in card["command"]
    assert len(card["data"]["sha256"]) == 64
    least, most = card["data"]["atoms"]
    assert 1 <= least < most
    events = [json.loads(line) for line in (PLACE / "log.jsonl").read_text().splitlines()]
    losses = {e["step"]: e["validation_loss"] for e in events if "validation_loss" in e}
    best = card["validation"]
    assert losses[best["step"]] == best["validation_loss"] == min(losses.values())
    assert best["step"] <= card["steps_done"] <= card["training"]["steps"]


def test_the_weights_are_small_and_the_ones_of_the_card() -> None:
    data = (PLACE / "model.safetensors").read_bytes()
    assert len(data) <= LARGEST
    assert hashlib.sha256(data).hexdigest() == describe_model(PLACE).sha256
    with safe_open(PLACE / "model.safetensors", "pt") as weights:
        assert {str(weights.get_tensor(name).dtype) for name in weights.keys()} == {"torch.float16"}  # noqa: SIM118


@pytest.fixture(scope="module")
def written() -> dict[bool, list[Sample]]:
    """Forty crystals of held-out compositions with constraints, and without."""
    model = open_model(PLACE)
    requests = [Request(formula=formula, max_atoms=60) for formula in held_out(40)]
    return {
        constrained: sorted(
            sample(
                model, requests, [{}] * len(requests), 1, SamplingSettings(constrained=constrained)
            ),
            key=lambda s: s.index,
        )
        for constrained in (True, False)
    }


def test_constrained_it_writes_what_it_is_asked_for(written: dict[bool, list[Sample]]) -> None:
    for formula, one in zip(held_out(40), written[True], strict=True):
        assert one.crystal is not None, one.problem
        units = math.gcd(*one.crystal.counts.values())
        assert {e: n // units for e, n in one.crystal.counts.items()} == formula


def test_most_of_it_is_valid_and_more_than_without_constraints(
    written: dict[bool, list[Sample]],
) -> None:
    valid = {constrained: sum(map(passes, samples)) for constrained, samples in written.items()}
    assert valid[True] >= 0.8 * 40
    assert valid[True] > valid[False]


def passes(one: Sample) -> bool:
    """Whether the funnel's strict check would let a sample pass."""
    return one.crystal is not None and not reason_against(crystal_cif(one.crystal, "one"))
