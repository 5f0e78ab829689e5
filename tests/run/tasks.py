"""Functions that tests send to workers: well-behaved and not."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path


def square(x: float) -> float:
    return x * x


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def spin_holding_the_interpreter() -> None:
    """Never return and never let another thread of this process run."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def segfault() -> None:
    ctypes.string_at(0)


def leave(code: int) -> None:
    os._exit(code)


def kill_myself(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def killed_the_first_time(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    return "second time lucky"


def fill_memory(megabytes: int) -> int:
    return len(b"\1" * (megabytes * 2**20))


def fill_memory_with_torch(megabytes: int) -> int:
    import torch

    return int(torch.ones(megabytes * 2**18, dtype=torch.float32).sum())


class StrangeError(Exception):
    """An exception that cannot be rebuilt from its pickle."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__(f"{left} is not {right}")


def raise_strange() -> None:
    raise StrangeError(1, 2)


def return_unsendable() -> object:
    return lambda: None


def thread_settings() -> tuple[str, int, int]:
    import torch

    return os.environ["OMP_NUM_THREADS"], torch.get_num_threads(), os.getpid()


def tell_and_wait(file: Path) -> None:
    file.write_text(str(os.getpid()))
    spin_holding_the_interpreter()


def print_and_crash() -> None:
    print("about to crash", flush=True)
    segfault()


def start_child_and_hang(file: Path) -> None:
    """Start a process that would live on for an hour, write down its number, and never return."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    part = file.with_suffix(".part")
    part.write_text(str(child.pid))
    part.rename(file)
    spin_holding_the_interpreter()


def interrupt_myself() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
    return "went on"
