"""Published models from local files, against GPT-2 written out in numpy.

Real checkpoints are too large for tests; these have random weights in their layouts.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
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
    Array,
    Weights,
    as_stored,
    decode,
    encode,
    encoder_weights,
    gelu,
    greedy,
    last_logits,
    linear,
    random_weights,
    relu,
    softmax,
    write_crystallm,
    write_pi,
)

from bondwright.crystals.checkpoint import LoadedModel, load_model, save_model
from bondwright.crystals.cif_vocabulary import CRYSTALLM_PI
from bondwright.crystals.foreign import PUBLISHED_SCALES, load_foreign
from bondwright.errors import InputError


def compare(
    model: LoadedModel, weights: Weights, condition: list[float] | None, **parts: Any
) -> None:
    """Logits of the whole prompt and greedy decoding agree with numpy's."""
    values = None if condition is None else torch.tensor([condition])
    with torch.no_grad():
        ours = model.network(torch.tensor([PROMPT]), condition=values)[0, -1].double().numpy()
    theirs = last_logits(weights, PROMPT, **parts)
    # Ours are float32; the logits spread over some ten units.
    np.testing.assert_allclose(ours, theirs, atol=2e-4 * max(1.0, np.abs(theirs).max()), rtol=0)
    assert decode(model, condition) == greedy(weights, PROMPT, STEPS, **parts)


@pytest.mark.parametrize("bias", [False, True])
def test_crystallm_checkpoint(bias: bool, tmp_path: Path) -> None:
    weights = random_weights(371, 40, bias=bias)
    write_crystallm(tmp_path / "ckpt.pt", weights, compiled=bias)
    for path in (tmp_path, tmp_path / "ckpt.pt"):
        model = load_foreign(path)
        assert model.dialect == "crystallm"
        assert model.card["steps"] == 7
        assert not model.network.training
        compare(model, weights, None)


def test_crystallm_pi_base(tmp_path: Path) -> None:
    weights = random_weights(377, 40, bias=True)
    write_pi(tmp_path, weights, "GPT2LMHeadModel")
    tokens = {token: i for i, token in enumerate(CRYSTALLM_PI.tokens)}
    (tmp_path / "vocabulary.json").write_text(json.dumps(tokens))
    model = load_foreign(tmp_path)
    assert model.dialect == "crystallm-pi"
    compare(model, weights, None)
    (tmp_path / "vocabulary.json").write_text(json.dumps(tokens | {"Si": 1, "C": 0}))
    with pytest.raises(InputError, match="2 tokens differ"):
        load_foreign(tmp_path)


@pytest.mark.parametrize("given", [[0.4, 0.1], [0.4, math.nan]])
@pytest.mark.parametrize(
    ("name", "shared", "activation"),
    [("PKVGPT", False, relu), ("PKVGPT", True, relu), ("PrefixGPT", False, gelu)],
)
def test_prefix_attention(
    name: str,
    shared: bool,
    activation: Callable[[Array], Array],
    given: list[float],
    tmp_path: Path,
) -> None:
    tokens, hidden, rng = 3, 8, np.random.default_rng(5)
    weights = random_weights(377, 40 + tokens, bias=True)
    extra = encoder_weights(rng, 2, hidden, 2 * hidden)
    out = tokens * 2 * WIDTH * (1 if shared else LAYERS)
    kernel = rng.normal(size=(2 * hidden, out)) * 0.3
    extra["conditioning.to_kv.weight"] = kernel.astype(np.float32).astype(float)
    extra["conditioning.to_kv.bias"] = rng.normal(size=out).astype(np.float32).astype(float)
    write_pi(
        tmp_path,
        weights | as_stored(extra),
        name,
        n_input_vector=2,
        n_prefix_tokens=tokens,
        n_hidden_cond=hidden,
        share_layers=shared,
    )
    # An unknown value is given to these modules as the number -100.
    values = np.nan_to_num(np.array(given, dtype=np.float32).astype(float), nan=-100.0)
    flat = linear(extra, "conditioning.to_kv", encode(extra, values, activation))
    if shared:
        one = flat.reshape(tokens, 2, HEADS, SIZE)
        pairs = np.stack([one.transpose(1, 0, 2, 3)] * LAYERS)
    elif name == "PrefixGPT":
        pairs = flat.reshape(tokens, LAYERS, 2, HEADS, SIZE).transpose(1, 2, 0, 3, 4)
    else:
        pairs = flat.reshape(LAYERS, tokens, 2, HEADS, SIZE).transpose(0, 2, 1, 3, 4)
    model = load_foreign(tmp_path)
    assert model.network.config.context == 40
    compare(model, weights, given, pairs=pairs)


def test_prepended_embeddings(tmp_path: Path) -> None:
    tokens, hidden, rng = 2, 8, np.random.default_rng(6)
    weights = random_weights(377, 40 + tokens, bias=True)
    extra = encoder_weights(rng, 1, hidden, WIDTH)
    write_pi(
        tmp_path,
        weights | as_stored(extra),
        "PrependGPT",
        n_input_vector=1,
        n_prefix_tokens=tokens,
        n_hidden_cond=hidden,
    )
    scales = PUBLISHED_SCALES["slme"]
    model = load_foreign(tmp_path, scales=scales)
    assert model.normalisers == scales
    value = float(np.float32(scales[0].forward(20.0)))
    front = np.stack([encode(extra, np.array([value]), relu)] * tokens)
    compare(model, weights, [value], front=front)


@pytest.mark.parametrize("given", [[0.4, 0.1, 2.0], [0.4, math.nan, 2.0], [math.nan] * 3])
@pytest.mark.parametrize(
    ("name", "share"), [("SliderGPT", 1), ("SliderGPT", 2), ("ResidualGPT", 2)]
)
def test_residual_attention(name: str, share: int, given: list[float], tmp_path: Path) -> None:
    variables, hidden, rng = 3, 8, np.random.default_rng(7)
    pairs, mixing = 2 * WIDTH // share, name == "ResidualGPT"
    weights = random_weights(377, 40, bias=True)
    extra: Weights = {}
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}."
        shapes: dict[str, tuple[int, ...]] = {
            "slider.encode_linear.weight": (variables * pairs, 1),
            "slider.encode_linear.bias": (variables * pairs,),
            "slider.upscale_linear.weight": (variables * hidden, pairs),
            "slider.upscale_linear.bias": (variables * hidden,),
            "slider.downscale_linear.weight": (variables * pairs, hidden),
            "slider.downscale_linear.bias": (variables * pairs,),
        }
        if mixing:
            shapes |= {
                "attn.slider_out_proj.weight": (WIDTH, WIDTH),
                "attn.slider_out_proj.bias": (WIDTH,),
                "slider.attention_factor": (),
            }
        else:
            shapes["slider.attention_factor.weight"] = (1, 1)
        for key, shape in shapes.items():
            extra[at + key] = np.asarray(rng.normal(size=shape) * 0.5 + 0.1, dtype=np.float32)
        extra[at + "slider.dummy"] = np.zeros(0)

    def added(layer: int, queries: Array) -> Array:
        at = f"transformer.h.{layer}."

        def part(name: str, variable: int) -> tuple[Array, Array]:
            matrix, offset = extra[f"{at}slider.{name}.weight"], extra[f"{at}slider.{name}.bias"]
            size = len(offset) // variables
            rows = slice(variable * size, (variable + 1) * size)
            return matrix[rows].astype(float), offset[rows].astype(float)

        keys, found = [], []
        for variable, value in enumerate(given):
            if math.isnan(value):
                continue
            x = np.array([np.float32(value)], dtype=float)
            for step, name in enumerate(["encode_linear", "upscale_linear", "downscale_linear"]):
                matrix, offset = part(name, variable)
                x = matrix @ x + offset
                x = np.tanh(x) if step < 2 else x
            both = x.reshape(2, HEADS // share, SIZE).repeat(share, axis=1)
            keys.append(both[0])
            found.append(both[1])
        result = np.zeros((len(queries), HEADS, SIZE))
        for t in range(len(queries)) if keys else ():
            for h in range(HEADS):
                weight = softmax(np.array([k[h] for k in keys]) @ queries[t, h] / math.sqrt(SIZE))
                result[t, h] = weight @ np.array([v[h] for v in found])
        flat = result.reshape(len(queries), WIDTH)
        if not mixing:
            return flat * float(extra[at + "slider.attention_factor.weight"][0, 0])
        flat = flat @ extra[at + "attn.slider_out_proj.weight"].T.astype(float)
        flat = flat + extra[at + "attn.slider_out_proj.bias"]
        return flat * float(extra[at + "slider.attention_factor"])

    write_pi(
        tmp_path,
        weights | extra,
        name,
        slider_on=True,
        slider_n_variables=variables,
        slider_n_hidden=hidden,
        slider_n_heads_sharing_slider=share,
    )
    compare(load_foreign(tmp_path), weights, given, added=added)


def test_a_published_model_can_be_kept_as_ours(tmp_path: Path) -> None:
    weights = random_weights(371, 40, bias=False)
    write_crystallm(tmp_path / "ckpt.pt", weights)
    model = load_foreign(tmp_path / "ckpt.pt")
    save_model(tmp_path / "ours", model.network, model.dialect, model.normalisers, model.card)
    compare(load_model(tmp_path / "ours"), weights, None)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"model": Evil(mark), "model_args": {}}, tmp_path / "ckpt.pt")
    with pytest.raises(InputError, match=r"SHA-256 [0-9a-f]{12}.*holds code, which is not run"):
        load_foreign(tmp_path / "ckpt.pt")
    (tmp_path / "ckpt.pt").write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(InputError, match="SHA-256"):
        load_foreign(tmp_path / "ckpt.pt")
    assert not mark.exists()


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    weights = random_weights(371, 40, bias=False)
    write_crystallm(tmp_path / "ckpt.pt", weights)
    data = (tmp_path / "ckpt.pt").read_bytes()
    for part in (data[: len(data) // 2], data[:10], b"", b"not a checkpoint"):
        (tmp_path / "ckpt.pt").write_bytes(part)
        with pytest.raises(InputError, match="SHA-256"):
            load_foreign(tmp_path)
    write_pi(tmp_path / "pi", random_weights(377, 40, bias=True), "GPT2LMHeadModel")
    path = tmp_path / "pi" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="cut short"):
        load_foreign(tmp_path / "pi")
    with pytest.raises(InputError, match="no model found"):
        load_foreign(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["PrefixXRDGPT"]}, "'PrefixXRDGPT' is not read"),
        ({"architectures": ["PKVGPT"]}, "not that of PKVGPT"),
        ({"n_layer": 3}, "blocks.2.down.bias is missing"),
        ({"n_inner": 50}, "n_inner is 50"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"activation_function": "relu"}, "activation"),
    ],
)
def test_other_architectures_are_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_pi(tmp_path, random_weights(377, 40, bias=True), "GPT2LMHeadModel", **change)
    with pytest.raises(InputError, match=message):
        load_foreign(tmp_path)


def test_remote_code_is_never_looked_at(tmp_path: Path) -> None:
    weights = random_weights(377, 40, bias=True)
    remote = {"AutoModelForCausalLM": "modeling.Evil"}
    write_pi(tmp_path, weights, "GPT2LMHeadModel", auto_map=remote, trust_remote_code=True)
    (tmp_path / "modeling.py").write_text("raise SystemExit('ran')")
    compare(load_foreign(tmp_path), weights, None)


def test_other_vocabularies_are_refused(tmp_path: Path) -> None:
    write_crystallm(tmp_path / "ckpt.pt", random_weights(370, 40, bias=False))
    with pytest.raises(InputError, match="370 tokens; the published dialects have 371 or 377"):
        load_foreign(tmp_path)


def test_untied_output_is_refused(tmp_path: Path) -> None:
    weights = random_weights(377, 40, bias=True)
    write_pi(
        tmp_path,
        weights | {"lm_head.weight": weights["transformer.wte.weight"] + 1},
        "GPT2LMHeadModel",
    )
    with pytest.raises(InputError, match="not tied"):
        load_foreign(tmp_path)
