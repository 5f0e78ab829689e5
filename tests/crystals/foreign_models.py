"""GPT-2 in numpy, straight from its equations, and models in the published layouts.

It is what the package is compared with; `decode` alone uses the package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.sampling_cache import Cache

Array = NDArray[np.float64]
Weights = dict[str, Array]

LAYERS, HEADS, WIDTH = 2, 4, 32
SIZE = WIDTH // HEADS
PROMPT = [124, 29, 91, 7, 93, 142]
STEPS = 12


def random_weights(vocabulary: int, context: int, *, bias: bool, seed: int = 0) -> Weights:
    """Weights in GPT-2's names, matrices as (inputs, outputs)."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int, scale: float = 0.3) -> Array:
        return (rng.normal(size=shape) * scale).astype(np.float32).astype(np.float64)

    weights = {
        "transformer.wte.weight": draw(vocabulary, WIDTH),
        "transformer.wpe.weight": draw(context, WIDTH),
        "transformer.ln_f.weight": 1 + draw(WIDTH),
    }
    if bias:
        weights["transformer.ln_f.bias"] = draw(WIDTH)
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}."
        shapes = {
            "attn.c_attn": (WIDTH, 3 * WIDTH),
            "attn.c_proj": (WIDTH, WIDTH),
            "mlp.c_fc": (WIDTH, 4 * WIDTH),
            "mlp.c_proj": (4 * WIDTH, WIDTH),
        }
        for name, shape in shapes.items():
            weights[f"{at}{name}.weight"] = draw(*shape)
            if bias:
                weights[f"{at}{name}.bias"] = draw(shape[1])
        for name in ("ln_1", "ln_2"):
            weights[f"{at}{name}.weight"] = 1 + draw(WIDTH)
            if bias:
                weights[f"{at}{name}.bias"] = draw(WIDTH)
    return weights


def linear(weights: Weights, name: str, x: Array) -> Array:
    y: Array = x @ weights[f"{name}.weight"] + weights.get(f"{name}.bias", 0.0)
    return y


def norm(weights: Weights, name: str, x: Array) -> Array:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    y: Array = scaled * weights[f"{name}.weight"] + weights.get(f"{name}.bias", 0.0)
    return y


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    y: Array = e / e.sum(-1, keepdims=True)
    return y


def tanh_gelu(x: Array) -> Array:
    y: Array = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return y


def last_logits(
    weights: Weights,
    ids: Sequence[int],
    *,
    pairs: Array | None = None,
    front: Array | None = None,
    added: Any = None,
) -> Array:
    """Return the logits after the last token.

    Args:
        weights: as `random_weights` gives.
        ids: the text.
        pairs: (layers, 2, P, heads, size) keys and values before the text.
        front: (P, width) embeddings before the text.
        added: function (layer, queries (T, heads, size)) -> (T, width), added to attention.
    """
    x = weights["transformer.wte.weight"][list(ids)]
    if front is not None:
        x = np.concatenate([front, x])
    first = 0 if pairs is None else pairs.shape[2]
    x = x + weights["transformer.wpe.weight"][first : first + len(x)]
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}."
        q, k, v = np.split(linear(weights, at + "attn.c_attn", norm(weights, at + "ln_1", x)), 3, 1)
        q, k, v = (t.reshape(len(x), HEADS, SIZE) for t in (q, k, v))
        if pairs is not None:
            k = np.concatenate([pairs[layer, 0], k])
            v = np.concatenate([pairs[layer, 1], v])
        found = np.zeros_like(q)
        for t in range(len(x)):
            for h in range(HEADS):
                seen = t + 1 + first
                share = softmax(k[:seen, h] @ q[t, h] / np.sqrt(SIZE))
                found[t, h] = share @ v[:seen, h]
        change = linear(weights, at + "attn.c_proj", found.reshape(len(x), WIDTH))
        if added is not None:
            change = change + added(layer, q)
        x = x + change
        hidden = tanh_gelu(linear(weights, at + "mlp.c_fc", norm(weights, at + "ln_2", x)))
        x = x + linear(weights, at + "mlp.c_proj", hidden)
    y: Array = norm(weights, "transformer.ln_f", x)[-1] @ weights["transformer.wte.weight"].T
    return y


def greedy(weights: Weights, prompt: Sequence[int], count: int, **condition: Any) -> list[int]:
    """Return `count` tokens, each the most probable after those before it."""
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(last_logits(weights, ids, **condition).argmax()))
    return ids[len(prompt) :]


def encode(extra: Weights, values: Array, activation: Callable[[Array], Array]) -> Array:
    hidden = norm(
        extra, "conditioning.processor.1", linear(extra, "conditioning.processor.0", values)
    )
    return linear(extra, "conditioning.processor.3", activation(hidden))


def encoder_weights(rng: np.random.Generator, inputs: int, hidden: int, out: int) -> Weights:
    """Encoder with matrices as (inputs, outputs), for `linear`."""
    extra = {
        "conditioning.processor.0.weight": rng.normal(size=(inputs, hidden)),
        "conditioning.processor.1.weight": rng.normal(size=hidden),
        "conditioning.processor.3.weight": rng.normal(size=(hidden, out)) * 0.3,
    }
    for number, size in (("0", hidden), ("1", hidden), ("3", out)):
        extra[f"conditioning.processor.{number}.bias"] = rng.normal(size=size)
    return {name: value.astype(np.float32).astype(float) for name, value in extra.items()}


def as_stored(extra: Weights) -> Weights:
    """Matrices of linear layers as (outputs, inputs)."""
    return {name: value.T if value.ndim == 2 else value for name, value in extra.items()}


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def gelu(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def write_crystallm(path: Path, weights: Weights, *, compiled: bool = True) -> None:
    """Write a CrystaLLM checkpoint: matrices as (outputs, inputs), the optimiser beside them."""
    bias = "transformer.ln_f.bias" in weights
    prefix = "_orig_mod." if compiled else ""
    model = {}
    for name, value in weights.items():
        matrix = value.T if value.ndim == 2 and ".h." in name else value
        model[prefix + name] = torch.tensor(np.ascontiguousarray(matrix), dtype=torch.float32)
    model[prefix + "lm_head.weight"] = model[prefix + "transformer.wte.weight"]
    for layer in range(LAYERS):
        model[f"{prefix}transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 8, 8).tril()
    vocabulary, context = (len(weights[f"transformer.{n}.weight"]) for n in ("wte", "wpe"))
    arguments = {
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_embd": WIDTH,
        "block_size": context,
        "bias": bias,
        "vocab_size": vocabulary,
        "dropout": 0.1,
    }
    first = next(iter(model.values()))
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros_like(first)}}}
    torch.save(
        {
            "model": model,
            "optimizer": optimizer | {"param_groups": [{"lr": 1e-3, "params": [0]}]},
            "model_args": arguments,
            "iter_num": 7,
            "best_val_loss": torch.tensor(1.5),
            "config": {"out_dir": "out", "learning_rate": 1e-3},
        },
        path,
    )


def write_pi(folder: Path, weights: Weights, name: str, **config: Any) -> None:
    """Write a CrystaLLM-pi folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {n: np.ascontiguousarray(v, dtype=np.float32) for n, v in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = {
        "architectures": [name],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "n_embd": WIDTH,
        "n_head": HEADS,
        "n_layer": LAYERS,
        "n_positions": len(weights["transformer.wpe.weight"]),
        "vocab_size": len(weights["transformer.wte.weight"]),
        "layer_norm_epsilon": 1e-5,
        "resid_pdrop": 0.1,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(text | config))


def decode(model: LoadedModel, condition: list[float] | None) -> list[int]:
    """Greedy decoding through the cache."""
    cache = Cache(model.network, 1, len(PROMPT) + STEPS)
    values = None if condition is None else torch.tensor([condition])
    cache.begin(torch.tensor([0]), values)
    found, new = [], PROMPT
    with torch.no_grad():
        for _ in range(STEPS):
            step = cache.step(None, torch.tensor([len(new)]))
            new = [int(model.network.feed(step, torch.tensor(new)).argmax())]
            found += new
    return found
