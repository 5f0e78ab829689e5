"""-ICOHP against bond length, pair by pair: the trivial baseline of every bond model."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from bondwright.bonding.table import BondTable

REFERENCE_A = 3.0
"""Length at which the fitted curves tell their strength, Å."""

_FEWEST = 3


@dataclass(frozen=True)
class LengthFit:
    """-ICOHP(d) = strength_eV * exp(-(d - 3 Å) / decay_A), least squares over the bonds.

    Attributes:
        strength_eV: -ICOHP at 3 Å, eV.
        decay_A: length over which it falls by the factor e, Å.
        rmse_eV: root mean square of what the fit leaves, eV: the error of a model that knows the
            length alone.
    """

    strength_eV: float
    decay_A: float
    rmse_eV: float

    def __call__(self, length_A: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: N803
        """Return the curve's -ICOHP at given lengths, eV."""
        return np.asarray(_decay(length_A, self.strength_eV, self.decay_A))


@dataclass(frozen=True)
class LengthCurve:
    """The bonds of one pair of elements, by length.

    Attributes:
        pair: e.g. "Zr-Cu".
        bonds: number of bonds.
        edges_A: (b + 1,) ends of the bins of lengths, Å; empty bins are left out of what follows.
        centre_A: (b,) mean length of each bin's bonds, Å.
        median_eV: (b,) median -ICOHP, eV.
        quartiles_eV: (2, b) lower and upper quartile, eV.
        count: (b,) bonds in each bin.
        fit: exponential through all bonds; None with fewer than three lengths, or where none fits.
    """

    pair: str
    bonds: int
    edges_A: NDArray[np.float64]
    centre_A: NDArray[np.float64]
    median_eV: NDArray[np.float64]
    quartiles_eV: NDArray[np.float64]
    count: NDArray[np.int64]
    fit: LengthFit | None


def strength_by_length(table: BondTable, width_A: float = 0.1) -> dict[str, LengthCurve]:  # noqa: N803
    """Return how -ICOHP falls with length for each pair of elements.

    Args:
        table: the bonds.
        width_A: width of the bins, Å; bins begin at multiples of it.
    """
    return {
        pair: _curve(pair, table.length_A[rows], table.icohp_eV[rows], width_A)
        for pair, rows in table.pair_types().items()
    }


def fit_decay(
    length_A: NDArray[np.float64],  # noqa: N803
    strength_eV: NDArray[np.float64],  # noqa: N803
) -> LengthFit | None:
    """Fit an exponential to -ICOHPs (n,) in eV at lengths (n,) in Å.

    Returns:
        The fit, or None with fewer than three different lengths (to 1 mÅ), without a bonding
        value, or where least squares does not settle.
    """
    bonding = strength_eV > 0
    if len(np.unique(np.round(length_A, 3))) < _FEWEST or bonding.sum() < _FEWEST:
        return None
    # A straight line through the logarithms starts the search; it would overrate weak bonds.
    slope, height = np.polyfit(length_A[bonding] - REFERENCE_A, np.log(strength_eV[bonding]), 1)
    start = (float(np.exp(height)), -1.0 / slope if slope < 0 else 0.5)
    try:
        (strength, decay), _ = curve_fit(
            _decay, length_A, strength_eV, p0=start, bounds=([0.0, 0.01], [np.inf, 100.0])
        )
    except (RuntimeError, ValueError):
        return None
    left = strength_eV - _decay(length_A, strength, decay)
    return LengthFit(float(strength), float(decay), float(np.sqrt(np.mean(left**2))))


def _decay(length: NDArray[np.float64], strength: float, decay: float) -> NDArray[np.float64]:
    return np.asarray(strength * np.exp(-(length - REFERENCE_A) / decay))


def _curve(
    pair: str, length: NDArray[np.float64], strength: NDArray[np.float64], width: float
) -> LengthCurve:
    first, last = np.floor(length.min() / width), np.floor(length.max() / width)
    edges = np.arange(first, last + 2) * width
    place = np.clip(np.searchsorted(edges, length, side="right") - 1, 0, len(edges) - 2)
    bins = np.unique(place)
    split = [strength[place == b] for b in bins]
    return LengthCurve(
        pair=pair,
        bonds=len(length),
        edges_A=edges,
        centre_A=np.array([length[place == b].mean() for b in bins]),
        median_eV=np.array([np.median(values) for values in split]),
        quartiles_eV=np.array([np.quantile(values, (0.25, 0.75)) for values in split]).T,
        count=np.array([len(values) for values in split], dtype=np.int64),
        fit=fit_decay(length, strength),
    )
