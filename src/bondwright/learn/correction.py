"""Learned correction of bond strengths from a cheap method to a dear one.

Structures labelled by both methods are compared bond by bond. Each pair of elements gets a slope,
and, where leaving out whole cells shows that it pays, an offset or a slope that changes with the
bond's length. Pairs with few bonds are held near the correction of all bonds together (ridge
regression towards it). What comes out is no label of the dear method: the table's `method` names
both methods and the correction, so that nothing mixes them by accident.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.structure.write import write_text

Array = NDArray[np.float64]
Form = Literal["slope", "slope and offset", "slope by length"]
FORMS: tuple[Form, ...] = get_args(Form)
"""From simple to flexible; the first column of each is the cheap -ICOHP itself."""

REFERENCE_A = 3.0
"""Length at which `PairCorrection.slope` holds, Å."""
ALL_PAIRS = "all"
"""Name of the correction of all bonds together."""
_FORMAT = "bondwright-correction/1"


@dataclass(frozen=True)
class PairCorrection:
    """The correction of one pair: dear = (slope + slope_per_A·(d - 3 Å))·cheap + offset.

    Attributes:
        slope: at a length of 3 Å.
        offset_eV: eV.
        slope_per_A: change of the slope with length, 1/Å.
        bonds: number of bonds that both methods labelled.
        length_A: shortest and longest of them, Å.
        before_eV: RMSE between the two methods, eV.
        after_eV: RMSE after the correction, of cells left out in turn, eV; None where no other
            cell has such bonds.
    """

    slope: float
    offset_eV: float
    slope_per_A: float
    bonds: int
    length_A: tuple[float, float]
    before_eV: float
    after_eV: float | None


@dataclass(frozen=True)
class Correction:
    """A correction from one method's labels to another's; see the module.

    Attributes:
        cheap: method of the labels that it takes.
        dear: method of the labels that it was fitted to.
        form: what the data pay for.
        pairs: correction of each pair of elements, and of "all" bonds, which serves other pairs.
        errors_eV: RMSE of each form on cells left out in turn, eV; empty with one cell.
        cells: names of the cells.
    """

    cheap: str
    dear: str
    form: Form
    pairs: Mapping[str, PairCorrection]
    errors_eV: Mapping[str, float]
    cells: tuple[str, ...]

    @property
    def method(self) -> str:
        """What a corrected table names as its method: both methods and this very correction."""
        digest = hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()
        return f"{self.cheap} -> {self.dear} (correction {digest[:8]})"

    def apply(self, table: BondTable) -> BondTable:
        """Return the table with corrected -ICOHP and a `method` that says so.

        Strengths by spin are dropped. `details["correction"]` holds the form, the RMSE expected of
        each pair (null where unknown) and `pairs_by_all`, the pairs that had no bond in the fit and
        took the correction of all bonds.

        Raises:
            InputError: the table's labels are not those of the cheap method.
        """
        if table.method != self.cheap:
            raise InputError(
                f"this correction takes labels of {self.cheap!r}, not of {table.method!r}; fit one "
                "for that method."
            )
        labels = table.pairs()
        corrected = corrected_values(self.pairs, labels, table.length_A, table.icohp_eV)
        present = [str(pair) for pair in np.unique(labels)]
        note = {
            "cheap": self.cheap,
            "dear": self.dear,
            "form": self.form,
            "rmse_eV": {p: self.pairs[p].after_eV if p in self.pairs else None for p in present},
            "pairs_by_all": [pair for pair in present if pair not in self.pairs],
        }
        return replace(
            table,
            icohp_eV=corrected,
            icohp_by_spin_eV=None,
            method=self.method,
            details={**table.details, "correction": note},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the correction as JSON values."""
        return {
            "format": _FORMAT,
            "cheap": self.cheap,
            "dear": self.dear,
            "form": self.form,
            "pairs": {
                pair: {**asdict(each), "length_A": list(each.length_A)}
                for pair, each in self.pairs.items()
            },
            "errors_eV": dict(self.errors_eV),
            "cells": list(self.cells),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a correction from what `to_json` returned.

        Raises:
            InputError: the record is not that of a correction.
        """
        try:
            if data["format"] != _FORMAT or data["form"] not in FORMS:
                raise ValueError(f"format {data['format']!r}, form {data['form']!r}")
            pairs = {
                str(pair): PairCorrection(**{**each, "length_A": tuple(each["length_A"])})
                for pair, each in data["pairs"].items()
            }
            errors = {str(form): float(value) for form, value in data["errors_eV"].items()}
            cells = tuple(str(name) for name in data["cells"])
            found = cls(
                str(data["cheap"]),
                str(data["dear"]),
                data["form"],
                pairs,
                errors,
                cells,
            )
            if ALL_PAIRS not in pairs:
                raise ValueError("no correction of all bonds")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"a stored correction is damaged ({error!r}); fit it again.") from None
        return found

    def save(self, path: Path) -> None:
        """Write the correction as JSON."""
        write_text(path, json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or damaged.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} holds no readable correction ({error}).") from None
        if not isinstance(data, dict):
            raise InputError(f"{path} holds no correction; fit one.")
        return cls.from_json(data)


def corrected_values(
    pairs: Mapping[str, PairCorrection],
    labels: NDArray[np.str_],
    length_A: Array,  # noqa: N803
    cheap_eV: Array,  # noqa: N803
) -> Array:
    """Return (n,) corrected -ICOHP, eV, of bonds of given pairs, lengths and cheap -ICOHP.

    Outside the lengths of the fit, the slope stays that of the nearest end.
    """
    result = np.zeros(len(cheap_eV))
    for label in np.unique(labels):
        mine = labels == label
        pair = pairs.get(str(label), pairs[ALL_PAIRS])
        apart = np.clip(length_A[mine], *pair.length_A) - REFERENCE_A
        slope = pair.slope + pair.slope_per_A * apart
        result[mine] = slope * cheap_eV[mine] + pair.offset_eV
    return result
