"""What commands that calculate one structure share: reading it, and telling how far they are."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bondwright.cli.console import note
from bondwright.errors import InputError

if TYPE_CHECKING:
    from bondwright.structure.candidate import Candidate

NOT_CONVERGED = 4
"""Exit code of a calculation that ended without the numbers that were asked for."""


def read_one(path: Path) -> Candidate:
    """Read the one structure of a file, in the reader's own process.

    Raises:
        InputError: no structure that can be read, or several of them.
    """
    from bondwright.structure.read import read_candidates

    found = read_candidates(path)
    first, second = next(found, None), next(found, None)
    if first is None:
        raise InputError(f"{path} holds no structure; give a file with one.")
    if second is not None:
        raise InputError(
            f"{path} holds more than one structure; give a file with one (`bondwright export` "
            "writes a file for each)."
        )
    if first.problem is not None or first.atoms is None:
        why = first.problem.message if first.problem else "no atoms"
        raise InputError(f"{path} cannot be read as a structure: {' '.join(why.split())}")
    return first


def folder_name(*words: str) -> str:
    """Return words as a folder name that every file system takes."""
    return re.sub(r"[^\w.+-]+", "-", "-".join(words)).strip("-.") or "calculation"


class Teller:
    """Tells what has been done, line by line, and what is going on now."""

    def __init__(self, done: Callable[[str], None], now: Callable[[str], None]) -> None:
        self.done, self.now = done, now
        self._step = ""

    def step(self, text: str) -> None:
        """Tell a step that is done; what follows belongs to the next one."""
        self._step = text
        self.done(text)

    def scf(self, step: int, change: float | None) -> None:
        """Tell an SCF step and by how much it changed the energy, eV."""
        changed = "" if change is None else f", energy changed by {change:.1e} eV"
        after = f" (after {self._step})" if self._step else ""
        self.now(f"SCF step {step}{changed}{after}")


@contextmanager
def telling() -> Iterator[Teller]:
    """Show progress on stderr: a live line on a terminal, elsewhere a line every ten seconds."""
    if not sys.stderr.isatty():
        yield Teller(note, _seldom(note))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status("beginning") as status:
        yield Teller(lambda text: console.print(Text(text)), lambda text: status.update(Text(text)))


def _seldom(say: Callable[[str], None], seconds: float = 10.0) -> Callable[[str], None]:
    last = time.monotonic()

    def now(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say(text)

    return now
