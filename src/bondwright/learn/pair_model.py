"""The model of one pair of elements: curve, standardised environment, Gaussian process."""

# ruff: noqa: N803 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bondwright.learn.bond_curves import BondCurve, fit_curve
from bondwright.learn.gp_kernel import Inputs, noise_variance
from bondwright.learn.gp_sparse import SparseGP, fit_sparse

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Standard:
    """How raw features of one pair become the kernel's.

    Attributes:
        mean: (f,) subtracted.
        factor: (f,) then multiplied.
        exchange: (f,) order of the features with the ends exchanged; None for two elements.
    """

    mean: torch.Tensor
    factor: torch.Tensor
    exchange: torch.Tensor | None

    def inputs(self, length_A: Array, features: torch.Tensor) -> Inputs:
        """Return what the kernel sees; `features` is (n, f) raw."""
        plain = (features.double() - self.mean) * self.factor
        exchanged = None if self.exchange is None else plain[:, self.exchange]
        return Inputs(torch.from_numpy(length_A), plain, exchanged)


def standard(
    features: torch.Tensor, factor: torch.Tensor, exchange: torch.Tensor | None
) -> Standard:
    """Return the standardisation for the (n, f) raw features of a pair's training bonds.

    Args:
        features: raw features.
        factor: (f,) of all pairs (`standard.block_factors`).
        exchange: order of the features with the ends exchanged, for two like atoms.
    """
    mean = features.double().mean(0)
    if exchange is None:
        return Standard(mean, factor, None)
    # Both ends count alike, so that standardised and exchanged features mirror one another.
    even = 0.5 * (factor**-2 + factor[exchange] ** -2)
    return Standard(0.5 * (mean + mean[exchange]), even**-0.5, exchange)


@dataclass(frozen=True)
class PairModel:
    """Strength of the bonds of one pair of elements.

    Attributes:
        curve: what length alone says.
        standard: of the features.
        process: of the departure from the curve in units of its error scale.
        calibration: factor on the standard deviation.
        drift_sd: latent standard deviation beyond which an environment counts as unseen, and the
            standard deviation grows in proportion to it.
    """

    curve: BondCurve
    standard: Standard
    process: SparseGP
    calibration: float = 1.0
    drift_sd: float = float("inf")

    def predict(self, length_A: Array, features: torch.Tensor) -> tuple[Array, Array, Array]:
        """Return (n,) mean in eV, (n,) calibrated standard deviation in eV, and (n,) latent s.d.

        Args:
            length_A: (n,) lengths.
            features: (n, f) raw features.
        """
        x = self.standard.inputs(length_A, features)
        mean, latent = self.process.predict(x)
        scale = self.curve.error_scale(length_A)
        sigma = (latent + noise_variance(self.process.theta)).sqrt().numpy()
        value = self.curve.strength(length_A) + scale * mean.numpy()
        spread = latent.sqrt().numpy()
        # Calibration speaks for environments like those held out; farther out, errors were seen
        # to grow faster than the process says.
        beyond = np.maximum(1.0, spread / self.drift_sd)
        return value, self.calibration * beyond * scale * sigma, spread


def fit_pair(
    length_A: Array,
    icohp_eV: Array,
    features: torch.Tensor,
    standard: Standard,
    theta: torch.Tensor,
    inducing: int,
) -> PairModel:
    """Fit curve and process of one pair with given kernel parameters, not yet calibrated.

    Args:
        length_A: (n,) lengths.
        icohp_eV: (n,) labels.
        features: (n, f) raw features.
        standard: of the features.
        theta: (7,) logarithms of the kernel's parameters.
        inducing: most inducing bonds.
    """
    curve = fit_curve(length_A, icohp_eV)
    process = fit_sparse(
        theta,
        standard.inputs(length_A, features),
        torch.from_numpy(departure(curve, length_A, icohp_eV)),
        most=inducing,
    )
    return PairModel(curve, standard, process)


def departure(curve: BondCurve, length_A: Array, icohp_eV: Array) -> Array:
    """Return what the process learns: labels minus curve, in units of the curve's error scale."""
    return (icohp_eV - curve.strength(length_A)) / curve.error_scale(length_A)
