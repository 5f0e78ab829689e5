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
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.sampling import SamplingSettings, sample

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
    samples = list(sample(model, asked, [{}] * len(asked), 0, SamplingSettings(batch=8)))
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
