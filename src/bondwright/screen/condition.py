"""Did asking a generator for a property have any effect?

Candidates are put in groups by the value they were asked for, and the groups' distributions of the
value *found* are compared. What this can tell depends on how the candidates came here: if they
were chosen by the found value (kept only between 1.0 and 1.7 eV, say), a real effect outside that
window has been cut off, and groups made by such a choice instead of by the asked value always
differ. So the groups must be the asked values, and every candidate made for them should be there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

SIGNIFICANCE = 0.05
# Two groups are too few to tell when even a Kolmogorov-Smirnov distance of this size would not be
# significant. For two Gaussians it is a shift of 1.35 standard deviations.
LARGEST_BLIND_DISTANCE = 0.5
# Asymptotic critical value of the two-sample Kolmogorov-Smirnov test at 5 %: 1.358 sqrt(1/n + 1/m)
# (Smirnov, Ann. Math. Stat. 19 (1948) 279, doi:10.1214/aoms/1177730256).
KS_CRITICAL = 1.358


class Effect(StrEnum):
    """What the comparison says."""

    SEEN = "seen"
    NOT_SEEN = "not-seen"
    WRONG_WAY = "wrong-way"
    TOO_FEW = "too-few"


@dataclass(frozen=True)
class AskedGroup:
    """Candidates that were asked for one value.

    Attributes:
        asked: the value asked for; None for the arm that was asked for nothing.
        n: candidates of which the value is known.
        median: median of the values found; None when n is 0.
        quartiles: 25 % and 75 % quantile; None when n is 0.
        hits: values found within the tolerance of the value asked for; None without one.
        control_rate: share of all *other* groups' values that lie there, too: what the hit rate
            would be if asking did nothing. None without other values.
    """

    asked: float | None
    n: int
    median: float | None
    quartiles: tuple[float, float] | None
    hits: int | None
    control_rate: float | None

    @property
    def hit_rate(self) -> float | None:
        """Share of the group within the tolerance of what was asked; None when unknown."""
        return None if self.hits is None or self.n == 0 else self.hits / self.n


@dataclass(frozen=True)
class ConditionEffect:
    """Whether asking had an effect, with the numbers behind it.

    Attributes:
        name: the property.
        unit: its unit.
        tolerance: distance that counts as a hit, in that unit.
        groups: one per asked value, ascending; the arm asked for nothing first.
        test: "two-sample Kolmogorov-Smirnov" or, for more groups, "Kruskal-Wallis"; empty when no
            test was possible.
        statistic: value of the test statistic (KS distance, 0 to 1, or H); None without a test.
        p_value: probability of at least this statistic if asking did nothing; None without a test.
        rank_correlation: Spearman's rho between asked and found; None when undefined.
        smallest_visible: KS distance between the two largest groups' sizes that would be
            significant at 5 %; above 0.5 the data are too few.
        effect: the verdict.
        conclusion: one sentence for people.
    """

    name: str
    unit: str
    tolerance: float
    groups: tuple[AskedGroup, ...]
    test: str
    statistic: float | None
    p_value: float | None
    rank_correlation: float | None
    smallest_visible: float | None
    effect: Effect
    conclusion: str


def condition_effect(
    found: Mapping[float | None, Sequence[float]], *, name: str, unit: str, tolerance: float
) -> ConditionEffect:
    """Compare what was found between groups of candidates asked for different values.

    Args:
        found: asked value -> values found (finite numbers; leave unknown ones out); the key None
            is an arm that was asked for nothing.
        name: the property, for the sentence.
        unit: unit of asked and found values.
        tolerance: distance that counts as a hit.

    Returns:
        The comparison. An effect is "seen" when the groups differ at 5 % significance and higher
        values were found where higher ones were asked for.

    Raises:
        ValueError: a value found is not finite.
    """
    order = sorted(found, key=lambda asked: -math.inf if asked is None else asked)
    values = {asked: np.asarray(found[asked], dtype=float) for asked in order}
    if not all(np.isfinite(v).all() for v in values.values()):
        raise ValueError(f"{name}: values found must be finite; leave unknown ones out")
    groups = tuple(_describe(asked, values, tolerance) for asked in order)
    filled = [v for v in values.values() if len(v)]
    visible = _smallest_visible([len(v) for v in filled])
    test, statistic, p_value = _compare(filled)
    rho = _rank_correlation(values)
    effect = _judge(p_value, visible, rho, groups)
    return ConditionEffect(
        name=name,
        unit=unit,
        tolerance=tolerance,
        groups=groups,
        test=test,
        statistic=statistic,
        p_value=p_value,
        rank_correlation=rho,
        smallest_visible=visible,
        effect=effect,
        conclusion=_conclude(effect, groups, name, unit, test, statistic, p_value),
    )


def _describe(
    asked: float | None, values: Mapping[float | None, NDArray[np.float64]], tolerance: float
) -> AskedGroup:
    """Summarise one group and what the others did around its asked value."""
    own = values[asked]
    hits = control = None
    if asked is not None:
        hits = int((np.abs(own - asked) <= tolerance).sum())
        others = np.concatenate([np.empty(0), *(v for a, v in values.items() if a != asked)])
        if len(others):
            control = float((np.abs(others - asked) <= tolerance).mean())
    if not len(own):
        return AskedGroup(asked, 0, None, None, hits, control)
    low, middle, high = (float(q) for q in np.quantile(own, [0.25, 0.5, 0.75]))
    return AskedGroup(asked, len(own), middle, (low, high), hits, control)


def _smallest_visible(sizes: list[int]) -> float | None:
    """Return the KS distance that the two largest groups could show; None for fewer than two."""
    if len(sizes) < 2:
        return None
    n, m = sorted(sizes)[-2:]
    return KS_CRITICAL * math.sqrt(1 / n + 1 / m)


def _compare(filled: list[NDArray[np.float64]]) -> tuple[str, float | None, float | None]:
    """Return name, statistic and p-value of the test for the number of groups there is."""
    if len(filled) < 2:
        return "", None, None
    if len(filled) == 2:
        result = stats.ks_2samp(*filled)
        return "two-sample Kolmogorov-Smirnov", float(result.statistic), float(result.pvalue)
    if len(np.unique(np.concatenate(filled))) == 1:
        return "Kruskal-Wallis", 0.0, 1.0  # all alike: the statistic is 0/0
    result = stats.kruskal(*filled)
    return "Kruskal-Wallis", float(result.statistic), float(result.pvalue)


def _rank_correlation(values: Mapping[float | None, NDArray[np.float64]]) -> float | None:
    """Return Spearman's rho between asked and found values; None when one of them is constant."""
    arms = {asked: v for asked, v in values.items() if asked is not None and len(v)}
    if not arms:
        return None
    asked = np.repeat(list(arms), [len(v) for v in arms.values()])
    found = np.concatenate(list(arms.values()))
    if len(np.unique(asked)) < 2 or len(np.unique(found)) < 2:
        return None
    return float(stats.spearmanr(asked, found).statistic)


def _judge(
    p_value: float | None,
    visible: float | None,
    rho: float | None,
    groups: tuple[AskedGroup, ...],
) -> Effect:
    """Turn the numbers into a verdict."""
    if p_value is None or visible is None:
        return Effect.TOO_FEW
    if p_value >= SIGNIFICANCE:
        return Effect.TOO_FEW if visible > LARGEST_BLIND_DISTANCE else Effect.NOT_SEEN
    if rho is None:
        # One asked value against an arm that was asked for nothing: nearer to it, or farther?
        asked = next(g for g in groups if g.asked is not None and g.n)
        nearer = (asked.hit_rate or 0.0) > (asked.control_rate or 0.0)
        return Effect.SEEN if nearer else Effect.WRONG_WAY
    return Effect.SEEN if rho > 0 else Effect.WRONG_WAY


def _conclude(
    effect: Effect,
    groups: tuple[AskedGroup, ...],
    name: str,
    unit: str,
    test: str,
    statistic: float | None,
    p_value: float | None,
) -> str:
    """Write the sentence."""
    label = name.replace("_", " ")
    if sum(1 for g in groups if g.n) < 2:
        return (
            f"It cannot be told whether asking for a {label} had an effect: "
            "there is only one group with values and nothing to compare it with."
        )
    parts = [
        f"{g.median:.2f} {unit} ({'asked for nothing' if g.asked is None else f'asked {g.asked:g}'}"
        f", n = {g.n})"
        for g in groups
        if g.median is not None
    ]
    symbol = "KS" if test.startswith("two") else "H"
    numbers = f"medians {', '.join(parts)}; {symbol} = {statistic:.3g}, p = {p_value:.2g}"
    start = {
        Effect.SEEN: f"Asking for a {label} had an effect",
        Effect.NOT_SEEN: f"No effect of asking for a {label} is seen",
        Effect.WRONG_WAY: f"Asking for a {label} moved the values away from what was asked",
        Effect.TOO_FEW: f"Too few to tell whether asking for a {label} had an effect",
    }[effect]
    return f"{start}: {numbers}."
