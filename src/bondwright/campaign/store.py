"""The campaign's database: one writer, any number of readers.

Verdicts are kept by the content they were reached from; `current` points from a candidate and a
stage to the verdict that holds now. Nothing is deleted: what no longer holds is history.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bondwright.campaign.codec import (
    Record,
    candidate_from_json,
    candidate_to_json,
    canonical,
    content_of,
    digest,
)
from bondwright.campaign.database import open_for_reading, open_for_writing, transaction
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.candidate import Candidate

_VERDICT_COLUMNS = [
    "stage",
    "outcome",
    "reason",
    "message",
    "value",
    "unit",
    "details",
    "version",
    "settings",
]


@dataclass(frozen=True)
class Standing:
    """What planning needs to know of a candidate, without its data.

    Attributes:
        key: the candidate's key.
        control: True for a known crystal.
        readable: True when there are atoms.
        content: digest of all that checks can see of it.
        structure: digest of its atoms as read; None without atoms.
    """

    key: str
    control: bool
    readable: bool
    content: str
    structure: str | None


@dataclass(frozen=True)
class Finding:
    """The short form of a stored verdict.

    Attributes:
        outcome: passed, rejected, unknown or failed.
        reason: the slug.
        seconds: seconds of work.
        peak_memory_mb: highest resident memory, MiB; None when unknown.
    """

    outcome: Outcome
    reason: str
    seconds: float
    peak_memory_mb: float | None


class Store:
    """A campaign's database."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self.path = path

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the database for the one writer; make it or bring it up to date where needed.

        Raises:
            InputError: the folder is not writable, the disk is full, or the file is damaged or
                written by a newer bondwright.
        """
        return cls(open_for_writing(path), path)

    @classmethod
    def open_read_only(cls, path: Path) -> Store:
        """Open the database for looking; a driver may be at work meanwhile.

        Raises:
            InputError: there is none, it is damaged, or its layout is not this version's.
        """
        return cls(open_for_reading(path), path)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All that happens inside is stored, or none of it.

        Raises:
            InputError: the disk is full or the file cannot be written.
        """
        return transaction(self._database, self.path)

    # --- facts about the campaign -------------------------------------------------------------

    def set_meta(self, key: str, value: Any) -> None:
        """Keep a JSON value under a name."""
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, canonical(value)))

    def meta(self, key: str) -> Any:
        """Return the JSON value kept under a name; None when there is none."""
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def begin_invocation(self, command: str, host: Any, versions: Any, settings: Any) -> int:
        """Note that a run begins; returns its number."""
        cursor = self._database.execute(
            "INSERT INTO invocations (started, command, host, versions, settings) "
            "VALUES (?, ?, ?, ?, ?)",
            (_now(), command, canonical(host), canonical(versions), canonical(settings)),
        )
        return int(cursor.lastrowid or 0)

    def set_settings(self, number: int, settings: Any) -> None:
        """Replace the settings noted for a run."""
        self._database.execute(
            "UPDATE invocations SET settings = ? WHERE id = ?", (canonical(settings), number)
        )

    def end_invocation(self, number: int, outcome: str) -> None:
        """Note how a run ended."""
        self._database.execute(
            "UPDATE invocations SET ended = ?, outcome = ? WHERE id = ?", (_now(), outcome, number)
        )

    def invocations(self) -> list[dict[str, Any]]:
        """Return all runs so far, oldest first; one that was killed has no end."""
        names = ("started", "ended", "command", "host", "versions", "settings", "outcome")
        rows = self._database.execute(f"SELECT {', '.join(names)} FROM invocations ORDER BY id")  # noqa: S608
        runs = [dict(zip(names, row, strict=True)) for row in rows]
        for run in runs:
            run.update({k: json.loads(run[k]) for k in ("host", "versions", "settings")})
        return runs

    # --- candidates ---------------------------------------------------------------------------

    def input_ids(self) -> dict[str, int]:
        """Return the inputs that were read: fingerprint -> number."""
        return dict(self._database.execute("SELECT fingerprint, id FROM inputs"))

    def add_input(
        self, fingerprint: str, source: str, candidates: Iterable[tuple[Candidate, Record]]
    ) -> int:
        """Store the candidates of one input file with their `read` verdicts; returns its number.

        Call it inside a transaction, so that an input is there with all its rows or not at all.
        """
        cursor = self._database.execute(
            "INSERT INTO inputs (fingerprint, source, seconds) VALUES (?, ?, 0)",
            (fingerprint, source),
        )
        number = int(cursor.lastrowid or 0)
        seconds = 0.0
        for ordinal, (candidate, record) in enumerate(candidates):
            data = candidate_to_json(candidate)
            self._database.execute(
                "INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
                "SET name = excluded.name, control = excluded.control, data = excluded.data, "
                "readable = excluded.readable, content = excluded.content, "
                "structure = excluded.structure",
                (
                    candidate.key,
                    _storable(candidate.name),
                    candidate.control,
                    candidate.atoms is not None,
                    content_of(data),
                    None if data["atoms"] is None else digest(data["atoms"]),
                    canonical(data),
                ),
            )
            self._database.execute(
                "INSERT INTO members VALUES (?, ?, ?)", (number, ordinal, candidate.key)
            )
            self.add_records([record])
            self.point("read", {candidate.key: record.content_key})
            seconds += record.seconds
        self._database.execute("UPDATE inputs SET seconds = ? WHERE id = ?", (seconds, number))
        return number

    def input_size(self, number: int) -> int:
        """Return how many candidates an input file gave."""
        row = self._database.execute("SELECT count(*) FROM members WHERE input = ?", (number,))
        return int(row.fetchone()[0])

    def place_inputs(self, numbers: Sequence[int]) -> None:
        """Say which inputs the campaign lists now, in order; others are history."""
        self._database.execute("UPDATE inputs SET place = NULL")
        self._database.executemany(
            "UPDATE inputs SET place = ? WHERE id = ?", [(p, n) for p, n in enumerate(numbers)]
        )

    def standings(self) -> list[Standing]:
        """Return the campaign's candidates in the order of its inputs, without their data."""
        rows = self._in_order("c.key, c.control, c.readable, c.content, c.structure")
        unique = {row[0]: row for row in rows}
        return [
            Standing(k, bool(c), bool(r), content, s) for k, c, r, content, s in unique.values()
        ]

    def candidates(self) -> list[Candidate]:
        """Return the campaign's candidates in the order of its inputs."""
        rows = dict(self._in_order("c.key, c.data"))
        return [candidate_from_json(json.loads(data)) for data in rows.values()]

    def candidate_data(self, key: str) -> dict[str, Any]:
        """Return one candidate as JSON values."""
        row = self._database.execute("SELECT data FROM candidates WHERE key = ?", (key,)).fetchone()
        return dict(json.loads(row[0]))

    def _in_order(self, columns: str) -> sqlite3.Cursor:
        return self._database.execute(
            f"SELECT {columns} FROM inputs i JOIN members m ON m.input = i.id "  # noqa: S608
            "JOIN candidates c ON c.key = m.candidate WHERE i.place IS NOT NULL "
            "ORDER BY i.place, m.ordinal"
        )

    # --- verdicts -----------------------------------------------------------------------------

    def add_records(self, records: Iterable[Record]) -> None:
        """Store results; one that is there already (the same content key) is replaced."""
        for record in records:
            verdict = record.verdict
            settings = canonical(verdict.settings)
            self._database.execute(
                "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (content_key) DO UPDATE SET outcome = excluded.outcome, "
                "reason = excluded.reason, message = excluded.message, value = excluded.value, "
                "unit = excluded.unit, details = excluded.details, seconds = excluded.seconds, "
                "peak_memory_mb = excluded.peak_memory_mb, worker = excluded.worker, "
                "attempt = excluded.attempt, created = excluded.created",
                (
                    record.content_key,
                    verdict.stage,
                    str(verdict.outcome),
                    verdict.reason,
                    _storable(verdict.message),
                    verdict.value,
                    verdict.unit,
                    canonical(verdict.details),
                    verdict.version,
                    settings,
                    digest(verdict.settings),
                    record.seconds,
                    record.peak_memory_mb,
                    record.worker,
                    record.attempt,
                    _now(),
                ),
            )
            if record.atoms is not None:
                self._database.execute(
                    "INSERT OR REPLACE INTO structures VALUES (?, ?, ?)",
                    (record.content_key, canonical(record.atoms), digest(record.atoms)),
                )

    def findings(self, stage: str) -> dict[str, Finding]:
        """Return all results of a stage, history included: content key -> short form."""
        rows = self._database.execute(
            "SELECT content_key, outcome, reason, seconds, peak_memory_mb FROM verdicts "
            "WHERE stage = ?",
            (stage,),
        )
        return {k: Finding(Outcome(o), r, s, m) for k, o, r, s, m in rows}

    def current(self, stage: str) -> dict[str, Finding]:
        """Return what holds now at a stage: candidate -> short form of its verdict."""
        rows = self._database.execute(
            "SELECT candidate, outcome, reason, seconds, peak_memory_mb FROM current "
            "JOIN verdicts USING (content_key) WHERE current.stage = ?",
            (stage,),
        )
        return {c: Finding(Outcome(o), r, s, m) for c, o, r, s, m in rows}

    def pointers(self, stage: str) -> dict[str, str]:
        """Return what holds now: candidate -> content key of its verdict."""
        return dict(
            self._database.execute(
                "SELECT candidate, content_key FROM current WHERE stage = ?", (stage,)
            )
        )

    def point(self, stage: str, verdicts: dict[str, str]) -> None:
        """Let candidates point to verdicts of a stage: candidate -> content key."""
        self._database.executemany(
            "INSERT OR REPLACE INTO current VALUES (?, ?, ?)",
            [(candidate, stage, key) for candidate, key in verdicts.items()],
        )

    def unpoint(self, stage: str, candidates: Iterable[str] | None = None) -> None:
        """Take back what candidates (None: all) point to; the verdicts stay as history."""
        if candidates is None:
            self._database.execute("DELETE FROM current WHERE stage = ?", (stage,))
            return
        self._database.executemany(
            "DELETE FROM current WHERE stage = ? AND candidate = ?",
            [(stage, candidate) for candidate in candidates],
        )

    def structures(self, stage: str) -> dict[str, str]:
        """Return the digests of the structures a stage left: candidate -> digest."""
        return dict(
            self._database.execute(
                "SELECT candidate, content_hash FROM current JOIN structures USING (content_key) "
                "WHERE stage = ?",
                (stage,),
            )
        )

    def structure(self, stage: str, candidate: str) -> dict[str, Any] | None:
        """Return the structure a stage left of a candidate, as JSON values."""
        row = self._database.execute(
            "SELECT atoms FROM current JOIN structures USING (content_key) "
            "WHERE stage = ? AND candidate = ?",
            (stage, candidate),
        ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def verdicts(self, stage: str) -> dict[str, Verdict]:
        """Return the verdicts of a stage that hold now: candidate -> verdict."""
        rows = self._database.execute(
            f"SELECT candidate, {', '.join('v.' + c for c in _VERDICT_COLUMNS)} FROM current "  # noqa: S608
            "JOIN verdicts v USING (content_key) WHERE current.stage = ?",
            (stage,),
        )
        found = {}
        for candidate, *values in rows:
            data = dict(zip(_VERDICT_COLUMNS, values, strict=True))
            data["details"] = json.loads(data["details"])
            data["settings"] = json.loads(data["settings"])
            found[candidate] = Verdict.from_json(data)
        return found


def _storable(text: str) -> str:
    """Return text without the halves of characters that undecodable input leaves behind."""
    return text.encode("utf-8", "replace").decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
