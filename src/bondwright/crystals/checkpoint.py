"""A trained model on disk: `model.safetensors` (weights) and `model.json` (everything else).

The JSON names the weights by their SHA-256, so that the two cannot be mixed up; nothing is
unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from bondwright.crystals.conditioning import KINDS, ConditionConfig
from bondwright.crystals.device import usable_device
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.normaliser import Normaliser
from bondwright.errors import InputError
from bondwright.structure.write import write_bytes, write_text

FORMAT = "bondwright crystal model 1"
WEIGHTS, CARD = "model.safetensors", "model.json"


@dataclass(frozen=True)
class LoadedModel:
    """A model with everything that is needed to use it.

    Attributes:
        network: in evaluation mode.
        dialect: name of the dialect whose tokens it knows.
        normalisers: one for each value of its condition, in order; empty where it takes none.
        card: JSON values for people: data, training, results.
        sha256: of the file of the weights; "" for a model that was not read from one.
    """

    network: Network
    dialect: str
    normalisers: tuple[Normaliser, ...]
    card: Mapping[str, Any]
    sha256: str = ""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.tokens.weight.device


def save_model(
    folder: Path,
    network: Network,
    dialect: str,
    normalisers: Sequence[Normaliser],
    card: Mapping[str, Any],
    *,
    half: bool = False,
) -> str:
    """Write a model into `folder`; return the SHA-256 of the weights.

    Args:
        folder: made where missing; the JSON comes last, so a complete model has one.
        network: on any device, in any precision.
        dialect: name of its dialect.
        normalisers: one for each value of its condition, in order.
        card: JSON values.
        half: store float16 (half the size; weights rounded to 3 to 4 digits), else float32.

    Raises:
        InputError: normalisers that do not match the condition, or weights that are not finite or
            too large for float16.
        OSError: the folder cannot be written.
    """
    _check_normalisers(network.config, normalisers)
    precision = torch.float16 if half else torch.float32
    tensors: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        tensors[name] = value.detach().to("cpu", precision).contiguous()
        if not tensors[name].isfinite().all():
            what = "finite" if not value.isfinite().all() else "within float16; save it as float32"
            raise InputError(f"the model is not written: {name} is not {what}.")
    data = save_tensors(tensors)
    digest = hashlib.sha256(data).hexdigest()
    text = {
        "format": FORMAT,
        "dialect": dialect,
        "network": asdict(network.config),
        "normalisers": [normaliser.to_json() for normaliser in normalisers],
        "bytes": len(data),
        "sha256": digest,
        "card": dict(card),
    }
    lines = json.dumps(text, indent=1, allow_nan=False)
    write_bytes(folder / WEIGHTS, data)
    write_text(folder / CARD, lines + "\n")
    return digest


def load_model(
    folder: Path, device: str | torch.device = "cpu", *, half: bool = False
) -> LoadedModel:
    """Read a model.

    Args:
        folder: of the model.
        device: where the network is put.
        half: compute in bfloat16: faster on GPUs and on CPUs with AMX, slower on others; the
            crystals are others than in float32.

    Raises:
        InputError: a file is missing, cut short, changed, of another architecture or format; or
            there is no such device. Says which and why.
    """
    text = _read_card(folder)
    path = folder / WEIGHTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; fetch the whole model.") from None
    if len(data) < text["bytes"]:
        raise InputError(
            f"{path} is cut short: {len(data)} of {text['bytes']} bytes are there; fetch it again."
        )
    digest = hashlib.sha256(data).hexdigest()
    if digest != text["sha256"]:
        raise InputError(
            f"{path} was changed or belongs to another model: its SHA-256 is {digest[:12]}..., "
            f"{CARD} states {text['sha256'][:12]}...; fetch both files again."
        )
    try:
        tensors = load_tensors(data)
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file: {error}.") from None
    config = config_from_json(text["network"], path.with_name(CARD))
    normalisers = tuple(Normaliser.from_json(entry) for entry in text["normalisers"])
    _check_normalisers(config, normalisers)
    network = build_network(config, tensors, path).to(usable_device(device))
    if half:
        network = network.to(torch.bfloat16)
    return LoadedModel(network, text["dialect"], normalisers, text["card"], digest)


def build_network(config: NetworkConfig, tensors: Mapping[str, Tensor], source: Path) -> Network:
    """Return a network with the given weights as float32, in evaluation mode.

    Raises:
        InputError: the tensors are not those of this architecture, or not finite.
    """
    with torch.device("meta"):  # no memory is taken before names and shapes are known to match
        network = Network(config)
    expected = network.state_dict()
    for name in sorted(set(expected) | set(tensors)):
        if name not in tensors:
            raise InputError(f"{source}: {name} is missing; it is not of the stated architecture.")
        if name not in expected:
            raise InputError(f"{source}: {name} is not part of the stated architecture.")
        if tensors[name].shape != expected[name].shape:
            raise InputError(
                f"{source}: {name} has shape {tuple(tensors[name].shape)}, the stated "
                f"architecture needs {tuple(expected[name].shape)}."
            )
        if not tensors[name].isfinite().all():
            raise InputError(f"{source}: {name} holds numbers that are not finite.")
    # Copies: what safetensors and torch give may lie in the mapped file.
    state = {
        name: tensor.float().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def config_from_json(data: Any, source: Path) -> NetworkConfig:
    """Return the shape of a network from JSON values.

    Raises:
        InputError: a field is missing, unknown or out of bounds.
    """
    try:
        given = dict(data)
        condition = given.pop("condition", None)
        config = NetworkConfig(
            **given, condition=None if condition is None else ConditionConfig(**condition)
        )
        _check_numbers(config)
        if config.condition is not None:
            _check_numbers(config.condition)
            if config.condition.kind not in KINDS or config.heads % config.condition.share:
                raise ValueError("condition of an unknown kind, or heads not divided evenly")
        if config.width % config.heads or config.activation not in ("gelu", "gelu_new"):
            raise ValueError("width is not a multiple of heads, or the activation is unknown")
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: not the shape of a network ({error}).") from None
    return config


def _check_numbers(config: NetworkConfig | ConditionConfig) -> None:
    for field in fields(config):
        value = getattr(config, field.name)
        if field.type == "int" and not (type(value) is int and 1 <= value <= 1_000_000):
            raise ValueError(f"{field.name} is {value!r}")


def _check_normalisers(config: NetworkConfig, normalisers: Sequence[Normaliser]) -> None:
    needed = 0 if config.condition is None else config.condition.variables
    if len(normalisers) != needed:
        raise InputError(
            f"the network takes {needed} values as its condition, but {len(normalisers)} "
            "normalisers are given; give one for each."
        )


def _read_card(folder: Path) -> dict[str, Any]:
    """Return model.json with the fields that loading needs."""
    path = folder / CARD
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder} is not a crystal model: {CARD}: {error.strerror or error}."
        ) from None
    except ValueError:
        raise InputError(f"{path} is not JSON; the model is damaged, fetch it again.") from None
    if not isinstance(text, dict) or text.get("format") != FORMAT:
        raise InputError(f"{path} does not describe a {FORMAT!r}.")
    kinds = {"dialect": str, "normalisers": list, "bytes": int, "sha256": str, "card": dict}
    for name, kind in kinds.items():
        if not isinstance(text.get(name), kind):
            raise InputError(f"{path}: {name!r} is missing or not what it should be.")
    return text
