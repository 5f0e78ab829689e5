"""The band-gap network: a small ensemble of perceptrons, and the files it lives in.

Each member gives the gap, the width of its own error and whether there is a gap at all. On disk a
model is a folder with `model.safetensors` (weights and scaling, half precision) and `model.json`
(the element tables, the calibration and the model card). Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bondwright.errors import InputError

Array = NDArray[np.float64]

FORMAT = 1
WEIGHTS, CARD = "model.safetensors", "model.json"
ARRAYS = ("mean", "scale", "precision")
CLIP = 6.0  # standard deviations; what is farther out says no more than "far out"
SHARPNESS = 5.0  # of the softplus that keeps the gap above 0: it bends within 0.2 eV
SMALLEST_WIDTH_EV = 0.05  # keeps the likelihood of a predicted metal finite


class GapNet(nn.Module):
    """A perceptron with three outputs.

    Args:
        inputs: number of features.
        hidden: widths of the hidden layers.
        dropout: share of hidden units left out while training.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [
                nn.Linear(inputs, width),
                nn.LayerNorm(width),
                nn.SiLU(),
                nn.Dropout(dropout),
            ]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return gap (eV), width of its Laplace error (eV) and log-odds of being a nonmetal.

        Args:
            x: (n, features) standardised.
        """
        out = self.layers(x)
        gap = nn.functional.softplus(out[:, 0], beta=SHARPNESS)
        width = nn.functional.softplus(out[:, 1]) + SMALLEST_WIDTH_EV
        return gap, width, out[:, 2]


@dataclass(frozen=True)
class GapEnsemble:
    """Trained members with everything that is needed to use them.

    Attributes:
        members: the networks, in evaluation mode.
        mean: (n,) mean of each feature in training.
        scale: (n,) standard deviation of each feature in training.
        precision: (k, k) inverse covariance of the standardised features in training, those
            marked by `common_columns`.
        card: the model card; JSON values.
    """

    members: tuple[GapNet, ...]
    mean: Array
    scale: Array
    precision: Array
    card: dict[str, Any]

    def predict(self, features: Array) -> tuple[Array, Array, Array]:
        """Predict the gaps of n crystals.

        Args:
            features: (n, f), as named in the card.

        Returns:
            Gap in eV (n), raw width in eV (n; turned into a standard deviation by `sigma`), and
            the probability of being a nonmetal (n).
        """
        x = torch.tensor(standardise(features, self.mean, self.scale), dtype=torch.float32)
        with torch.no_grad():
            outputs = [member(x) for member in self.members]
        gaps, widths, odds = (
            torch.stack(part).double().numpy() for part in zip(*outputs, strict=True)
        )
        # The variance of a Laplace distribution of width b is 2 b^2; the members' disagreement
        # adds what they do not know (Lakshminarayanan et al., arXiv:1612.01474).
        raw = np.sqrt(2 * (widths**2).mean(axis=0) + gaps.var(axis=0))
        return gaps.mean(axis=0), raw, (1 / (1 + np.exp(-odds))).mean(axis=0)

    def sigma(self, raw: Array) -> Array:
        """Turn raw widths (n) into standard deviations (eV) by the calibration of the card.

        Beyond the last knot sigma grows in proportion.
        """
        knots = np.array(self.card["calibration"]["raw"])
        known = np.array(self.card["calibration"]["sigma_eV"])
        beyond = np.maximum(raw / max(knots[-1], 1e-9), 1.0)
        sigma: Array = np.interp(raw, knots, known) * beyond
        return sigma

    def distance(self, features: Array) -> Array:
        """Return how far n crystals lie from the training data, as a Mahalanobis distance.

        It is near the square root of the number of features for a crystal like those in
        training; crushed, blown-up or overlapping structures lie at two to ten times that.
        """
        columns = common_columns(self.card["features"])
        z = ((features - self.mean) / self.scale)[:, columns]
        square: Array = np.einsum("ni,ij,nj->n", z, self.precision, z)
        return np.sqrt(np.maximum(square, 0.0))

    def save(self, folder: Path) -> None:
        """Write the model into `folder`.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: torch.tensor(getattr(self, name), dtype=torch.float32) for name in ARRAYS}
        for number, member in enumerate(self.members):
            for name, tensor in member.state_dict().items():
                tensors[f"{number}.{name}"] = tensor.half().contiguous()
        save_file(tensors, folder / WEIGHTS)
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        card = {"format": FORMAT, "sha256": digest, **self.card}
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(card[key])}" for key in card)
        (folder / CARD).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> GapEnsemble:
        """Read a model.

        Raises:
            InputError: the files are missing, of another format, or do not belong together.
        """
        mend = "train it again with `bondwright train band-gap`, or leave the setting out"
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
            if card["format"] != FORMAT:
                raise InputError(f"band-gap model {folder}: format {card['format']}; {mend}")
            if card["sha256"] != digest:
                raise InputError(
                    f"band-gap model {folder}: {WEIGHTS} has another checksum than {CARD} "
                    f"states; {mend}"
                )
            tensors = load_file(folder / WEIGHTS)
            members = tuple(
                _member(tensors, number, card) for number in range(card["network"]["members"])
            )
            arrays = {name: tensors[name].double().numpy() for name in ARRAYS}
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise InputError(f"band-gap model {folder} cannot be read ({error}); {mend}") from None
        return cls(members=members, card=card, **arrays)


def common_columns(names: Sequence[str]) -> NDArray[np.bool_]:
    """Mark the features that every crystal has: all but the fractions of single elements.

    A rare element would make each of its crystals look strange; whether an element was in the
    training data at all is asked separately.
    """
    return np.array([not name.startswith("fraction:") for name in names])


def standardise(features: Array, mean: Array, scale: Array) -> Array:
    """Return features (n, f) in training standard deviations from the mean, clipped."""
    return np.clip((features - mean) / scale, -CLIP, CLIP)


def rounded_to_half(member: GapNet) -> GapNet:
    """Round a member's weights to half precision in place, as saving does."""
    for parameter in member.parameters():
        parameter.data = parameter.data.half().float()
    return member.eval()


def _member(tensors: Mapping[str, Tensor], number: int, card: Mapping[str, Any]) -> GapNet:
    """Rebuild one member from the tensors of the file."""
    member = GapNet(len(card["features"]), card["network"]["hidden"])
    prefix = f"{number}."
    state = {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    member.load_state_dict(state)
    return member.eval()
