"""What can be wished for, in which spellings, and what is refused by name (faults 23 and 25)."""

from __future__ import annotations

import pytest
from ase.data import chemical_symbols

from bondwright.crystals.generate_wish import Wish, parse_formula, parse_system
from bondwright.errors import InputError


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("TiO2", {"Ti": 1, "O": 2}),
        ("Ti O2", {"Ti": 1, "O": 2}),
        ("O_2Ti_1", {"O": 2, "Ti": 1}),
        ("TiO₂", {"Ti": 1, "O": 2}),
        ("Ti2O4", {"Ti": 2, "O": 4}),
        ("Ca(NO3)2", {"Ca": 1, "N": 2, "O": 6}),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}),
        ("[(Al2O3)2SiO2]3", {"Al": 12, "O": 24, "Si": 3}),
        ("CO", {"C": 1, "O": 1}),
        ("Co", {"Co": 1}),
    ],
)
def test_formula_in_any_spelling(text: str, counts: dict[str, int]) -> None:
    assert parse_formula(text) == counts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no atoms"),
        ("()", "has no atoms"),
        ("Ti0O2", "a count of 0"),
        ("Ti0.5O", "cannot read '0.5O'"),
        ("10.5", "cannot read '10.5'"),
        ("tio2", "cannot read 'tio2'"),
        ("2TiO2", "cannot read '2TiO2'"),
        ("Fe3+", "cannot read '+'"),
        ("CuSO4·5H2O", "cannot read"),
        ("(TiO2", "a bracket is not closed"),
        ("TiO2)", "cannot read ')'"),
        ("Xx2O", "no element 'Xx'"),
        ("D2O", "no element 'D'"),
        ("".join(chemical_symbols[1:26]), "has 25 elements"),
    ],
)
def test_formula_that_is_none_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(InputError) as e:
        parse_formula(text)
    assert said in str(e.value)
    assert len(str(e.value).splitlines()) == 1


def test_chemical_system_in_any_spelling() -> None:
    assert [parse_system(t) for t in ("Ti-O", "Ti, O", "TiO", "Ti O Ti")] == [("Ti", "O")] * 4
    for text in ("", "Ti2O", "ti-o", "Qq-O", "-".join(chemical_symbols[1:26])):
        with pytest.raises(InputError):
            parse_system(text)


def test_spellings_of_one_wish_are_one_wish() -> None:
    spellings = [
        Wish(10, formula="TiO2", space_group=136),
        Wish(500, formula="O2 Ti", space_group="P42/mnm", label="the same"),
        Wish(1, formula="Ti1O2", space_group="P 42/m 21/n 2/m", guidance=3.0),  # nothing is asked
    ]
    assert len({str(wish.identity()) for wish in spellings}) == 1
    assert {wish.subject for wish in spellings} == {"TiO2"}
    others = [
        Wish(10, formula="Ti2O4", space_group=136),  # units are counted of the formula as asked
        Wish(10, formula="TiO2"),
        Wish(10, formula="TiO2", space_group=136, asked={"band_gap": 3.0}),
        Wish(10, formula="TiO2", space_group=136, top_k=5),
        Wish(10, formula="TiO2", space_group=136, method="random"),
    ]
    assert len({str(wish.identity()) for wish in [spellings[0], *others]}) == 6


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"space_group": 231}, "no space group"),
        ({"space_group": "P99"}, "no space group"),
        ({"formula": "TiO2", "chemical_system": "Ti-O"}, "not both"),
        ({"formula_units": 2}, "give the formula, too"),
        ({"formula": "TiO2", "formula_units": 67}, "has 201 atoms"),
        ({"formula": "Zr49Cu49Al2", "max_atoms": 99}, "has 100 atoms"),
        ({"n": 0}, "n must be"),
        ({"top_p": 0.0}, "top_p must be"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"method": "random", "asked": {"band_gap": 1.0}}, "cannot be asked"),
        ({"method": "ion-exchange", "best": 5}, "likeliest"),
    ],
)
def test_wish_that_makes_no_sense_is_refused(wish: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Wish(**{"n": 1, **wish})


def test_request_of_a_wish() -> None:
    request = Wish(1, formula="Ti2O4", formula_units=3, space_group="Pbca", max_atoms=30).request()
    assert request.formula == {"Ti": 2, "O": 4}
    assert (request.formula_units, request.space_group, request.max_atoms) == (3, 61, 30)
    assert Wish(1, chemical_system="Ti-O").request().elements == ("Ti", "O")
    free = Wish(1).request()
    assert (free.formula, free.elements, free.space_group) == (None, None, None)
