"""Wyckoff positions: against International Tables, spglib's verdicts and the operations."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import spglib

from bondwright.crystals.make_wyckoff import TABLE, lettered
from bondwright.crystals.wyckoff import locate, orbit, parameters_of, position, positions
from bondwright.errors import InputError


def test_all_space_groups_together_have_1731_positions() -> None:
    # The number of entries in International Tables A.
    assert sum(len(positions(group)) for group in range(1, 231)) == 1731


# International Tables A: letter, multiplicity, number of free coordinates.
PUBLISHED = {
    2: "a1 b1 c1 d1 e1 f1 g1 h1 i2xyz",
    14: "a2 b2 c2 d2 e4xyz",
    62: "a4 b4 c4xz d8xyz",
    136: "a2 b2 c4 d4 e4z f4x g4x h8z i8xy j8xz k16xyz",
    167: "a6 b6 c12z d18 e18x f36xyz",
    194: "a2 b2 c2 d2 e4z f4z g6 h6x i12x j12xy k12xz l24xyz",
    225: "a4 b4 c8 d24 e24x f32x g48x h48y i48y j96xy k96xz l192xyz",
    227: "a8 b8 c16 d16 e32x f48x g96xz h96y i192xyz",
    230: "a16 b16 c24 d24 e32x f48x g48y h96xyz",
}


@pytest.mark.parametrize("group", PUBLISHED)
def test_positions_are_those_of_international_tables(group: int) -> None:
    expected = []
    for entry in PUBLISHED[group].split():
        digits = entry[1:].rstrip("xyz")
        expected.append((entry[0], int(digits), len(entry) - 1 - len(digits)))
    assert [(p.letter, p.multiplicity, len(p.free)) for p in positions(group)] == expected


def test_the_seven_and_twentieth_letter_is_a_capital() -> None:
    assert [p.letter for p in positions(47)][-2:] == ["z", "A"]


@pytest.mark.parametrize("group", [3, 70, 166, 214])
def test_the_shipped_table_is_what_its_maker_makes(group: int) -> None:
    shipped = json.loads(gzip.decompress(TABLE.read_bytes()))[str(group)]
    assert {letter: t.text() for letter, t in lettered(group).items()} == shipped


@pytest.mark.parametrize("group", range(1, 231))
def test_orbits_close_and_every_point_leads_back(group: int) -> None:
    rng = np.random.default_rng(group)
    for place in positions(group):
        points = orbit(group, place.letter, rng.random(len(place.free)))
        assert points.shape == (place.multiplicity, 3)
        point = points[rng.integers(len(points))]
        letter, parameters = locate(group, point, 1e-6)
        assert letter == place.letter
        again = orbit(group, letter, parameters)
        apart = again[:, None] - points[None]
        apart -= np.rint(apart)
        assert np.abs(apart).max(axis=2).min(axis=1).max() < 1e-6
        # Any other point of the orbit gives the same parameters.
        other = locate(group, points[rng.integers(len(points))], 1e-6)
        assert np.allclose(other[1], parameters, atol=1e-6)


@pytest.mark.parametrize("group", [5, 15, 43, 70, 98, 122, 142, 155, 167, 199, 206, 228])
def test_letters_are_those_that_spglib_reads(group: int) -> None:
    rng = np.random.default_rng(group)
    for place in positions(group):
        # The general position, twice, makes the crystal no more symmetric than its group.
        points, types = [], []
        for kind, letter in enumerate([place.letter, *2 * [positions(group)[-1].letter]], start=1):
            free = position(group, letter).free
            found = orbit(group, letter, rng.random(len(free)))
            points.append(found)
            types += [kind] * len(found)
        cell = _cell(group)
        dataset = spglib.get_symmetry_dataset((cell, np.concatenate(points), types), symprec=1e-4)
        assert dataset.number == group
        # spglib may have moved the origin within the normaliser of the group.
        moved = dataset.transformation_matrix @ points[0][0] + dataset.origin_shift
        assert locate(group, moved, 1e-5)[0] == dataset.wyckoffs[0]


def _cell(group: int) -> np.ndarray:
    if group >= 195:
        return np.eye(3) * 40.0
    if group >= 143:
        return np.array([[40.0, 0, 0], [-20.0, 20 * 3**0.5, 0], [0, 0, 53.0]])
    if group >= 75:
        return np.diag([40.0, 40.0, 53.0])
    if group >= 16:
        return np.diag([40.0, 47.0, 53.0])
    return np.array([[40.0, 0, 0], [0, 47.0, 0], [-9.0, 0, 53.0]])


def test_a_point_off_the_position_gives_no_parameters() -> None:
    assert len(parameters_of(136, "f", (0.3, 0.3, 0.0), 1e-4)) > 0
    assert len(parameters_of(136, "f", (0.3, 0.31, 0.0), 1e-4)) == 0
    assert locate(136, (0.3, 0.31, 0.0))[0] == "i"


def test_wrong_names_are_told() -> None:
    with pytest.raises(InputError, match=r"1 to 230, not 231"):
        positions(231)
    with pytest.raises(InputError, match=r"no Wyckoff position 'q'; it has abcdefghijk"):
        position(136, "q")
    with pytest.raises(InputError, match=r"has 1 free coordinates, not 2"):
        orbit(136, "f", (0.3, 0.3))
