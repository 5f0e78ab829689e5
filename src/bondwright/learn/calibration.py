"""Making stated uncertainties true: a factor per pair of elements from held-out groups of cells.

Strained copies of a cell err together, so a process that takes bonds for independent believes too
much. The factor is chosen such that two calibrated standard deviations hold 95.45 % of the held-out
labels. Groups are runs where there are at least `FEWEST_RUNS`; with fewer, cells of a run whose
lattices differ by less than `NEAR_COPY` form a group. Where an environment is farther from the
training bonds than those held out were, the pair's model lets sigma grow on (`PairModel.predict`).
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bondwright.learn.cells import LabelledCell

FEWEST_RUNS = 3
NEAR_COPY = 0.05
"""Largest component of the strain between two cells that are near copies."""
MOST_FOLDS = 6
COVERED = 0.9545
"""Probability within two standard deviations of a normal distribution."""
DRIFT_QUANTILE = 0.98
"""Share of held-out bonds whose environments count as seen."""
BORROWED = 100
"""A pair's own quantile counts as its bonds, that of all pairs as this many."""
ASSUMED = 1.5
"""Factor where nothing can be held out."""
LIMITS = (0.7, 5.0)
UNSEEN_RUN = 1.2
"""With strains of one or two runs only: no factor below 1, times this, for what another run or a
larger strain may bring. Chosen on the 14 published Zr-Cu-Al cells (docs/bond-model.md)."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """Predictions of labels that the model had not seen, for one pair.

    Attributes:
        error_eV: (n,) prediction minus label.
        sigma_eV: (n,) standard deviation before calibration.
        latent: (n,) latent standard deviation in units of the error scale.
    """

    error_eV: Array
    sigma_eV: Array
    latent: Array


def folds(cells: Sequence[LabelledCell]) -> tuple[list[list[int]], str]:
    """Return disjoint groups of cells to hold out in turn, and the rule that made them.

    Returns:
        Lists of indices into `cells`, fewer than two when nothing can be held out; "run",
        "strain" or "none".
    """
    runs = sorted({cell.run for cell in cells})
    if len(runs) >= FEWEST_RUNS:
        groups = [[k for k, cell in enumerate(cells) if cell.run == run] for run in runs]
        return _merge(groups), "run"
    groups = []
    for k, cell in enumerate(cells):
        near = [g for g in groups if any(_near(cell, cells[other]) for other in g)]
        groups = [g for g in groups if g not in near] + [sorted([k, *(o for g in near for o in g)])]
    if len(groups) < 2:
        return groups, "none"
    return _merge(groups), "strain"


def calibrate(held: dict[str, HeldOut], rule: str) -> dict[str, tuple[float, float]]:
    """Return pair -> factor on the standard deviation and latent s.d. beyond which it is drift.

    Args:
        held: pair -> predictions of held-out labels.
        rule: that made the groups held out, see `folds`.
    """
    ratios = {pair: np.abs(h.error_eV) / h.sigma_eV for pair, h in held.items()}
    if not ratios:
        return {}
    common = float(np.mean([_factor(ratio) for ratio in ratios.values()]))
    found = {}
    for pair, ratio in ratios.items():
        n = len(ratio)
        factor = (n * _factor(ratio) + BORROWED * common) / (n + BORROWED)
        if rule == "strain":
            factor = max(1.0, factor) * UNSEEN_RUN
        threshold = float(np.quantile(held[pair].latent, DRIFT_QUANTILE))
        found[pair] = (float(np.clip(factor, *LIMITS)), threshold)
    return found


def _factor(ratio: Array) -> float:
    return float(np.quantile(ratio, COVERED)) / 2


def _near(a: LabelledCell, b: LabelledCell) -> bool:
    if a.run != b.run or len(a.atoms) != len(b.atoms):
        return False
    strain = np.linalg.solve(a.atoms.cell.array, b.atoms.cell.array) - np.eye(3)
    return bool(np.abs(strain).max() < NEAR_COPY)


def _merge(groups: list[list[int]]) -> list[list[int]]:
    """Deal groups, largest first, into at most `MOST_FOLDS` folds of like size."""
    dealt: list[list[int]] = [[] for _ in range(min(MOST_FOLDS, len(groups)))]
    for group in sorted(groups, key=len, reverse=True):
        min(dealt, key=len).extend(group)
    return [sorted(fold) for fold in dealt]
