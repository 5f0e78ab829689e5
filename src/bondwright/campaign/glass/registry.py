"""The project's models: numbered folders, each with its training set, parent and evaluations."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondwright.campaign.glass.folder import GlassFolder
from bondwright.errors import InputError
from bondwright.structure.write import write_text

if TYPE_CHECKING:  # both load torch, which a list of models does not need
    from bondwright.learn.evaluation import Evaluation
    from bondwright.learn.model import BondModel

RECORD = "record.json"


@dataclass(frozen=True)
class ModelVersion:
    """One stored model.

    Attributes:
        version: its number.
        folder: model.safetensors, model.json (its card), record.json, evaluation/.
        record: `training_set` {`name`, `sha256`, `bonds`, `cells`}, `method`, `correction`,
            `parent`, `settings`, `made` (UTC), `seconds`, `versions`.
    """

    version: int
    folder: Path
    record: dict[str, Any]

    def model(self) -> BondModel:
        """Return the model itself."""
        from bondwright.learn.model import BondModel

        return BondModel.load(self.folder)

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """Return the cards of its evaluations by the name of the split."""
        found = {}
        for path in sorted(self.folder.glob("evaluation/*/evaluation.json")):
            found[path.parent.name] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def evaluation(self, name: str) -> Evaluation | None:
        """Return an evaluation with its predictions; None where there is none of this name."""
        from bondwright.learn.evaluation import read_evaluation

        folder = self.folder / "evaluation" / name
        return read_evaluation(folder) if folder.is_dir() else None


def list_models(folder: GlassFolder) -> list[ModelVersion]:
    """Return all models, oldest first.

    Raises:
        InputError: a record is damaged.
    """
    found = []
    for path in folder.models.glob("*"):
        if path.name.isdigit() and (path / RECORD).is_file():
            try:
                record = json.loads((path / RECORD).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(f"model {path.name}: {RECORD} is damaged ({error}).") from None
            found.append(ModelVersion(int(path.name), path, record))
    return sorted(found, key=lambda model: model.version)


def get_model(folder: GlassFolder, version: int | None = None) -> ModelVersion:
    """Return a model by its number, or the newest.

    Raises:
        InputError: there is none.
    """
    models = list_models(folder)
    if not models:
        raise InputError("the project has no model yet; bondwright glass train makes one.")
    if version is None:
        return models[-1]
    for model in models:
        if model.version == version:
            return model
    there = ", ".join(str(model.version) for model in models)
    raise InputError(f"there is no model {version}; there are {there}.")


def store_model(
    folder: GlassFolder, model: BondModel, record: dict[str, Any], version: int
) -> ModelVersion:
    """Write a model under the next number, whole or not at all."""
    part = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.models))
    try:
        part.chmod(0o755)
        model.save(part)
        write_text(part / RECORD, json.dumps(record, indent=1, allow_nan=False) + "\n")
        while True:
            target = folder.models / str(version)
            try:
                os.rename(part, target)  # noqa: PTH104 (must fail where the target is in use)
                break
            except OSError:
                if not target.exists():
                    raise
                version += 1
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return ModelVersion(version, target, record)
