"""Kernel parameters of all pairs of elements by one marginal likelihood.

Each pair has its own parameters, but they are expected to be like one another: the logarithms of a
pair's are drawn from a normal distribution around common ones, which are found in the same fit. A
pair with thousands of bonds follows its own data, one with a handful the common parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from bondwright.learn.gp_kernel import SPREAD, START, Inputs, log_marginal_likelihood

BETWEEN_PAIRS = 0.5
"""Standard deviation of the logarithm of a parameter between pairs of elements."""
ROUNDS = 2


def fit_parameters(
    data: Mapping[str, tuple[Inputs, torch.Tensor]], *, steps: int = 25
) -> dict[str, torch.Tensor]:
    """Maximise the sum of log marginal likelihoods and log priors.

    Pairs and common parameters are maximised in turn, the other held.

    Args:
        data: pair -> (bonds, targets), a few hundred bonds each (cost grows as their cube).
        steps: most steps of L-BFGS in each turn; the surface is flat near its top.

    Returns:
        Pair -> (7,) logarithms of the parameters.
    """
    start = torch.tensor(START, dtype=torch.float64)
    common = start
    own = dict.fromkeys(data, start)
    for turn in range(ROUNDS):
        width = SPREAD if turn == 0 else BETWEEN_PAIRS
        own = {pair: _maximise(own[pair], common, width, *data[pair], steps) for pair in data}
        # The most likely common parameters: between the pairs' mean and what was expected.
        weight = len(own) / BETWEEN_PAIRS**2
        mean = torch.stack(list(own.values())).mean(0)
        common = (weight * mean + start / SPREAD**2) / (weight + 1 / SPREAD**2)
    return own


def _maximise(
    begin: torch.Tensor,
    expected: torch.Tensor,
    width: float,
    x: Inputs,
    y: torch.Tensor,
    steps: int,
) -> torch.Tensor:
    """Return the most likely parameters of one pair under a normal prior on their logarithms."""
    theta = begin.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS([theta], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        prior = ((theta - expected) ** 2).sum() / (2 * width**2)
        try:
            # Per bond: the first step of L-BFGS is as long as the gradient.
            value = (prior - log_marginal_likelihood(theta, x, y)) / len(y)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            # The line search went where rounding spoils the matrix: not that far.
            return (theta * 0).sum() + 1e6
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return theta.detach()
