"""Constrained decoding of the Wyckoff dialect: walks end in the crystal that was asked for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from bondwright.crystals.contacts import usual_contacts
from bondwright.crystals.crystal import Crystal, from_atoms, to_atoms
from bondwright.crystals.dialect import Request
from bondwright.crystals.usual_volume import usual_volume
from bondwright.crystals.wyckoff_text import WyckoffDialect
from bondwright.errors import InputError
from bondwright.structure.cif import parse_cif
from bondwright.structure.symmetry import symmetry_dataset

DIALECT = WyckoffDialect()

REQUESTS: list[dict[str, Any]] = [
    {"max_atoms": 30},
    {"max_atoms": 1},
    {"formula": {"Ti": 1, "O": 2}, "max_atoms": 60},
    {"formula": {"Ca": 2, "Si": 2, "O": 6}, "formula_units": 2},
    {"formula": {"Sr": 1, "Ti": 1, "O": 3}, "space_group": 221},
    {"formula": {"Al": 2, "O": 3}, "formula_units": 6, "space_group": 167},
    {"formula": {"B": 1}, "max_atoms": 12},
    {"elements": ("O", "Sr", "Ti"), "max_atoms": 24},
    {"elements": ("Na", "Cl"), "space_group": 225, "max_atoms": 64},
    {"space_group": 230, "max_atoms": 100},
    {"space_group": 2, "max_atoms": 12},
    {"space_group": 194, "max_atoms": 24},
]


def walk(request: Request, seed: int) -> list[int]:
    """Choose uniformly among what is allowed, to the end."""
    rng = np.random.default_rng(seed)
    grammar, ids = DIALECT.grammar(request), DIALECT.prompt(request)
    while not grammar.done:
        allowed = grammar.allowed()
        assert len(allowed)
        assert (np.diff(allowed) > 0).all()
        token = int(rng.choice(allowed))
        grammar.advance(token)
        ids.append(token)
        assert len(ids) < 2000
    assert len(grammar.allowed()) == 0
    return ids


@pytest.mark.parametrize("wish", REQUESTS, ids=str)
def test_every_walk_ends_in_the_crystal_that_was_asked_for(wish: dict[str, Any]) -> None:
    request = Request(**wish)
    for seed in range(12):
        crystal = DIALECT.decode(walk(request, seed))  # compares the sites with the formula
        atoms = to_atoms(crystal)
        assert len(atoms) <= request.max_atoms
        check_wish(request, crystal)
        check_multiplicities(crystal)


def check_wish(request: Request, crystal: Crystal) -> None:
    if request.space_group is not None:
        assert crystal.space_group == request.space_group
    if request.elements is not None:
        assert set(crystal.counts) == set(request.elements)
    if request.formula is not None:
        units, rest = divmod(sum(crystal.counts.values()), sum(request.formula.values()))
        assert rest == 0
        assert crystal.counts == {e: n * units for e, n in request.formula.items()}
        assert request.formula_units in (None, units)


def check_multiplicities(crystal: Crystal) -> None:
    """Where spglib sees the declared group and no other, its orbits are the declared ones."""
    dataset = symmetry_dataset(to_atoms(crystal), symprec=1e-3)
    if dataset is None or dataset.number != crystal.space_group:
        return  # sites that happen to be more symmetric together, or a crowded tiny cell
    numbers = to_atoms(crystal).get_chemical_symbols()
    theirs: Counter[tuple[str, int]] = Counter()
    for orbit in set(dataset.crystallographic_orbits.tolist()):
        theirs[numbers[orbit], int((dataset.crystallographic_orbits == orbit).sum())] += 1
    assert theirs == Counter((site.element, site.multiplicity) for site in crystal.sites)


def test_walks_are_mostly_of_the_declared_space_group() -> None:
    # Guards the test above against never comparing anything.
    seen = []
    for seed in range(40):
        crystal = DIALECT.decode(walk(Request(max_atoms=40), seed))
        dataset = symmetry_dataset(to_atoms(crystal), symprec=1e-3)
        seen.append(dataset is not None and dataset.number == crystal.space_group)
    assert sum(seen) > 20


def test_a_full_description_leaves_no_choice_but_numbers() -> None:
    # Perovskite in Pm-3m: the cell edge, and which of corner and centre; O follows from distances.
    request = Request(formula={"Sr": 1, "Ti": 1, "O": 3}, formula_units=1, space_group=221)
    grammar = DIALECT.grammar(request)
    open_choices = []
    edge = [DIALECT.vocabulary.id_of[word] for word in ("×0.909", "78")]
    while not grammar.done:
        allowed = grammar.allowed()
        if len(allowed) > 1:
            open_choices.append({DIALECT.vocabulary.tokens[token] for token in allowed})
        measured = allowed[np.isin(allowed, edge)]  # 3.905 Å
        grammar.advance(int((measured if len(measured) else allowed)[0]))
    length, decimals, *letters = open_choices
    assert "×0.909" in length
    assert "78" in decimals
    assert letters == [{"a", "b"}]


@pytest.mark.parametrize("group", [1, 2, 14, 62, 139, 160, 186, 221])
def test_every_walk_has_a_possible_volume(group: int) -> None:
    volumes, usual = [], []
    for seed in range(25):
        atoms = to_atoms(DIALECT.decode(walk(Request(space_group=group, max_atoms=24), seed)))
        volumes.append(atoms.cell.volume / len(atoms))
        usual.append(atoms.cell.volume / usual_volume(Counter(atoms.get_chemical_symbols())))
    assert min(volumes) >= 4.0  # the window of the strict validity check
    assert max(volumes) <= 250.0
    assert 0.75 <= min(usual) < max(usual) <= 1.75


@pytest.mark.parametrize(("whole", "decimals"), [("×0.909", range(13, 100)), ("×1.17", range(65))])
def test_all_possible_volumes_are_open(whole: str, decimals: range) -> None:
    grammar = DIALECT.grammar(Request(formula={"Al": 1}, formula_units=1, space_group=221))
    sizes = ["×0.909", "×0.955", "×1", "×1.06", "×1.11", "×1.17"]
    assert [DIALECT.vocabulary.tokens[t] for t in grammar.allowed()] == sizes
    grammar.advance(DIALECT.vocabulary.id_of[whole])
    # From 0.765 (0.75 and some room for angles) to 1.75 usual volumes: edges of 0.915 to 1.205.
    assert [int(DIALECT.vocabulary.tokens[token]) for token in grammar.allowed()] == [*decimals]


def test_a_coordinate_keeps_atoms_apart() -> None:
    # O on f (x, x, 0) of rutile meets Ti at x = 0 and 1/2, and its own image at x = 1/2.
    request = Request(formula={"Ti": 1, "O": 2}, formula_units=2, space_group=136)
    grammar = DIALECT.grammar(request)
    for word in ["×1.11", "62", "×0.708", "82", "Ti", "a", "O", "f"]:
        grammar.advance(DIALECT.vocabulary.id_of[word])
    offered = [float(DIALECT.vocabulary.tokens[token]) for token in grammar.allowed()]
    # Ti-O: 0.7 (1.60 + 0.66) = 1.58 Å = x sqrt(2) 4.59 Å; O-O: 0.7 (0.66 + 0.66) = 0.92 -> 1 Å.
    assert min(offered) == pytest.approx(1.582 / 4.59 / 2**0.5, abs=0.01)
    assert 0.30 in offered
    # Ti at the centre, (1/2, 1/2, 1/2), is 1.48 Å above: O may come within 0.56 Å sideways.
    assert max(x for x in offered if x < 0.5) < 0.5 - 0.5 / 4.59 / 2**0.5


def test_tokens_that_break_a_rule_are_refused() -> None:
    grammar = DIALECT.grammar(Request(formula={"Ti": 1, "O": 2}, formula_units=2, space_group=136))
    with pytest.raises(ValueError, match=r"'a' cannot come next"):
        grammar.advance(DIALECT.vocabulary.id_of["a"])


@pytest.mark.parametrize(
    ("wish", "match"),
    [
        ({"formula": {"Ti": 1}, "elements": ("Ti",)}, "not for both"),
        ({"formula_units": 2}, "give the formula too"),
        ({"formula": {"Ti": 0}}, "whole counts above 0"),
        ({"formula": {"Tj": 1}}, "'Tj' is none of the 103 elements"),
        ({"formula": {"Ti": 1, "O": 2}, "formula_units": 80}, "240 atoms, more than the 200"),
        ({"formula": {"Ti": 1, "O": 2}, "formula_units": 1, "space_group": 225}, "no combination"),
        ({"formula": {"Ti": 1, "O": 160}}, "at most 150 atoms of an element"),
        ({"space_group": 231}, "1 to 230, not 231"),
        ({"space_group": 230, "max_atoms": 10}, "holds no crystal of 10 atoms"),
        ({"elements": ()}, "at least one element"),
        ({"elements": ("Na", "Cl", "K"), "max_atoms": 2}, "finds no place in a cell with 2 atoms"),
        ({"max_atoms": 0}, "at least one atom"),
    ],
)
def test_what_cannot_be_met_is_told(wish: dict[str, Any], match: str) -> None:
    for ask in (DIALECT.prompt, DIALECT.grammar):
        with pytest.raises(InputError, match=match):
            ask(Request(**wish))


@pytest.mark.data
def test_texts_of_real_crystals_are_accepted(data_dir) -> None:
    frame = pd.read_csv(
        data_dir / "crystals" / "structures.csv.gz", usecols=["id", "nsites", "cif"]
    )
    frame = frame[frame["nsites"] <= 60].sample(250, random_state=11)
    refused = []
    for identifier, text in zip(frame["id"], frame["cif"], strict=True):
        crystal = from_atoms(parse_cif(text)[0].atoms)
        ids = DIALECT.encode(crystal)
        for request in (
            Request(max_atoms=400),
            Request(formula=crystal.counts, space_group=crystal.space_group, max_atoms=400),
        ):
            grammar, start = DIALECT.grammar(request), len(DIALECT.prompt(request))
            try:
                for token in ids[start:]:
                    grammar.advance(token)
            except ValueError as error:
                refused.append((identifier, str(error)))
                break
            assert grammar.done
    # Volumes or contacts that hardly any known crystal has are not offered: 7 of these 250.
    assert len(refused) <= 12, refused


def test_closed_values_are_those_that_a_plain_search_finds() -> None:
    """Distances over all lattice images, in a skewed cell, against the quadratic functions."""
    from bondwright.crystals.wyckoff import orbit, position
    from bondwright.crystals.wyckoff_places import Places
    from bondwright.structure.neighbours import neighbour_pairs

    lattice = Atoms(cell=[4.1, 6.3, 5.2, 90.0, 118.0, 90.0]).cell.array
    places = Places(14, lattice, usual_contacts())
    general = position(14, "e")
    places.add(22, general, [2000, 1000, 700])
    found = places.open_values(8, general, [4500, 3600])
    titanium = orbit(14, "e", (0.2, 0.1, 0.07))
    nearest, low, high = usual_contacts().transpose(2, 0, 1)
    assert low[8, 8] < 1.8 < high[8, 8]  # neither a peroxide nor two oxide ions
    wrong = near_only = 0
    for z in range(0, 10_000, 250):
        oxygen = orbit(14, "e", (0.45, 0.36, z / 10_000))
        atoms = Atoms(
            "Ti4O4", scaled_positions=np.concatenate([titanium, oxygen]), cell=lattice, pbc=True
        )
        pairs = neighbour_pairs(atoms, 3.3)
        numbers = atoms.numbers
        kinds = numbers[pairs.i], numbers[pairs.j]
        near = pairs.distance < nearest[kinds]
        between = (pairs.distance > low[kinds]) & (pairs.distance < high[kinds])
        with_oxygen = (kinds[0] == 8) | (kinds[1] == 8)
        wrong += bool(((near | between) & with_oxygen).any()) == bool(found[z])
        near_only += bool((near & with_oxygen).any()) == bool(found[z])
    assert wrong == 0
    assert near_only > 0  # the gap closes some values of its own
    assert 0.1 < found.mean() < 0.9


def test_a_position_without_room_is_not_offered_where_another_is() -> None:
    # c = 2.4 Å: two Ti on the same axis, at (0, 0, 0) and (0, 0, 1/2), would be 1.2 Å apart.
    grammar = DIALECT.grammar(Request(formula={"Ti": 1, "V": 1}, formula_units=1, space_group=123))
    for word in ["×1.29", "04", "×0.782", "33", "Ti", "a", "V"]:
        grammar.advance(DIALECT.vocabulary.id_of[word])
    assert [DIALECT.vocabulary.tokens[token] for token in grammar.allowed()] == ["c", "d"]
