"""Where models compute: a device by its name, refused in plain words where there is none."""

from __future__ import annotations

import torch

from bondwright.errors import InputError


def known_device(name: str | torch.device) -> torch.device:
    """Return a device that this machine has; nothing is put on it.

    So a driver can ask without taking memory of a GPU, or the whole of one that serves a single
    process.

    Args:
        name: "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: it is no such name, or the machine has too few GPUs.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(
            f"device {str(name)!r}: there is no such device; take cpu, cuda or cuda:1."
        )
    there = torch.cuda.device_count() if device.type == "cuda" else 0
    if device.type == "cuda" and (device.index or 0) >= there:
        found = f"GPUs here: {there}, numbered from 0" if there else "torch finds no GPU here"
        raise InputError(f"device {name} cannot be used ({found}); take cpu.")
    return device


def usable_device(name: str | torch.device) -> torch.device:
    """Return a device after putting a number on it.

    Raises:
        InputError: see `known_device`; or it does not answer.
    """
    device = known_device(name)
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name} cannot be used ({reason}); take cpu.") from None
    return device
