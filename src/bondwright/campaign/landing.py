"""Results land as files before anything else, so that a driver that dies loses none of them.

A worker writes its records under a temporary name, has them on the disk, and only then gives the
file its real name: a file with a real name is complete, whatever happened since.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bondwright.campaign.codec import Record
from bondwright.errors import InputError

_PART = ".part"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def land(folder: Path, stage: str, name: str, records: list[Record]) -> Path:
    """Write records to `folder/stage/name.json`, whole or not at all.

    Raises:
        InputError: the disk is full, over quota or not writable.
        ValueError: a number in a record is not finite.
    """
    return keep(folder / stage / f"{name}.json", [r.to_json() for r in records])


def keep(path: Path, data: Any) -> Path:
    """Write JSON values to a file, whole or not at all.

    Raises:
        InputError: the disk is full, over quota or not writable.
        ValueError: a number is not finite.
    """
    text = json.dumps(data, allow_nan=False)
    part = path.with_name(f"{path.stem}.{os.getpid()}{_PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as stream:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error
    return path


def landed(folder: Path) -> Iterator[tuple[Path, list[Record]]]:
    """Yield every complete file below `folder` with its records; remove what is incomplete.

    Call it only while no worker runs: a temporary file then is one whose writer died.
    """
    for part in sorted(folder.glob(f"*/*{_PART}")):
        part.unlink(missing_ok=True)
    for path in sorted(folder.glob("*/*.json")):
        try:
            records = [Record.from_json(r) for r in json.loads(path.read_bytes())]
        except (ValueError, TypeError, KeyError):
            path.unlink()  # torn by a power cut before the disk had it: the work is done again
            continue
        yield path, records


def disk_error(error: OSError, path: Path) -> InputError:
    """Say in one line what the file system refused and how to mend it."""
    if error.errno in _FULL:
        return InputError(
            f"{path.parent}: the disk is full or the quota is used up; nothing finished is lost. "
            "Free some space and run the same command again."
        )
    return InputError(
        f"{path.parent}: cannot be written ({error.strerror}); make the folder writable and run "
        "the same command again."
    )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
