"""Published models as ours: CrystaLLM checkpoints and CrystaLLM-pi folders, from local files.

CrystaLLM (`ckpt.pt`, a pickle of tensors and plain values) is opened by torch's restricted
unpickler, which runs no code; CrystaLLM-pi comes as safetensors. Their names and layouts are turned
into those of `Network`. The conditions of CrystaLLM-pi are in foreign_conditions.py.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bondwright.crystals.checkpoint import LoadedModel, build_network, config_from_json
from bondwright.crystals.device import usable_device
from bondwright.crystals.foreign_conditions import read_condition
from bondwright.crystals.normaliser import Normaliser
from bondwright.errors import InputError

DIALECTS = {371: "crystallm", 377: "crystallm-pi"}  # by the number of tokens
IGNORED = (".attn.bias", ".attn.masked_bias", ".slider.dummy")  # buffers of no consequence
COMPILED_PREFIX = "_orig_mod."  # left by torch.compile
# What GPT-2 calls its parts, and what they are called here.
NAMES = {
    "ln_1": "norm_1",
    "attn.c_attn": "qkv",
    "attn.c_proj": "out",
    "ln_2": "norm_2",
    "mlp.c_fc": "up",
    "mlp.c_proj": "down",
}

PUBLISHED_SCALES: Mapping[str, tuple[Normaliser, ...]] = {
    "slme": (Normaliser("slme", "%", "linear", 0.0, 33.192),),
    "bandgap": (
        Normaliser("band_gap", "eV", "log", 0.0, 17.891, 0.8),
        Normaliser("e_above_hull", "eV/atom", "linear", 0.0, 5.418),
    ),
    "density": (
        Normaliser("density", "g/cm3", "linear", 0.0, 25.494),
        Normaliser("e_above_hull", "eV/atom", "linear", 0.0, 0.1),
    ),
}
"""Scales of the published conditional models of CrystaLLM-pi, whose files do not hold them."""


def load_foreign(
    path: Path,
    device: str | torch.device = "cpu",
    scales: Sequence[Normaliser] | None = None,
) -> LoadedModel:
    """Read a published model.

    Args:
        path: a CrystaLLM `ckpt.pt`, or the folder of a CrystaLLM-pi model (config.json and
            model.safetensors).
        device: where the network is put.
        scales: how each value of the condition is normalised (see `PUBLISHED_SCALES`; the files do
            not say). Without, values are to be given as the network takes them, named "value_1",
            "value_2", ...

    Raises:
        InputError: no such file, a damaged one, one that holds code, or an architecture that is
            not one of these; says which, with the file's SHA-256 where it was read.
    """
    target = usable_device(device)
    if path.is_dir() and (path / "config.json").is_file():
        return _load_folder(path, target, scales)
    file = path / "ckpt.pt" if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{path}: no model found; give CrystaLLM's ckpt.pt (unpack its archive first) or a "
            "CrystaLLM-pi folder with config.json and model.safetensors."
        )
    return _load_checkpoint(file, target)


def _load_checkpoint(path: Path, device: torch.device) -> LoadedModel:
    """Read a CrystaLLM checkpoint."""
    digest = _digest(path)
    where = f"{path} (SHA-256 {digest[:12]}...)"
    try:
        held = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError:
        raise InputError(
            f"{where} is not a checkpoint of tensors and plain values: it is damaged, or holds "
            "code, which is not run. Fetch it from its publisher again."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{where} is damaged ({reason}); fetch it again.") from None
    wanted = {"n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size"}
    arguments = held.get("model_args") if isinstance(held, dict) else None
    tensors = held.get("model") if isinstance(held, dict) else None
    if not isinstance(arguments, dict) or not wanted <= set(arguments):
        raise InputError(f"{where} has no 'model_args' with {', '.join(sorted(wanted))}.")
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise InputError(f"{where} has no 'model' that maps names to tensors.")
    config = {
        "vocabulary": arguments["vocab_size"],
        "context": arguments["block_size"],
        "layers": arguments["n_layer"],
        "heads": arguments["n_head"],
        "width": arguments["n_embd"],
        "bias": bool(arguments["bias"]),
        "activation": "gelu_new",
        "dropout": float(arguments.get("dropout", 0.0)),
    }
    named = {str(name).removeprefix(COMPILED_PREFIX): t for name, t in tensors.items()}
    ours = _rename(_tied(named, where), where, transpose=False)
    card = {
        "source": "CrystaLLM checkpoint",
        "file": path.name,
        "steps": held.get("iter_num") if isinstance(held.get("iter_num"), int) else None,
    }
    return _finish(config, ours, path, digest, card, None, device)


def _load_folder(
    folder: Path, device: torch.device, scales: Sequence[Normaliser] | None
) -> LoadedModel:
    """Read a CrystaLLM-pi folder."""
    text = _json(folder / "config.json")
    path = folder / "model.safetensors"
    if not path.is_file():
        raise InputError(f"{folder} has no model.safetensors; other files of weights are not read.")
    digest = _digest(path)
    where = f"{path} (SHA-256 {digest[:12]}...)"
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{where} is damaged or cut short ({error}); fetch it again.") from None
    _check_folder(folder, text)
    config = {
        "vocabulary": text.get("vocab_size"),
        "context": text.get("n_positions"),
        "layers": text.get("n_layer"),
        "heads": text.get("n_head"),
        "width": text.get("n_embd"),
        "bias": True,
        "activation": text.get("activation_function", "gelu_new"),
        "dropout": float(text.get("resid_pdrop") or 0.0),
    }
    base: dict[str, Tensor] = {}
    extra: dict[str, Tensor] = {}
    for name, tensor in _tied(tensors, where).items():
        foreign = name.startswith("conditioning.") or ".slider" in name
        (extra if foreign else base)[name] = tensor
    ours = _rename(base, where, transpose=True)
    condition, more = read_condition(text, extra, ours, where)
    if condition is not None:
        config["condition"] = condition
    config["context"] = len(ours["positions.weight"]) if "positions.weight" in ours else 0
    card = {
        "source": "CrystaLLM-pi folder",
        "folder": folder.name,
        "class": (text.get("architectures") or [None])[0],
    }
    return _finish(config, ours | more, path, digest, card, scales, device)


def _check_folder(folder: Path, text: Mapping[str, Any]) -> None:
    """Refuse what a GPT-2 configuration can say but `Network` cannot do, and another vocabulary."""
    plain = {
        "model_type": ("gpt2",),
        "n_inner": (None, 4 * text.get("n_embd", 0)),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "tie_word_embeddings": (True,),
        "layer_norm_epsilon": (1e-5,),
        "add_cross_attention": (False,),
    }
    for name, values in plain.items():
        if name in text and text[name] not in values:
            raise InputError(
                f"{folder / 'config.json'}: {name} is {text[name]!r}; only {values[0]!r} is read."
            )
    vocabulary = folder / "vocabulary.json"
    if vocabulary.is_file():
        from bondwright.crystals.cif_vocabulary import CRYSTALLM_PI

        ours = {token: number for number, token in enumerate(CRYSTALLM_PI.tokens)}
        theirs = _json(vocabulary)
        different = sorted(t for t in set(ours) | set(theirs) if ours.get(t) != theirs.get(t))
        if different:
            raise InputError(
                f"{vocabulary}: {len(different)} tokens differ from CrystaLLM-pi's, the first is "
                f"{different[0]!r}; texts of such a model cannot be read."
            )


def _tied(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Return the tensors without buffers and without the output layer, which is the input's."""
    kept = {name: t for name, t in tensors.items() if not name.endswith(IGNORED)}
    head = kept.pop("lm_head.weight", None)
    first = kept.get("transformer.wte.weight")
    if head is not None and first is None:
        kept["transformer.wte.weight"] = head
    elif head is not None and first is not None and not torch.equal(head, first):
        raise InputError(
            f"{where}: lm_head is not tied to the embedding; such models are not read."
        )
    return kept


def _rename(tensors: Mapping[str, Tensor], where: str, *, transpose: bool) -> dict[str, Tensor]:
    """Give GPT-2's tensors our names; `transpose` where matrices are stored (inputs, outputs)."""
    result = {}
    single = {"wte": "tokens", "wpe": "positions", "ln_f": "norm"}
    for name, tensor in tensors.items():
        parts = name.split(".")
        ours = None
        if parts[:2] == ["transformer", "h"] and len(parts) > 4:
            part = NAMES.get(".".join(parts[3:-1]))
            ours = part and f"blocks.{parts[2]}.{part}.{parts[-1]}"
        elif parts[0] == "transformer" and len(parts) == 3:
            part = single.get(parts[1])
            ours = part and f"{part}.{parts[2]}"
        if not ours:
            raise InputError(f"{where}: {name} is not part of a GPT-2 of the published layout.")
        matrix = tensor.ndim == 2 and ours.startswith("blocks.")
        result[ours] = tensor.t() if transpose and matrix else tensor
    return result


def _finish(
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    path: Path,
    digest: str,
    card: Mapping[str, Any],
    scales: Sequence[Normaliser] | None,
    device: torch.device,
) -> LoadedModel:
    """Build the model from our names."""
    shape = config_from_json(config, path)
    if shape.vocabulary not in DIALECTS:
        raise InputError(
            f"{path} has {shape.vocabulary} tokens; the published dialects have "
            f"{' or '.join(map(str, DIALECTS))}."
        )
    needed = 0 if shape.condition is None else shape.condition.variables
    if scales is None:
        scales = [Normaliser(f"value_{i + 1}", "", "linear", 0.0, 1.0) for i in range(needed)]
    elif len(scales) != needed:
        raise InputError(f"{path} takes {needed} values, but {len(scales)} scales are given.")
    network = build_network(shape, tensors, path).to(device)
    return LoadedModel(network, DIALECTS[shape.vocabulary], tuple(scales), card, digest)


def _json(path: Path) -> dict[str, Any]:
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}).") from None
    if not isinstance(text, dict):
        raise InputError(f"{path} does not hold a JSON object.")
    return text


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
