"""What every bond model gives: a strength and its uncertainty per bond, and what to distrust."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.structure.neighbours import Pairs

UNKNOWN_PAIR = 1
"""Flag: the two elements were never seen together in training; mean is 0 and sigma infinite."""
OUTSIDE_LENGTH = 2
"""Flag: the bond is shorter or longer than any of its pair of elements in training."""
DRIFT = 4
"""Flag: the environment is farther from the training bonds than these are from one another."""


@dataclass(frozen=True)
class Prediction:
    """Predicted strengths of bonds.

    Attributes:
        pairs: the n bonds, as asked for.
        mean_eV: (n,) -ICOHP, eV, positive is bonding; 0 where the pair is unknown.
        sigma_eV: (n,) calibrated standard deviation of a new label, eV; infinite where unknown,
            never NaN.
        flag: (n,) bits `UNKNOWN_PAIR`, `OUTSIDE_LENGTH` and `DRIFT`; 0 is a prediction within what
            the model has seen.
    """

    pairs: Pairs
    mean_eV: NDArray[np.float64]
    sigma_eV: NDArray[np.float64]
    flag: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.mean_eV)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) whether the pair of elements was in training; show the others as unknown."""
        return np.asarray((self.flag & UNKNOWN_PAIR) == 0)


class BondPredictor(Protocol):
    """Anything that predicts bonds: our model and its baselines."""

    def predict(self, atoms: Atoms, pairs: Pairs | None = None) -> Prediction:
        """Predict the strengths of bonds.

        Args:
            atoms: structure (Å), periodic or a cluster; the environment of the bonds asked for
                must be complete in it.
            pairs: the bonds; all within the model's window of lengths when None.
        """
        ...
