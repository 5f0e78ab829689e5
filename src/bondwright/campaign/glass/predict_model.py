"""Opening what a prediction needs: a stored model, and the frames of a glass or trajectory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from bondwright.campaign.glass.domains import Window
from bondwright.campaign.glass.folder import CONFIG_NAME, GlassFolder
from bondwright.campaign.glass.predict import PredictionModel
from bondwright.errors import InputError
from bondwright.glasses.lammps_files import Frame, read_data, read_dump_frames
from bondwright.learn.model import BondModel
from bondwright.structure.read import ReadLimits, read_candidates

MODEL_CARD = "model.json"
_DATA = (".data", ".lmp")
_LARGE = ReadLimits(text_bytes=500_000_000, atoms=10_000_000, seconds=600, memory_mb=16_384)


@dataclass(frozen=True)
class StoredModel:
    """Opens the model of a folder."""

    folder: Path

    def __call__(self) -> BondModel:
        """Return the model."""
        return BondModel.load(self.folder)


def model_folder(path: Path) -> Path:
    """Return the folder of a model: the path itself, or the newest model of a project.

    Raises:
        InputError: there is none.
    """
    if (path / MODEL_CARD).is_file():
        return path
    if (path / CONFIG_NAME).is_file():
        models = GlassFolder(path).models
        versions = [p for p in models.glob("*") if p.name.isdigit() and (p / MODEL_CARD).is_file()]
        if not versions:
            raise InputError(f"{path} has no model yet; bondwright glass train {path}")
        return max(versions, key=lambda p: int(p.name))
    raise InputError(f"{path} is neither a model ({MODEL_CARD}) nor a project ({CONFIG_NAME}).")


def project_of(model: Path) -> GlassFolder | None:
    """Return the project that a model's folder lies in, if it does."""
    root = model.resolve().parent.parent
    return GlassFolder(root) if (root / CONFIG_NAME).is_file() else None


def open_model(folder: Path) -> PredictionModel:
    """Return a stored model, ready to predict.

    Raises:
        InputError: it cannot be read.
    """
    model = BondModel.load(folder)
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    window = Window(
        model.settings.min_length_A, model.settings.max_length_A, model.environment_reach_A
    )
    name = f"bondwright-glass-model/{digest.hexdigest()[:12]}"
    return PredictionModel(StoredModel(folder), name, window, dict(model.card))


def read_frames(
    path: Path,
    elements: Mapping[int, str] | None = None,
    *,
    every: int = 1,
    note: Callable[[str], None],
) -> Iterator[Frame]:
    """Yield the frames of a LAMMPS data or dump file, or of any structure file that is known.

    Args:
        path: the file.
        elements: LAMMPS atom type -> element; None where the file tells.
        every: yield the first frame and every so-many-th after it.
        note: takes a sentence about a frame that was left out.

    Raises:
        InputError: the file cannot be read.
    """
    if every < 1:
        raise InputError(f"every frame of how many? --every {every} is not at least 1.")
    yield from islice(_all_frames(path, elements, note), 0, None, every)


def _all_frames(
    path: Path, elements: Mapping[int, str] | None, note: Callable[[str], None]
) -> Iterator[Frame]:
    bare = path.with_suffix("") if path.suffix == ".gz" else path
    if bare.suffix in _DATA:
        atoms = read_data(path, elements)
        yield Frame(0, atoms, np.arange(1, len(atoms) + 1))
    elif bare.suffix in (".dump", ".lammpstrj") or _is_dump(path):
        yield from read_dump_frames(path, elements, note=note)
    else:
        for number, found in enumerate(read_candidates(path, limits=_LARGE)):
            if found.problem is not None or found.atoms is None:
                why = found.problem.message if found.problem else "no atoms"
                raise InputError(f"{path}, structure {number + 1}: {' '.join(why.split())}")
            yield Frame(number, found.atoms, np.arange(1, len(found.atoms) + 1))


def _is_dump(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(5) == b"ITEM:"
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}.") from None
