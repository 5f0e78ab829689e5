"""Numbers as crystallographers write them."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?)(?:\(\d+\))?", re.ASCII)
_LONGEST = 60


def read_number(text: str | None) -> float | None:
    """Read a number with or without an uncertainty, such as "3.79(2)".

    Returns:
        The value, or None when the text is not a finite number.
    """
    match = _NUMBER.fullmatch(text.strip()) if text and len(text) <= _LONGEST else None
    value = float(match[1]) if match else math.nan
    return value if math.isfinite(value) else None


def read_integer(text: str | None) -> int | None:
    """Read a whole number; None when the text is not one (or too large to count anything)."""
    value = read_number(text)
    return int(value) if value is not None and value.is_integer() and abs(value) < 1e9 else None
