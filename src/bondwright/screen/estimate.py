"""A number that a property model gives, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """What a property model says of one crystal.

    Attributes:
        value: in the model's unit; None when it cannot tell.
        sigma: standard deviation of its error, same unit; 0 for an exact number, None when the
            model does not know it, which is so outside its training data.
        note: why a number is missing; empty otherwise.
    """

    value: float | None
    sigma: float | None
    note: str = ""
