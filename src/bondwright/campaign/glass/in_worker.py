"""Calling what simulates in a process of its own, which LAMMPS may bring down."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bondwright.errors import InputError
from bondwright.glasses.errors import GlassError
from bondwright.run import LocalPool, Resources, TaskResult, TaskStatus


def in_worker(function: Callable[..., Any], arguments: tuple[Any, ...], **keywords: Any) -> Any:
    """Call a function in a worker process and return what it returns.

    Raises:
        GlassError: the function failed, or the worker died.
        InputError: the function refused its input.
    """
    with LocalPool(1) as pool:
        task = pool.submit(partial(function, **keywords), arguments, Resources())
        result: TaskResult = task.result()
    if result.status is TaskStatus.DONE:
        return result.value
    if result.error_type == "InputError":
        raise InputError(result.message)
    if result.status is TaskStatus.RAISED and result.error_type != "GlassError":
        raise RuntimeError(result.traceback)
    raise GlassError(result.message)
