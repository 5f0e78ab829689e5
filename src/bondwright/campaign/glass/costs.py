"""What each step of a glass project cost: one JSON line per step in cost.jsonl."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

STEPS = ("generate", "label", "features", "train", "evaluate", "predict")


@dataclass
class Cost:
    """What one step cost.

    Attributes:
        what: name of the step, one of `STEPS`.
        count: how many things were made (cells, labels, models, bonds).
        seconds: wall-clock seconds.
        cpu_seconds: of all processes together.
        note: what exactly, e.g. the name of a cell.
        at: when it ended (UTC, ISO 8601).
    """

    what: str
    count: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    note: str = ""
    at: str = ""


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def add_cost(path: Path, cost: Cost) -> None:
    """Append a step to cost.jsonl; one write, so that processes do not mix their lines."""
    cost.at = cost.at or datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps(
        {
            **asdict(cost),
            "seconds": round(cost.seconds, 3),
            "cpu_seconds": round(cost.cpu_seconds, 3),
        }
    )
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


@contextmanager
def measured(path: Path, what: str, note: str = "") -> Iterator[Cost]:
    """Measure a step of this process and its children; set `count` on what is yielded.

    Nothing is written when the step raises or counts nothing.
    """
    cost = Cost(what, note=note)
    began, cpu = time.monotonic(), cpu_seconds()
    yield cost
    cost.seconds, cost.cpu_seconds = time.monotonic() - began, cpu_seconds() - cpu
    if cost.count:
        add_cost(path, cost)


def read_costs(path: Path) -> list[Cost]:
    """Return every step noted, oldest first; a line torn by a power cut is left out."""
    if not path.is_file():
        return []
    costs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            costs.append(Cost(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return costs


def totals(costs: list[Cost]) -> dict[str, Cost]:
    """Sum up by step, in the order of `STEPS`."""
    sums = {step: Cost(step) for step in STEPS}
    for cost in costs:
        total = sums.setdefault(cost.what, Cost(cost.what))
        total.count += cost.count
        total.seconds += cost.seconds
        total.cpu_seconds += cost.cpu_seconds
    return {step: total for step, total in sums.items() if total.count}
