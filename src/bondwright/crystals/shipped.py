"""Which model is meant: the one that comes with the package, or one in a folder of the user's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondwright.crystals.normaliser import Normaliser
from bondwright.errors import InputError, nearest

if TYPE_CHECKING:
    from bondwright.crystals.checkpoint import LoadedModel

SHIPPED = "shipped"
DEFAULT = "wyckoff"
"""Name of the shipped model that "shipped" means; others are asked for by their names."""
MODELS = Path(__file__).parent / "models"
_CARD = "model.json"


@dataclass(frozen=True)
class ModelFacts:
    """What has to be known of a model before it is loaded.

    Attributes:
        place: its folder or file.
        dialect: name of the dialect it writes.
        normalisers: one for each property that it can be asked for.
        sha256: of its weights, as its card states; loading checks it.
        card: JSON values for people: data, training, results.
    """

    place: Path
    dialect: str
    normalisers: tuple[Normaliser, ...]
    sha256: str
    card: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name for people: that of the folder, and the first digits of the weights' checksum.

        A training run keeps its model in a folder "model"; the run's name says more.
        """
        place = self.place.resolve()
        folder = place.parent if place.name == "model" else place
        return f"{folder.name} ({self.sha256[:12]})"

    @property
    def properties(self) -> tuple[str, ...]:
        """Names of the properties that it can be asked for."""
        return tuple(normaliser.name for normaliser in self.normalisers)


def shipped_models() -> dict[str, Path]:
    """Return name -> folder of the models that come with the package, in the order of names."""
    return {path.parent.name: path.parent for path in sorted(MODELS.glob(f"*/{_CARD}"))}


def model_place(said: str) -> Path:
    """Return where a model is.

    Args:
        said: "shipped" for the default one, the name of a shipped one, a folder or a file. A
            folder or file of the same name comes before a shipped model.

    Raises:
        InputError: there is none.
    """
    there = shipped_models()
    if said == SHIPPED and DEFAULT in there:
        return there[DEFAULT]
    if said == SHIPPED:
        others = f" under its usual name; there are {', '.join(there)}" if there else ""
        raise InputError(
            f"no model is shipped with this installation{others}; name one (--model), train one "
            "with `bondwright train crystals`, or take another --method."
        )
    place = Path(said).expanduser()
    if said in there and not place.exists():
        return there[said]
    if not place.exists():
        raise InputError(
            f"{said}: there is no such model; give its folder, or '{SHIPPED}'."
            f"{nearest(said, [SHIPPED, *there])}"
        )
    return place


def describe_model(place: Path) -> ModelFacts:
    """Return the facts about a model; the weights of one in our own format are not read.

    Raises:
        InputError: it is damaged, incomplete, of another format, or holds code; says why, with
            the checksum of what was read.
    """
    try:
        text = json.loads((place / _CARD).read_text(encoding="utf-8"))
        return ModelFacts(
            place,
            str(text["dialect"]),
            tuple(Normaliser.from_json(entry) for entry in text["normalisers"]),
            str(text["sha256"]),
            dict(text["card"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        model = open_model(place)  # says what is wrong, or is a model of another format
    return ModelFacts(place, model.dialect, model.normalisers, model.sha256, model.card)


def open_model(place: Path, device: str = "cpu") -> LoadedModel:
    """Load a model: ours, CrystaLLM's `ckpt.pt`, or a folder of CrystaLLM-pi.

    Raises:
        InputError: as `describe_model`; also when there is no such device.
    """
    from bondwright.crystals.checkpoint import load_model
    from bondwright.crystals.foreign import load_foreign

    if place.is_dir() and (place / _CARD).exists():
        return load_model(place, device)
    if place.is_dir() and not any((place / name).exists() for name in ("config.json", "ckpt.pt")):
        return load_model(place, device)  # refuses, and says what is missing
    return load_foreign(place, device)
