"""Tasks that crash, hang, fill the memory or are killed, in real processes."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import tasks

from bondwright.run import LocalPool, Resources, TaskStatus

FREE = Resources()


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[LocalPool]:
    with LocalPool(2, log=tmp_path / "workers.log") as made:
        yield made


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_values_come_back_with_their_cost(pool: LocalPool) -> None:
    futures = [pool.submit(tasks.square, (x,), FREE) for x in range(40)]
    results = [f.result() for f in futures]
    assert [r.value for r in results] == [x * x for x in range(40)]
    assert {r.status for r in results} == {TaskStatus.DONE}
    assert len({r.worker for r in results}) <= 2
    slept = pool.submit(tasks.sleep, (0.2,), FREE).result()
    assert slept.seconds >= 0.2
    assert slept.attempts == 1


def test_peak_memory_belongs_to_one_task(pool: LocalPool) -> None:
    large = [pool.submit(tasks.fill_memory, (300,), FREE).result() for _ in range(2)]
    small = [pool.submit(tasks.square, (1,), FREE).result() for _ in range(4)]
    assert all(r.peak_memory_mb is not None and r.peak_memory_mb > 300 for r in large)
    # The same workers went on to small tasks; what the large ones used must not stick to them.
    assert {r.worker for r in small} & {r.worker for r in large}
    assert all(r.peak_memory_mb is not None and r.peak_memory_mb < 200 for r in small)


@pytest.mark.parametrize(
    ("function", "arguments", "says"),
    [
        (tasks.segfault, (), "SIGSEGV"),
        (tasks.leave, (3,), "exit code 3"),
        (tasks.kill_myself, (signal.SIGABRT,), "SIGABRT"),
    ],
)
def test_crash_of_a_task_is_final_and_the_rest_go_on(
    pool: LocalPool, function: Callable[..., None], arguments: tuple[int, ...], says: str
) -> None:
    """Fault 58: a crash is the task's own and is not repeated."""
    before = [pool.submit(tasks.square, (x,), FREE) for x in range(5)]
    crash = pool.submit(function, arguments, Resources(time_limit_s=20))
    after = [pool.submit(tasks.square, (x,), FREE) for x in range(5)]
    result = crash.result()
    assert result.status is TaskStatus.CRASHED
    assert says in result.message
    assert result.attempts == 1
    assert [f.result().value for f in before + after] == [x * x for x in range(5)] * 2


@pytest.mark.parametrize("hanging", [tasks.sleep, tasks.spin_holding_the_interpreter])
def test_hanging_task_is_killed_at_its_limit(pool: LocalPool, hanging: Callable[..., None]) -> None:
    """A task that never yields the interpreter cannot answer a polite signal either."""
    arguments = (600,) if hanging is tasks.sleep else ()
    stuck = [pool.submit(hanging, arguments, Resources(time_limit_s=0.5)) for _ in range(2)]
    after = pool.submit(tasks.square, (7,), FREE)
    for future in stuck:
        result = future.result()
        assert result.status is TaskStatus.TIMED_OUT
        assert "0.5 s" in result.message
        assert result.attempts == 1
        assert result.seconds >= 0.5
    assert after.result().value == 49


def test_what_a_hanging_task_started_ends_with_it(pool: LocalPool, tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    result = pool.submit(tasks.start_child_and_hang, (note,), Resources(time_limit_s=3)).result()
    assert result.status is TaskStatus.TIMED_OUT
    grandchild = int(note.read_text())
    assert wait_until(lambda: not is_running(grandchild))


def test_worker_killed_from_outside_is_tried_again(pool: LocalPool, tmp_path: Path) -> None:
    """Fault 58: charged to the machine, not to the task."""
    result = pool.submit(tasks.killed_the_first_time, (tmp_path / "seen",), FREE).result()
    assert result.value == "second time lucky"
    assert result.attempts == 2


def test_worker_killed_from_outside_twice_is_given_up(pool: LocalPool) -> None:
    result = pool.submit(tasks.kill_myself, (signal.SIGKILL,), FREE).result()
    assert result.status is TaskStatus.KILLED
    assert result.attempts == 2
    assert "signal 9" in result.message


def test_idle_workers_killed_are_replaced(pool: LocalPool) -> None:
    first = [pool.submit(tasks.square, (x,), FREE) for x in range(8)]
    workers = {f.result().worker for f in first}
    for worker in workers:
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
    second = [pool.submit(tasks.square, (x,), FREE) for x in range(8)]
    assert [f.result().value for f in second] == [x * x for x in range(8)]
    assert not {f.result().worker for f in second} & workers


@pytest.mark.parametrize("fill", [tasks.fill_memory, tasks.fill_memory_with_torch])
def test_memory_hog_is_stopped_by_its_cap(pool: LocalPool, fill: Callable[..., int]) -> None:
    """The cap must hold for Python's and for PyTorch's allocator, and leave the others alone."""
    hog = pool.submit(fill, (1500,), Resources(memory_mb=900))
    others = [pool.submit(tasks.square, (x,), FREE) for x in range(5)]
    result = hog.result()
    assert result.status is TaskStatus.OUT_OF_MEMORY
    assert result.attempts == 2
    assert "900 MB" in result.message
    assert [f.result().value for f in others] == [x * x for x in range(5)]
    within = pool.submit(fill, (100,), Resources(memory_mb=900)).result()
    assert within.status is TaskStatus.DONE


def test_exceptions_come_back_as_text(pool: LocalPool) -> None:
    """Also one that cannot be unpickled, which breaks pools that send exceptions as objects."""
    result = pool.submit(tasks.raise_strange, (), FREE).result()
    assert result.status is TaskStatus.RAISED
    assert result.error_type == "StrangeError"
    assert result.message == "1 is not 2"
    assert "raise_strange" in result.traceback
    assert pool.submit(tasks.return_unsendable, (), FREE).result().status is TaskStatus.RAISED
    unsendable = pool.submit(tasks.square, (lambda: None,), FREE).result()
    assert unsendable.status is TaskStatus.RAISED
    assert pool.submit(tasks.square, (2,), FREE).result().value == 4


def test_workers_have_one_thread(pool: LocalPool) -> None:
    variable, threads, _ = pool.submit(tasks.thread_settings, (), FREE).result().value
    assert (variable, threads) == ("1", 1)


def test_workers_ignore_an_interrupt(pool: LocalPool) -> None:
    future = pool.submit(tasks.interrupt_myself, (), FREE)
    assert future.result().value == "went on"


def test_output_and_crash_traces_go_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "workers.log"
    with LocalPool(1, log=log) as pool:
        pool.submit(tasks.print_and_crash, (), FREE).result()
    text = log.read_text()
    assert "about to crash" in text
    assert "in print_and_crash" in text


def test_workers_are_replaced_after_their_share(tmp_path: Path) -> None:
    with LocalPool(1, tasks_per_worker=3) as pool:
        results = [pool.submit(tasks.square, (x,), FREE).result() for x in range(9)]
    assert [r.value for r in results] == [x * x for x in range(9)]
    assert len({r.worker for r in results}) == 3


def test_closing_cancels_what_is_unfinished(tmp_path: Path) -> None:
    with LocalPool(1) as pool:
        worker = pool.submit(tasks.square, (1,), FREE).result().worker
        futures = [pool.submit(tasks.sleep, (600,), FREE) for _ in range(3)]
    assert all(f.cancelled() for f in futures)
    assert worker is not None
    assert not is_running(worker)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(tasks.square, (1,), FREE)


@pytest.mark.parametrize("function", ["tell_and_wait", "start_child_and_hang"])
def test_no_worker_outlives_a_killed_driver(tmp_path: Path, function: str) -> None:
    """Faults 56, 57: kill -9 of the driver, with a task that never lets another thread run."""
    note = tmp_path / "worker"
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import tasks
        from bondwright.run import LocalPool, Resources
        if __name__ == "__main__":
            with LocalPool(1) as pool:
                pool.submit(tasks.{function}, (Path({str(note)!r}),), Resources()).result()
        """
    )
    script = tmp_path / "driver.py"
    script.write_text(program)
    driver = subprocess.Popen([sys.executable, str(script)])
    assert wait_until(lambda: note.exists() and note.read_text().isdigit())
    worker = int(note.read_text())
    assert is_running(worker)
    driver.kill()
    driver.wait()
    assert wait_until(lambda: not is_running(worker))


def test_worker_killed_while_it_starts_does_not_hang_the_pool() -> None:
    """Killed as soon as they exist, workers break Pebble's pool before it knows of the task."""
    for _ in range(4):
        killed: set[int] = set()
        stop = threading.Event()

        def kill(killed: set[int] = killed, stop: threading.Event = stop) -> None:
            while not stop.is_set() and len(killed) < 2:
                for child in psutil.Process().children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        started = any("spawn_main" in word for word in child.cmdline())
                        if started and child.pid not in killed:
                            child.kill()
                            killed.add(child.pid)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with LocalPool(1) as pool:
                result = pool.submit(math.sqrt, (4.0,), Resources()).result(timeout=60)
        finally:
            stop.set()
            killer.join()
        assert result.status in (TaskStatus.KILLED, TaskStatus.DONE)
