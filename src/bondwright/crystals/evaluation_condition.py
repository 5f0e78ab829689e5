"""Does asking for a property act? Several values are asked for, and nothing, and compared.

Found are estimates of a property model, so both its error and the generator's stand between what
was asked and what is found. The comparison is that of `screen.condition`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from scipy.stats import ks_2samp

from bondwright.crystals.evaluation_records import Row, share
from bondwright.screen.condition import condition_effect


def condition_figures(
    arms: Mapping[float | None, Sequence[Row]], *, name: str, unit: str, tolerance: float
) -> dict[str, Any]:
    """Compare the arms of one property.

    Args:
        arms: value asked for -> rows of `evaluation_validity.judge`; None for the arm that was
            asked for nothing. Only strictly valid samples are estimated, all count in the rates.
        name: the property, a column of the rows.
        unit: its unit.
        tolerance: distance that counts as a hit.

    Returns:
        What `screen.condition.condition_effect` says; for each arm its samples, hits of all of
        them and, against the arm that was asked for nothing, the Kolmogorov-Smirnov test; the same
        test between the lowest and the highest value; whether the medians are in order.
    """
    found = {
        asked: [row[name] for row in rows if row["strict"] and row.get(name) is not None]
        for asked, rows in arms.items()
    }
    effect = condition_effect(found, name=name, unit=unit, tolerance=tolerance)
    control = found.get(None, [])
    targets = sorted(asked for asked in arms if asked is not None)
    groups = []
    for group in effect.groups:
        total = len(arms[group.asked])
        everyone = None if group.hits is None else share(group.hits, total)
        nobody = (
            sum(abs(value - group.asked) <= tolerance for value in control)
            if group.asked is not None
            else 0
        )
        groups.append(
            {
                **asdict(group),
                "samples": total,
                "hits_of_all": everyone,
                "control_hits_of_all": (
                    None if group.asked is None else share(nobody, len(arms.get(None, [])))
                ),
                "against_control": (
                    None if group.asked is None else _test(found[group.asked], control)
                ),
            }
        )
    medians = {group.asked: group.median for group in effect.groups}
    ordered = [medians[asked] for asked in targets]
    known = [median for median in ordered if median is not None]
    return {
        **{key: value for key, value in asdict(effect).items() if key != "groups"},
        "effect": str(effect.effect),
        "groups": groups,
        "lowest_against_highest": (
            _test(found[targets[0]], found[targets[-1]]) if len(targets) > 1 else None
        ),
        "medians_in_order": (
            len(known) == len(ordered) > 1 and all(a < b for a, b in pairwise(known))
        ),
    }


def _test(first: Sequence[float], second: Sequence[float]) -> dict[str, float] | None:
    """Return the two-sample Kolmogorov-Smirnov test; None where a sample is empty."""
    if not first or not second:
        return None
    result = ks_2samp(first, second)
    return {"statistic": float(result.statistic), "p_value": float(result.pvalue)}
