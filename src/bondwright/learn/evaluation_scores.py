"""The figures of an evaluation: errors, bias, coverage and likelihood by model and pair.

Bonds of an unknown pair of elements are counted and left out of all figures. A figure that does not
exist (an error's uncertainty from a single cell) is missing, never zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bondwright.learn.model_types import UNKNOWN_PAIR

if TYPE_CHECKING:
    import pandas as pd

ALL_PAIRS = "all"
_HEADS = {
    "n": ("n", "d"),
    "unknown": ("unknown", "d"),
    "rmse_eV": ("RMSE", ".3f"),
    "rmse_error_eV": ("±", ".3f"),
    "mae_eV": ("MAE", ".3f"),
    "bias_eV": ("bias", "+.3f"),
    "label_spread_eV": ("spread", ".3f"),
    "within_1_sigma": ("<1σ", ".2f"),
    "within_2_sigma": ("<2σ", ".2f"),
    "mean_sigma_eV": ("mean σ", ".3f"),
    "nll": ("NLL", ".2f"),
}


def score_frame(frame: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Return one row of figures for each model and pair of elements, and for all pairs.

    Args:
        frame: predictions, see `Evaluation.frame`.
        by: a further column to group by.

    Returns:
        Columns `model`, `by` where given, `pair` ("all" for all bonds), and, errors being
        prediction minus label:
        `n` and `unknown`, bonds with and without a prediction;
        `rmse_eV`, with `rmse_error_eV`, its standard error when whole test cells are left out in
        turn (jackknife; missing for one cell, and too small where cells of one run are tested);
        `mae_eV`, `bias_eV` (mean error), `label_spread_eV` (standard deviation of the labels);
        `within_1_sigma`, `within_2_sigma`, shares of bonds, 0.68 and 0.95 when calibrated;
        `mean_sigma_eV`; `nll`, mean negative log likelihood per bond, in nats with eV as unit.
    """
    import pandas as pd

    rows = []
    for model, of_model in frame.groupby("model", sort=False):
        parts = of_model.groupby(by, sort=False) if by else [(None, of_model)]
        for value, part in parts:
            named = {"model": model, **({by: value} if by else {})}
            by_pair = part.groupby("pair", sort=True)
            rows += [{**named, "pair": pair, **_score(bonds)} for pair, bonds in by_pair]
            rows.append({**named, "pair": ALL_PAIRS, **_score(part)})
    return pd.DataFrame(rows)


def scores_text(scores: pd.DataFrame) -> str:
    """Return figures as an aligned text table, energies in eV, the models of a pair together."""
    named = [column for column in scores.columns if column not in _HEADS]
    keys = [name for name in named if name not in ("model", "pair")]
    order = scores.assign(_last=scores["pair"] == ALL_PAIRS, _place=range(len(scores)))
    order = order.sort_values([*keys, "_last", "pair", "_place"], kind="stable")
    figures = [name for name in _HEADS if name != "unknown" or scores["unknown"].any()]
    lines = [[*keys, "pair", "model", *(_HEADS[name][0] for name in figures)]]
    for row in order.to_dict(orient="records"):
        values = [_cell(row[name], _HEADS[name][1]) for name in figures]
        lines.append([*(str(row[key]) for key in keys), str(row["pair"]), str(row["model"])])
        lines[-1] += values
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    left = len(keys) + 2
    return "\n".join(
        "  ".join(
            text.ljust(width) if k < left else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _score(part: pd.DataFrame) -> dict[str, Any]:
    known = (part["flag"].to_numpy() & UNKNOWN_PAIR) == 0
    figures: dict[str, Any] = {"n": int(known.sum()), "unknown": int((~known).sum())}
    if not known.any():
        return figures
    label = part["label_eV"].to_numpy()[known]
    error = part["mean_eV"].to_numpy()[known] - label
    sigma = np.maximum(part["sigma_eV"].to_numpy()[known], 1e-9)
    size = np.abs(error)
    return figures | {
        "rmse_eV": float(np.sqrt(np.mean(error**2))),
        "rmse_error_eV": _jackknife(error, part["cell"].to_numpy()[known]),
        "mae_eV": float(size.mean()),
        "bias_eV": float(error.mean()),
        "label_spread_eV": float(label.std()),
        "within_1_sigma": float(np.mean(size <= sigma)),
        "within_2_sigma": float(np.mean(size <= 2 * sigma)),
        "mean_sigma_eV": float(sigma.mean()),
        "nll": float(np.mean(0.5 * np.log(2 * np.pi * sigma**2) + error**2 / (2 * sigma**2))),
    }


def _jackknife(error: NDArray[np.float64], cell: NDArray[np.object_]) -> float | None:
    """Return the standard error of the RMSE from leaving out whole cells, eV."""
    _, owner = np.unique(cell.astype(str), return_inverse=True)
    count = np.bincount(owner)
    if len(count) < 2:
        return None
    square = np.bincount(owner, weights=error**2)
    without = np.sqrt((square.sum() - square) / (count.sum() - count))
    scatter = float(np.sum((without - without.mean()) ** 2))
    return float(np.sqrt((len(count) - 1) / len(count) * scatter))


def _cell(value: Any, form: str) -> str:
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return "-" if missing else format(int(value) if form == "d" else float(value), form)
