"""How the error falls with the number of training cells, in an order drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bondwright.errors import InputError
from bondwright.learn.cells import LabelledCell
from bondwright.learn.evaluation import BASELINES, Evaluation, Fit, Progress, evaluate
from bondwright.learn.splits import Fold, Split

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LearningCurve:
    """Errors of models trained on more and more cells.

    Attributes:
        split: what was held out, with the word "within run" where a run stood on both sides.
        seed: of the orders in which cells were added.
        points: one row for each size, repeat, fold, model and pair: `train_cells`, `repeat`,
            `fold` and the columns of `score_frame`.
    """

    split: str
    seed: int
    points: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """Return `train_cells`, `model`, `pair`, `n`, `rmse_eV` and `rmse_spread_eV`.

        The RMSE is the root of the mean square over all repeats' and folds' bonds, the spread the
        standard deviation of the single RMSE values (missing where there is one).
        """
        points = self.points.dropna(subset="rmse_eV")
        points = points.assign(_square=points["n"] * points["rmse_eV"] ** 2)
        groups = points.groupby(["train_cells", "model", "pair"], sort=False)
        found = groups.agg(
            n=("n", "sum"), _square=("_square", "sum"), rmse_spread_eV=("rmse_eV", "std")
        )
        found["rmse_eV"] = np.sqrt(found["_square"] / found["n"])
        return found.drop(columns="_square").reset_index()


def learning_curve(
    fit: Fit,
    cells: Sequence[LabelledCell],
    split: Split,
    sizes: Sequence[int],
    *,
    seed: int = 0,
    repeats: int = 1,
    baselines: Mapping[str, Fit] = BASELINES,
    window_A: tuple[float, float] = (1.80, 4.20),  # noqa: N803
    progress: Progress | None = None,
) -> LearningCurve:
    """Evaluate models trained on the first cells of seeded orders of each fold's training side.

    Args:
        fit: makes the evaluated model.
        cells: the labelled cells that `split` counts.
        split: the folds; each keeps its test side at every size.
        sizes: numbers of training cells; a fold with fewer leaves a size out.
        seed: of the orders.
        repeats: orders per fold.
        baselines: models fitted to the same cells.
        window_A: shortest and longest test bond, Å.
        progress: told what is being fitted.

    Raises:
        InputError: no size is at least 1, or no fold has as many training cells.
    """
    import pandas as pd

    most = max((len(fold.train) for fold in split.folds), default=0)
    wanted = sorted({size for size in sizes if size >= 1})
    if not wanted or wanted[0] > most:
        raise InputError(f"a learning curve needs sizes of 1 to {most} training cells.")
    random = np.random.default_rng(seed)
    points = []
    for repeat in range(repeats):
        orders = [random.permutation(fold.train) for fold in split.folds]
        for size in wanted:
            folds = tuple(
                Fold(fold.name, tuple(int(k) for k in order[:size]), fold.test)
                for fold, order in zip(split.folds, orders, strict=True)
                if size <= len(order)
            )
            if not folds:
                continue
            tell = None if progress is None else _told(progress, f"{size} cells")
            found: Evaluation = evaluate(
                fit,
                cells,
                replace(split, folds=folds),
                baselines=baselines,
                window_A=window_A,
                progress=tell,
            )
            points.append(found.scores("fold").assign(train_cells=size, repeat=repeat))
    return LearningCurve(split.name, seed, pd.concat(points, ignore_index=True))


def _told(progress: Progress, prefix: str) -> Progress:
    return lambda message: progress(f"{prefix}: {message}")
