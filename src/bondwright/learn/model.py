"""The bond model: -ICOHP of bonds from their length and environment, with calibrated uncertainty.

    model = BondModel.fit(cells)
    prediction = model.predict(atoms)     # mean, standard deviation and flags of every bond

One Gaussian process per pair of elements on three-body features of the bond (`bond_features`),
around a curve of length (`bond_curves`); kernel parameters of all pairs from one marginal
likelihood (`gp_fit`), many bonds through inducing bonds (`gp_sparse`), uncertainty calibrated on
held-out cells (`calibration`).
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from bondwright.bonding.pairs import pair_labels
from bondwright.learn import model_file
from bondwright.learn.bond_curves import fit_curve, strength_table
from bondwright.learn.bond_features import FeatureMaker, FeatureSettings, Surroundings
from bondwright.learn.calibration import ASSUMED, HeldOut, calibrate, folds
from bondwright.learn.cells import LabelledCell
from bondwright.learn.gp_fit import fit_parameters
from bondwright.learn.gp_kernel import NAMES, Inputs
from bondwright.learn.model_types import DRIFT, OUTSIDE_LENGTH, UNKNOWN_PAIR, Prediction
from bondwright.learn.pair_model import PairModel, Standard, departure, fit_pair, standard
from bondwright.learn.standard import block_factors
from bondwright.learn.training_bonds import (
    TrainingBonds,
    bonds_as_pairs,
    common_method,
    elements_of,
    gather,
    training_hash,
)
from bondwright.structure.neighbours import Pairs, neighbour_pairs

Array = NDArray[np.float64]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class ModelSettings:
    """What is learned and how.

    Attributes:
        min_length_A: shortest bonds learned and predicted.
        max_length_A: longest.
        fewest_bonds: a pair of elements with fewer labelled bonds stays unknown.
        likelihood_bonds: most bonds of a pair that the marginal likelihood sees.
        inducing_bonds: most inducing bonds of a pair.
        chunk: bonds predicted at a time; memory grows with it.
        seed: of the draw of bonds for the marginal likelihood.
        features: what is seen of an environment.
    """

    min_length_A: float = 1.8
    max_length_A: float = 4.2
    fewest_bonds: int = 20
    likelihood_bonds: int = 600
    inducing_bonds: int = 1500
    chunk: int = 2048
    seed: int = 0
    features: FeatureSettings = field(default_factory=FeatureSettings)


@dataclass(frozen=True)
class BondModel:
    """A trained model.

    Attributes:
        settings: of the training.
        maker: of the features.
        pairs: pair of elements -> its model.
        card: what it was trained on, its limits and its held-out figures; JSON values.
    """

    settings: ModelSettings
    maker: FeatureMaker
    pairs: Mapping[str, PairModel]
    card: dict[str, Any]

    @classmethod
    def fit(
        cls,
        cells: Sequence[LabelledCell],
        settings: ModelSettings | None = None,
        progress: Progress | None = None,
    ) -> BondModel:
        """Train on labelled cells.

        Args:
            cells: with labels of one method.
            settings: see the class; the defaults when None.
            progress: told what is done, line by line.

        Raises:
            InputError: no cells, labels of different methods, or too few bonds.
        """
        settings = settings or ModelSettings()
        say = progress or (lambda _: None)
        method = common_method(cells)
        window = (settings.min_length_A, settings.max_length_A)
        bonds = gather(cells, window, settings.fewest_bonds)
        straight = {
            pair: fit_curve(b.length_A, b.icohp_eV, straight=True) for pair, b in bonds.items()
        }
        maker = FeatureMaker(strength_table(elements_of(bonds), straight), settings.features)
        say(f"features of {sum(map(len, bonds.values()))} bonds in {len(cells)} cells")
        bonds = _with_features(bonds, cells, maker, settings.chunk)
        factor = block_factors({pair: b.features for pair, b in bonds.items()}, maker.blocks)
        standards = {
            pair: standard(b.features, factor, maker.exchange if _alike(pair) else None)
            for pair, b in bonds.items()
        }
        say(f"marginal likelihood of {len(bonds)} pairs of elements")
        thetas = fit_parameters(
            {pair: _sample(b, standards[pair], settings) for pair, b in bonds.items()}
        )
        models = {}
        for pair, b in bonds.items():
            say(f"{pair}: {len(b)} bonds")
            models[pair] = _fit(b, standards[pair], thetas[pair], settings, np.arange(len(b)))
        held, groups, rule = _held_out(cells, bonds, standards, thetas, settings, say)
        factors = calibrate(held, rule)
        for pair, pair_model in models.items():
            calibration, drift_sd = factors.get(pair, (ASSUMED, float("inf")))
            models[pair] = replace(pair_model, calibration=calibration, drift_sd=drift_sd)
        card = _card(cells, method, bonds, models, held, {"rule": rule, "groups": groups})
        return cls(settings, maker, models, card)

    @property
    def environment_reach_A(self) -> float:  # noqa: N802
        """How far from a bond's midpoint `atoms` must be complete, Å."""
        return self.settings.features.reach_A + self.settings.max_length_A / 2

    def predict(self, atoms: Atoms, pairs: Pairs | None = None) -> Prediction:
        """Predict bonds.

        Args:
            atoms: structure, periodic or not; complete to `environment_reach_A` around the
                midpoints of the bonds asked for.
            pairs: the bonds; None for all between `min_length_A` and `max_length_A`.

        Returns:
            The prediction in the order of `pairs`.
        """
        if pairs is None:
            pairs = neighbour_pairs(atoms, self.settings.max_length_A)
            pairs = pairs.select(pairs.distance >= self.settings.min_length_A)
        n = len(pairs)
        mean, sigma = np.zeros(n), np.full(n, np.inf)
        flag = np.full(n, UNKNOWN_PAIR, dtype=np.uint8)
        labels = pair_labels(atoms.numbers[pairs.i], atoms.numbers[pairs.j])
        around = self.maker.surroundings(atoms) if n else None
        for name in np.unique(labels):
            model = self.pairs.get(str(name))
            if model is None or around is None:
                continue
            for rows in _chunks(np.flatnonzero(labels == name), self.settings.chunk):
                mean[rows], sigma[rows], flag[rows] = _predict(model, around, pairs.select(rows))
        return Prediction(pairs, mean, sigma, flag)

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `model.json` into a folder."""
        model_file.save(folder, self.settings, self.maker, self.pairs, self.card)

    @classmethod
    def load(cls, folder: Path) -> BondModel:
        """Read a model.

        Raises:
            InputError: the files are missing, damaged or of an unknown format.
        """
        settings, maker, pairs, card = model_file.load(folder, ModelSettings)
        return cls(settings, maker, pairs, card)


def _predict(
    model: PairModel, around: Surroundings, pairs: Pairs
) -> tuple[Array, Array, NDArray[np.uint8]]:
    found = around.features(pairs)
    length = np.asarray(pairs.distance, dtype=float)
    mean, sigma, latent = model.predict(length, found.values)
    outside = (length < model.curve.shortest_A) | (length > model.curve.longest_A)
    drifted = (latent > model.drift_sd) | found.foreign
    flag = np.where(outside, OUTSIDE_LENGTH, 0) | np.where(drifted, DRIFT, 0)
    return mean, sigma, flag.astype(np.uint8)


def _with_features(
    bonds: Mapping[str, TrainingBonds],
    cells: Sequence[LabelledCell],
    maker: FeatureMaker,
    chunk: int,
) -> dict[str, TrainingBonds]:
    width = len(maker.exchange)
    values = {pair: torch.empty(len(b), width) for pair, b in bonds.items()}
    for index, cell in enumerate(cells):
        around = maker.surroundings(cell.atoms)
        listed = bonds_as_pairs(cell.bonds)
        for pair, b in bonds.items():
            for rows in _chunks(np.flatnonzero(b.cell == index), chunk):
                part = listed.select(b.row[rows])
                values[pair][torch.from_numpy(rows)] = around.features(part).values
    return {pair: replace(b, features=values[pair]) for pair, b in bonds.items()}


def _sample(
    bonds: TrainingBonds, standard: Standard, settings: ModelSettings
) -> tuple[Inputs, torch.Tensor]:
    """Draw the bonds that the marginal likelihood sees."""
    rng = np.random.default_rng(settings.seed)
    rows = rng.permutation(len(bonds))[: settings.likelihood_bonds]
    curve = fit_curve(bonds.length_A, bonds.icohp_eV)
    target = departure(curve, bonds.length_A[rows], bonds.icohp_eV[rows])
    inputs = standard.inputs(bonds.length_A[rows], bonds.features[torch.from_numpy(rows)])
    return inputs, torch.from_numpy(target)


def _fit(
    bonds: TrainingBonds,
    standard: Standard,
    theta: torch.Tensor,
    settings: ModelSettings,
    rows: NDArray[np.int64],
) -> PairModel:
    return fit_pair(
        bonds.length_A[rows],
        bonds.icohp_eV[rows],
        bonds.features[torch.from_numpy(rows)],
        standard,
        theta,
        settings.inducing_bonds,
    )


def _held_out(
    cells: Sequence[LabelledCell],
    bonds: Mapping[str, TrainingBonds],
    standards: Mapping[str, Standard],
    thetas: Mapping[str, torch.Tensor],
    settings: ModelSettings,
    say: Progress,
) -> tuple[dict[str, HeldOut], list[list[str]], str]:
    """Predict every fold of cells by models that have not seen its labels."""
    groups, rule = folds(cells)
    found: dict[str, list[tuple[Array, Array, Array]]] = {}
    for number, group in enumerate(groups if rule != "none" else [], start=1):
        say(f"calibration, held-out group {number} of {len(groups)}")
        for pair, b in bonds.items():
            inside = np.isin(b.cell, group)
            kept, held = np.flatnonzero(~inside), np.flatnonzero(inside)
            if len(kept) < settings.fewest_bonds or not len(held):
                continue
            model = _fit(b, standards[pair], thetas[pair], settings, kept)
            for rows in _chunks(held, settings.chunk):
                part = b.features[torch.from_numpy(rows)]
                mean, sigma, latent = model.predict(b.length_A[rows], part)
                found.setdefault(pair, []).append((mean - b.icohp_eV[rows], sigma, latent))
    held_out = {
        pair: HeldOut(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        for pair, parts in found.items()
    }
    return held_out, [[cells[k].name for k in group] for group in groups], rule


def _card(
    cells: Sequence[LabelledCell],
    method: str,
    bonds: Mapping[str, TrainingBonds],
    models: Mapping[str, PairModel],
    held: Mapping[str, HeldOut],
    calibration: dict[str, Any],
) -> dict[str, Any]:
    """Return what a user should know of the model."""
    pairs = {}
    for pair, b in bonds.items():
        model = models[pair]
        entry: dict[str, Any] = {
            "bonds": len(b),
            "inducing_bonds": len(model.process.inducing),
            "shortest_A": float(b.length_A.min()),
            "longest_A": float(b.length_A.max()),
            "kernel": {
                name: float(value)
                for name, value in zip(NAMES, model.process.theta.exp(), strict=True)
            },
            "calibration": model.calibration,
        }
        if pair in held:
            error, sigma = held[pair].error_eV, held[pair].sigma_eV * model.calibration
            entry["held_out"] = {
                "bonds": len(error),
                "rmse_eV": float(np.sqrt(np.mean(error**2))),
                "within_two_sigma": float(np.mean(np.abs(error) <= 2 * sigma)),
            }
        pairs[pair] = entry
    return {
        "training_sha256": training_hash(cells),
        "cells": [cell.name for cell in cells],
        "compositions": sorted({cell.composition for cell in cells}),
        "runs": sorted({cell.run for cell in cells}),
        "method": method,
        "elements": elements_of(bonds),
        "pairs": pairs,
        "held_out": calibration,
    }


def _alike(pair: str) -> bool:
    first, _, second = pair.partition("-")
    return first == second


def _chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]
