"""Sampling: every text within its grammar, and independent of how the texts were computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toy_dialect import EOS, TOKENS, ToyDialect

from bondwright.crystals import sampling, sampling_rows
from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.conditioning import ConditionConfig, Kind
from bondwright.crystals.dialect import Request
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.normaliser import Normaliser
from bondwright.crystals.sampling import Sample, SamplingSettings
from bondwright.crystals.sampling_text import Text
from bondwright.errors import InputError

DIALECT = ToyDialect()


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "dialect_by_name", lambda name: DIALECT)


def make_model(kind: Kind | None = None, context: int = 64) -> LoadedModel:
    torch.manual_seed(2)
    condition = None if kind is None else ConditionConfig(kind, variables=1, hidden=8, inner=8)
    config = NetworkConfig(len(TOKENS), context, 2, 2, 32, condition=condition)
    network = Network(config).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        # Far from uniform, so that a wrong key, value or position changes what is chosen.
        parameter.mul_(8 if parameter.ndim == 2 and "encoder" not in name else 1)
        if name.endswith("factor"):
            parameter.fill_(1.0)
    scales = () if kind is None else (Normaliser("gap", "eV", "linear", 0.0, 10.0),)
    return LoadedModel(network, "toy", scales, {})


def ask(*sizes: int) -> list[Request]:
    return [Request(formula={"Si": n}) for n in sizes]


def write(
    model: LoadedModel,
    requests: Sequence[Request],
    settings: SamplingSettings | None = None,
    conditions: Sequence[dict[str, float | None]] | None = None,
    **more: Any,
) -> list[Sample]:
    settings = settings or SamplingSettings(attempts=1)
    found = sampling.sample(
        model, requests, conditions or [{}] * len(requests), 5, settings, **more
    )
    return sorted(found, key=lambda s: s.index)


def plainly(
    model: LoadedModel,
    index: int,
    request: Request,
    settings: SamplingSettings,
    gap: float | None,
    seed: int = 5,
) -> tuple[list[int], float]:
    """One text, the whole of it computed again for every token; written apart from the package."""
    ids, grammar = DIALECT.prompt(request), DIALECT.grammar(request)
    random = np.random.Generator(np.random.PCG64([seed, index]))
    total = 0.0
    conditions = [math.nan if gap is None else gap / 10, math.nan]
    while not grammar.done and len(ids) < model.network.config.context:
        allowed = grammar.allowed()
        if len(allowed) > 1:
            both = [
                model.network(
                    torch.tensor([ids]),
                    condition=torch.tensor([[c]]) if model.normalisers else None,
                )[0, -1].double()
                for c in conditions
            ]
            mixed = both[1] + settings.guidance * (both[0] - both[1])
            scaled = mixed[torch.tensor(allowed)] / settings.temperature
            if settings.top_k and settings.top_k < len(allowed):
                scaled[scaled < scaled.topk(settings.top_k).values[-1]] = -math.inf
            shares = scaled.softmax(0)
            if settings.top_p < 1:
                ranked, order = shares.sort(descending=True, stable=True)
                shares[order[ranked.cumsum(0) - ranked >= settings.top_p]] = 0
                shares = shares / shares.sum()
            place = int((shares.cumsum(0) <= random.random()).sum())
            token = int(allowed[min(place, len(allowed) - 1)])
            total += float(both[0].log_softmax(0)[token])
        else:
            token = int(allowed[0])
        grammar.advance(token)
        ids.append(token)
    return ids, total


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (None, SamplingSettings(attempts=1, batch=4)),
        (None, SamplingSettings(attempts=1, batch=3, temperature=0.7, top_k=3)),
        (None, SamplingSettings(attempts=1, batch=5, temperature=1.4, top_p=0.8)),
        ("prefix", SamplingSettings(attempts=1, batch=4)),
        ("prefix", SamplingSettings(attempts=1, batch=4, guidance=2.5)),
        ("prepend", SamplingSettings(attempts=1, batch=3, guidance=0.5)),
        ("residual", SamplingSettings(attempts=1, batch=4, guidance=2.0)),
    ],
)
def test_texts_are_those_of_the_plain_loop(kind: Kind | None, settings: SamplingSettings) -> None:
    """Cache, continuous batching, shared beginnings and runs change nothing."""
    model = make_model(kind)
    requests = ask(3, 1, 3, 5, 3, 1, 9, 2, 5, 3, 3)
    gaps = [None if kind is None or i % 3 == 2 else float(i % 2) * 8 for i in range(len(requests))]
    conditions = [{"gap": gap} if kind else {} for gap in gaps]
    samples = write(model, requests, settings, conditions)
    assert [s.index for s in samples] == list(range(len(requests)))
    for s in samples:
        ids, total = plainly(model, s.index, requests[s.index], settings, gaps[s.index])
        assert list(s.ids) == ids
        assert s.log_probability == pytest.approx(total, abs=1e-4)
        assert s.problem in ("", "unfinished")
        assert (s.crystal is None) == bool(s.problem)
    assert len({len(s.ids) for s in samples}) > 2


def test_batch_order_and_parts_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model("prefix")
    requests = ask(*[1, 4, 2, 4, 7, 1] * 5)
    conditions: list[dict[str, float | None]] = [{"gap": float(i % 4)} for i in range(30)]
    expected = write(model, requests, SamplingSettings(attempts=1, batch=30), conditions)
    for batch in (1, 7):
        assert _same(
            write(model, requests, SamplingSettings(attempts=1, batch=batch), conditions), expected
        )
    part = write(
        model, requests[10:20], SamplingSettings(attempts=1, batch=4), conditions[10:20], first=10
    )
    assert _same(part, expected[10:20])
    monkeypatch.setattr(sampling_rows, "RUN", 2)
    monkeypatch.setattr(sampling_rows, "TOGETHER", 8)
    assert _same(
        write(model, requests, SamplingSettings(attempts=1, batch=9), conditions), expected
    )


def _same(left: Sequence[Sample], right: Sequence[Sample]) -> bool:
    """All but the last digits of ln p."""
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert replace(a, log_probability=0.0) == replace(b, log_probability=0.0)
        assert a.log_probability == pytest.approx(b.log_probability, abs=1e-4)
    return True


def test_another_seed_gives_other_texts() -> None:
    model, requests = make_model(), ask(*[2] * 12)
    one = write(model, requests)
    other = list(sampling.sample(model, requests, [{}] * 12, 6, SamplingSettings(attempts=1)))
    assert {s.ids for s in one} != {s.ids for s in other}
    assert len({s.ids for s in one}) > 6


def test_frequencies_are_the_model_s() -> None:
    """First digits of 3000 texts against their probabilities: chi-square."""
    model, n = make_model(), 3000
    prompt = [*DIALECT.prompt(ask(2)[0]), TOKENS.index("=")]
    logits = model.network(torch.tensor([prompt]))[0, -1, 3:12].double() / 2.0
    expected = logits.softmax(0).numpy() * n
    samples = write(
        model, ask(*[2] * n), SamplingSettings(attempts=1, temperature=2.0, max_tokens=4)
    )
    firsts = np.array([s.ids[3] - 3 for s in samples])
    seen = np.bincount(firsts, minlength=9)
    # 8 degrees of freedom: above 26.1 with probability 0.001; the seed is fixed.
    assert ((seen - expected) ** 2 / expected).sum() < 26.1


def test_temperature_zero_takes_the_most_probable() -> None:
    model = make_model()
    samples = write(model, ask(2, 2, 2), SamplingSettings(attempts=1, temperature=0))
    assert len({s.ids for s in samples}) == 1
    first = model.network(torch.tensor([[12, 12, 13]]))[0, -1, 3:12].argmax() + 3
    assert samples[0].ids[3] == first


def test_the_limit_of_tokens_gives_unfinished() -> None:
    model = make_model(context=24)
    samples = write(model, ask(*[3] * 20))
    problems = {s.problem for s in samples}
    assert "unfinished" in problems
    for s in samples:
        assert len(s.ids) <= 24
        assert (s.crystal is None) == (s.problem == "unfinished")
    short = write(model, ask(3, 3), SamplingSettings(attempts=1, max_tokens=6))
    assert [len(s.ids) for s in short] == [6, 6]
    with pytest.raises(InputError, match="prompt of request 1 has 30 tokens"):
        sampling.sample(model, ask(2, 30), [{}, {}], 0)


@pytest.mark.parametrize("kind", [None, "prefix", "residual"])
def test_in_half_precision_the_texts_keep_their_grammar(kind: Kind | None) -> None:
    model = make_model(kind)
    model.network.to(torch.bfloat16)
    samples = write(model, ask(2, 3, 2), conditions=[{"gap": 1.0} if kind else {}] * 3)
    assert all(s.problem in ("", "unfinished") for s in samples)


def test_without_constraints_malformed_texts_are_data() -> None:
    model = make_model()
    samples = write(model, ask(*[2] * 40), SamplingSettings(constrained=False, temperature=3.0))
    assert len(samples) == 40
    for s in samples:
        assert s.problem == "unfinished" or s.problem.startswith("malformed: not a text")
        assert s.crystal is None
        ended = s.ids[-1] == EOS
        assert ended == (s.problem != "unfinished")
        assert EOS not in s.ids[:-1]
    assert any(s.problem.startswith("malformed") for s in samples)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no"), RuntimeError("can't allocate memory")]
)
def test_out_of_memory_halves_the_batch_and_goes_on(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, requests = make_model(), ask(*[2, 3, 1] * 6)
    expected = write(model, requests)
    feed, refused = Network.feed, []

    def small_only(self: Network, step: Any, ids: torch.Tensor) -> torch.Tensor:
        if step.count > 4:
            refused.append(step.count)
            raise error
        return feed(self, step, ids)

    monkeypatch.setattr(Network, "feed", small_only)
    assert _same(write(model, requests, SamplingSettings(attempts=1, batch=16)), expected)
    assert refused == [16, 8]

    def never(self: Network, step: Any, ids: torch.Tensor) -> torch.Tensor:
        raise error

    monkeypatch.setattr(Network, "feed", never)
    with pytest.raises(InputError, match="not enough memory for one text"):
        write(model, requests)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Network, step: Any, ids: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(Network, "feed", broken)
    with pytest.raises(RuntimeError, match="size mismatch"):
        write(make_model(), ask(2))


def test_requests_are_refused_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> torch.Tensor:
        raise AssertionError("computed")

    monkeypatch.setattr(Network, "feed", broken)
    model = make_model("prefix")
    with pytest.raises(InputError, match="201 atoms"):
        sampling.sample(model, ask(2, 201), [{}, {}], 0)
    with pytest.raises(InputError, match="no condition 'density'"):
        sampling.sample(model, ask(2), [{"density": 1.0}], 0)
    for settings, message in [
        (SamplingSettings(temperature=-1), "temperature"),
        (SamplingSettings(top_p=0), "top-p"),
        (SamplingSettings(top_k=-1), "top-k"),
        (SamplingSettings(batch=0), "batch"),
        (SamplingSettings(attempts=0), "attempts"),
        (SamplingSettings(guidance=math.nan), "guidance"),
    ]:
        with pytest.raises(InputError, match=message):
            sampling.sample(model, ask(2), [{}], 0, settings)
    with pytest.raises(InputError, match="guidance needs"):
        sampling.sample(make_model(), ask(2), [{}], 0, SamplingSettings(guidance=2.0))
    with pytest.raises(InputError, match="1 requests but 0"):
        sampling.sample(model, ask(2), [], 0)
    assert list(sampling.sample(model, [], [], 0)) == []


def test_progress_and_streaming() -> None:
    told: list[tuple[int, int, float]] = []
    stream = sampling.sample(
        make_model(),
        ask(*[2] * 9),
        [{}] * 9,
        0,
        SamplingSettings(attempts=1, batch=2),
        lambda *a: told.append(a),
    )
    next(stream)
    assert len(told) == 1
    assert sum(1 for _ in stream) == 8
    assert [(done, total) for done, total, _ in told] == [(i, 9) for i in range(1, 10)]
    assert all(rate > 0 for *_, rate in told)


def test_beginnings_that_are_alike_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    feed = Network.feed

    def counted(self: Network, step: Any, ids: torch.Tensor) -> torch.Tensor:
        read.append(len(ids))
        return feed(self, step, ids)

    monkeypatch.setattr(Network, "feed", counted)
    samples = write(make_model(context=400), ask(*[20] * 30), SamplingSettings(attempts=1, batch=8))
    assert all(s.problem == "" for s in samples)
    # 21 certain tokens once, and of each text what follows, without the closing words.
    assert sum(read) == 21 + sum(len(s.ids) - 21 - 16 for s in samples)


def test_text_counts_what_was_chosen() -> None:
    text = Text(0, ask(2)[0], (), DIALECT, constrained=True, limit=50, seed=0)
    assert [TOKENS[i] for i in text.ids] == ["N", "N", "="]
    for token in "12":
        text.choose(TOKENS.index(token), -0.5)
    text.choose(TOKENS.index("!"), -0.25)
    sample = text.sample()
    assert (sample.tokens, sample.log_probability) == (3, -1.25)
    assert sample.text == "NN=12!closingclosing<eos>"
    assert sample.crystal is not None
    assert sample.crystal.lengths[0] == 12.0
