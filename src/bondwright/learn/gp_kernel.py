"""Covariance of two bonds of one pair of elements, and the marginal likelihood of its parameters.

    k(x, x') = a² SE(d - d'; l) + SE(d - d'; L) [ b² f.f' + c² SE(f - f'; m) ]

with d the length, f the standardised environment and SE(u; l) = exp(-u² / 2l²): a smooth correction
of the curve, three-body sums (linear in f), and what is not a sum. For bonds of two like atoms the
bracket is averaged over the exchange of the ends of one bond, which makes it even under exchange.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

CURVE, CURVE_LENGTH, LINEAR, LENGTH, SMOOTH, SMOOTH_LENGTH, NOISE = range(7)
NAMES = ("curve", "curve_length_A", "linear", "length_A", "smooth", "smooth_length", "noise")
START = (-1.0, -0.7, 0.0, 0.0, -1.0, 0.5, -1.9)
"""Logarithms of the parameters before any data, with `SPREAD` the width of what is expected."""
SPREAD = 1.5
JITTER = 1e-3
"""Variance below which noise cannot fall, in units of the error scale squared: a bond of 1 eV errs
by about 32 meV. Bonds of strained copies of one cell err alike; they would let noise vanish."""


@dataclass(frozen=True)
class Inputs:
    """What the kernel sees of n bonds.

    Attributes:
        length: (n,) Å.
        features: (n, f) standardised.
        exchanged: (n, f) the same with the ends exchanged; None for two different elements.
    """

    length: torch.Tensor
    features: torch.Tensor
    exchanged: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.length)

    def select(self, rows: torch.Tensor) -> Inputs:
        """Return some of the bonds."""
        exchanged = None if self.exchanged is None else self.exchanged[rows]
        return Inputs(self.length[rows], self.features[rows], exchanged)


def kernel(theta: torch.Tensor, a: Inputs, b: Inputs) -> torch.Tensor:
    """Return the (n, m) covariance of the latent values of two sets of bonds.

    Args:
        theta: (7,) logarithms of the parameters in the order of `NAMES`.
        a: n bonds.
        b: m bonds.
    """
    p = theta.exp()
    apart = (a.length[:, None] - b.length[None, :]) ** 2
    environment = _environment(p, a.features, b.features)
    if b.exchanged is not None:
        environment = 0.5 * (environment + _environment(p, a.features, b.exchanged))
    by_length = torch.exp(apart * (-0.5 / p[LENGTH] ** 2))
    return (
        p[CURVE] ** 2 * torch.exp(apart * (-0.5 / p[CURVE_LENGTH] ** 2)) + by_length * environment
    )


def kernel_diagonal(theta: torch.Tensor, a: Inputs) -> torch.Tensor:
    """Return the (n,) prior variance of the latent values."""
    p = theta.exp()
    environment = p[LINEAR] ** 2 * (a.features**2).sum(1) + p[SMOOTH] ** 2
    if a.exchanged is not None:
        dot = (a.features * a.exchanged).sum(1)
        apart = ((a.features - a.exchanged) ** 2).sum(1)
        turned = torch.exp(apart * (-0.5 / p[SMOOTH_LENGTH] ** 2))
        environment = 0.5 * (environment + p[LINEAR] ** 2 * dot + p[SMOOTH] ** 2 * turned)
    return p[CURVE] ** 2 + environment


def noise_variance(theta: torch.Tensor) -> torch.Tensor:
    """Return the variance of a label around the latent value, in units of the error scale."""
    return torch.exp(2 * theta[NOISE]) + JITTER


def log_marginal_likelihood(theta: torch.Tensor, x: Inputs, y: torch.Tensor) -> torch.Tensor:
    """Return the exact log marginal likelihood of n targets (Rasmussen and Williams, eq. 2.30).

    Args:
        theta: (7,) logarithms of the parameters.
        x: n bonds.
        y: (n,) targets with zero mean.
    """
    n = len(y)
    covariance = kernel(theta, x, x)
    # A share of the amplitude, too: rounding grows with it.
    ridge = noise_variance(theta) + 1e-6 * covariance.diagonal().mean()
    lower = torch.linalg.cholesky(covariance + ridge * torch.eye(n, dtype=y.dtype))
    whitened = torch.linalg.solve_triangular(lower, y[:, None], upper=False)
    misfit = 0.5 * (whitened**2).sum() + lower.diagonal().log().sum()
    found: torch.Tensor = -misfit - 0.5 * n * math.log(2 * math.pi)
    return found


def _environment(p: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    dot = a @ b.T
    apart = ((a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * dot).clamp_min(0)
    smooth = torch.exp(apart * (-0.5 / p[SMOOTH_LENGTH] ** 2))
    found: torch.Tensor = p[LINEAR] ** 2 * dot + p[SMOOTH] ** 2 * smooth
    return found
