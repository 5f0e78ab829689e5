"""Text of files from outside: of bounded size, plain or gzipped, never trusted."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from bondwright.errors import InputError
from bondwright.structure.numbers import read_integer, read_number
from bondwright.structure.parsed import Unreadable
from bondwright.structure.texts import decode, open_file

MAX_BYTES = 512 * 2**20
"""Longest text of one file, bytes after unpacking."""

_ATOM = re.compile(r"([A-Z][a-z]?)([1-9]\d{0,6})", re.ASCII)


def read_text(path: Path, most: int = MAX_BYTES) -> str:
    """Return the text of a file, unpacked when it is gzipped.

    Raises:
        InputError: it cannot be opened, is cut off, binary, or longer than `most` bytes.
    """
    try:
        with open_file(path) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if packed:
                with gzip.open(file) as unpacked:
                    data = unpacked.read(most + 1)
            else:
                data = file.read(most + 1)
    except EOFError:
        raise InputError(f"{path} is a gzip file that is cut off; copy it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is a damaged gzip file ({error}); copy it again.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check it.") from None
    if len(data) > most:
        raise InputError(f"{path} is longer than {most / 2**20:.0f} MiB; it is not read.")
    try:
        return decode(data)[0]
    except Unreadable as error:
        raise InputError(f"{path}: {error}") from None


class Line:
    """One line of a file, which knows where it stands when something is wrong with it."""

    __slots__ = ("number", "path", "text", "words")

    def __init__(self, path: Path, number: int, text: str) -> None:
        self.path = path
        self.number = number
        self.words = text.split()
        self.text = text

    def error(self, message: str) -> InputError:
        """Return an error that names the file and the line, counted from 1."""
        return InputError(f"{self.path}, line {self.number}: {message}")

    def real(self, place: int, what: str) -> float:
        """Return a word as a finite number.

        Raises:
            InputError: there is no such word, or it is not a number.
        """
        value = read_number(self._word(place, what))
        if value is None:
            raise self.error(f"{what} should be a number, not {self.words[place][:30]!r}.")
        return value

    def integer(self, place: int, what: str) -> int:
        """Return a word as a whole number.

        Raises:
            InputError: there is no such word, or it is not a whole number.
        """
        value = read_integer(self._word(place, what))
        if value is None:
            raise self.error(f"{what} should be a whole number, not {self.words[place][:30]!r}.")
        return value

    def _word(self, place: int, what: str) -> str:
        if place >= len(self.words):
            raise self.error(f"the line ends before {what}; the file is cut off or damaged.")
        return self.words[place]


def split_atom(label: str) -> tuple[str, int] | None:
    """Return element and 0-based index of an atom's label such as "Cu12", or None."""
    match = _ATOM.fullmatch(label)
    return (match[1], int(match[2]) - 1) if match else None
