"""A pool of worker processes in which a crash, a hang or a kill of one task hurts no other.

Each worker has a Pebble pool of its own: workers of one shared pool share a pipe and its locks,
so that one killed at the wrong moment can stop the others. All pools are driven by a supervising
thread; it is also the parent of the workers in the eyes of the kernel's death signal, which
fires when the *thread* that made a process ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from pebble import ProcessExpired, ProcessPool

from bondwright.run.task import RETRIED, Resources, TaskResult, TaskStatus
from bondwright.run.worker import Report, perform, prepare_worker

_ATTEMPTS = 2
_LOOK_EVERY_S = 1.0
# Pebble's workers turn SIGTERM into an exit with the signal's number.
_EXITS_WHEN_KILLED = frozenset({-signal.SIGKILL, -signal.SIGTERM, int(signal.SIGTERM)})


@dataclass
class _Job:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    resources: Resources
    future: Future[TaskResult] = field(default_factory=Future)
    attempt: int = 1
    began: float = 0.0


@dataclass
class _Slot:
    """A place for one worker."""

    pool: ProcessPool | None = None
    job: _Job | None = None
    future: Future[Report] | None = None
    broken: bool = False


@dataclass(frozen=True)
class _Finished:
    slot: _Slot
    job: _Job
    future: Future[Report]


class LocalPool:
    """Runs functions in worker processes of this machine.

    Use it as a context manager; leaving the block kills what still runs.

        with LocalPool(workers=2) as pool:
            future = pool.submit(math.sqrt, (2.0,), Resources(time_limit_s=10))
            print(future.result().value)

    Functions and arguments are pickled to the worker, so functions must be importable by name.
    """

    def __init__(
        self, workers: int, *, log: Path | None = None, tasks_per_worker: int = 500
    ) -> None:
        """Prepare the pool; workers start with the first task each gets.

        Args:
            workers: number of worker processes, at least 1.
            log: file that takes what the workers print; None for the driver's own output.
            tasks_per_worker: tasks after which a worker is replaced, which bounds leaks of
                libraries.
        """
        if workers < 1:
            raise ValueError("a pool needs at least one worker")
        self.workers = workers
        self._log = None if log is None else str(log)
        self._tasks_per_worker = tasks_per_worker
        self._events: queue.SimpleQueue[_Job | _Finished | None] = queue.SimpleQueue()
        self._slots = [_Slot() for _ in range(workers)]
        self._waiting: deque[_Job] = deque()
        self._supervisor = threading.Thread(
            target=self._supervise, name="pool-supervisor", daemon=True
        )
        self._closed = False
        self._supervisor.start()

    def submit(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], resources: Resources
    ) -> Future[TaskResult]:
        """Queue `function(*arguments)`; the future's result says how it ended and never raises.

        A worker killed from outside or a task out of memory is tried once more in a fresh worker;
        an exception, a crash or a time-out of the task is final.

        Raises:
            RuntimeError: the pool is closed.
        """
        if self._closed:
            raise RuntimeError("the pool is closed")
        job = _Job(function, arguments, resources)
        self._events.put(job)
        return job.future

    def close(self) -> None:
        """Kill the workers, cancel what is unfinished and wait until that is done."""
        self._closed = True
        self._events.put(None)
        self._supervisor.join()

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _supervise(self) -> None:
        looked = time.monotonic()
        while True:
            try:
                event = self._events.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                pass
            else:
                if event is None:
                    break
                if isinstance(event, _Job):
                    self._waiting.append(event)
                else:
                    self._finish(event)
            if time.monotonic() - looked >= _LOOK_EVERY_S:
                looked = time.monotonic()
                self._give_up_broken()
            for slot in self._slots:
                if slot.job is None and self._waiting:
                    self._start(slot, self._waiting.popleft())
        unfinished = [*(slot.job for slot in self._slots if slot.job), *self._waiting]
        for slot in self._slots:
            if slot.pool is not None:
                slot.pool.stop()  # all first, so that they end side by side
        for slot in self._slots:
            _discard_pool(slot)
        for job in unfinished:
            job.future.cancel()

    def _start(self, slot: _Slot, job: _Job) -> None:
        slot.job, slot.broken = job, False
        job.began = time.monotonic()
        call = (job.function, job.arguments, job.attempt, job.resources.memory_mb)
        for _ in range(2):
            pool = slot.pool = slot.pool or self._new_pool()
            try:
                future = pool.schedule(perform, call, timeout=job.resources.time_limit_s)
                break
            except RuntimeError:  # the idle worker was killed, which breaks a Pebble pool
                _discard_pool(slot)
        slot.future = future
        future.add_done_callback(lambda done: self._events.put(_Finished(slot, job, done)))

    def _give_up_broken(self) -> None:
        """End tasks of pools that broke before they knew of the task, as Pebble then never does.

        It happens where a worker is killed while it starts. Pebble gets one look to say it itself.
        """
        for slot in self._slots:
            if slot.job is None or slot.pool is None or slot.future is None or slot.pool.active:
                continue
            if slot.broken:
                with contextlib.suppress(InvalidStateError):
                    slot.future.set_exception(BrokenProcessPool("the worker could not start"))
            slot.broken = True

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=1,
            max_tasks=self._tasks_per_worker,
            initializer=prepare_worker,
            initargs=(os.getpid(), self._log),
            context=multiprocessing.get_context("spawn"),
        )

    def _finish(self, event: _Finished) -> None:
        slot, job = event.slot, event.job
        slot.job = None
        result = _classify(event.future, job)
        if result.status in RETRIED:
            _discard_pool(slot)  # the next attempt gets a worker without leftovers
        if result.status in RETRIED and job.attempt < _ATTEMPTS:
            job.attempt += 1
            self._waiting.appendleft(job)
        else:
            job.future.set_result(result)


def _discard_pool(slot: _Slot) -> None:
    if slot.pool is not None:
        slot.pool.stop()
        slot.pool.join()
        slot.pool = None


def _classify(future: Future[Report], job: _Job) -> TaskResult:
    """Say how a task ended from what Pebble knows of it."""
    elapsed = time.monotonic() - job.began
    error = future.exception()
    limit = job.resources.time_limit_s
    if error is None:
        report = future.result()
        return TaskResult(
            report.status,
            pickle.loads(report.value),  # noqa: S301  made by our own worker, over a private pipe
            report.message,
            report.error_type,
            report.traceback,
            report.usage.seconds,
            report.usage.peak_memory_mb,
            report.usage.worker,
            job.attempt,
        )
    worker = None
    if isinstance(error, ProcessExpired):
        worker = error.pid
        killed = error.exitcode in _EXITS_WHEN_KILLED
        status = TaskStatus.KILLED if killed else TaskStatus.CRASHED
        message = _describe_exit(error.exitcode)
    elif isinstance(error, BrokenProcessPool):
        status, message = TaskStatus.KILLED, "the worker ended before it could begin the task"
    elif isinstance(error, TimeoutError) and limit is not None and elapsed < limit:
        # Pebble's deadline follows the wall clock, which may have been set forward.
        status, message = TaskStatus.KILLED, "stopped early because the system's clock was changed"
    elif isinstance(error, TimeoutError):
        status, message = TaskStatus.TIMED_OUT, f"took longer than the limit of {limit:g} s"
    else:  # the function or its arguments could not be sent to a worker
        return TaskResult(
            TaskStatus.RAISED, None, str(error), type(error).__name__, attempts=job.attempt
        )
    return TaskResult(status, message=message, seconds=elapsed, worker=worker, attempts=job.attempt)


def _describe_exit(code: int) -> str:
    if code == -signal.SIGKILL:
        return "the worker was killed from outside (signal 9), perhaps for lack of memory"
    if code < 0:
        return f"the worker died of signal {-code} ({signal.Signals(-code).name})"
    return f"the worker ended with exit code {code}"
