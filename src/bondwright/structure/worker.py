"""The child process of `structure.sandbox`: reads texts from its input, answers with JSON lines.

It is started as `python -m bondwright.structure.worker`. Each line of its input is
{"kind": ..., "text": ..., "limits": {...}}; each line of its output is a list of results.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any, TextIO

import numpy as np
import psutil

from bondwright.errors import InputError
from bondwright.structure.candidate import Problem
from bondwright.structure.formats import parse_text
from bondwright.structure.parsed import Parsed, ReadLimits

READY = "ready"
IDLE_SECONDS = 60
"""A worker that is not asked anything for so long ends; another is started when needed."""


def main() -> None:
    """Serve until the input ends."""
    # Whatever a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answers.write(READY + "\n")
    answers.flush()
    serve(sys.stdin, answers)


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer every line of `questions` with one line of `answers`."""
    np.linalg.inv(np.eye(3))  # the linear algebra library takes its memory at its first use
    in_use = psutil.Process().memory_info().vms
    _set_alarm(IDLE_SECONDS)
    for line in questions:
        _set_alarm(0)
        question = json.loads(line)
        limits = ReadLimits(**question["limits"])
        _cap(limits, in_use)
        answers.write(json.dumps(answer(question["kind"], question["text"], limits)) + "\n")
        answers.flush()
        _set_alarm(IDLE_SECONDS)


def answer(kind: str, text: str, limits: ReadLimits) -> Any:
    """Parse one text; the result as JSON values, or {"input_error": message}."""
    try:
        return [parsed.to_json() for parsed in parse_text(kind, text, limits)]
    except InputError as error:
        return {"input_error": str(error)}
    except MemoryError:
        problem = Problem("memory", f"reading took more than {limits.memory_mb} MiB.")
    except Exception as error:  # noqa: BLE001 - whatever a text provokes is a fact about the text
        problem = Problem("crashed", f"reading failed: {type(error).__name__}: {error}"[:200])
    return [Parsed(problem=problem).to_json()]


def _cap(limits: ReadLimits, in_use: int) -> None:
    """Limit the address space to what was in use at the start and the memory a text may take.

    The processor's time is limited as well, so that the kernel ends this process should the
    parent no longer be there to do it.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):  # no such limit on this system
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime + 2 * limits.seconds) + 2
        memory = in_use + limits.memory_mb * 2**20
        for kind, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory)):
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def _set_alarm(seconds: int) -> None:
    """Ask the kernel to end this process after some seconds; 0 takes the request back."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


if __name__ == "__main__":
    main()
