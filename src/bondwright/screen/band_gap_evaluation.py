"""How good a band-gap model is: calibration, errors on held-out crystals, trivial baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from bondwright.screen.band_gap_data import GapData
from bondwright.screen.band_gap_network import SMALLEST_WIDTH_EV, GapEnsemble

Array = NDArray[np.float64]

NONMETAL_EV = 0.01  # gaps are given to 0.1 meV; a metal has exactly 0
NEIGHBOURS = 5
COVERAGE = {"within_1_sigma": 0.6827, "within_2_sigma": 0.9545}
CALIBRATION_BINS = 12


def calibrate(errors: Array, raw: Array) -> dict[str, list[float]]:
    """Relate the networks' own width to the errors really made, on the validation crystals.

    Errors are far from Gaussian: metals are nearly exact, and a crystal on the wrong side of the
    metal line is far off. So crystals of about equal width are taken together, and their sigma is
    what holds both 68 % of their errors within one and 95 % within two.

    Returns:
        Knots of a rising curve: "raw" widths and the "sigma_eV" that belongs to each.
    """
    order = np.argsort(raw, kind="stable")
    knots: list[float] = []
    sigmas: list[float] = []
    for rows in np.array_split(order, min(CALIBRATION_BINS, len(order))):
        knots.append(float(np.median(raw[rows])))
        needed = [
            float(np.quantile(errors[rows], share)) / k
            for k, share in enumerate(COVERAGE.values(), start=1)
        ]
        sigmas.append(max(*needed, *sigmas[-1:], SMALLEST_WIDTH_EV))
    curve = {round(x, 5): round(y, 5) for x, y in zip(knots, sigmas, strict=True)}
    return {"raw": list(curve), "sigma_eV": list(curve.values())}  # of equal widths the last


def errors_of(guess: Array, gaps: Array) -> dict[str, float | None]:
    """Return mean absolute and root-mean-square error in eV; also for nonmetals alone."""
    error = np.abs(guess - gaps)
    nonmetal = gaps > NONMETAL_EV
    return {
        "mae_eV": _rounded(error),
        "rmse_eV": round(float(np.sqrt((error**2).mean())), 4),
        "mae_nonmetals_eV": _rounded(error[nonmetal]),
    }


def _rounded(values: Array | NDArray[np.bool_]) -> float | None:
    """Return the mean to four decimals; None of nothing."""
    return round(float(values.mean()), 4) if len(values) else None


def evaluate(model: GapEnsemble, features: Array, gaps: Array) -> dict[str, Any]:
    """Return errors, metal/nonmetal accuracy and coverage of sigma on a held-out part."""
    gap, raw, nonmetal = model.predict(features)
    sigma, error, truth = model.sigma(raw), np.abs(gap - gaps), gaps > NONMETAL_EV
    called = nonmetal > 0.5
    outside = model.distance(features) > model.card["training"]["farthest_inside"]
    recalls = [(called == t)[truth == t].mean() for t in (True, False) if (truth == t).any()]
    wide = gap > 0.5
    return {
        **errors_of(gap, gaps),
        "balanced_accuracy_metal_nonmetal": _rounded(np.array(recalls)),
        **{name: _rounded(error <= k * sigma) for k, name in enumerate(COVERAGE, start=1)},
        "coverage_where_gap_above_0.5_eV": {
            name: _rounded((error <= k * sigma)[wide]) for k, name in enumerate(COVERAGE, start=1)
        },
        "median_sigma_eV": round(float(np.median(sigma)), 4),
        "share_outside_training": _rounded(outside),
    }


def baselines(
    data: GapData, names: list[str], train: NDArray[np.bool_], test: NDArray[np.bool_]
) -> dict[str, dict[str, float | None]]:
    """Return the errors of what needs no learning."""
    known, asked = data.gaps[train], data.gaps[test]
    fractions = data.features[:, [i for i, n in enumerate(names) if n.startswith("fraction:")]]
    seen = fractions[train]
    nearest = [
        known[np.argsort(cdist(row[None], seen, "cityblock")[0], kind="stable")[:NEIGHBOURS]].mean()
        for row in fractions[test]
    ]
    return {
        "median of training": errors_of(np.full(len(asked), np.median(known)), asked),
        "mean of training": errors_of(np.full(len(asked), known.mean()), asked),
        f"{NEIGHBOURS} nearest compositions": errors_of(np.array(nearest), asked),
    }
