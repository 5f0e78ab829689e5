"""The store's tables, as numbered steps: each database is brought up to date from where it is.

A step, once released, is never changed; a new layout is a new step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bondwright.errors import InputError


def m001_first_tables(database: sqlite3.Connection) -> None:
    """Candidates, verdicts and where they stand."""
    for statement in (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        # One row per input file that was read; `place` is its place in the campaign as it is
        # now, NULL when the campaign no longer lists it.
        """CREATE TABLE inputs (
            id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
            seconds REAL NOT NULL, place INTEGER)""",
        """CREATE TABLE candidates (
            key TEXT PRIMARY KEY, name TEXT NOT NULL, control INTEGER NOT NULL,
            readable INTEGER NOT NULL, content TEXT NOT NULL, structure TEXT,
            data TEXT NOT NULL)""",
        """CREATE TABLE members (
            input INTEGER NOT NULL REFERENCES inputs(id), ordinal INTEGER NOT NULL,
            candidate TEXT NOT NULL REFERENCES candidates(key), PRIMARY KEY (input, ordinal))""",
        # A verdict belongs to the content it was reached from, not to a candidate: equal content
        # shares it, and an old one is found again when a setting is changed back.
        """CREATE TABLE verdicts (
            content_key TEXT PRIMARY KEY, stage TEXT NOT NULL, outcome TEXT NOT NULL,
            reason TEXT NOT NULL, message TEXT NOT NULL, value REAL, unit TEXT NOT NULL,
            details TEXT NOT NULL, version TEXT NOT NULL, settings TEXT NOT NULL,
            settings_hash TEXT NOT NULL, seconds REAL NOT NULL, peak_memory_mb REAL,
            worker INTEGER, attempt INTEGER NOT NULL, created TEXT NOT NULL)""",
        """CREATE TABLE structures (
            content_key TEXT PRIMARY KEY REFERENCES verdicts(content_key), atoms TEXT NOT NULL,
            content_hash TEXT NOT NULL)""",
        """CREATE TABLE current (
            candidate TEXT NOT NULL REFERENCES candidates(key), stage TEXT NOT NULL,
            content_key TEXT NOT NULL REFERENCES verdicts(content_key),
            PRIMARY KEY (candidate, stage))""",
        """CREATE TABLE invocations (
            id INTEGER PRIMARY KEY, started TEXT NOT NULL, ended TEXT, command TEXT NOT NULL,
            host TEXT NOT NULL, versions TEXT NOT NULL, settings TEXT NOT NULL, outcome TEXT)""",
    ):
        database.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (m001_first_tables,)


def version_of(database: sqlite3.Connection) -> int:
    """Return the number of the last step a database has seen; 0 for an empty one."""
    known = database.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'"
    ).fetchone()
    if known is None:
        return 0
    return int(database.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()[0])


def check_version(
    database: sqlite3.Connection,
    path: Path,
    steps: tuple[Callable[[sqlite3.Connection], None], ...] = MIGRATIONS,
) -> int:
    """Return the database's version, or refuse one that is newer than this code.

    Raises:
        InputError: the database was written by a newer bondwright.
    """
    version = version_of(database)
    if version > len(steps):
        raise InputError(
            f"{path}: written by a newer bondwright (layout {version}, this one knows "
            f"{len(steps)}); upgrade bondwright to open it."
        )
    return version


def is_current(database: sqlite3.Connection, path: Path) -> bool:
    """Return whether a database has the layout of this version.

    Raises:
        InputError: it was written by a newer bondwright.
    """
    return check_version(database, path) == len(MIGRATIONS)


def migrate(
    database: sqlite3.Connection,
    path: Path,
    steps: tuple[Callable[[sqlite3.Connection], None], ...] = MIGRATIONS,
) -> None:
    """Bring a database up to date, step by step; one with content is copied beside itself first.

    Raises:
        InputError: the database was written by a newer bondwright.
    """
    version = check_version(database, path, steps)
    if version == len(steps):
        return
    if version > 0:
        with sqlite3.connect(path.with_name(f"{path.name}.layout{version}.bak")) as backup:
            database.backup(backup)
        backup.close()
    for number, step in enumerate(steps[version:], version + 1):
        database.execute("BEGIN IMMEDIATE")
        try:
            database.execute(
                "CREATE TABLE IF NOT EXISTS migrations "
                "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied TEXT NOT NULL)"
            )
            step(database)
            database.execute(
                "INSERT INTO migrations VALUES (?, ?, ?)",
                (number, step.__name__, datetime.now(UTC).isoformat(timespec="seconds")),
            )
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
