"""Numbers in Fortran's spelling."""

import re

FLOAT = r"[-+]?\d+\.\d*(?:[EeDd][-+]?\d+)?"
"""Pattern of a number with a decimal point."""
TRIPLE = rf"({FLOAT})\s*({FLOAT})\s*({FLOAT})"
"""Pattern of three of them, which may touch."""


def real(text: str) -> float:
    """Return a number that may have a D for its exponent."""
    return float(text.upper().replace("D", "E"))


def after_equals(line: str) -> float | None:
    """Return the first number behind an equals sign; None when there is none."""
    found = re.search(rf"=\s*({FLOAT})", line)
    return real(found[1]) if found else None


def integer(line: str) -> int | None:
    """Return the first whole number behind an equals sign; None when there is none."""
    found = re.search(r"=\s*(\d{1,9})\b", line)
    return int(found[1]) if found else None
