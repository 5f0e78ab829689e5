"""The conditioning modules of CrystaLLM-pi as ours.

Their four scalar modules compute what `conditioning` computes, with other names and other orders of
the numbers: the mapping is exact. In all of them -100 stands for a value that is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bondwright.errors import InputError

MARKER = -100.0
# Class names in config.json, with the activation of their encoder.
PREFIX = {"PKVGPT": "relu", "ConditionalGPT": "relu", "PrefixGPT": "gelu"}
PREPEND = {"PrependGPT": "relu"}
RESIDUAL = {"SliderGPT", "ResidualGPT"}
PLAIN = {"GPT2LMHeadModel"}

Condition = dict[str, Any] | None


def read_condition(
    text: Mapping[str, Any],
    extra: Mapping[str, Tensor],
    ours: dict[str, Tensor],
    where: str,
) -> tuple[Condition, dict[str, Tensor]]:
    """Return the shape of the conditioning module and its tensors under our names.

    Args:
        text: config.json.
        extra: the tensors of the conditioning module, under their names.
        ours: the tensors of the network under our names; loses the positions that stand before
            the text.
        where: the file, for messages.

    Raises:
        InputError: a class that is not known, or tensors that do not fit it.
    """
    name = (text.get("architectures") or ["GPT2LMHeadModel"])[0]
    condition: Condition = None
    tensors: dict[str, Tensor] = {}
    try:
        if name in PREFIX:
            condition, tensors = _prefix(name, text, extra, ours)
        elif name in PREPEND:
            condition, tensors = _prepend(name, text, extra, ours)
        elif name in RESIDUAL and text.get("slider_on"):
            condition, tensors = _residual(text, extra)
        elif name not in PLAIN | RESIDUAL:
            known = ", ".join(sorted({*PLAIN, *PREFIX, *PREPEND, *RESIDUAL}))
            raise InputError(f"{where}: a model of class {name!r} is not read; known are {known}.")
    except (KeyError, RuntimeError, TypeError, IndexError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{where}: the conditioning module is not that of {name} ({reason})."
        ) from None
    if len(extra) != len(tensors) - ("prepend.places" in tensors):
        raise InputError(f"{where} holds more tensors of a condition than {name} has.")
    return condition, tensors


def _encoder(extra: Mapping[str, Tensor], ours: str) -> dict[str, Tensor]:
    """Return the tensors of the encoder, which both share."""
    parts = {"0": "first", "1": "norm", "3": "second"}
    return {
        f"{ours}.encoder.{parts[number]}.{kind}": extra[f"conditioning.processor.{number}.{kind}"]
        for number in parts
        for kind in ("weight", "bias")
    }


def _skip_places(ours: dict[str, Tensor], count: int) -> Tensor:
    """Take away and return the positions before the text: there, a text begins at `count`."""
    places = ours["positions.weight"]
    ours["positions.weight"] = places[count:]
    return places[:count]


def _prefix(
    name: str, text: Mapping[str, Any], extra: Mapping[str, Tensor], ours: dict[str, Tensor]
) -> tuple[Condition, dict[str, Tensor]]:
    """Prefix attention: one linear layer gives all keys and values, here in another order."""
    tensors = _encoder(extra, "prefix")
    tokens, layers, width = text["n_prefix_tokens"], text["n_layer"], text["n_embd"]
    shared = bool(text.get("share_layers"))
    for kind in ("weight", "bias"):
        given = extra[f"conditioning.to_kv.{kind}"]
        if shared:
            # (tokens, key and value, width, ...), the same for every layer
            order = given.view(1, tokens, 2, width, *given.shape[1:])
            order = order.expand(layers, *order.shape[1:])
        elif name == "PrefixGPT":
            order = given.view(tokens, layers, 2, width, *given.shape[1:]).transpose(0, 1)
        else:
            order = given.view(layers, tokens, 2, width, *given.shape[1:])
        # ours: (layers, key and value, tokens, width, ...)
        mine = order.transpose(1, 2)
        tensors[f"prefix.pairs.{kind}"] = mine.reshape(-1, *given.shape[1:])
    _skip_places(ours, tokens)  # prefix pairs have no positions of their own
    condition = {
        "kind": "prefix",
        "variables": text["n_input_vector"],
        "hidden": text["n_hidden_cond"],
        "inner": len(tensors["prefix.encoder.second.weight"]),
        "tokens": tokens,
        "activation": PREFIX[name],
        "marker": MARKER,
    }
    return condition, tensors


def _prepend(
    name: str, text: Mapping[str, Any], extra: Mapping[str, Tensor], ours: dict[str, Tensor]
) -> tuple[Condition, dict[str, Tensor]]:
    """Prepended embeddings: the first positions are theirs."""
    tensors = _encoder(extra, "prepend")
    tokens = text["n_prefix_tokens"]
    tensors["prepend.places"] = _skip_places(ours, tokens)
    condition = {
        "kind": "prepend",
        "variables": text["n_input_vector"],
        "hidden": text["n_hidden_cond"],
        "tokens": tokens,
        "activation": PREPEND[name],
        "marker": MARKER,
    }
    return condition, tensors


def _residual(
    text: Mapping[str, Any], extra: Mapping[str, Tensor]
) -> tuple[Condition, dict[str, Tensor]]:
    """Residual attention; the later class also mixes the heads before adding."""
    variables, hidden = text["slider_n_variables"], text["slider_n_hidden"]
    share = text["slider_n_heads_sharing_slider"]
    pairs = 2 * (text["n_embd"] // share)
    mixing = "transformer.h.0.attn.slider_out_proj.weight" in extra
    shapes = {
        "weight_1": ("encode_linear.weight", (variables, pairs)),
        "bias_1": ("encode_linear.bias", (variables, pairs)),
        "weight_2": ("upscale_linear.weight", (variables, hidden, pairs)),
        "bias_2": ("upscale_linear.bias", (variables, hidden)),
        "weight_3": ("downscale_linear.weight", (variables, pairs, hidden)),
        "bias_3": ("downscale_linear.bias", (variables, pairs)),
    }
    tensors = {}
    for layer in range(text["n_layer"]):
        slider = f"transformer.h.{layer}.slider."
        for ours, (theirs, shape) in shapes.items():
            tensors[f"residual.{layer}.{ours}"] = extra[slider + theirs].view(shape)
        factor = extra.get(slider + "attention_factor.weight")  # a layer in the first class
        if factor is None:
            factor = extra[slider + "attention_factor"]
        tensors[f"residual.{layer}.factor"] = factor.reshape(torch.Size(()))
        for kind in ("weight", "bias") if mixing else ():
            given = extra[f"transformer.h.{layer}.attn.slider_out_proj.{kind}"]
            tensors[f"residual.{layer}.mix.{kind}"] = given
    condition = {
        "kind": "residual",
        "variables": variables,
        "hidden": hidden,
        "inner": pairs,
        "share": share,
        "mixing": mixing,
        "marker": MARKER,
    }
    return condition, tensors
