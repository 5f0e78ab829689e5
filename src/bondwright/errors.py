"""Errors that a user can mend.

An `InputError` carries one line that says what was found, where, and how to mend it. The command
line prints it without a traceback and exits with its `exit_code`; anything else that is raised is
a bug in bondwright.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BondwrightError(Exception):
    """Base class of the errors that a user can mend."""

    exit_code = 2


class InputError(BondwrightError):
    """Bad input: a file, an option or a setting that cannot be used."""


class BusyError(BondwrightError):
    """Another process already drives this campaign."""

    exit_code = 3


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the known word nearest to `word`, or an empty string."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
