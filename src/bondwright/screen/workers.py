"""Chunks of work over worker processes with one thread each, stopped cleanly between chunks.

The processes are started afresh ("spawn"): a fork would copy the locks of running threads.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import TypeVar

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
Stop = Callable[[], bool]

_QUEUED_PER_PROCESS = 3


def never() -> bool:
    """Say that nobody asked to stop."""
    return False


def run_chunks(
    function: Callable[[Chunk], Result],
    chunks: Iterable[Chunk],
    *,
    processes: int,
    stop: Stop = never,
) -> Iterator[Result]:
    """Yield `function(chunk)` for every chunk, as each is finished (order not kept).

    Once `stop()` is true no further chunk is begun; those begun are finished and yielded.

    Args:
        function: of a module's top level, so that another process can import it.
        chunks: taken lazily.
        processes: worker processes; with 1 the work is done in this process.
        stop: asked before each new chunk.
    """
    if processes <= 1:
        import torch  # not needed where the work is done elsewhere

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sums in another order would give other last digits
        try:
            for chunk in chunks:
                if stop():
                    return
                yield function(chunk)
        finally:
            torch.set_num_threads(threads)
        return
    source = iter(chunks)
    with _pool(processes) as pool:
        running: set[Future[Result]] = set()
        while True:
            while len(running) < processes + 1 and not stop():
                try:
                    chunk = next(source)
                except StopIteration:
                    break
                running.add(pool.submit(function, chunk))
            if not running:
                return
            finished, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


def map_in_order(
    function: Callable[[Chunk], Result], chunks: Iterable[Chunk], processes: int
) -> Iterator[Result]:
    """Yield `function(chunk)` for each chunk, in order, computed by several processes.

    Few chunks are in flight at a time, so that an endless source of them costs no memory.

    Args:
        function: of a module's top level, so that another process can import it.
        chunks: taken lazily.
        processes: worker processes; with 1 the work is done in this process.
    """
    if processes <= 1:
        yield from map(function, chunks)
        return
    with _pool(processes) as pool:
        waiting: deque[Future[Result]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(function, chunk))
            if len(waiting) >= _QUEUED_PER_PROCESS * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_start_worker, initargs=(os.getpid(),)
    )


def _start_worker(parent: int) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # before a task imports a library that reads it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: int) -> None:
    """End this process when its parent was killed, for nobody would take its results."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
