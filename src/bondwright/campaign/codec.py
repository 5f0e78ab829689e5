"""Candidates and results as JSON values and back, and the digests that name them."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from bondwright.screen.verdict import Verdict
from bondwright.structure.candidate import Candidate, Declared, Origin, Problem, SiteRow
from bondwright.structure.records import atoms_from_json, atoms_to_json


@dataclass(frozen=True)
class Record:
    """One finished check: the verdict, and what it took to reach it.

    Attributes:
        content_key: digest of everything the verdict depends on.
        verdict: what the check found.
        atoms: the structure as the stage left it, as JSON values; None when it moved nothing.
        seconds: wall-clock seconds of work.
        peak_memory_mb: highest resident memory of the worker, MiB; None when unknown.
        worker: process number of the worker; None when unknown.
        attempt: 2 when the first attempt was lost to the machine.
    """

    content_key: str
    verdict: Verdict
    atoms: dict[str, Any] | None
    seconds: float
    peak_memory_mb: float | None
    worker: int | None
    attempt: int

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {**self.__dict__, "verdict": self.verdict.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Rebuild a record from what `to_json` returned."""
        return cls(**{**data, "verdict": Verdict.from_json(data["verdict"])})


def canonical(value: Any) -> str:
    """Return JSON text that is the same for equal values.

    Raises:
        ValueError: a number is not finite; an unknown must be None.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def candidate_to_json(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as JSON values; numbers of `extra` that are not finite become None."""
    data = {**candidate.__dict__}
    data["origin"] = asdict(candidate.origin)
    data["atoms"] = None if candidate.atoms is None else atoms_to_json(candidate.atoms)
    data["declared"] = None if candidate.declared is None else asdict(candidate.declared)
    data["problem"] = None if candidate.problem is None else asdict(candidate.problem)
    data["notes"] = list(candidate.notes)
    data["extra"] = _finite(candidate.extra)
    data["declared"] = _finite(data["declared"])
    return data


def candidate_from_json(data: dict[str, Any]) -> Candidate:
    """Rebuild a candidate from what `candidate_to_json` returned."""
    declared = data["declared"]
    return Candidate(
        **{
            **data,
            "origin": Origin(**data["origin"]),
            "atoms": None if data["atoms"] is None else atoms_from_json(data["atoms"]),
            "declared": None if declared is None else _declared(declared),
            "problem": None if data["problem"] is None else Problem(**data["problem"]),
            "notes": tuple(data["notes"]),
        }
    )


def content_of(data: dict[str, Any]) -> str:
    """Return the digest of what checks can see of a candidate: its structure and its text.

    Two rows with the same content share their results, whatever they are called.
    """
    return digest({k: data[k] for k in ("text", "atoms", "declared", "problem")})


def _declared(data: dict[str, Any]) -> Declared:
    sites = tuple(SiteRow(**{**s, "position": tuple(s["position"])}) for s in data["sites"])
    triple = {k: None if data[k] is None else tuple(data[k]) for k in ("lengths", "angles")}
    return Declared(**{**data, **triple, "sites": sites, "operations": tuple(data["operations"])})


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
