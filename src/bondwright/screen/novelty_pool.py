"""Chunks of work over processes, results in order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")

_QUEUED_PER_PROCESS = 3


def map_in_order(
    function: Callable[[Work], Result], chunks: Iterable[Work], processes: int
) -> Iterator[Result]:
    """Yield `function(chunk)` for each chunk, in order, computed by several processes.

    Few chunks are in flight at a time, so that an endless source of them costs no memory. The
    processes are started afresh ("spawn"): a fork would copy the locks of running threads.

    Args:
        function: importable by name.
        chunks: picklable arguments.
        processes: 1 computes here.
    """
    if processes <= 1:
        yield from map(function, chunks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        waiting: deque[Future[Result]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(function, chunk))
            if len(waiting) >= _QUEUED_PER_PROCESS * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
