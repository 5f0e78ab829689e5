"""What a task may use, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class Resources:
    """What one task may use.

    Attributes:
        time_limit_s: wall-clock seconds after which the task is killed; None for no limit. The
            imports that a fresh worker needs count.
        memory_mb: cap on the private memory of the worker, in MiB; None for no cap.
        label: kind of worker, for executors that have several; the local pool has "cpu" only.
    """

    time_limit_s: float | None = None
    memory_mb: int | None = None
    label: str = "cpu"


class TaskStatus(StrEnum):
    """How a task ended.

    `KILLED` and `OUT_OF_MEMORY` speak of the machine and are tried twice; `RAISED`, `TIMED_OUT`
    and `CRASHED` speak of the task and are not.
    """

    DONE = "done"
    RAISED = "raised"
    TIMED_OUT = "timed-out"
    CRASHED = "crashed"
    KILLED = "killed"
    OUT_OF_MEMORY = "out-of-memory"


RETRIED = frozenset({TaskStatus.KILLED, TaskStatus.OUT_OF_MEMORY})


@dataclass(frozen=True)
class TaskResult:
    """What became of a task; a task that failed is a result like any other.

    Attributes:
        status: how it ended.
        value: what the function returned; None unless `status` is `DONE`.
        message: one sentence about what went wrong; empty when done.
        error_type: name of the exception's class when the function raised.
        traceback: the traceback as text when the function raised.
        seconds: wall-clock seconds of the last attempt.
        peak_memory_mb: highest resident memory of the worker during the task, MiB; None when
            the worker did not live to tell.
        worker: process number of the worker; None when unknown.
        attempts: how often the task was begun (2 after a retry).
    """

    status: TaskStatus
    value: Any = None
    message: str = ""
    error_type: str = ""
    traceback: str = ""
    seconds: float = 0.0
    peak_memory_mb: float | None = None
    worker: int | None = None
    attempts: int = 1


@dataclass(frozen=True)
class Usage:
    """What the task in progress has used so far.

    Attributes:
        seconds: wall-clock seconds since the task began.
        peak_memory_mb: highest resident memory of the worker since then, MiB.
        worker: process number of the worker.
        attempt: 1 for the first attempt.
    """

    seconds: float
    peak_memory_mb: float
    worker: int
    attempt: int
