"""Compositions in every spelling, and atoms shared out."""

from __future__ import annotations

import numpy as np
import pytest

from bondwright.errors import InputError
from bondwright.glasses.composition import parse_composition
from bondwright.glasses.start import random_start
from bondwright.structure.neighbours import shortest_contact


@pytest.mark.parametrize(
    "text",
    [
        "Zr49Cu49Al2",
        "Cu49Zr49Al2",
        "Zr0.49Cu0.49Al0.02",
        "Zr 49 Cu 49 Al 2",
        "zr49cu49al2",
        "Zr₄₉Cu₄₉Al₂",
        "Zr-49, Cu-49, Al-2 at.%",
        "(Zr50Cu50)98Al2",
        "Zr98Cu98Al4",
    ],
)
def test_spellings_of_one_alloy_have_one_name(text: str) -> None:
    composition = parse_composition(text)
    assert composition.name == "Zr49Cu49Al2"
    assert composition.elements == ("Zr", "Cu", "Al")
    assert sum(composition.fractions.values()) == pytest.approx(1)


def test_names_keep_fractions_of_a_per_cent_and_count_falls() -> None:
    assert parse_composition("Zr51Cu39.5Al9.5").name == "Zr51Cu39.5Al9.5"
    assert parse_composition("Zr40Cu54Al6").name == "Cu54Zr40Al6"
    assert parse_composition("ZrCu").name == "Zr50Cu50"
    assert parse_composition("ZrCu2").name == "Cu66.667Zr33.333"


def test_atoms_are_shared_out_by_the_largest_remainder() -> None:
    assert parse_composition("Zr49Cu49Al2").counts(1000) == {"Zr": 490, "Cu": 490, "Al": 20}
    thirds = parse_composition("ZrCuAl").counts(100)
    assert sum(thirds.values()) == 100
    assert sorted(thirds.values()) == [33, 33, 34]
    with pytest.raises(InputError, match="hold no Al; take at least"):
        parse_composition("Zr49.5Cu49.5Al1").counts(40)


@pytest.mark.parametrize("text", ["", "50", "Zr49Xx51", "Zr49Cu(", "(ZrCu)98Al2", "Zr0", "Zr4%%9!"])
def test_what_is_no_composition_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_composition(text)


def test_a_melt_begins_at_random_with_no_two_atoms_close() -> None:
    composition = parse_composition("Zr49Cu49Al2")
    start = random_start(composition, 500, 3)
    assert start.get_chemical_symbols().count("Al") == 10
    assert shortest_contact(start).distance > 1.85
    assert np.array_equal(start.positions, random_start(composition, 500, 3).positions)
    assert not np.array_equal(start.positions, random_start(composition, 500, 4).positions)
    for atoms in (49, 100_001):
        with pytest.raises(InputError, match="50 to 100,000"):
            random_start(composition, atoms, 0)
