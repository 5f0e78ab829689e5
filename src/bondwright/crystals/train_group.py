"""The processes that train one model together: one, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from bondwright.crystals.device import usable_device


@dataclass(frozen=True)
class Group:
    """This process among those that train together.

    Attributes:
        rank: number of this process; 0 writes files and logs.
        size: number of processes.
        device: where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def sum(self, values: Iterable[float]) -> list[float]:
        """Return the sums of some numbers over all processes."""
        if self.size == 1:
            return list(values)
        numbers = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(numbers)
        return [float(number) for number in numbers.tolist()]

    def sum_gradients(self, network: nn.Module) -> None:
        """Replace every gradient by its sum over all processes."""
        if self.size == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            torch.distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """Join the processes that torchrun started; without it, train alone.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: there is no such device.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    place = usable_device(device)
    if size == 1:
        yield Group(0, 1, place)
        return
    torch.distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Group(rank, size, place)
    finally:
        torch.distributed.destroy_process_group()
