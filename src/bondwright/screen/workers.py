"""Chunks of work over worker processes with one thread each, stopped cleanly between chunks."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import TypeVar

import torch

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
Stop = Callable[[], bool]


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
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for chunk in chunks:
                if stop():
                    return
                yield function(chunk)
        finally:
            torch.set_num_threads(threads)
        return
    source = iter(chunks)
    with ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_start_worker, initargs=(os.getpid(),)
    ) as pool:
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


def _start_worker(parent: int) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: int) -> None:
    """End this process when its parent was killed, for nobody would take its results."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
