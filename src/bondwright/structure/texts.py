"""From the bytes of a file to the text of each structure in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bondwright.errors import InputError
from bondwright.structure.parsed import Unreadable

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")
MAX_CONTROL_SHARE = 0.01
"""Text has no control characters but tabs and line ends; a stray one does not make it binary."""


def decode(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Decode the bytes of a text file.

    Returns:
        The text and notes on how it was decoded.

    Raises:
        Unreadable: `not-text` for binary data and UTF-16.
    """
    notes: tuple[str, ...] = ()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        notes = ("not UTF-8; read as Latin-1",)
    if "\0" in text or len(_CONTROL.findall(text)) > MAX_CONTROL_SHARE * len(text):
        raise Unreadable("not-text", "the file is binary or UTF-16, not plain text.")
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def read_bytes(path: Path, most: int) -> bytes:
    """Return a whole file, or its first `most` + 1 bytes where it is longer.

    Raises:
        InputError: the file cannot be opened, or is a git-LFS pointer.
    """
    with open_file(path) as file:
        return file.read(most + 1)


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading bytes.

    Raises:
        InputError: it cannot be opened, or is a git-LFS pointer.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check it.") from None
    if file.peek(40).startswith(b"version https://git-lfs"):
        file.close()
        raise InputError(f"{path} is a git-LFS pointer, not the file; run 'git lfs pull' there.")
    return file


def xyz_frames(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Yield the frames of an XYZ file; what does not begin like a frame comes out as one.

    A frame longer than `most` bytes is cut behind them, so that it can be told.
    """
    while line := file.readline(most):
        if not line.strip():
            continue
        if not line.strip().isdigit():
            yield line + file.read(most)
            return
        frame, size = [line], len(line)
        for _ in range(int(line[:15]) + 1):
            line = file.readline(most)
            if not line:
                break
            if size <= most:
                frame.append(line)
                size += len(line)
        yield b"".join(frame)


def dump_frames(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Yield the frames of a LAMMPS dump, each from its "ITEM: TIMESTEP"; lengths as for XYZ."""
    frame: list[bytes] = []
    size = 0
    while line := file.readline(most):
        if line.startswith(b"ITEM: TIMESTEP") and frame:
            yield b"".join(frame)
            frame, size = [], 0
        if size <= most:
            frame.append(line)
            size += len(line)
    if frame:
        yield b"".join(frame)
