"""Compositions and the Wyckoff positions that close them, against plain enumeration."""

from __future__ import annotations

import random
from functools import cache

import pytest

from bondwright.crystals.closure import closes, closing_groups, next_positions, outline
from bondwright.errors import InputError


def finishes(group: int, counts: tuple[int, ...], used: int, last: int) -> bool:
    """Try all ways to place the counts, each element's orbits in the order of the letters."""
    known = outline(group)

    @cache
    def walk(element: int, rest: int, used: int, last: int) -> bool:
        if rest == 0:
            following = element + 1
            return following == len(counts) or walk(following, counts[following], used, 0)
        for place in range(last, len(known.letters)):
            if known.multiplicities[place] <= rest and not used >> place & 1:
                taken = used | 1 << place if known.single[place] else used
                if walk(element, rest - known.multiplicities[place], taken, place):
                    return True
        return False

    return walk(0, counts[0], used, last)


GROUPS = [1, 2, 10, 12, 47, 62, 123, 136, 139, 166, 187, 191, 194, 198, 215, 216, 221, 225, 227]


def some_counts(random_: random.Random) -> tuple[int, ...]:
    step = random_.choice([1, 1, 2, 4, 8])
    return tuple(step * random_.randint(1, 10) for _ in range(random_.randint(1, 4)))


def test_what_closes_is_what_enumeration_finds() -> None:
    random_ = random.Random(1)
    verdicts = []
    for _ in range(600):
        group, counts = random_.choice(GROUPS), some_counts(random_)
        verdicts.append(closes(group, counts))
        assert verdicts[-1] == finishes(group, counts, 0, 0), (group, counts)
    assert 100 < sum(verdicts) < 500  # the sample tries both answers


def test_next_positions_are_those_from_which_enumeration_goes_on() -> None:
    random_ = random.Random(2)
    for _ in range(150):
        group, counts = random_.choice(GROUPS), some_counts(random_)
        known = outline(group)
        used, last = 0, 0
        waiting = list(counts)
        while waiting:
            offered = next_positions(group, used, last, waiting[0], tuple(sorted(waiting[1:])))
            due = []
            for place in range(last, len(known.letters)):
                rest = waiting[0] - known.multiplicities[place]
                if rest < 0 or used >> place & 1:
                    continue
                after = used | 1 << place if known.single[place] else used
                if finishes(group, (rest, *waiting[1:]), after, place):
                    due.append(place)
            assert list(offered) == due, (group, counts, waiting, used, last)
            if not offered:
                assert waiting == list(counts)  # only a start can have no way on
                break
            last = random_.choice(offered)
            used |= known.single[last] << last
            waiting[0] -= known.multiplicities[last]
            if not waiting[0]:
                waiting.pop(0)
                last = 0


def test_single_positions_are_used_once_by_all_elements_together() -> None:
    # Fm-3m has two positions of 4 points, both without freedom: three such elements are too many.
    assert closes(225, (4, 4))
    assert not closes(225, (4, 4, 4))
    assert closes(225, (4,), used=frozenset("a"))
    assert not closes(225, (4,), used=frozenset("ab"))
    # P1 takes anything.
    assert closes(1, (1, 5, 77))


def test_rutile_and_perovskite_find_their_groups() -> None:
    assert 136 in closing_groups((2, 4))
    assert 221 in closing_groups((1, 1, 3))
    assert 225 not in closing_groups((1, 1, 3))
    assert closing_groups((1, 1, 3)) == tuple(g for g in range(1, 231) if closes(g, (3, 1, 1)))


def test_too_large_cells_are_refused() -> None:
    with pytest.raises(InputError, match=r"0 to 2000, not \(2001,\)"):
        closes(1, (2001,))
