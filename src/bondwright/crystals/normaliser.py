"""Properties as numbers near 0 to 1, and back.

The network sees normalised values only, so the parameters belong to the model: they are stored
with it. A value outside the range of the training data is used as it is, with a message.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bondwright.errors import InputError

Method = Literal["linear", "log"]


@dataclass(frozen=True)
class Normaliser:
    """Turns one property into a number near 0 to 1.

    linear: (v - low) / (high - low). log: sign(w) (ln(1 + |w|) / ln(1 + high - low))^exponent with
    w = v - low, which spreads small values out; exponent 0.8 with low 0 is the scale of published
    band-gap models. Both go on beyond the range, so the inverse exists everywhere.

    Attributes:
        name: of the property, e.g. "band_gap".
        unit: e.g. "eV"; "" for a plain number.
        method: "linear" or "log".
        low: becomes 0; the lowest value in training unless a scale is given.
        high: becomes 1; above `low`.
        exponent: of the log scale.
        seen_low: lowest value in the training data; None where not known.
        seen_high: highest.
    """

    name: str
    unit: str
    method: Method
    low: float
    high: float
    exponent: float = 1.0
    seen_low: float | None = None
    seen_high: float | None = None

    def __post_init__(self) -> None:
        """Refuse a scale without extent.

        Raises:
            InputError: no such method, or low, high or exponent that give no scale.
        """
        if self.method not in ("linear", "log"):
            raise InputError(f"{self.name}: no scale {self.method!r}; use 'linear' or 'log'.")
        usable = math.isfinite(self.low) and math.isfinite(self.high) and self.high > self.low
        if not usable or not (math.isfinite(self.exponent) and self.exponent > 0):
            raise InputError(
                f"{self.name}: a scale from {self.low} to {self.high} with exponent "
                f"{self.exponent} is none; give low < high and an exponent above 0."
            )

    @classmethod
    def fit(
        cls,
        name: str,
        unit: str,
        values: Sequence[float],
        method: Method = "linear",
        exponent: float = 1.0,
    ) -> Normaliser:
        """Return the scale that spans the finite ones of `values`.

        Raises:
            InputError: fewer than two different finite values.
        """
        finite = [float(v) for v in values if math.isfinite(v)]
        if len(set(finite)) < 2:
            raise InputError(f"{name}: the data hold fewer than two different values of it.")
        low, high = min(finite), max(finite)
        return cls(name, unit, method, low, high, exponent, low, high)

    def forward(self, value: float) -> float:
        """Return the normalised value."""
        w, span = value - self.low, self.high - self.low
        if self.method == "linear":
            return w / span
        return math.copysign((math.log1p(abs(w)) / math.log1p(span)) ** self.exponent, w)

    def inverse(self, normalised: float) -> float:
        """Return the value that `forward` turns into `normalised`."""
        span = self.high - self.low
        if self.method == "linear":
            return self.low + normalised * span
        size = abs(normalised) ** (1 / self.exponent) * math.log1p(span)
        return self.low + math.copysign(math.expm1(size), normalised)

    def check(self, value: float) -> str:
        """Return "" for a value within the training data, else a message.

        Raises:
            InputError: the value is not finite.
        """
        if not math.isfinite(value):
            raise InputError(f"{self.name} {value} is not a number; give one, or leave it out.")
        low = self.low if self.seen_low is None else self.seen_low
        high = self.high if self.seen_high is None else self.seen_high
        if low <= value <= high:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{self.name} {value:g}{unit} lies outside the training data ({low:g} to "
            f"{high:g}{unit}); what the model makes of it is extrapolation."
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Normaliser:
        """Return the normaliser that `to_json` described.

        Raises:
            InputError: it describes none.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise InputError(f"not a normaliser: {error}.") from None


def normalise(
    normalisers: Sequence[Normaliser], values: Mapping[str, float | None]
) -> tuple[list[float], list[str]]:
    """Return the normalised values in the order of the normalisers, NaN where not given.

    Returns:
        The values, and messages about those outside the training data.

    Raises:
        InputError: a property that the model does not take, or a value that is not finite.
    """
    names = [normaliser.name for normaliser in normalisers]
    unknown = sorted(set(values) - set(names))
    if unknown:
        takes = f"it takes {', '.join(names)}" if names else "it takes none"
        raise InputError(f"the model has no condition {unknown[0]!r}; {takes}.")
    result, messages = [], []
    for normaliser in normalisers:
        value = values.get(normaliser.name)
        if value is None:
            result.append(math.nan)
            continue
        message = normaliser.check(value)
        if message:
            messages.append(message)
        result.append(normaliser.forward(value))
    return result, messages
