"""Figures as JSON that the page's scripts draw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["line", "step", "points", "band"]


@dataclass(frozen=True)
class Series:
    """One row of numbers in a figure.

    Attributes:
        text: its name in the legend; a band and a line of one name belong together.
        kind: how it is drawn.
        x: (n,) values.
        y: (n,) values.
        style: number of its colour and shape (see `Styles`).
        dashed: a line that is a comparison.
        marks: a line whose points are few enough to be marked.
        spread: (n,) half the height of a band.
    """

    text: str
    kind: Kind
    x: ArrayLike
    y: ArrayLike
    style: int = 0
    dashed: bool = False
    marks: bool = False
    spread: ArrayLike = ()

    def as_json(self) -> dict[str, Any]:
        """Return JSON values with five significant digits."""
        data: dict[str, Any] = {
            "text": self.text,
            "kind": self.kind,
            "x": _short(self.x),
            "y": _short(self.y),
            "style": self.style,
        }
        if self.dashed:
            data["dashed"] = True
        if self.marks:
            data["marks"] = True
        if self.kind == "band":
            data["low"] = _short(np.subtract(self.y, self.spread))
            data["high"] = _short(np.add(self.y, self.spread))
        return data


@dataclass
class Styles:
    """One colour and shape for each pair of elements, the same in all figures of the page."""

    known: dict[str, int] = field(default_factory=dict)

    def of(self, pair: str) -> int:
        """Return the number of a pair's style, a new one for a new pair."""
        return self.known.setdefault(pair, len(self.known))


@dataclass
class Figures:
    """The figures of a page: names for the template, JSON for the scripts."""

    styles: Styles = field(default_factory=Styles)
    plots: dict[str, Any] = field(default_factory=dict)
    scenes: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        name: str,
        series: Iterable[Series],
        *,
        x: str,
        y: str,
        label: str,
        limits: dict[str, float] | None = None,
        diagonal: bool = False,
    ) -> str | None:
        """Add a figure and return its name; None where it would be empty.

        Args:
            name: unique on the page.
            series: what is drawn, the first at the bottom.
            x: title of the axis, with its unit.
            y: the same of the other axis.
            label: what is seen, for those who do not see it.
            limits: `x_low`, `x_high`, `y_low`, `y_high` where the data do not decide.
            diagonal: draw the line on which both axes are equal.
        """
        drawn = [one.as_json() for one in series if np.size(one.x)]
        if not drawn:
            return None
        spec: dict[str, Any] = {"x": {"title": x}, "y": {"title": y}, "series": drawn}
        for key, value in (limits or {}).items():
            axis, end = key.split("_")
            spec[axis][end] = float(value)
        self.plots[name] = {**spec, "label": label, "diagonal": diagonal}
        return name


def thinned(count: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` indices, evenly spread: the same for the same data."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def _short(values: Any) -> list[float]:
    return [float(f"{v:.5g}") for v in np.asarray(values, dtype=float).tolist()]
