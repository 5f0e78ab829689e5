"""A Gaussian process on many bonds through inducing bonds chosen by a rule.

The rule is pivoted Cholesky decomposition: the next inducing bond is the training bond whose latent
value the bonds chosen so far determine worst, until nothing is left that exceeds a share of the
noise, or the number allowed is reached. With inducing bonds M and whitened columns P = K_nM L^-T
(K_MM = L L^T) the posterior is that of a linear model in P (projected process; Rasmussen and
Williams, section 8.3.4), and the part of the prior that the inducing bonds cannot express stays in
the variance. Cost: n M² operations, n M numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bondwright.learn.gp_kernel import Inputs, kernel, kernel_diagonal, noise_variance

SHARE_OF_NOISE = 0.02
"""A bond is not needed when the others leave less than this share of the noise variance open."""


@dataclass(frozen=True)
class SparseGP:
    """Posterior of one pair of elements, in units of the error scale.

    Attributes:
        theta: (7,) logarithms of the kernel's parameters.
        inducing: the M inducing bonds.
        weights: (M,) mean = K_*M weights.
        reducing: (M, M) latent variance = prior - |K_*M reducing|².
    """

    theta: torch.Tensor
    inducing: Inputs
    weights: torch.Tensor
    reducing: torch.Tensor

    def predict(self, x: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (n,) mean and (n,) latent variance (a label adds `noise_variance`)."""
        cross = kernel(self.theta, x, self.inducing)
        reduction = (cross @ self.reducing).square_().sum(1)
        variance = kernel_diagonal(self.theta, x) - reduction
        return cross @ self.weights, variance.clamp_min(0)


def choose_inducing(theta: torch.Tensor, x: Inputs, most: int) -> torch.Tensor:
    """Return the rows of the inducing bonds, the most telling first.

    Args:
        theta: (7,) logarithms of the kernel's parameters.
        x: n bonds.
        most: largest number to choose.
    """
    left = kernel_diagonal(theta, x).clone()
    tolerance = SHARE_OF_NOISE * noise_variance(theta)
    columns = torch.empty((min(most, len(x)), len(x)), dtype=left.dtype)
    chosen: list[int] = []
    for step in range(len(columns)):
        row = int(left.argmax())
        if left[row] < tolerance:
            break
        column = kernel(theta, x.select(torch.tensor([row])), x)[0]
        column -= columns[:step, row] @ columns[:step]
        columns[step] = column / left[row].sqrt()
        left -= columns[step] ** 2
        left[row] = 0.0
        chosen.append(row)
    return torch.tensor(chosen)


def fit_sparse(
    theta: torch.Tensor, x: Inputs, y: torch.Tensor, *, most: int, chunk: int = 4096
) -> SparseGP:
    """Fit the posterior.

    Args:
        theta: (7,) logarithms of the kernel's parameters.
        x: n bonds.
        y: (n,) targets with zero mean, in units of the error scale.
        most: largest number of inducing bonds; with all bonds the result is the exact process.
        chunk: bonds taken at a time.
    """
    inducing = x.select(choose_inducing(theta, x, most))
    size = len(inducing)
    square = kernel(theta, inducing, inducing)
    one = torch.eye(size, dtype=y.dtype)
    lower = torch.linalg.cholesky(square + 1e-9 * square.diagonal().mean() * one)
    gram, right = torch.zeros_like(square), torch.zeros(size, dtype=y.dtype)
    for begin in range(0, len(x), chunk):
        rows = torch.arange(begin, min(begin + chunk, len(x)))
        cross = kernel(theta, inducing, x.select(rows))
        whitened = torch.linalg.solve_triangular(lower, cross, upper=False)
        gram += whitened @ whitened.T
        right += whitened @ y[rows]
    noise = noise_variance(theta)
    posterior = torch.linalg.cholesky(gram / noise + one)
    solved = torch.cholesky_solve(right[:, None] / noise, posterior)
    weights = torch.linalg.solve_triangular(lower.T, solved, upper=True)[:, 0]
    # Prior minus posterior of the whitened weights: I - A^-1 = gram/noise A^-1, never negative.
    values, vectors = torch.linalg.eigh(gram / noise)
    values = values.clamp_min(0)
    root = vectors * (values / (1 + values)).sqrt()
    reducing = torch.linalg.solve_triangular(lower.T, root, upper=True)
    # In the order in which files hold them: a model read back then rounds alike.
    return SparseGP(theta, inducing, weights.contiguous(), reducing.contiguous())
