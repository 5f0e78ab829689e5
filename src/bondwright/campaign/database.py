"""Opening a campaign's SQLite file safely, and saying in one line what is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage

from bondwright.campaign.folder import NETWORK_FILE_SYSTEMS, file_system_type
from bondwright.campaign.migrations import is_current, migrate
from bondwright.errors import InputError

_BUSY_SECONDS = 60
_LITTLE_SPACE = 2**20  # bytes


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the database for the one writer; make it or bring it up to date where needed.

    On a network file system SQLite's write-ahead log would corrupt the database, so the slower
    rollback journal is used there.

    Raises:
        InputError: the folder is not writable, the disk is full, or the file is damaged or
            written by a newer bondwright.
    """
    network = file_system_type(path.parent) in NETWORK_FILE_SYSTEMS
    with explained(path):
        database = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
        database.execute(f"PRAGMA journal_mode = {'DELETE' if network else 'WAL'}")
        database.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut
        database.execute("PRAGMA foreign_keys = ON")
        migrate(database, path)
    return database


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the database for looking; a driver may be at work meanwhile.

    Raises:
        InputError: there is none, it is damaged, or its layout is not this version's.
    """
    if not path.is_file():
        raise InputError(f"{path.parent}: nothing has run here yet; start with `bondwright run`.")
    with explained(path):
        try:
            database = _connect(path, "")
        except sqlite3.OperationalError:
            # On a read-only disk SQLite cannot keep its shared memory; without a log beside the
            # file there is no writer either, and the file can be taken as it stands.
            if path.with_name(path.name + "-wal").exists():
                raise
            database = _connect(path, "&immutable=1")
        if not is_current(database, path):
            raise InputError(f"{path}: has an old layout; `bondwright run` brings it up to date.")
    return database


def _connect(path: Path, extra: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=ro{extra}"
    database = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_SECONDS)
    try:
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        database.close()
        raise
    return database


@contextmanager
def transaction(database: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All that happens inside is stored, or none of it.

    Raises:
        InputError: the disk is full or the file cannot be written.
    """
    with explained(path):
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says of the disk or the file into one line that can be acted on."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        # Where the log's shared memory cannot grow, SQLite speaks of an I/O error.
        if "full" in text or ("disk I/O" in text and disk_usage(path.parent).free < _LITTLE_SPACE):
            raise InputError(
                f"{path.parent}: the disk is full or the quota is used up; nothing finished is "
                "lost. Free some space and run the same command again."
            ) from error
        if "readonly" in text or "unable to open" in text or "disk I/O" in text:
            raise InputError(
                f"{path}: cannot be opened or written ({text}); check the folder's permissions "
                "and disk."
            ) from error
        raise
    except sqlite3.DatabaseError as error:
        if "malformed" in str(error) or "not a database" in str(error):
            raise InputError(
                f"{path}: is damaged or not a campaign database ({error}); restore a copy, or move "
                "it away to start afresh."
            ) from error
        raise
