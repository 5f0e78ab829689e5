"""Checkpoints of a training run: complete or not there at all, the last two kept.

A checkpoint is a folder `step-00001234` with the weights and the optimiser's moments as
safetensors and everything else as JSON.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bondwright.errors import InputError
from bondwright.structure.write import write_bytes, write_text

_NAME = re.compile(r"step-(\d{8})")
_KEPT = 2
_WEIGHTS, _MOMENTS, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
_RUN = "run.json"


def save_state(
    folder: Path,
    step: int,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of a step, then remove all but the last two.

    Args:
        folder: of all checkpoints.
        step: steps done.
        network: its parameters are written.
        optimizer: fused AdamW over those parameters.
        state: JSON values that come back from `load_state`.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    target = folder / f"step-{step:08d}"
    part = folder / f".{target.name}.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    parameters = dict(network.named_parameters())
    moments = {
        f"{kind}:{name}": value
        for name, parameter in parameters.items()
        for kind, value in optimizer.state[parameter].items()
    }
    write_bytes(part / _WEIGHTS, save(_contiguous(parameters)))
    write_bytes(part / _MOMENTS, save(_contiguous(moments)))
    write_text(part / _STATE, json.dumps({"step": step, **state}))
    if target.exists():  # written by a run that was stopped right after
        shutil.rmtree(target)
    part.rename(target)
    for old in checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def load_state(
    checkpoint: Path, network: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put weights and moments of a checkpoint in place and return its state.

    Raises:
        InputError: it cannot be read or belongs to another network.
    """
    try:
        weights = load_file(checkpoint / _WEIGHTS)
        moments = load_file(checkpoint / _MOMENTS)
        state: dict[str, Any] = json.loads((checkpoint / _STATE).read_text("utf-8"))
        parameters = dict(network.named_parameters())
        if {name: value.shape for name, value in weights.items()} != {
            name: parameter.shape for name, parameter in parameters.items()
        }:
            raise ValueError("its network has other parameters")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
        for key, value in moments.items():
            kind, name = key.split(":", 1)
            optimizer.state[parameters[name]][kind] = value.to(parameters[name].device)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(
            f"checkpoint {checkpoint} cannot be read ({error}); remove it to go on from the one "
            "before."
        ) from None
    return state


def write_run(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write down with which settings and data a run was begun.

    Raises:
        OSError: the folder cannot be written.
    """
    write_text(folder / _RUN, json.dumps(dict(facts), indent=1) + "\n")


def read_run(folder: Path) -> dict[str, Any] | None:
    """Return what `write_run` wrote; None where no run was begun.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / _RUN).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / _RUN} cannot be read ({error}); give another --out.") from None
    return facts


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
