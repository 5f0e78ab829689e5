"""What reading a text gave, in a form that travels between processes as JSON values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ase import Atoms

from bondwright.structure.candidate import Declared, Problem, SiteRow
from bondwright.structure.records import atoms_from_json, atoms_to_json


@dataclass(frozen=True)
class ReadLimits:
    """Caps on what is read from outside.

    Attributes:
        text_bytes: longest text of one structure, bytes of UTF-8; longer ones are not parsed.
        atoms: most atoms of one structure, after the symmetry is expanded.
        seconds: most seconds of the processor for one text; a busy machine may take longer.
        memory_mb: most memory that reading one text may take, MiB.
    """

    text_bytes: int = 2_000_000
    atoms: int = 2_000
    seconds: float = 5.0
    memory_mb: int = 512


@dataclass(frozen=True)
class Parsed:
    """One structure of a text, or why there is none.

    Attributes:
        atoms: the full periodic cell (Å), None when there is a problem.
        declared: what the text says of itself; None for formats that say nothing.
        problem: why there are no atoms.
        notes: facts about the reading worth keeping.
        block: number of the data block or frame, counted from 0.
    """

    atoms: Atoms | None = None
    declared: Declared | None = None
    problem: Problem | None = None
    notes: tuple[str, ...] = ()
    block: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "atoms": None if self.atoms is None else atoms_to_json(self.atoms),
            "declared": None if self.declared is None else asdict(self.declared),
            "problem": None if self.problem is None else asdict(self.problem),
            "notes": list(self.notes),
            "block": self.block,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Parsed:
        """Rebuild a result from what `to_json` returned, by way of JSON text or not."""
        return cls(
            atoms=None if data["atoms"] is None else atoms_from_json(data["atoms"]),
            declared=None if data["declared"] is None else _declared(data["declared"]),
            problem=None if data["problem"] is None else Problem(**data["problem"]),
            notes=tuple(data["notes"]),
            block=data["block"],
        )


class Unreadable(Exception):  # noqa: N818 - says what the text is, and never leaves this package
    """A text that gives no structure; carries the problem."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, message)


def _declared(data: dict[str, Any]) -> Declared:
    """Rebuild `Declared`: JSON turns its tuples into lists."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
    }
    fields["sites"] = tuple(
        SiteRow(**{**site, "position": tuple(site["position"])}) for site in data["sites"]
    )
    return Declared(**fields)
