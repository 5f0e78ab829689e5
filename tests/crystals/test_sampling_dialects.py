"""An untrained network within the real grammars: every text is a crystal as it was asked for."""

from __future__ import annotations

from collections import Counter
from math import gcd

import pytest
import torch

from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.crystal import to_atoms
from bondwright.crystals.dialect import Request
from bondwright.crystals.dialects import NAMES, dialect
from bondwright.crystals.generate_cif import crystal_cif
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.sampling import Sample, SamplingSettings, sample
from bondwright.crystals.sampling_flaw import has_odd_bonds
from bondwright.crystals.strict import reason_against

REQUESTS = [
    Request(formula={"Ti": 1, "O": 2}, formula_units=4),
    Request(formula={"Ti": 1, "O": 2}, space_group=136),
    Request(formula={"Ti": 1, "O": 2}, max_atoms=24),
    Request(elements=("Ti", "O"), max_atoms=12),
    Request(max_atoms=8),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_a_crystal_as_asked(name: str) -> None:
    torch.manual_seed(1)
    vocabulary = dialect(name).vocabulary
    config = NetworkConfig(len(vocabulary.tokens), 1024, 1, 2, 32)
    model = LoadedModel(Network(config).eval(), name, (), {})
    asked = [request for request in REQUESTS for _ in range(4)]
    samples = list(
        sample(model, asked, [{}] * len(asked), 0, SamplingSettings(attempts=1, batch=8))
    )
    assert sorted(s.index for s in samples) == list(range(len(asked)))
    for one in samples:
        request = asked[one.index]
        assert one.problem == "", one.text
        assert one.crystal is not None
        atoms = to_atoms(one.crystal)
        counts = Counter(atoms.get_chemical_symbols())
        assert counts == one.crystal.counts
        assert len(atoms) <= request.max_atoms
        if request.formula is not None:
            units = gcd(*counts.values())
            assert {e: n // units for e, n in counts.items()} == request.formula
            if request.formula_units is not None:
                assert counts == {e: n * request.formula_units for e, n in request.formula.items()}
        if request.elements is not None:
            assert set(counts) == set(request.elements)
        if request.space_group is not None:
            assert one.crystal.space_group == request.space_group
        assert 0 < one.tokens < len(one.ids)
        assert one.log_probability < 0


def test_a_crystal_that_will_not_pass_is_begun_anew() -> None:
    torch.manual_seed(1)
    config = NetworkConfig(len(dialect("wyckoff").vocabulary.tokens), 256, 1, 2, 32)
    model = LoadedModel(Network(config).eval(), "wyckoff", (), {})
    asked = [Request(formula={"Ti": 1, "O": 2}, max_atoms=12)] * 40

    def write(attempts: int, batch: int = 16) -> dict[int, Sample]:
        settings = SamplingSettings(attempts=attempts, batch=batch)
        return {s.index: s for s in sample(model, asked, [{}] * len(asked), 0, settings)}

    once, often = write(1), write(5)
    assert {s.attempts for s in once.values()} == {1}
    for index, first in once.items():
        last, good = often[index], passes(first)
        if good:
            assert last.ids == first.ids
        assert (last.attempts == 1) == good if passes(last) else last.attempts == 5
    passing = [sum(not reason(s) for s in made.values()) for made in (once, often)]
    assert 0 < passing[0] < passing[1]
    assert {i: s.ids for i, s in write(5, batch=40).items()} == {i: s.ids for i, s in often.items()}


def passes(one: Sample) -> bool:
    """Whether nothing speaks against a sample: distances, the strict check, bonds."""
    assert one.crystal is not None
    grammar = dialect("wyckoff").grammar(Request(max_atoms=12))
    for token in one.ids[1:]:
        grammar.advance(token)
    return not grammar.strained and not reason(one) and not has_odd_bonds(one.crystal)


def reason(one: Sample) -> str:
    """Why the funnel would reject a sample."""
    assert one.crystal is not None
    return reason_against(crystal_cif(one.crystal, "one"))
