"""Active learning beside random choice, on cells whose labels are already there.

The labels of a pool are hidden and revealed only when a strategy asks for them, so that both spend
the same budget, from the same first cells, and are judged on the same test cells.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bondwright.campaign.glass.rounds import scores_of
from bondwright.errors import InputError
from bondwright.learn.acquisition import CandidateCell, propose
from bondwright.learn.cells import LabelledCell
from bondwright.learn.evaluation import Fit, evaluate
from bondwright.learn.evaluation_scores import ALL_PAIRS
from bondwright.learn.model_types import BondPredictor
from bondwright.learn.splits import split_named
from bondwright.structure.write import write_text

STRATEGIES = ("active", "random")
_FORMAT = "bondwright-active-learning/1"


@dataclass(frozen=True)
class Point:
    """Errors of one strategy after a number of labels.

    Attributes:
        strategy: "active" or "random".
        seed: of the first cells and of the random choice.
        labels: labels spent.
        cells: the cells learned from, in the order they were chosen.
        scores: errors on the test cells by pair of elements, see `rounds.scores_of`.
    """

    strategy: str
    seed: int
    labels: int
    cells: list[str]
    scores: list[dict[str, Any]]

    def rmse_eV(self, pair: str = ALL_PAIRS) -> float | None:  # noqa: N802
        """Return the RMSE of one pair, or over all bonds."""
        return next((s["rmse_eV"] for s in self.scores if s["pair"] == pair), None)


@dataclass(frozen=True)
class Comparison:
    """Both strategies over several seeds.

    Attributes:
        method: method of the labels.
        test: names of the test cells.
        pool: names of the cells to choose from.
        within_run: whether test cells share a run with the pool: the errors are then those of
            interpolation between copies of one melt-quench.
        points: the errors.
    """

    method: str
    test: list[str]
    pool: list[str]
    within_run: bool
    points: list[Point]

    def curve(self, strategy: str, pair: str = ALL_PAIRS) -> list[tuple[int, float, float]]:
        """Return (labels, mean RMSE, its standard deviation over seeds) in eV, fewest first."""
        found: dict[int, list[float]] = {}
        for point in self.points:
            value = point.rmse_eV(pair)
            if point.strategy == strategy and value is not None:
                found.setdefault(point.labels, []).append(value)
        return [(n, float(np.mean(v)), float(np.std(v))) for n, v in sorted(found.items())]

    def pairs(self) -> list[str]:
        """Return the pairs of elements that have errors, all bonds together first."""
        names = {s["pair"] for point in self.points for s in point.scores}
        return sorted(names, key=lambda pair: (pair != ALL_PAIRS, pair))

    def to_json(self) -> dict[str, Any]:
        """Return all as JSON values, the curves included."""
        curves = [
            {"strategy": s, "pair": p, "labels": n, "rmse_eV": mean, "rmse_spread_eV": spread}
            for p in self.pairs()
            for s in STRATEGIES
            for n, mean, spread in self.curve(s, p)
        ]
        return {"format": _FORMAT, **asdict(self), "curves": curves}

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """Read what `save` wrote.

        Raises:
            InputError: it is missing or damaged.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            points = [Point(**point) for point in data["points"]]
            keys = ("method", "test", "pool", "within_run")
            return cls(**{key: data[key] for key in keys}, points=points)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} holds no comparison ({error}); make it again.") from None


def compare(
    cells: Sequence[LabelledCell],
    fit: Fit,
    *,
    test: Sequence[str],
    budget: int,
    seeds: Sequence[int] = (0, 1, 2),
    first: int = 1,
    per_round: int = 1,
    window_A: tuple[float, float] = (1.80, 4.20),  # noqa: N803 (a unit)
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Let active learning and random choice spend the same budget on the same pool.

    Args:
        cells: labelled cells of one method.
        fit: makes the model.
        test: names of the cells that are never learned from.
        budget: labels that each strategy spends, the first ones included.
        seeds: of the first cells, which both strategies share, and of the random choice.
        first: labels drawn at random before either strategy begins.
        per_round: labels chosen at once.
        window_A: shortest and longest test bond, Å.
        progress: told what is being done.

    Raises:
        InputError: no test cell, too small a pool, or fewer than three seeds.
    """
    names = {cell.name: cell for cell in cells}
    pool = [cell for cell in cells if cell.name not in test]
    if not test or any(name not in names for name in test):
        raise InputError("name labelled cells of the project to test on.")
    if not first <= budget <= len(pool):
        raise InputError(
            f"a budget of {budget} labels does not fit {len(pool)} cells to choose from and "
            f"{first} to begin with."
        )
    if len(seeds) < 3:
        raise InputError("one or two seeds tell nothing of chance; give at least three.")
    runs = {names[name].run for name in test}
    within = any(cell.run in runs for cell in pool)
    points: list[Point] = []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(pool))
        start = [pool[k].name for k in order[:first]]
        for strategy in STRATEGIES:
            chosen = list(start)
            shuffled = [pool[k].name for k in order[first:]]
            while True:
                if progress:
                    progress(f"seed {seed}, {strategy}: {len(chosen)} of {budget} labels")
                learned = [names[name] for name in chosen]
                model = fit(learned)
                split = split_named(cells, chosen, list(test), kind="test cells", within_run=within)
                found = evaluate(_already(model), cells, split, baselines={}, window_A=window_A)
                points.append(Point(strategy, seed, len(chosen), list(chosen), scores_of(found)))
                count = min(per_round, budget - len(chosen))
                if not count:
                    break
                if strategy == "random":
                    chosen += shuffled[:count]
                    shuffled = shuffled[count:]
                    continue
                candidates = [CandidateCell(c.name, c.atoms) for c in pool if c.name not in chosen]
                picked = [p.name for p in propose(model, candidates, learned, count)]
                # Where nothing new is left, the rest is as good as any.
                rest = [c.name for c in candidates if c.name not in picked]
                chosen += [*picked, *rest][:count]
    method = cells[0].bonds.method
    return Comparison(method, list(test), [c.name for c in pool], within, points)


def _already(model: BondPredictor) -> Fit:
    """Return a function that "fits" a model which is fitted already."""
    return lambda _: model
