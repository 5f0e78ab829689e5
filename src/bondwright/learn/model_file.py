"""Bond models on disk: `model.safetensors` (numbers) and `model.json` (everything else)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from bondwright.errors import InputError
from bondwright.learn.bond_curves import BondCurve, StrengthTable
from bondwright.learn.bond_features import VERSION, FeatureMaker, FeatureSettings
from bondwright.learn.gp_kernel import Inputs
from bondwright.learn.gp_sparse import SparseGP
from bondwright.learn.pair_model import PairModel, Standard
from bondwright.structure.write import write_bytes, write_text

FORMAT = f"bondwright bond model {VERSION}"
Settings = TypeVar("Settings")


def save(
    folder: Path,
    settings: Any,
    maker: FeatureMaker,
    pairs: Mapping[str, PairModel],
    card: Mapping[str, Any],
) -> None:
    """Write a model; the JSON comes last, and names the numbers by their SHA-256."""
    numbers: dict[str, torch.Tensor] = {
        "strength/level": torch.from_numpy(maker.table.level),
        "strength/rate": torch.from_numpy(maker.table.rate),
    }
    described = {}
    for pair, model in pairs.items():
        process = model.process
        numbers |= {
            f"{pair}/mean": model.standard.mean,
            f"{pair}/factor": model.standard.factor,
            f"{pair}/theta": process.theta,
            f"{pair}/length": process.inducing.length,
            f"{pair}/features": process.inducing.features,
            f"{pair}/weights": process.weights,
            f"{pair}/reducing": process.reducing,
        }
        described[pair] = {
            "curve": asdict(model.curve),
            "alike": model.standard.exchange is not None,
            "calibration": model.calibration,
            "drift_sd": model.drift_sd if math.isfinite(model.drift_sd) else None,
        }
    data = save_tensors({name: value.clone().contiguous() for name, value in numbers.items()})
    text = {
        "format": FORMAT,
        "sha256": hashlib.sha256(data).hexdigest(),
        "settings": asdict(settings),
        "elements": list(maker.table.elements),
        "pairs": described,
        "card": dict(card),
    }
    write_bytes(folder / "model.safetensors", data)
    write_text(folder / "model.json", json.dumps(text, indent=1) + "\n")


def load(
    folder: Path, settings_class: type[Settings]
) -> tuple[Settings, FeatureMaker, dict[str, PairModel], dict[str, Any]]:
    """Read settings, features, pairs and card of a model.

    Raises:
        InputError: a file is missing, damaged, of another model or of an unknown format.
    """
    try:
        text = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        data = (folder / "model.safetensors").read_bytes()
    except OSError as error:
        raise InputError(f"{folder} is not a bond model: {error.strerror}.") from None
    except ValueError:
        raise InputError(f"{folder / 'model.json'} is not JSON; the model is damaged.") from None
    if not isinstance(text, dict) or text.get("format") != FORMAT:
        raise InputError(f"{folder / 'model.json'} is not a {FORMAT!r}; train the model again.")
    if hashlib.sha256(data).hexdigest() != text.get("sha256"):
        raise InputError(f"{folder / 'model.safetensors'} does not belong to its model.json.")
    try:
        return _build(text, load_tensors(data), settings_class)
    except (KeyError, TypeError, ValueError, IndexError, SafetensorError) as error:
        raise InputError(f"{folder} is a damaged bond model: {error}.") from None


def _build(
    text: Mapping[str, Any], numbers: Mapping[str, torch.Tensor], settings_class: type[Settings]
) -> tuple[Settings, FeatureMaker, dict[str, PairModel], dict[str, Any]]:
    given = dict(text["settings"])
    features: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in given["features"].items()
    }
    given["features"] = FeatureSettings(**features)
    settings = settings_class(**given)
    table = StrengthTable(
        tuple(text["elements"]),
        numbers["strength/level"].numpy(),
        numbers["strength/rate"].numpy(),
    )
    maker = FeatureMaker(table, given["features"])
    pairs = {}
    for pair, entry in text["pairs"].items():
        exchange = maker.exchange if entry["alike"] else None
        plain = numbers[f"{pair}/features"]
        inducing = Inputs(
            numbers[f"{pair}/length"], plain, None if exchange is None else plain[:, exchange]
        )
        pairs[pair] = PairModel(
            BondCurve(**entry["curve"]),
            Standard(numbers[f"{pair}/mean"], numbers[f"{pair}/factor"], exchange),
            SparseGP(
                numbers[f"{pair}/theta"],
                inducing,
                numbers[f"{pair}/weights"],
                numbers[f"{pair}/reducing"],
            ),
            calibration=float(entry["calibration"]),
            drift_sd=math.inf if entry["drift_sd"] is None else float(entry["drift_sd"]),
        )
    return settings, maker, pairs, dict(text["card"])
