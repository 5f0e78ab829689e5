"""A bond model whose answer can be worked out by hand, for tests of what is built on models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from bondwright.campaign.glass.domains import Window
from bondwright.campaign.glass.predict import PredictionModel
from bondwright.learn.model_types import DRIFT, OUTSIDE_LENGTH, UNKNOWN_PAIR, Prediction
from bondwright.structure.neighbours import Pairs, neighbour_pairs

WINDOW = Window(min_length_A=1.8, max_length_A=4.2, environment_A=4.0)
CROWDED = 40


class CrowdModel:
    """Strength from length and elements, sigma from the atoms around the bond's midpoint.

    A missing atom of the environment, or one too many, changes sigma. Pairs with Al are unknown.
    """

    def predict(self, atoms: Atoms, pairs: Pairs | None = None) -> Prediction:
        if pairs is None:
            pairs = neighbour_pairs(atoms, WINDOW.max_length_A)
            pairs = pairs.select(pairs.distance >= WINDOW.min_length_A)
        middle = atoms.positions[pairs.i] + pairs.vector / 2
        probe = Atoms(
            np.concatenate([atoms.numbers, np.full(len(middle), 2)]),
            positions=np.concatenate([atoms.positions, middle]),
            cell=atoms.cell,
            pbc=atoms.pbc,
        )
        near = neighbour_pairs(probe, WINDOW.environment_A, full=True)
        around = (near.i >= len(atoms)) & (near.j < len(atoms))
        crowd = np.bincount(near.i[around] - len(atoms), near.distance[around], len(middle))
        count = np.bincount(near.i[around] - len(atoms), minlength=len(middle))
        numbers = atoms.numbers[pairs.i] + atoms.numbers[pairs.j]
        flag = np.where(pairs.distance > 4.0, OUTSIDE_LENGTH, 0)
        flag |= np.where(count > CROWDED, DRIFT, 0)
        unknown = (atoms.numbers[pairs.i] == 13) | (atoms.numbers[pairs.j] == 13)
        flag |= np.where(unknown, UNKNOWN_PAIR, 0)
        mean = numbers / 60 * np.exp(-(pairs.distance - 3) / 0.6)
        return Prediction(
            pairs,
            np.where(unknown, 0.0, mean),
            np.where(unknown, np.inf, crowd / 1000),
            flag.astype(np.uint8),
        )


@dataclass(frozen=True)
class LoadCrowd:
    """Opens the model in any process."""

    def __call__(self) -> CrowdModel:
        return CrowdModel()


def crowd_model(method: str = "crowd/1", **card: object) -> PredictionModel:
    return PredictionModel(LoadCrowd(), method, WINDOW, dict(card))


def glass(
    atoms: int = 300, seed: int = 1, *, shape: np.ndarray | None = None, al: bool = True
) -> Atoms:
    """A random packing without overlaps, at the density of Zr-Cu-Al (0.057 per Å³).

    Args:
        atoms: how many.
        seed: of the positions.
        shape: (3, 3) cell as a multiple of its own size; None for a cube.
        al: whether 2 % of the atoms are aluminium.
    """
    random = np.random.default_rng(seed)
    cell = np.eye(3) if shape is None else np.asarray(shape, dtype=float)
    cell = cell * (atoms / 0.057 / abs(np.linalg.det(cell))) ** (1 / 3)
    kinds = ["Zr"] * (atoms // 2) + ["Cu"] * (atoms - atoms // 2)
    if al:
        kinds[::50] = ["Al"] * len(kinds[::50])
    packed = Atoms(kinds, scaled_positions=random.random((atoms, 3)), cell=cell, pbc=True)
    for _ in range(60):  # push overlapping atoms apart
        near = neighbour_pairs(packed, 2.4)
        if not len(near):
            break
        push = near.vector * ((near.distance - 2.45) / np.maximum(near.distance, 1e-6) / 2)[:, None]
        for axis in range(3):
            packed.positions[:, axis] += np.bincount(near.i, push[:, axis], atoms)
            packed.positions[:, axis] -= np.bincount(near.j, push[:, axis], atoms)
    return packed
