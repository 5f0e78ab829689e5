"""What length alone can predict: the baseline that a model of environments must beat."""

# ruff: noqa: N803 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from ase import Atoms
from numpy.polynomial import Chebyshev
from numpy.typing import NDArray

from bondwright.bonding.pairs import pair_labels
from bondwright.learn.bond_curves import BondCurve, fit_curve
from bondwright.learn.cells import LabelledCell
from bondwright.learn.model_types import OUTSIDE_LENGTH, UNKNOWN_PAIR, Prediction
from bondwright.learn.training_bonds import common_method, gather
from bondwright.structure.neighbours import Pairs, neighbour_pairs

DEGREE = 5
BONDS_PER_DEGREE = 4
FEWEST_BONDS = 5
WINDOW_A = (1.8, 4.2)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Line:
    """A polynomial of length and the spread of the labels around it."""

    polynomial: Chebyshev
    curve: BondCurve
    spread: float

    def predict(self, length_A: Array) -> tuple[Array, Array]:
        inside = np.clip(length_A, self.curve.shortest_A, self.curve.longest_A)
        # Beyond its ends a polynomial runs away; the curve goes on.
        mean = self.polynomial(inside) + self.curve.strength(length_A) - self.curve.strength(inside)
        return mean, self.spread * self.curve.error_scale(length_A)


@dataclass(frozen=True)
class DistanceModel:
    """A Chebyshev polynomial in length for each pair of elements.

    Its degree is 5, and lower for a pair of fewer than 20 bonds: one for every four.

    Sigma is the spread of the training labels around it in units of the curve's error scale; it
    knows nothing of environments, and nothing is held out for it.

    Attributes:
        lines: pair of elements -> its polynomial.
    """

    lines: Mapping[str, _Line]

    @classmethod
    def fit(cls, cells: Sequence[LabelledCell]) -> Self:
        """Fit the labels of cells between 1.8 and 4.2 Å.

        Raises:
            InputError: no cells, labels of different methods, or too few bonds.
        """
        common_method(cells)
        lines = {}
        for pair, bonds in gather(cells, WINDOW_A, FEWEST_BONDS).items():
            curve = fit_curve(bonds.length_A, bonds.icohp_eV)
            ends = [curve.shortest_A, curve.longest_A + 1e-9]
            degree = min(DEGREE, len(bonds) // BONDS_PER_DEGREE)
            polynomial = Chebyshev.fit(bonds.length_A, bonds.icohp_eV, degree, domain=ends)
            error = (polynomial(bonds.length_A) - bonds.icohp_eV) / curve.error_scale(
                bonds.length_A
            )
            lines[pair] = _Line(polynomial, curve, float(np.sqrt(np.mean(error**2))))
        return cls(lines)

    def predict(self, atoms: Atoms, pairs: Pairs | None = None) -> Prediction:
        """Predict bonds; see `model_types.BondPredictor`."""
        if pairs is None:
            pairs = neighbour_pairs(atoms, WINDOW_A[1])
            pairs = pairs.select(pairs.distance >= WINDOW_A[0])
        n = len(pairs)
        mean, sigma = np.zeros(n), np.full(n, np.inf)
        flag = np.full(n, UNKNOWN_PAIR, dtype=np.uint8)
        labels = pair_labels(atoms.numbers[pairs.i], atoms.numbers[pairs.j])
        for pair, line in self.lines.items():
            rows = np.flatnonzero(labels == pair)
            length = pairs.distance[rows]
            mean[rows], sigma[rows] = line.predict(length)
            outside = (length < line.curve.shortest_A) | (length > line.curve.longest_A)
            flag[rows] = np.where(outside, OUTSIDE_LENGTH, 0)
        return Prediction(pairs, mean, sigma, flag)
