"""What to label next, by the published author's three rules, with thresholds stated.

Poor transfer between compositions asks for new compositions; a target whose environments the
training does not cover asks for new cells; a covered space with errors that are still too large
asks for augmentation, strained variants of the runs at hand.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bondwright.errors import InputError
from bondwright.learn.evaluation import MODEL, Evaluation
from bondwright.learn.evaluation_scores import ALL_PAIRS

Action = Literal["augment", "new-cells", "new-compositions", "stop"]


@dataclass(frozen=True)
class PolicyLimits:
    """When an error or a drift is too large.

    Attributes:
        rmse_eV: RMSE that each pair of elements should reach, eV.
        rmse_by_pair_eV: the same for single pairs.
        transfer_ratio: RMSE on unseen compositions over that on unseen runs that still counts as
            transfer.
        drift_share: share of a pair's target bonds outside the training that is tolerated.
        least_bonds: pairs with fewer test bonds do not decide.
    """

    rmse_eV: float = 0.06
    rmse_by_pair_eV: Mapping[str, float] = field(default_factory=dict)
    transfer_ratio: float = 1.5
    drift_share: float = 0.05
    least_bonds: int = 30

    def limit_eV(self, pair: str) -> float:  # noqa: N802
        """Return the RMSE that a pair should reach, eV."""
        return self.rmse_by_pair_eV.get(pair, self.rmse_eV)


@dataclass(frozen=True)
class Decision:
    """What to do, why, and the numbers behind it.

    Attributes:
        action: "augment": strained variants of existing runs; "new-cells": further runs of the
            compositions at hand; "new-compositions"; "stop".
        reason: one sentence with the numbers that decided.
        numbers: RMSE by pair (eV), on unseen compositions by pair (eV), drift shares by pair, and
            the limits; JSON values.
    """

    action: Action
    reason: str
    numbers: dict[str, Any]


def decide(
    evaluation: Evaluation,
    *,
    across_compositions: Evaluation | None = None,
    drift_shares: Mapping[str, float] | None = None,
    limits: PolicyLimits | None = None,
    model: str = MODEL,
) -> Decision:
    """Decide what to label next.

    The rules stand in this order: unseen compositions, coverage, error. An evaluation within one
    run never leads to "stop", because it cannot tell how a new glass is predicted.

    Args:
        evaluation: errors on held-out cells, best a split by run.
        across_compositions: errors on held-out compositions; not judged when None.
        drift_shares: share of the bonds of each pair (0..1), in the structures the model is meant
            for, that carry a flag of the model; not judged when None.
        limits: the thresholds.
        model: name of the judged model in the evaluations.

    Raises:
        InputError: the evaluation has no such model, or no pair with enough bonds.
    """
    limits = limits or PolicyLimits()
    errors = _errors(evaluation, model, limits.least_bonds)
    across = _errors(across_compositions, model, limits.least_bonds) if across_compositions else {}
    drift = {} if drift_shares is None else {pair: float(s) for pair, s in drift_shares.items()}
    numbers = {
        "split": evaluation.split,
        "rmse_eV": errors,
        "across_compositions_rmse_eV": across,
        "drift_shares": drift,
        "limits": {
            "rmse_eV": {pair: limits.limit_eV(pair) for pair in sorted({*errors, *across})},
            "transfer_ratio": limits.transfer_ratio,
            "drift_share": limits.drift_share,
            "least_bonds": limits.least_bonds,
        },
    }
    action, reason = (
        _transfer(evaluation, errors, across, limits)
        or _coverage(drift, limits)
        or _error(evaluation, errors, drift, limits)
    )
    return Decision(action, reason, numbers)


def _transfer(
    evaluation: Evaluation,
    errors: Mapping[str, float],
    across: Mapping[str, float],
    limits: PolicyLimits,
) -> tuple[Action, str] | None:
    """Ask for new compositions where a pair's error on unseen ones is too large, and larger."""
    poor = {
        pair: value / errors[pair]
        for pair, value in across.items()
        if pair in errors
        and value > limits.limit_eV(pair)
        and value > limits.transfer_ratio * errors[pair]
    }
    if not poor:
        return None
    pair = max(poor, key=lambda p: poor[p])
    return "new-compositions", (
        f"Label new compositions: on unseen ones {pair} bonds have RMSE {across[pair]:.3f} eV, "
        f"{poor[pair]:.1f} times the {errors[pair]:.3f} eV of {evaluation.split} held out (limits "
        f"{limits.limit_eV(pair):.3f} eV and {limits.transfer_ratio:g} times)."
    )


def _coverage(drift: Mapping[str, float], limits: PolicyLimits) -> tuple[Action, str] | None:
    """Ask for new cells where the target has bonds that the training does not cover."""
    if not drift or max(drift.values()) <= limits.drift_share:
        return None
    pair = max(drift, key=lambda p: drift[p])
    return "new-cells", (
        f"Label new cells: {drift[pair]:.1%} of the target's {pair} bonds lie outside the training "
        f"(limit {limits.drift_share:.1%})."
    )


def _error(
    evaluation: Evaluation,
    errors: Mapping[str, float],
    drift: Mapping[str, float],
    limits: PolicyLimits,
) -> tuple[Action, str]:
    """Ask for strained variants where errors are too large in a covered space, else stop."""
    pair = max(errors, key=lambda p: errors[p] / limits.limit_eV(p))
    told = (
        f"{pair} bonds have RMSE {errors[pair]:.3f} eV ({evaluation.split} held out; limit "
        f"{limits.limit_eV(pair):.3f} eV)"
    )
    covered = ""
    if drift:
        most = max(drift.values())
        covered = f", and at most {most:.1%} of a pair's target bonds lie outside the training"
    if errors[pair] > limits.limit_eV(pair):
        return "augment", f"Label strained variants: {told}{covered}."
    if evaluation.within_run:
        return "new-cells", (
            "Label a new run: the errors are small, but within one run they say nothing of a new "
            f"glass; at worst, {told}."
        )
    return "stop", f"Stop labelling: at worst, {told}{covered}."


def _errors(evaluation: Evaluation, model: str, least: int) -> dict[str, float]:
    """Return the RMSE of each pair with enough bonds, eV."""
    if model not in evaluation.models:
        raise InputError(
            f"the evaluation has no model {model!r}; it has {', '.join(evaluation.models)}."
        )
    scores = evaluation.scores()
    mine = scores[(scores["model"] == model) & (scores["pair"] != ALL_PAIRS)]
    found = {
        str(row["pair"]): float(row["rmse_eV"])
        for row in mine.to_dict(orient="records")
        if row["n"] >= least
    }
    if not found:
        raise InputError(
            f"no pair of elements has {least} test bonds in the evaluation by {evaluation.split}; "
            "label more cells, or lower least_bonds."
        )
    return found
