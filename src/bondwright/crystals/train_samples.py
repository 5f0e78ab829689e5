"""How good the crystals of a model in training are: a few samples of held-out compositions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.dataset import Prepared
from bondwright.crystals.dialect import Request
from bondwright.crystals.network import Network
from bondwright.crystals.normaliser import Normaliser
from bondwright.crystals.sampling import SamplingSettings, sample
from bondwright.crystals.sampling_flaw import flaw_of
from bondwright.screen.hull import parse_formula

_LARGEST = 40
"""Atoms in the conventional cell of the compositions asked for: larger cells take too long here."""


@dataclass(frozen=True)
class SampleQuality:
    """What became of some samples.

    Attributes:
        samples: how many were asked for.
        finished: share that are crystals.
        valid: share without a flaw that the strict validity test would find.
    """

    samples: int
    finished: float
    valid: float


def chosen_requests(data: Prepared, crystals: NDArray[np.int64], count: int) -> list[Request]:
    """Return requests for the contents of up to `count` crystals, evenly over the data set."""
    small = crystals[data.atoms[crystals] <= _LARGEST]
    places = np.unique(np.linspace(0, len(small) - 1, min(count, len(small))).astype(np.int64))
    requests = []
    for crystal in small[places]:
        formula = parse_formula(data.formulas[crystal])
        units = int(data.atoms[crystal]) // sum(formula.values())
        requests.append(Request(formula=formula, formula_units=units))
    return requests


def sample_quality(
    network: Network,
    dialect: str,
    normalisers: Sequence[Normaliser],
    requests: Sequence[Request],
    seed: int,
) -> SampleQuality:
    """Sample one crystal for each request, without conditions, and test them.

    The network is left in training or evaluation as it was.
    """
    training = network.training
    model = LoadedModel(network.eval(), dialect, tuple(normalisers), {})
    finished = valid = 0
    once = SamplingSettings(attempts=1)  # the model's own quality
    for made in sample(model, requests, [{}] * len(requests), seed, once):
        if made.crystal is not None:
            finished += 1
            valid += not flaw_of(made.crystal)
    network.train(training)
    return SampleQuality(len(requests), finished / len(requests), valid / len(requests))
