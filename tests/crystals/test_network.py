"""The network: two ways through the same blocks must agree, and crystals in a row never mix."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from bondwright.crystals.conditioning import KINDS, ConditionConfig, Kind, drop_conditions
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.sampling_cache import Cache

# float32 sums in another order; logits are of order 1.
CLOSE = {"rtol": 0, "atol": 2e-5}


def make(kind: Kind | None, **changes: object) -> Network:
    torch.manual_seed(3)
    condition = None if kind is None else ConditionConfig(kind, variables=2, hidden=8, inner=8)
    config = NetworkConfig(
        vocabulary=23, context=40, layers=2, heads=4, width=32, bias=True, condition=condition
    )
    network = Network(replace(config, **changes)).eval()  # type: ignore[arg-type]
    for name, parameter in network.named_parameters():
        # Weights ten times the usual start: the logits then differ from token to token.
        with torch.no_grad():
            parameter.mul_(10 if parameter.ndim == 2 and "encoder" not in name else 1)
            if name.endswith("factor"):
                parameter.fill_(0.7)
    return network


def texts(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(23, (n,), generator=generator) for n in lengths]


CONDITIONS = torch.tensor([[0.3, math.nan], [math.nan, math.nan], [0.1, 1.4]])


def alone(network: Network, ids: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    return network(ids[None], condition=None if condition is None else condition[None])[0]


@pytest.mark.parametrize("kind", [None, *KINDS])
@torch.no_grad()
def test_crystals_that_share_a_row_do_not_see_one_another(kind: Kind | None) -> None:
    network, (a, b, c) = make(kind), texts(7, 5, 9)
    conditions = None if kind is None else torch.stack([CONDITIONS, CONDITIONS.flip(0)])
    row = torch.cat([a, b, c, torch.zeros(3, dtype=torch.int64)])
    segments = torch.tensor([0] * 7 + [1] * 5 + [2] * 9 + [-1] * 3)
    packed = network(
        torch.stack([row, row]), condition=conditions, segments=torch.stack([segments, segments])
    )
    for line in range(2):
        for place, (start, ids) in enumerate([(0, a), (7, b), (12, c)]):
            condition = None if conditions is None else conditions[line, place]
            expected = alone(network, ids, condition)
            torch.testing.assert_close(packed[line, start : start + len(ids)], expected, **CLOSE)


@pytest.mark.parametrize("kind", [None, *KINDS])
@torch.no_grad()
def test_what_follows_changes_nothing_before(kind: Kind | None) -> None:
    network, (a, b) = make(kind), texts(9, 9)
    condition = None if kind is None else CONDITIONS[:1]
    b[:6] = a[:6]
    both = network(
        torch.stack([a, b]), condition=None if condition is None else condition.expand(2, -1)
    )
    torch.testing.assert_close(both[0, :6], both[1, :6], rtol=0, atol=0)
    assert not torch.allclose(both[0, 6:], both[1, 6:], atol=1e-2)


@pytest.mark.parametrize("kind", [None, *KINDS])
@torch.no_grad()
def test_the_cache_gives_what_the_whole_text_gives(kind: Kind | None) -> None:
    """Prompts of different length, runs of several tokens, waiting, dropped and new rows."""
    network, all_texts = make(kind), texts(20, 17, 23, 12)
    conditions = None if kind is None else torch.cat([CONDITIONS, CONDITIONS[2:] * 0.5])
    whole = [
        alone(network, ids, None if conditions is None else conditions[i])
        for i, ids in enumerate(all_texts)
    ]
    cache = Cache(network, rows=3, capacity=20)
    who, read = [0, 1, 2], [0, 0, 0]

    def begin(row: int, text: int) -> None:
        who[row], read[row] = text, 0
        cache.begin(
            torch.tensor([row]), None if conditions is None else conditions[text : text + 1]
        )

    def feed(rows: list[int] | None, counts: list[int]) -> None:
        chosen = list(range(len(counts))) if rows is None else rows
        new = [
            all_texts[who[r]][read[r] : read[r] + n] for r, n in zip(chosen, counts, strict=True)
        ]
        step = cache.step(None if rows is None else torch.tensor(rows), torch.tensor(counts))
        logits = network.feed(step, torch.cat(new))
        for r, n, found in zip(chosen, counts, logits, strict=True):
            read[r] += n
            torch.testing.assert_close(found, whole[who[r]][read[r] - 1], **CLOSE)

    for row in range(3):
        begin(row, row)
    feed(None, [4, 1, 9])
    feed(None, [1, 1, 1])
    feed([2], [3])
    feed([0, 2], [1, 2])
    feed(None, [3, 5])  # the third row waits
    begin(1, 3)  # another text takes the place of the second
    feed([1], [2])
    feed(None, [2, 4, 1])
    cache.copy(torch.tensor([2]), torch.tensor([0]), read[2] - 4)
    who[0], read[0] = who[2], read[2] - 4
    cache.reserve(40)
    feed(None, [1, 1, 1])
    cache.rewind(torch.tensor([1]), 2)
    read[1] = 2
    feed(None, [1, 3, 1])


@torch.no_grad()
def test_equal_rows_need_no_mask_and_agree_with_unequal_ones() -> None:
    network, (a, b) = make(None), texts(12, 12)
    cache = Cache(network, rows=2, capacity=12)
    for start in range(0, 12, 3):
        for at in range(start, start + 3):
            step = cache.step(None, torch.tensor([1, 1]))
            assert step.seen is None
            logits = network.feed(step, torch.stack([a[at], b[at]]))
    torch.testing.assert_close(logits[0], alone(network, a, None)[-1], **CLOSE)
    torch.testing.assert_close(logits[1], alone(network, b, None)[-1], **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_condition_acts_and_none_is_all_unknown(kind: Kind) -> None:
    network, (ids,) = make(kind), texts(8)
    unknown = torch.full((2,), math.nan)
    torch.testing.assert_close(alone(network, ids, unknown), network(ids[None])[0], rtol=0, atol=0)
    acts = (alone(network, ids, torch.tensor([0.1, 0.2])) - alone(network, ids, unknown)).abs()
    assert acts.max() > 1e-3
    other = alone(network, ids, torch.tensor([0.1, math.nan]))
    assert not torch.allclose(other, alone(network, ids, torch.tensor([0.1, 0.0])), atol=1e-4)


@torch.no_grad()
def test_residual_attention_starts_without_effect() -> None:
    condition = ConditionConfig("residual", variables=2, hidden=8)
    config = NetworkConfig(23, 40, 2, 4, 32, condition=condition)
    network, (ids,) = Network(config).eval(), texts(8)
    torch.testing.assert_close(
        alone(network, ids, CONDITIONS[0]), alone(network, ids, CONDITIONS[1]), rtol=0, atol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_values_and_padding_leave_gradients_finite(kind: Kind) -> None:
    network, (ids,) = make(kind), texts(10)
    segments = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 2, -1, -1]])
    network(ids[None], condition=CONDITIONS[None], segments=segments).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    module = {"prefix": network.prefix, "prepend": network.prepend, "residual": network.residual}
    assert any(p.grad.abs().max() > 0 for p in module[kind].parameters())  # type: ignore[union-attr]


def test_dropout_acts_in_training_only() -> None:
    network, (ids,) = make(None, dropout=0.3), texts(10)
    with torch.no_grad():
        torch.testing.assert_close(network(ids[None]), network(ids[None]), rtol=0, atol=0)
        network.train()
        assert not torch.allclose(network(ids[None]), network(ids[None]), atol=1e-3)


def test_sizes_are_those_of_the_published_small_network() -> None:
    """25.9 M parameters; the published prefix module with hidden width 1024 had 35.7 M."""
    with torch.device("meta"):
        config = NetworkConfig(371, 1024, 8, 8, 512)
        plain = sum(p.numel() for p in Network(config).parameters())
        assert plain == 371 * 512 + 1024 * 512 + 8 * (12 * 512**2 + 2 * 512) + 512
        for kind in KINDS:
            with_module = replace(config, condition=ConditionConfig(kind, variables=2))
            extra = sum(p.numel() for p in Network(with_module).parameters()) - plain
            assert 0 < extra < 0.05 * plain, kind


def test_dropped_conditions_are_whole_crystals() -> None:
    values = torch.rand(50, 20, 3)
    left = drop_conditions(values, 0.25, torch.Generator().manual_seed(0))
    unknown = left.isnan()
    assert (unknown.all(dim=-1) == unknown.any(dim=-1)).all()
    torch.testing.assert_close(left[~unknown], values[~unknown], rtol=0, atol=0)
    # 1000 draws: five standard deviations of a binomial are 0.07.
    assert abs(float(unknown[..., 0].float().mean()) - 0.25) < 0.07
    assert not values.isnan().any()
