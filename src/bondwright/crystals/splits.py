"""Which part of the data a composition belongs to: training, validation or test.

The lot is drawn from the composition itself, so that polymorphs stay together, a formula can be
asked without the data, and a table that grows moves nothing from one part to another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bondwright.errors import InputError
from bondwright.screen.hull import parse_formula, reduced_formula

TRAIN, VALIDATION, TEST = 0, 1, 2
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """The rule that deals compositions out.

    Attributes:
        salt: text that goes into the lot; another salt gives another split.
        validation: share of compositions for validation.
        test: share for test; the rest is for training.
    """

    salt: str = "bondwright crystals 1"
    validation: float = 0.05
    test: float = 0.05

    def part(self, counts: Mapping[str, int]) -> int:
        """Return TRAIN, VALIDATION or TEST for a composition, reduced or not.

        Args:
            counts: element -> atoms.
        """
        return self._part(reduced_formula(counts))

    def part_of_formula(self, formula: str) -> str:
        """Return "train", "validation" or "test" for a formula such as "TiO2".

        Raises:
            InputError: the text is no plain chemical formula.
        """
        try:
            counts = parse_formula(formula)
        except ValueError:
            raise InputError(
                f"{formula!r} is no plain chemical formula; write it like TiO2 or LiFePO4."
            ) from None
        return PARTS[self.part(counts)]

    def to_json(self) -> dict[str, Any]:
        """Return the rule as JSON values."""
        return {
            "by": "reduced composition",
            "salt": self.salt,
            "validation": self.validation,
            "test": self.test,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Splits:
        """Rebuild the rule that `to_json` wrote.

        Raises:
            InputError: it is another rule.
        """
        if data.get("by") != "reduced composition":
            raise InputError(f"split by {data.get('by')!r} is not known to this version.")
        return cls(str(data["salt"]), float(data["validation"]), float(data["test"]))

    def _part(self, formula: str) -> int:
        """Draw the lot of a reduced formula with its elements in alphabetical order."""
        digest = hashlib.sha256(f"{self.salt}:{formula}".encode()).digest()
        lot = int.from_bytes(digest[:8], "big") / 2**64
        if lot < self.validation:
            return VALIDATION
        return TEST if lot < self.validation + self.test else TRAIN
