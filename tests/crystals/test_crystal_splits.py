"""Splits: a composition has one part, whatever its polymorphs, formula units or table."""

from __future__ import annotations

import pytest

from bondwright.crystals.splits import PARTS, Splits
from bondwright.errors import InputError


def test_polymorphs_supercells_and_order_of_elements_share_a_part() -> None:
    splits = Splits()
    assert splits.part({"Ti": 2, "O": 4}) == splits.part({"O": 2, "Ti": 1})
    assert splits.part_of_formula("TiO2") == PARTS[splits.part({"Ti": 4, "O": 8})]
    assert splits.part_of_formula("O2Ti") == splits.part_of_formula("Ti2O4")


def test_shares_are_those_asked_for() -> None:
    splits = Splits(validation=0.05, test=0.1)
    formulas = [f"{a}{m}{b}{n}" for a in ("Ti", "Zr", "Cu", "Al") for b in ("O", "N", "S", "F")
                for m in range(1, 26) for n in range(1, 26)]  # fmt: skip
    reduced = {f: splits.part_of_formula(f) for f in formulas}
    counts = [list(reduced.values()).count(name) / len(reduced) for name in PARTS]
    # About 6,300 different compositions: three standard deviations of a share of 0.1 are 0.011.
    assert counts == pytest.approx([0.85, 0.05, 0.1], abs=0.012)


def test_the_lot_of_known_formulas_never_changes() -> None:
    # A model card states the rule; if these moved, held-out compositions would no longer be.
    parts = {f: Splits().part_of_formula(f) for f in KNOWN}
    assert parts == KNOWN
    assert Splits.from_json(Splits().to_json()) == Splits()
    salted = [Splits(salt="another").part_of_formula(f) for f in WIDE]
    assert salted != [Splits().part_of_formula(f) for f in WIDE]


WIDE = [f"Ti{n}O{m}" for n in range(1, 12) for m in range(1, 12)]
KNOWN = {"TiO2": "train", "Ti3O5": "validation", "BiPu": "test", "PbS": "test"}


def test_what_is_no_formula_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="plain chemical formula"):
        Splits().part_of_formula("Ti(O2")
    with pytest.raises(InputError, match="not known"):
        Splits.from_json({"by": "row"})
