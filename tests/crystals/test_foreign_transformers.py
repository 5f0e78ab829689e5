"""Greedy decoding equal, token for token, to that of transformers' GPT-2.

transformers is no dependency of bondwright; to run these tests: pip install transformers.
test_foreign.py holds the same comparisons against GPT-2 in numpy and always runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_models import (
    HEADS,
    LAYERS,
    PROMPT,
    SIZE,
    STEPS,
    WIDTH,
    as_stored,
    decode,
    encode,
    encoder_weights,
    random_weights,
    relu,
    write_crystallm,
    write_pi,
)

from bondwright.crystals.foreign import load_foreign

transformers = pytest.importorskip(
    "transformers",
    reason="NOT COMPARED WITH TRANSFORMERS: it is not installed here (pip install transformers)",
)


def referee(weights: dict[str, Any]) -> Any:
    """transformers' GPT-2 with these weights; biases that are absent are zero."""
    config = transformers.GPT2Config(
        vocab_size=len(weights["transformer.wte.weight"]),
        n_positions=len(weights["transformer.wpe.weight"]),
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    state = {
        n: torch.zeros_like(t) if n.endswith("bias") else t for n, t in model.state_dict().items()
    }
    state |= {n: torch.tensor(v, dtype=torch.float32) for n, v in weights.items()}
    state["lm_head.weight"] = state["transformer.wte.weight"]
    model.load_state_dict(state)
    return model


def their_greedy(model: Any, **inputs: Any) -> list[int]:
    found = model.generate(
        **inputs, max_new_tokens=STEPS, do_sample=False, pad_token_id=0, use_cache=True
    )
    return [int(token) for token in found[0, -STEPS:]]


@pytest.mark.parametrize("bias", [False, True])
def test_crystallm(bias: bool, tmp_path: Path) -> None:
    weights = random_weights(371, 40, bias=bias)
    write_crystallm(tmp_path / "ckpt.pt", weights)
    theirs = their_greedy(referee(weights), input_ids=torch.tensor([PROMPT]))
    assert decode(load_foreign(tmp_path), None) == theirs


def test_crystallm_pi_saved_by_transformers(tmp_path: Path) -> None:
    weights = random_weights(377, 40, bias=True)
    model = referee(weights)
    model.save_pretrained(tmp_path)
    theirs = their_greedy(model, input_ids=torch.tensor([PROMPT]))
    assert decode(load_foreign(tmp_path), None) == theirs


def test_prefix_attention(tmp_path: Path) -> None:
    """Keys and values before the text: transformers takes them as a cache."""
    tokens, hidden, rng = 2, 8, np.random.default_rng(5)
    weights = random_weights(377, 40, bias=True)
    extra = encoder_weights(rng, 2, hidden, 2 * hidden)
    out = tokens * 2 * WIDTH * LAYERS
    extra["conditioning.to_kv.weight"] = rng.normal(size=(2 * hidden, out)) * 0.3
    extra["conditioning.to_kv.bias"] = rng.normal(size=out)
    write_pi(
        tmp_path,
        weights | as_stored(extra),
        "PKVGPT",
        n_input_vector=2,
        n_prefix_tokens=tokens,
        n_hidden_cond=hidden,
    )
    values = np.array([0.25, 0.5])
    flat = encode(extra, values, relu) @ extra["conditioning.to_kv.weight"]
    flat = flat + extra["conditioning.to_kv.bias"]
    pairs = flat.reshape(LAYERS, tokens, 2, HEADS, SIZE).transpose(0, 2, 3, 1, 4)
    cache, model, found, new = transformers.DynamicCache(), referee(weights), [], PROMPT
    for layer in range(LAYERS):
        keys, kept = (torch.tensor(p[None], dtype=torch.float32) for p in pairs[layer])
        cache.update(keys, kept, layer)
    with torch.no_grad():
        for _ in range(STEPS):
            output = model(torch.tensor([new]), past_key_values=cache, use_cache=True)
            new = [int(output.logits[0, -1].argmax())]
            found += new
    assert decode(load_foreign(tmp_path), values.tolist()) == found


def test_prepended_embeddings(tmp_path: Path) -> None:
    tokens, hidden, rng = 2, 8, np.random.default_rng(6)
    weights = random_weights(377, 40, bias=True)
    extra = encoder_weights(rng, 1, hidden, WIDTH)
    write_pi(
        tmp_path,
        weights | as_stored(extra),
        "PrependGPT",
        n_input_vector=1,
        n_prefix_tokens=tokens,
        n_hidden_cond=hidden,
    )
    model = referee(weights)
    front = np.stack([encode(extra, np.array([0.5]), relu)] * tokens)
    text = weights["transformer.wte.weight"][PROMPT]
    both = torch.tensor(np.concatenate([front, text])[None], dtype=torch.float32)
    assert decode(load_foreign(tmp_path), [0.5]) == their_greedy(model, inputs_embeds=both)
