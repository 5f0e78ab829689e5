"""Parsing text of unknown origin in child processes that may be killed.

Each worker is a fresh interpreter that receives a text and answers with JSON, so nothing is
unpickled and nothing of the caller's program is imported again: a script needs no
`if __name__ == "__main__"` and a notebook works. A worker that overruns the time, or dies, is
replaced; its text is tried once more, and only then blamed. Workers that are done wait a minute
for more, so that reading a folder file by file does not start one for each.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict

import psutil

from bondwright.errors import InputError
from bondwright.structure.candidate import Problem
from bondwright.structure.parsed import Parsed, ReadLimits

START_SECONDS = 120.0
"""A worker that has not come up by then never will; generous, because machines may be busy."""

_PATIENCE = 12
"""Seconds of the clock for one of the processor: a busy machine is not the text's fault."""
_LOOK_EVERY = 0.2


def parse_texts(
    texts: Iterable[tuple[str, str]], limits: ReadLimits, *, processes: int | None = None
) -> Iterator[list[Parsed]]:
    """Parse texts in child processes.

    Args:
        texts: (kind, text) pairs, kind as in `structure.formats.parse_text`. They are taken only
            as they are needed, so that the input may be longer than memory.
        limits: caps; a text over `text_bytes` is not sent to a child at all.
        processes: number of children; None takes the number of processors, at most 4.

    Yields:
        The results of each text, in the order of the texts; never an empty list.

    Raises:
        InputError: a text that its reader cannot use before its user mends it.
    """
    count = processes or min(4, os.cpu_count() or 1)
    busy: set[_Worker] = set()
    closing = threading.Event()

    def parse(kind: str, text: str) -> list[Parsed]:
        refused = _refuse(text, limits)
        if refused:
            return [Parsed(problem=refused)]
        worker = _borrow()
        busy.add(worker)
        if closing.is_set():
            worker.stop()
        results = worker.parse(kind, text, limits)
        busy.remove(worker)
        if not closing.is_set():
            _give_back(worker)
        return results

    pool = ThreadPoolExecutor(count, thread_name_prefix="read")
    waiting: deque[Future[list[Parsed]]] = deque()
    try:
        for kind, text in texts:
            waiting.append(pool.submit(parse, kind, text))
            if len(waiting) >= 32 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        closing.set()
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in tuple(busy):  # the caller stopped asking while these were reading
            worker.stop()
        pool.shutdown(wait=True)


def _refuse(text: str, limits: ReadLimits) -> Problem | None:
    """Return why a text need not be sent to a child at all."""
    if not text.strip():
        return Problem("empty", "the text is empty.")
    if len(text.encode("utf-8", "surrogatepass")) > limits.text_bytes:
        return Problem("too-large", f"the text is longer than {limits.text_bytes:,} bytes.")
    return None


class _Worker:
    """One child process and the conversation with it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._received = b""
        self._stopped = False

    def parse(self, kind: str, text: str, limits: ReadLimits) -> list[Parsed]:
        """Parse one text; a child that fails on it is replaced and asked once more."""
        problem = self._ask(kind, text, limits)
        if isinstance(problem, Problem):
            problem = self._ask(kind, text, limits)
        return [Parsed(problem=problem)] if isinstance(problem, Problem) else problem

    def stop(self) -> None:
        """End the child for good."""
        self._stopped = True
        self._end()

    def _ask(self, kind: str, text: str, limits: ReadLimits) -> list[Parsed] | Problem:
        """Send a text and wait for the answer; a problem says how the child failed."""
        question = {"kind": kind, "text": text, "limits": asdict(limits)}
        try:
            process = self._running()
            assert process.stdin is not None  # noqa: S101 - opened with a pipe
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            reply = json.loads(self._line(limits.seconds, _PATIENCE * limits.seconds))
        except TimeoutError:
            self._end()
            return Problem("timeout", f"reading took more than {limits.seconds:g} s.")
        except (OSError, EOFError):
            return Problem("crashed", f"the reading process ended: {self._end()}.")
        if isinstance(reply, dict):
            raise InputError(reply["input_error"])
        results = [Parsed.from_json(result) for result in reply]
        if results[0].problem and results[0].problem.code == "memory":
            self._end()  # what it holds already counts against the next text
            return results[0].problem
        return results

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the child, started if need be."""
        if self._stopped:
            raise EOFError("stopped")
        if self._process is not None and self._process.poll() is not None:
            self._end()  # it had nothing to do for long and went
        if self._process is None:
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            }
            # -P: a file named numpy.py beside the data is not imported.
            command = [sys.executable, "-P", "-m", "bondwright.structure.worker"]
            self._received = b""
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            if self._stopped:  # meanwhile
                raise EOFError("stopped")
            self._line(START_SECONDS, START_SECONDS)
        return self._process

    def _line(self, seconds: float, wall_seconds: float) -> bytes:
        """Return the next line of the child.

        Args:
            seconds: of the processor that the child may use for it.
            wall_seconds: of the clock, however little of the processor the child was given.

        Raises:
            TimeoutError: none came in time.
            EOFError: the child has ended.
        """
        process = self._process
        assert process is not None  # noqa: S101 - it was started
        assert process.stdout is not None  # noqa: S101 - opened with a pipe
        pipe = process.stdout.fileno()
        child = psutil.Process(process.pid)
        used_before, last = _processor_seconds(child), time.monotonic() + wall_seconds
        until = min(last, time.monotonic() + seconds)
        parts = [self._received]
        with selectors.DefaultSelector() as selector:  # select() itself stops at 1024 open files
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in parts[-1]:
                if not selector.select(max(0.0, until - time.monotonic())):
                    left = seconds - (_processor_seconds(child) - used_before)
                    if left <= 0 or time.monotonic() >= last:
                        raise TimeoutError
                    until = min(last, time.monotonic() + max(left, _LOOK_EVERY))
                    continue
                part = os.read(pipe, 1 << 20)
                if not part:
                    raise EOFError("its output ended")
                parts.append(part)
        line, _, self._received = b"".join(parts).partition(b"\n")
        return line

    def _end(self) -> str:
        """Kill the child, unless it has ended by itself, and say how it ended."""
        process, self._process = self._process, None
        if process is None:
            return "stopped"
        try:
            code = process.wait(0.2)  # its output ends a moment before it does
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _processor_seconds(child: psutil.Process) -> float:
    """Return what a child has used of the processor; 0 for one that has ended."""
    try:
        times = child.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


_idle: list[_Worker] = []
_lock = threading.Lock()


def _borrow() -> _Worker:
    """Return a waiting worker, or a new one."""
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.owner == os.getpid():  # not one inherited through a fork
                return worker
    return _Worker()


def _give_back(worker: _Worker) -> None:
    """Let a worker wait for more."""
    with _lock:
        _idle.append(worker)


@atexit.register
def _end_workers() -> None:
    """End the waiting workers with the program."""
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.owner == os.getpid():
                worker.stop()
