"""Coordinate by coordinate: what may be written is exactly what has the wanted multiplicity."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bondwright.crystals.cif_grammar_places import LEAST_RADIUS, UNIT, PlaceWalk, images
from bondwright.crystals.wyckoff import locate, position, positions
from bondwright.structure.symmetry import symmetry_operations

EMPTY = np.zeros((0, 3))
NEAR = np.full(3, LEAST_RADIUS)


def _walk(group, multiplicity, radius=NEAR, occupied=EMPTY, letters=None):
    letters = letters or frozenset(p.letter for p in positions(group))
    return PlaceWalk(group, multiplicity, letters, radius, occupied)


def _may_be(walk, place):
    """Whether a place can be written."""
    for value in place:
        values = walk.values()
        open_ = values is None or (
            bool(values[value]) if isinstance(values, np.ndarray) else value in values
        )
        if not open_:
            return False
        walk.take(value)
    return True


def _any_place(walk, random):
    place = []
    for _ in range(3):
        values = walk.values()
        if values is None:
            place.append(int(random.integers(UNIT)))
        elif isinstance(values, np.ndarray):
            place.append(int(random.choice(np.flatnonzero(values))))
        else:
            place.append(int(random.choice(values)))
        walk.take(place[-1])
    return place


def _orbit_size(group, place):
    """Points of the orbit from the operations alone, images within rounding counted once."""
    rotations, translations = symmetry_operations(group)
    points = rotations @ (np.array(place) / UNIT) + translations
    apart = points[:, None] - points[None]
    same = (np.abs(apart - np.rint(apart)) < 3.1 / UNIT).all(axis=2)
    return len(points) // int(same[0].sum())


@pytest.mark.parametrize("group", [2, 12, 14, 62, 136, 141, 148, 166, 178, 194, 205, 216, 227, 230])
def test_every_grid_point_has_one_multiplicity(group):
    """On a grid that holds all special points: allowed for its own multiplicity, for no other."""
    grid = [0, 1250, 2500, 3333, 6667, 7500, 5000, 1117]
    sizes = sorted({place.multiplicity for place in positions(group)})
    random = np.random.default_rng(group)
    points = list(itertools.product(grid, repeat=3))
    for index in random.choice(len(points), 60, replace=False):
        place = points[index]
        allowed = [m for m in sizes if _may_be(_walk(group, m), place)]
        assert allowed == [_orbit_size(group, place)], place


@pytest.mark.parametrize(
    "group", [1, 5, 15, 47, 70, 88, 122, 140, 161, 167, 180, 193, 212, 225, 229]
)
@pytest.mark.parametrize("radius", [LEAST_RADIUS, 300.0])
def test_random_places_have_the_wanted_multiplicity(group, radius):
    random = np.random.default_rng(group)
    for place in positions(group):
        walk = _walk(group, place.multiplicity, np.full(3, radius))
        found = _any_place(walk, random)
        letter, _ = locate(group, np.array(found) / UNIT, 1.6e-4)
        assert letter == walk.letter
        assert position(group, letter).multiplicity == place.multiplicity
        assert _orbit_size(group, found) == place.multiplicity


@pytest.mark.parametrize("group", [1, 14, 62, 136, 194, 225])
def test_occupied_places_are_left_out(group):
    """No point of an occupied orbit can be written again, neither can one close to it."""
    random = np.random.default_rng(group)
    for place in positions(group):
        if not place.free:
            continue
        first = _walk(group, place.multiplicity)
        found = _any_place(first, random)
        atoms = images(group, first.letter, tuple(found))
        assert len(atoms) == place.multiplicity
        for atom in np.rint(atoms).astype(int) % UNIT:
            assert _may_be(_walk(group, place.multiplicity), atom)
            near = np.full(3, 20.0)
            assert not _may_be(_walk(group, place.multiplicity, near, atoms), atom)


def test_letters_narrow_the_choice():
    """2a of P4_2/mnm is (0, 0, 0) and the centre; 2b lies half a cell up."""
    assert _may_be(_walk(136, 2, letters=frozenset("a")), (0, 0, 0))
    assert not _may_be(_walk(136, 2, letters=frozenset("b")), (0, 0, 0))
    assert _may_be(_walk(136, 2, letters=frozenset("b")), (5000, 5000, 0))


def test_a_crowded_cell_still_has_room():
    """A radius of half the cell would leave nothing: it is reduced rather than stuck."""
    random = np.random.default_rng(0)
    atoms = random.integers(0, UNIT, (60, 3)).astype(float)
    place = _any_place(_walk(1, 1, np.full(3, 5000.0), atoms), random)
    apart = atoms - place
    apart -= UNIT * np.rint(apart / UNIT)
    assert np.abs(apart).max(axis=1).min() > LEAST_RADIUS
