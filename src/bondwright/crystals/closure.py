"""Which Wyckoff positions can still complete a composition.

A cell holds n atoms of an element if n is a sum of multiplicities of positions. A position without
free coordinate is one orbit only, so it can be used once by all elements together; all others can
be used any number of times. The answers are exact and remembered: sums of the others are looked
up as bits of one whole number, and of the ways to use up positions without freedom only the minimal
ones are tried, since fewer never leave less to the other elements.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache, lru_cache

from bondwright.crystals.wyckoff import positions
from bondwright.errors import InputError

MOST_ATOMS = 2_000
"""Atoms of one element in a cell that can be asked about."""

Use = tuple[int, ...]
"""How many positions without free coordinate are used, for each of their multiplicities."""


@dataclass(frozen=True)
class Positions:
    """What matters of a group's Wyckoff positions here, each list in the order of the letters.

    Attributes:
        letters: "a" first.
        multiplicities: points per orbit.
        single: whether the position holds one orbit only.
        kinds: multiplicities of single positions, ascending, each once.
        kind: for each letter, the place of its multiplicity in `kinds`; -1 where not single.
        unused: how many single positions of each kind there are.
        sums: bit n is set where n atoms find a place without single positions.
        most_sums: the same if single positions could be used again and again.
    """

    letters: tuple[str, ...]
    multiplicities: tuple[int, ...]
    single: tuple[bool, ...]
    kinds: tuple[int, ...]
    kind: tuple[int, ...]
    unused: Use
    sums: int
    most_sums: int


@cache
def outline(space_group: int) -> Positions:
    """Return what matters of a group's positions."""
    places = positions(space_group)
    single = tuple(not place.free for place in places)
    kinds = sorted({place.multiplicity for place in places if not place.free})
    several = {place.multiplicity for place in places if place.free}
    return Positions(
        letters=tuple(place.letter for place in places),
        multiplicities=tuple(place.multiplicity for place in places),
        single=single,
        kinds=tuple(kinds),
        kind=tuple(-1 if p.free else kinds.index(p.multiplicity) for p in places),
        unused=tuple(sum(not p.free and p.multiplicity == m for p in places) for m in kinds),
        sums=_sums(tuple(sorted(several))),
        most_sums=_sums(tuple(sorted({place.multiplicity for place in places}))),
    )


def closes(space_group: int, counts: tuple[int, ...], used: frozenset[str] = frozenset()) -> bool:
    """Tell whether Wyckoff positions can hold these atoms.

    Args:
        space_group: International Tables number.
        counts: atoms of each element in the conventional cell, each up to `MOST_ATOMS`.
        used: letters that are occupied already; matters for those without free coordinate.

    Raises:
        InputError: a count is not in 0..MOST_ATOMS.
    """
    if counts and not 0 <= min(counts) <= max(counts) <= MOST_ATOMS:
        raise InputError(f"atoms of an element in a cell are 0 to {MOST_ATOMS}, not {counts}.")
    known = outline(space_group)
    if not all(known.most_sums >> count & 1 for count in counts):
        return False
    if all(known.sums >> count & 1 for count in counts):
        return True
    left = list(known.unused)
    for letter, kind in zip(known.letters, known.kind, strict=True):
        if kind >= 0 and letter in used:
            left[kind] -= 1
    return _holds(space_group, tuple(sorted(counts)), tuple(left))


@lru_cache(maxsize=65_536)
def closing_groups(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Return the space groups whose positions can hold these atoms, ascending.

    Args:
        counts: atoms of each element in the conventional cell; sort them, answers are remembered.
    """
    return tuple(group for group in range(1, 231) if closes(group, counts))


@lru_cache(maxsize=262_144)
def next_positions(
    space_group: int,
    used: int,
    last: int,
    count: int,
    later: tuple[int, ...],
    shunned: int = 0,
) -> tuple[int, ...]:
    """Return the positions that the next orbit may be on, so that all atoms still find a place.

    The orbits of one element are taken in the order of the letters.

    Args:
        space_group: International Tables number.
        used: bit k says that position k, one without free coordinate, is occupied.
        last: position of the element's previous orbit; 0 where it has none.
        count: atoms of this element that have no place yet, at least 1.
        later: atoms of the elements after it, ascending (answers are remembered).
        shunned: bit k says that this element is not to be on position k.

    Returns:
        Places in the list of positions (0 for "a"), ascending; empty where nothing closes.
    """
    known = outline(space_group)
    found = []
    for place in range(last, len(known.letters)):
        rest = count - known.multiplicities[place]
        taken = (used | shunned) >> place & 1
        if rest < 0 or taken:
            continue
        after = used | 1 << place if known.single[place] else used
        if _finishes(space_group, after, place, rest, later, shunned):
            found.append(place)
    return tuple(found)


def _finishes(
    space_group: int, used: int, last: int, count: int, later: tuple[int, ...], shunned: int
) -> bool:
    """Tell whether positions from `last` on hold `count` atoms and any the later elements."""
    known = outline(space_group)
    left = [0] * len(known.kinds)
    here = [0] * len(known.kinds)  # of these, the ones that this element may still use
    for place, kind in enumerate(known.kind):
        if kind >= 0 and not used >> place & 1:
            left[kind] += 1
            here[kind] += place >= last and not shunned >> place & 1
    free = _free_from(space_group, last, shunned)
    for use in _minimal_uses(known.kinds, free, count, tuple(here)):
        rest = tuple(a - b for a, b in zip(left, use, strict=True))
        if _holds(space_group, later, rest):
            return True
    return False


@lru_cache(maxsize=262_144)
def _holds(space_group: int, counts: tuple[int, ...], left: Use) -> bool:
    """Tell whether all counts find a place, `left` single positions being unused."""
    if not counts:
        return True
    known = outline(space_group)
    free = _free_from(space_group, 0, 0)
    # The largest count first: it is the most likely to need no single position.
    for use in _minimal_uses(known.kinds, free, counts[-1], left):
        rest = tuple(a - b for a, b in zip(left, use, strict=True))
        if _holds(space_group, counts[:-1], rest):
            return True
    return False


@cache
def _free_from(space_group: int, first: int, shunned: int) -> tuple[int, ...]:
    """Return the multiplicities of the positions with freedom, from a letter on, each once."""
    known = outline(space_group)
    places = [k for k in range(first, len(known.letters)) if not shunned >> k & 1]
    return tuple(sorted({known.multiplicities[k] for k in places if not known.single[k]}))


@cache
def _sums(multiplicities: tuple[int, ...]) -> int:
    """Return the sums of any number of multiplicities: bit n is set where n is one."""
    mask = (1 << MOST_ATOMS + 1) - 1
    sums = 1
    for multiplicity in multiplicities:
        step = multiplicity
        while step <= MOST_ATOMS:  # 1, 2, 4, ... times the multiplicity more
            sums |= sums << step & mask
            step *= 2
    return sums


@lru_cache(maxsize=65_536)
def _minimal_uses(
    kinds: tuple[int, ...], free: tuple[int, ...], count: int, left: Use
) -> tuple[Use, ...]:
    """Return the least uses of single positions after which the rest of `count` is a free sum.

    Args:
        kinds: multiplicities of single positions.
        free: multiplicities of the others.
        count: atoms to be placed.
        left: how many single positions of each multiplicity there are.
    """
    sums = _sums(free)
    if sums >> count & 1:
        return ((0,) * len(kinds),)
    found: list[Use] = []
    ranges = [range(min(n, count // m) + 1) for n, m in zip(left, kinds, strict=True)]
    for use in sorted(itertools.product(*ranges), key=sum):
        rest = count - sum(n * m for n, m in zip(use, kinds, strict=True))
        if rest < 0 or not sums >> rest & 1:
            continue
        if not any(all(a <= b for a, b in zip(less, use, strict=True)) for less in found):
            found.append(use)
    return tuple(found)
