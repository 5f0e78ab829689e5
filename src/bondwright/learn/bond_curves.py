"""How -ICOHP falls with the bond's length alone: one curve per pair of elements.

Between 1.8 and 4.2 Å the strength falls by three orders of magnitude, nearly as an exponential. The
curve is what the bond model knows before it looks at the environment, it sets the scale of errors,
and it says how much a neighbour competes for the electrons of a bond.
"""

# ruff: noqa: N815, N803 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from bondwright.bonding.pairs import pair_label, split_pair

Array = NDArray[np.float64]

REFERENCE_A = 3.0
FLOOR_EV = 0.03
"""Strength below which errors no longer shrink with it."""
ERROR_POWER = 0.6
"""Errors grow as this power of the strength (residuals of a curve on Zr-Cu-Al cells)."""
CURVATURE_SPREAD = 0.15
"""1/Å²; expected size of a curve's departure from an exponential."""
CORRELATION = 4.0
"""Bonds of strained copies of one cell err together: their errors count as this much larger."""


@dataclass(frozen=True)
class BondCurve:
    """-ICOHP = exp(level - rate x + curvature x²) eV with x = length - 3 Å.

    Outside the lengths it was fitted to it goes on as an exponential with the slope at the end.

    Attributes:
        level: logarithm of -ICOHP in eV at 3 Å.
        rate: 1/Å.
        curvature: 1/Å².
        shortest_A: shortest length fitted.
        longest_A: longest length fitted.
    """

    level: float
    rate: float
    curvature: float
    shortest_A: float
    longest_A: float

    def strength(self, length_A: Array) -> Array:
        """Return -ICOHP in eV at lengths in Å."""
        inside = np.clip(length_A, self.shortest_A, self.longest_A)
        x = inside - REFERENCE_A
        slope = -self.rate + 2 * self.curvature * x
        log = self.level - self.rate * x + self.curvature * x**2 + slope * (length_A - inside)
        return np.asarray(np.exp(np.clip(log, -20.0, 5.0)))

    def error_scale(self, length_A: Array) -> Array:
        """Return the scale of errors at lengths in Å, up to a factor that a model fits."""
        return np.asarray((self.strength(length_A) ** 2 + FLOOR_EV**2) ** (ERROR_POWER / 2))


def fit_curve(length_A: Array, icohp_eV: Array, *, straight: bool = False) -> BondCurve:
    """Fit the curve of one pair of elements.

    Errors are weighted by the curve's own error scale, and the curvature is held near zero, because
    a few short bonds of few atoms must not bend it.

    Args:
        length_A: (n,) lengths, n > 0.
        icohp_eV: (n,) -ICOHP.
        straight: without curvature.
    """
    x = length_A - REFERENCE_A
    begin = float(np.log(max(np.median(icohp_eV * np.exp(2 * x)), 1e-3)))
    terms = np.array([begin, 2.0, 0.0])
    bounds = (float(length_A.min()), float(length_A.max()))
    weight = np.ones_like(x)

    def curve(t: Array) -> BondCurve:
        return BondCurve(float(t[0]), float(t[1]), 0.0 if straight else float(t[2]), *bounds)

    def misfit(t: Array) -> Array:
        # 0.1 is the usual error in units of the scale; the priors keep one or two bonds solvable.
        errors = (curve(t).strength(length_A) - icohp_eV) / (0.1 * CORRELATION * weight)
        prior = [(t[1] - 2.0) / 1.0, t[2] / CURVATURE_SPREAD]
        return np.concatenate([errors, prior])

    for _ in range(6):
        terms = least_squares(misfit, terms).x
        weight = curve(terms).error_scale(length_A)
    return curve(terms)


@dataclass(frozen=True)
class StrengthTable:
    """Strength of a bond between any two of a model's elements as exp(level - rate (d - 3 Å)).

    Attributes:
        elements: the elements.
        level: (e, e) logarithm of eV, symmetric.
        rate: (e, e) 1/Å, symmetric.
    """

    elements: tuple[str, ...]
    level: Array
    rate: Array


def strength_table(elements: Sequence[str], curves: Mapping[str, BondCurve]) -> StrengthTable:
    """Collect straight curves of all pairs; a pair that has none gets its elements' mean terms.

    Level and rate of a missing pair are sums of one term per element, fitted to the other pairs.

    Args:
        elements: the elements of the training cells.
        curves: pair -> curve fitted with `straight`; every element occurs in one.
    """
    order = {element: k for k, element in enumerate(elements)}
    known = [(split_pair(name), curve) for name, curve in curves.items()]
    design = np.zeros((len(known), len(elements)))
    for row, ((a, b), _) in enumerate(known):
        design[row, order[a]] += 1
        design[row, order[b]] += 1
    found = np.array([[curve.level, curve.rate] for _, curve in known])
    terms = np.linalg.lstsq(design, found, rcond=None)[0]
    table = terms[:, None, :] + terms[None, :, :]
    for a in elements:
        for b in elements:
            curve = curves.get(pair_label(a, b))
            if curve is not None:
                table[order[a], order[b]] = curve.level, curve.rate
    return StrengthTable(tuple(elements), table[..., 0], np.clip(table[..., 1], 0.5, None))
