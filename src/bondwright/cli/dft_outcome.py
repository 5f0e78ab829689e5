"""What a task of `bondwright dft` works on, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bondwright.cli.calculating import Teller

if TYPE_CHECKING:
    from ase import Atoms

    from bondwright.dft.calculation import Correction
    from bondwright.dft.engine import Engine, ScfProgress, Session
    from bondwright.dft.settings import DftSettings
    from bondwright.dft.task_state import TaskProgress

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        status: how it ended: "converged", "not-converged", "interrupted" or "failed".
        reason: stable slug unless converged.
        message: one sentence for people.
        corrections: what was changed to make the SCF settle.
        rows: the result for people: what it is, and its value with its unit.
        answer: the result for programs; JSON values, units in the keys.
        full: everything the task found, as JSON values; longer than `answer`.
        head: titles of a table of single calculations, and its rows.
        files: files that were written.
    """

    status: str
    reason: str = ""
    message: str = ""
    corrections: tuple[Correction, ...] = ()
    rows: Rows = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    full: dict[str, Any] = field(default_factory=dict)
    head: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    files: tuple[Path, ...] = ()

    @classmethod
    def of(cls, found: Ended, rows: Rows, answer: dict[str, Any], **more: Any) -> Outcome:
        """Say how a task ended that tells its own status, and what it found."""
        return cls(str(found.status), found.reason, found.message, rows=rows, answer=answer, **more)


class Ended(Protocol):
    """A result that says how it ended."""

    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Job:
    """What a task works on.

    Attributes:
        atoms: the structure (Å).
        engine: the program.
        settings: what is asked for.
        folder: where all is kept.
        tell: takes the progress.
    """

    atoms: Atoms
    engine: Engine
    settings: DftSettings
    folder: Path
    tell: Teller

    def progress(self, now: TaskProgress) -> None:
        """Tell how far a task of several calculations is."""
        self.tell.step(f"{now.done} of {now.total}: {now.message}")


class TellingEngine:
    """An engine that tells every SCF step, whichever task opens it."""

    def __init__(self, engine: Engine, scf: ScfProgress) -> None:
        self._engine, self._scf = engine, scf
        self.name = engine.name

    def version(self) -> str:
        """Return the version of the installed program."""
        return self._engine.version()

    def open(
        self, settings: DftSettings, folder: Path, *, progress: ScfProgress | None = None
    ) -> Session:
        """Begin work in a folder, as the engine does."""
        return self._engine.open(settings, folder, progress=progress or self._scf)


def gap_text(gap: float | None) -> str:
    """Return a gap in eV for people."""
    if gap is None:
        return "unknown"
    return f"{gap:.3f} eV" if gap else "none (metal)"


def number_text(value: float | None, digits: int) -> str:
    """Return a number for people; "unknown" for None."""
    return "unknown" if value is None else f"{value:.{digits}f}"


def cell_text(numbers: Sequence[float]) -> str:
    """Return lengths (Å) and angles (degrees) of a cell for people."""
    lengths = " ".join(f"{x:.4f}" for x in numbers[:3])
    return f"{lengths} Å, {' '.join(f'{x:.2f}' for x in numbers[3:])}°"
