"""What a task of several calculations has found so far, in one JSON file of its folder.

Every point that is done is written before the next one begins (temporary name, fsync, rename), so
a task that was stopped goes on where it was when it is called again with the same arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.dft.engine import Engine
from bondwright.dft.records import settings_to_json
from bondwright.dft.settings import DftSettings
from bondwright.errors import InputError
from bondwright.structure.identity import content_hash
from bondwright.structure.write import write_text


@dataclass(frozen=True)
class TaskProgress:
    """How far a task is.

    Attributes:
        task: name of the task, e.g. "equation-of-state".
        done: calculations done, those of earlier calls included.
        total: calculations expected as far as is known now; it may grow.
        message: what has just been done, one phrase.
    """

    task: str
    done: int
    total: int
    message: str


ProgressCallback = Callable[[TaskProgress], None]


def silent(_: TaskProgress) -> None:
    """Tell nobody."""


class TaskState:
    """The points that a task has computed in its folder, and what they were computed for.

    Attributes:
        task: name of the task.
        path: the file.
        points: key of a point -> its JSON values.
    """

    def __init__(self, folder: Path, task: str, inputs: Mapping[str, Any]) -> None:
        """Take up the state in `folder/<task>.json`, or begin one.

        Raises:
            InputError: the folder holds the same task for another structure, engine or settings,
                or the file cannot be read.
        """
        self.task, self.path = task, folder / f"{task}.json"
        self.points: dict[str, Any] = {}
        self._inputs = json.loads(json.dumps(dict(inputs), allow_nan=False))
        if not self.path.exists():
            return
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            before, self.points = kept["inputs"], dict(kept["points"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}: not a state of the task {task!r} ({type(error).__name__}); remove "
                "the file or choose another folder."
            ) from error
        if before != self._inputs:
            changed = sorted(
                k
                for k in self._inputs.keys() | before.keys()
                if self._inputs.get(k) != before.get(k)
            )
            raise InputError(
                f"{self.path}: was computed for another {', '.join(changed)}; choose another "
                "folder, or repeat the call as it was."
            )

    def keep(self, key: str, values: Mapping[str, Any]) -> None:
        """Add a point and write the file.

        Raises:
            InputError: the file cannot be written.
        """
        self.points[key] = dict(values)
        self._write(None)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the file with the result of the task beside its points.

        Raises:
            InputError: the file cannot be written.
        """
        self._write(result)

    def _write(self, result: Mapping[str, Any] | None) -> None:
        data = {"inputs": self._inputs, "points": self.points, "result": result}
        try:
            write_text(self.path, json.dumps(data, indent=1, allow_nan=False) + "\n")
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); make room or choose another "
                "folder, and repeat the call: what is done is kept."
            ) from error


def task_inputs(
    atoms: Atoms, engine: Engine, settings: DftSettings, **options: Any
) -> dict[str, Any]:
    """Return what decides a task's numbers, as JSON values: two equal ones give equal results."""
    return {
        "structure": content_hash(atoms),
        "magnetic moments": [float(m) for m in atoms.get_initial_magnetic_moments()],
        "engine": f"{engine.name} {engine.version()}",
        "settings": settings_to_json(settings),
        "options": options,
    }
