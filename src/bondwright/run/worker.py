"""What happens inside a worker process: its limits, its measurements, its end.

Nothing heavy is imported here: a worker imports what its tasks need.
"""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bondwright.run.task import TaskStatus, Usage

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_PR_SET_PDEATHSIG = 1
_NOTHING = pickle.dumps(None)


@dataclass(frozen=True)
class Report:
    """What `perform` sends back: plain data only, so that it always can be sent.

    Attributes:
        status: how the task ended.
        value: what the function returned, pickled.
        message: one sentence about what went wrong.
        error_type: class name of the exception that was raised.
        traceback: its traceback as text.
        usage: what the task used.
    """

    status: TaskStatus
    value: bytes
    message: str
    error_type: str
    traceback: str
    usage: Usage


@dataclass
class _Progress:
    began: float
    attempt: int


_in_progress: _Progress | None = None
_held_open: list[int | subprocess.Popen[bytes]] = []


def prepare_worker(parent: int, log: str | None) -> None:
    """Set up a fresh worker: one thread, no interrupts, dead when its parent is.

    One thread per worker because the pool already has a worker per core; a result must also not
    depend on how a sum was split over threads.

    Args:
        parent: process number of the driver.
        log: file that takes what the worker's libraries print, tracebacks of crashes included;
            None to leave the output alone.
    """
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent(parent)
    _take_children_along()
    if log is not None:
        target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.close(target)
    faulthandler.enable(sys.__stderr__ or 2)


def _die_with_parent(parent: int) -> None:
    """End this process when the driver ends, however that ends (kill -9 included).

    The kernel's death signal needs no cooperation of a task that holds the interpreter; the
    watching thread covers systems without it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the signal was asked for
        os._exit(1)
    threading.Thread(target=_watch_parent, name="parent-watch", daemon=True).start()


def _take_children_along() -> None:
    """See to it that what this worker starts ends when the worker does, however that ends.

    The worker leads a process group of its own. A shell outside that group waits for the end of a
    pipe that only the worker holds open, and then kills what is left of the group.
    """
    os.setpgid(0, 0)
    reading, writing = os.pipe()  # not inherited: children do not hold it open
    shell = subprocess.Popen(  # noqa: S603  a fixed command
        ["/bin/sh", "-c", 'read _; kill -s KILL -- "-$0"', str(os.getpid())],
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(reading)
    _held_open.extend((writing, shell))


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def perform(
    function: Callable[..., Any], arguments: tuple[Any, ...], attempt: int, memory_mb: int | None
) -> Report:
    """Call `function(*arguments)` under the memory cap and report how it went.

    The cap is RLIMIT_DATA, which counts private writable memory: with PyTorch and a potential
    loaded that stays within 5 % of the resident memory, while the address space (RLIMIT_AS) is
    twice as large and says little.
    """
    global _in_progress
    _reset_peak()
    _in_progress = _Progress(time.monotonic(), attempt)
    status, value, message, error_type, trace = TaskStatus.DONE, _NOTHING, "", "", ""
    _limit_memory(memory_mb)
    try:
        value = pickle.dumps(function(*arguments))
    except BaseException as error:  # noqa: BLE001  a task may raise anything; the worker goes on
        _limit_memory(None)
        memory = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
        status = TaskStatus.OUT_OF_MEMORY if memory else TaskStatus.RAISED
        message = f"needed more than {memory_mb} MB of memory" if memory else str(error)
        error_type, trace = type(error).__name__, traceback.format_exc()
    _limit_memory(None)
    usage = current_usage()
    _in_progress = None
    return Report(status, value, message, error_type, trace, usage)


def current_usage() -> Usage:
    """Return what the task in progress in this process has used; outside a task, the process."""
    began, attempt = (
        (_in_progress.began, _in_progress.attempt) if _in_progress else (time.monotonic(), 1)
    )
    return Usage(time.monotonic() - began, _peak_memory_mb(), os.getpid(), attempt)


def _limit_memory(memory_mb: int | None) -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = hard if memory_mb is None else memory_mb * 2**20
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _reset_peak() -> None:
    """Start the kernel's high-water mark afresh, so that a peak belongs to one task."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # not Linux, or not allowed: the mark then is that of the whole process


def _peak_memory_mb() -> float:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
