"""Moves of the Euclidean normalisers, against International Tables and the operations."""

from __future__ import annotations

import numpy as np
import pytest

from bondwright.crystals.wyckoff import locate, orbit, positions
from bondwright.crystals.wyckoff_moves import moves, polar_axes
from bondwright.structure.symmetry import symmetry_operations

# International Tables A, index of the space group in its Euclidean normaliser (general metric),
# for groups with mirrors or inversions; in groups without, half of the moves are mirror images.
PUBLISHED = {2: 8, 12: 4, 14: 8, 47: 8, 62: 8, 136: 4, 139: 2, 148: 4, 166: 2, 187: 12}
PUBLISHED |= {191: 2, 194: 2, 206: 2, 216: 8, 221: 2, 225: 2, 227: 2, 229: 1, 230: 1}
PUBLISHED |= {19: 16 // 2, 198: 8 // 2}


@pytest.mark.parametrize("group", PUBLISHED)
def test_there_are_as_many_moves_as_published(group: int) -> None:
    assert len(moves(group)) == PUBLISHED[group]


@pytest.mark.parametrize(
    ("group", "axes"),
    [
        (1, (0, 1, 2)),
        (4, (1,)),
        (8, (0, 2)),
        (33, (2,)),
        (160, (2,)),
        (186, (2,)),
        (62, ()),
        (19, ()),
    ],
)
def test_polar_axes(group: int, axes: tuple[int, ...]) -> None:
    assert polar_axes(group) == axes


@pytest.mark.parametrize("group", [5, 15, 26, 43, 62, 82, 122, 141, 148, 156, 173, 187, 199, 216])
def test_a_move_takes_orbits_to_orbits(group: int) -> None:
    rng = np.random.default_rng(group)
    rotations, translations = symmetry_operations(group)
    assert (moves(group)[0].rotation == np.eye(3)).all()
    assert not moves(group)[0].shift.any()
    for move in moves(group):
        assert np.linalg.det(move.rotation) == pytest.approx(1)
        for place in positions(group):
            points = orbit(group, place.letter, rng.random(len(place.free)))
            moved = points @ move.rotation.T + move.shift
            letter, parameters = locate(group, moved[0], 1e-6)
            assert letter == move.letters[place.letter]
            apart = orbit(group, letter, parameters)[:, None] - moved[None]
            apart -= np.rint(apart)
            assert np.abs(apart).max(axis=2).min(axis=0).max() < 1e-6
    for k, move in enumerate(moves(group)):  # no two of them differ by an operation only
        for other in moves(group)[k + 1 :]:
            back = np.linalg.inv(other.rotation)
            rotation = np.rint(back @ move.rotation)
            shift = back @ (move.shift - other.shift)
            same = (rotations == rotation).all(axis=(1, 2))
            off = translations[same] - shift
            assert not (np.abs(off - np.rint(off)).max(axis=1) < 1e-6).any()
