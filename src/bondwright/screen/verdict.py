"""The verdict of one check on one candidate.

Every verdict keeps its value, unit, reason, sub-results, and the version and settings of the
check, so that a rejected candidate can be explained a year later.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ase import Atoms


class Outcome(StrEnum):
    """What a check says of a candidate.

    `UNKNOWN` is a statement about our knowledge (an element outside the reference); `FAILED` is a
    statement about the computation (crash, time-out); neither is evidence against the candidate.
    """

    PASSED = "passed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """What one stage found out about one candidate.

    Attributes:
        stage: name of the stage, e.g. "validity".
        outcome: passed, rejected, unknown or failed.
        reason: stable slug for counting ("short-contact"); empty when passed.
        message: one sentence for people, with the numbers.
        value: the stage's main number, None when there is none (never NaN).
        unit: unit of `value`, e.g. "eV/atom".
        details: every sub-result; JSON values only, units in the keys (`shortest_A`).
        version: version of the check, e.g. "validity/1"; raised when its meaning changes.
        settings: the settings used; JSON values only.
    """

    stage: str
    outcome: Outcome
    reason: str = ""
    message: str = ""
    value: float | None = None
    unit: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {**asdict(self), "outcome": str(self.outcome)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verdict:
        """Rebuild a verdict from what `to_json` returned."""
        return cls(**{**data, "outcome": Outcome(data["outcome"])})


@dataclass(frozen=True)
class StageResult:
    """A verdict and, where the stage moved the atoms, the new structure (positions in Å)."""

    verdict: Verdict
    atoms: Atoms | None = None
