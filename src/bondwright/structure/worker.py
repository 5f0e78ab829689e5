"""The child process of `structure.sandbox`: reads texts from its input, answers with JSON lines.

It is started as `python -m bondwright.structure.worker`. Each line of its input is
{"kind": ..., "text": ..., "limits": {...}}; each line of its output is a list of results.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, TextIO

import psutil

from bondwright.errors import InputError
from bondwright.structure.candidate import Problem
from bondwright.structure.formats import parse_text
from bondwright.structure.parsed import Parsed, ReadLimits

READY = "ready"


def main() -> None:
    """Serve until the input ends."""
    # Whatever a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(READY, file=answers, flush=True)
    serve(sys.stdin, answers)


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer every line of `questions` with one line of `answers`."""
    capped = False
    for line in questions:
        question = json.loads(line)
        limits = ReadLimits(**question["limits"])
        if not capped:
            _cap_memory(limits)
            capped = True
        _cap_cpu(limits)
        answers.write(json.dumps(answer(question["kind"], question["text"], limits)) + "\n")
        answers.flush()


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


def _cap_memory(limits: ReadLimits) -> None:
    """Limit the address space to what is in use now and the memory a text may take."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # no such limit on this system
        import resource

        most = psutil.Process().memory_info().vms + limits.memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _cap_cpu(limits: ReadLimits) -> None:
    """Let the kernel end this process should the parent no longer be there to do it."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        most = int(used.ru_utime + used.ru_stime + 2 * limits.seconds) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main()
