"""How many cores there are to work on."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Return the number of cores that this process may use, which can be fewer than there are."""
    return len(os.sched_getaffinity(0))
