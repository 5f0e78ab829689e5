"""Ranking, numbers of formula units and tree search, on the small dialect."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_sampling import DIALECT, ask, make_model, write
from toy_dialect import ZERO

from bondwright.crystals import sampling, search
from bondwright.crystals.dialect import Request
from bondwright.crystals.ranking import perplexity, rank
from bondwright.crystals.sampling import Sample, SamplingSettings
from bondwright.crystals.sampling_text import Choice
from bondwright.crystals.search import (
    TreeSettings,
    _grow,
    _Node,
    _Path,
    tree_search,
)
from bondwright.crystals.search_units import possible_units
from bondwright.errors import InputError


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "dialect_by_name", lambda name: DIALECT)
    monkeypatch.setattr(search, "dialect_by_name", lambda name: DIALECT)


def test_perplexity() -> None:
    assert perplexity(4 * math.log(0.25), 4) == pytest.approx(4.0)
    assert perplexity(0.0, 0) == 1.0
    assert perplexity(None, None) is None
    assert math.isfinite(perplexity(-1e6, 2) or 0)


def test_ranking_puts_likely_crystals_first() -> None:
    samples = write(
        make_model(context=24), ask(*[3] * 30), SamplingSettings(attempts=1, temperature=2.0)
    )
    ranked = rank(samples)
    good = [s for s in ranked if s.crystal is not None]
    values = [perplexity(s.log_probability, s.tokens) or 0.0 for s in good]
    assert values == sorted(values)
    assert len(set(values)) > 3
    assert all(s.crystal is None for s in ranked[len(good) :])
    assert 0 < len(good) < len(ranked) == 30


def test_numbers_of_formula_units(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = DIALECT.prompt

    def units(request: Request) -> list[int]:
        assert request.formula is not None
        assert request.formula_units is not None
        atoms = sum(request.formula.values()) * request.formula_units
        return prompt(Request(formula={"Si": atoms}))

    monkeypatch.setattr(DIALECT, "prompt", units, raising=False)
    request = Request(formula={"Ti": 1, "O": 49})
    assert possible_units(DIALECT, request) == (1, 2, 3, 4)  # 300 atoms are too many
    assert possible_units(DIALECT, request, (4, 6)) == (4,)
    with pytest.raises(InputError, match=r"no number of formula units is possible: .*250 atoms"):
        possible_units(DIALECT, request, (5, 6))
    with pytest.raises(InputError, match="needs a formula"):
        possible_units(DIALECT, Request())


def nines(sample: Sample) -> float:
    """Share of digits that are 9 among at least three."""
    digits = [i - ZERO for i in sample.ids if ZERO <= i < ZERO + 10]
    return sum(d == 9 for d in digits) / max(len(digits), 3)


def test_tree_search_finds_what_is_rewarded() -> None:
    model, request = make_model(), ask(2)[0]
    tree = TreeSettings(simulations=200, together=8)
    found = tree_search(
        model, request, {}, nines, 3, SamplingSettings(attempts=1, temperature=2.0), tree
    )
    plain = write(model, [request] * 200, SamplingSettings(attempts=1, temperature=2.0))
    assert found[0][1] > max(nines(s) for s in plain)
    # All it wrote, not only the best, is better: it went back to where rewards were.
    mean = sum(nines(s) for s in plain) / len(plain)
    assert sum(value for _, value in found) / len(found) > 1.5 * mean
    assert [value for _, value in found] == sorted((v for _, v in found), reverse=True)
    assert len({s.ids for s, _ in found}) == len(found)
    for s, _ in found:
        grammar = DIALECT.grammar(request)
        for token in s.ids[2:]:
            grammar.advance(token)


def test_tree_search_is_decided_by_the_seed() -> None:
    model, request, tree = make_model(), ask(2)[0], TreeSettings(simulations=40, together=8)
    one, same, other = (tree_search(model, request, {}, nines, s, None, tree) for s in (1, 1, 2))
    assert [s.ids for s, _ in one] == [s.ids for s, _ in same]
    assert {s.ids for s, _ in one} != {s.ids for s, _ in other}


def test_tree_search_ends_when_there_are_no_more_texts() -> None:
    """Two digits and a limit of five tokens: 9 first digits times at most 10 second ones."""
    model, request = make_model(), Request()
    tree = TreeSettings(simulations=2000, width=10, certain=1.0, together=16)
    settings = SamplingSettings(attempts=1, max_tokens=4, temperature=50.0)
    found = tree_search(model, request, {}, lambda s: 0.5, 0, settings, tree)
    assert {s.ids[2:4] for s, _ in found} == {(3 + a, 2 + b) for a in range(9) for b in range(10)}


def test_certain_choices_do_not_branch() -> None:
    def choice(*shares: float) -> Choice:
        return Choice(np.arange(5, 5 + len(shares)), np.array(shares), 5)

    root, tree = _Node(visits=1), TreeSettings(width=2, certain=0.99)
    path = _Path([root])
    _grow(path, [choice(0.995, 0.005), choice(0.6, 0.3, 0.1), choice(0.5, 0.5)], tree, 1.0)
    assert list(root.children or {}) == [5]
    assert len(path.nodes) == 2  # the certain choice, and the open one behind it
    children = path.nodes[1].children or {}
    assert [(t, round(c.prior, 6)) for t, c in children.items()] == [(5, 0.666667), (6, 0.333333)]
    assert not root.closed
    end = _Path([_Node(visits=1)])
    _grow(end, [choice(0.999, 0.001)], tree, 1.0)
    assert end.nodes[0].closed  # one text only can come from here


def test_tree_search_needs_constraints() -> None:
    with pytest.raises(InputError, match="constraints"):
        tree_search(make_model(), ask(2)[0], {}, nines, 0, SamplingSettings(constrained=False))
