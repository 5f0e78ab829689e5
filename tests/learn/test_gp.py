"""The Gaussian process: likelihood, inducing bonds, exchange symmetry."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal

from bondwright.learn.gp_fit import fit_parameters
from bondwright.learn.gp_kernel import (
    NOISE,
    START,
    Inputs,
    kernel,
    kernel_diagonal,
    log_marginal_likelihood,
    noise_variance,
)
from bondwright.learn.gp_sparse import choose_inducing, fit_sparse

THETA = torch.tensor(START, dtype=torch.float64)


def inputs(n: int, seed: int = 0, *, alike: bool = False) -> Inputs:
    random = torch.Generator().manual_seed(seed)
    length = 2 + 2 * torch.rand(n, generator=random, dtype=torch.float64)
    plain = 0.5 * torch.randn(n, 6, generator=random, dtype=torch.float64)
    return Inputs(length, plain, plain.flip(1) if alike else None)


def targets(x: Inputs, noise: float = 0.05) -> torch.Tensor:
    random = torch.Generator().manual_seed(7)
    clean = x.features[:, 0] + torch.sin(2 * x.features[:, 1]) * x.length / 3
    return clean + noise * torch.randn(len(x), generator=random, dtype=torch.float64)


def test_likelihood_is_the_density_of_the_targets() -> None:
    x = inputs(30)
    y = targets(x)
    covariance = kernel(THETA, x, x)
    ridge = noise_variance(THETA) + 1e-6 * covariance.diagonal().mean()
    density = MultivariateNormal(
        torch.zeros(30, dtype=torch.float64), covariance + ridge * torch.eye(30)
    )
    assert float(log_marginal_likelihood(THETA, x, y)) == pytest.approx(
        float(density.log_prob(y)), rel=1e-7
    )


@pytest.mark.parametrize("alike", [False, True])
def test_gradient_of_the_likelihood_is_that_of_differences(alike: bool) -> None:
    x = inputs(25, alike=alike)
    y = targets(x)
    theta = THETA.clone().requires_grad_(True)
    log_marginal_likelihood(theta, x, y).backward()
    assert theta.grad is not None
    for k in range(len(theta)):
        step = torch.zeros_like(THETA)
        step[k] = 1e-5
        up = log_marginal_likelihood(THETA + step, x, y)
        down = log_marginal_likelihood(THETA - step, x, y)
        assert float(theta.grad[k]) == pytest.approx(float(up - down) / 2e-5, rel=1e-4, abs=1e-4)


def test_exchange_of_like_ends_changes_no_covariance() -> None:
    a, b = inputs(12, alike=True), inputs(9, 1, alike=True)
    assert a.exchanged is not None
    turned = Inputs(a.length, a.exchanged, a.features)
    torch.testing.assert_close(kernel(THETA, turned, b), kernel(THETA, a, b))
    torch.testing.assert_close(kernel(THETA, a, a).diagonal(), kernel_diagonal(THETA, a))
    assert float(torch.linalg.eigvalsh(kernel(THETA, a, a)).min()) > -1e-9


@pytest.mark.parametrize("alike", [False, True])
def test_all_bonds_as_inducing_bonds_give_the_exact_process(
    alike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bondwright.learn.gp_sparse.SHARE_OF_NOISE", 0.0)
    x, new = inputs(40, alike=alike), inputs(15, 5, alike=alike)
    y = targets(x)
    found = fit_sparse(THETA, x, y, most=40, chunk=7)
    assert len(found.inducing) == 40
    mean, variance = found.predict(new)
    full = kernel(THETA, x, x) + noise_variance(THETA) * torch.eye(40, dtype=torch.float64)
    cross = kernel(THETA, new, x)
    solved = torch.linalg.solve(full, torch.cat([y[:, None], cross.T], 1))
    torch.testing.assert_close(mean, cross @ solved[:, 0], rtol=1e-5, atol=1e-6)
    exact = kernel_diagonal(THETA, new) - (cross * solved[:, 1:].T).sum(1)
    torch.testing.assert_close(variance, exact, rtol=1e-4, atol=1e-6)


def test_inducing_bonds_are_the_least_determined_and_no_copies() -> None:
    x = inputs(60)
    twice = Inputs(x.length.repeat(2), x.features.repeat(2, 1))
    chosen = choose_inducing(THETA, twice, 120)
    assert len(chosen) <= 60
    assert len({int(k) % 60 for k in chosen}) == len(chosen)
    first = int(chosen[0])
    diagonal = kernel_diagonal(THETA, twice)
    assert float(diagonal[first]) == float(diagonal.max())


def test_few_inducing_bonds_err_a_little_and_say_so() -> None:
    x, new = inputs(400), inputs(100, 3)
    y = targets(x)
    theta = fit_parameters({"a": (x.select(torch.arange(150)), y[:150])})["a"]
    exact, few = fit_sparse(theta, x, y, most=400), fit_sparse(theta, x, y, most=40)
    wanted = targets(new, 0.0)
    full = float((exact.predict(new)[0] - wanted).square().mean().sqrt())
    mean, variance = few.predict(new)
    assert full < 0.1
    assert full < float((mean - wanted).square().mean().sqrt()) < 0.3
    assert float(variance.mean()) > float(exact.predict(new)[1].mean())


def test_noise_is_found_and_a_rare_pair_borrows_it() -> None:
    x, rare = inputs(150), inputs(8, 9)
    noisy = targets(x, 0.3)
    both = fit_parameters({"many": (x, noisy), "few": (rare, targets(rare, 0.3))})
    alone = fit_parameters({"few": (rare, targets(rare, 0.3))})
    assert float(both["many"][NOISE].exp()) == pytest.approx(0.3, rel=0.3)
    apart = float((both["few"] - both["many"]).abs().mean())
    assert apart < float((alone["few"] - both["many"]).abs().mean())
