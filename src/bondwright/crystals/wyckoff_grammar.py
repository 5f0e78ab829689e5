"""Constrained decoding of the Wyckoff dialect: which token may come next.

The text is followed from left to right by one generator, `_write`, which reads like the text: it
yields the ids that may come next and is sent the one that came. What is allowed can be finished:
compositions and space groups are offered only where Wyckoff positions close them, letters only
where the rest still closes, coordinates only where atoms stand at distances of known crystals.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.closure import closing_groups, next_positions, outline
from bondwright.crystals.contacts import usual_contacts
from bondwright.crystals.crystal import electronegativity_order
from bondwright.crystals.dialect import Request
from bondwright.crystals.wyckoff import positions
from bondwright.crystals.wyckoff_grammar_cell import write_lattice
from bondwright.crystals.wyckoff_places import Places
from bondwright.crystals.wyckoff_vocabulary import MOST_COUNT, VOCABULARY
from bondwright.crystals.wyckoff_wish import Wish, completes, understand

Ids = NDArray[np.int64]
Steps = Generator[Ids, int, None]

_IDS = {kind: np.array(ids, dtype=np.int64) for kind, ids in VOCABULARY.ids.items()}


class WyckoffGrammar:
    """Follows one text; see `Grammar`.

    Args:
        request: what the crystal has to be; the prompt for it has been read already.
    """

    def __init__(self, request: Request) -> None:
        wish = understand(request)
        self._places: list[Places] = []
        self._steps = _write(wish, self._places)
        self._allowed: Ids = next(self._steps)
        self._done = False
        for token in _prompt(wish)[1:]:
            self.advance(token)

    @property
    def done(self) -> bool:
        """Whether the text is complete."""
        return self._done

    @property
    def strained(self) -> bool:
        """Whether atoms had to be put at distances that known crystals do not have."""
        return any(places.strained for places in self._places)

    def allowed(self) -> Ids:
        """Return the ids that may come next, ascending."""
        return self._allowed

    def advance(self, token: int) -> None:
        """Read the next token.

        Raises:
            ValueError: the token is not among `allowed()`, or the text is complete.
        """
        place = int(self._allowed.searchsorted(token))
        if place == len(self._allowed) or self._allowed[place] != token:
            raise ValueError(f"{VOCABULARY.tokens[token]!r} cannot come next.")
        try:
            self._allowed = self._steps.send(int(token))
        except StopIteration:
            self._done = True
            self._allowed = _NOTHING


def prompt(request: Request) -> list[int]:
    """Return the ids that a model is given before it goes on.

    Raises:
        InputError: the request cannot be met, or not be written.
    """
    return _prompt(understand(request))


def _prompt(wish: Wish) -> list[int]:
    ids = [VOCABULARY.begin]
    if wish.elements is not None and wish.counts is not None:
        for element, count in zip(wish.elements, wish.counts, strict=True):
            ids += [VOCABULARY.id_of[element], VOCABULARY.ids["count"][count - 1]]
        if wish.units is not None:
            ids.append(VOCABULARY.ids["units"][wish.units - 1])
            if wish.group is not None:
                ids.append(VOCABULARY.ids["group"][wish.group - 1])
    return ids


def _write(wish: Wish, placed: list[Places]) -> Steps:
    """Follow a whole text after its begin: yield what may come next, be sent what came.

    Args:
        wish: what the crystal has to be.
        placed: the atoms are added, once there is a cell for them.
    """
    formula: dict[str, int] = {}
    units = yield from _formula(wish, formula)
    totals = {element: count * units for element, count in formula.items()}
    group = yield from _group(wish, tuple(sorted(totals.values())))
    lattice = yield from write_lattice(group, totals)
    placed.append(Places(group, lattice, usual_contacts()))
    yield from _sites(group, totals, placed[0])
    yield np.array([VOCABULARY.end], dtype=np.int64)


def _formula(wish: Wish, formula: dict[str, int]) -> Generator[Ids, int, int]:
    """Fill the reduced formula in; return the number of its units."""
    while True:
        choices = [*_next_elements(wish, formula)]
        if not wish.elements or len(formula) == len(wish.elements):
            units = wish.allowed_units(formula.values())
            choices += [VOCABULARY.ids["units"][z - 1] for z in units]
        token = yield np.array(choices, dtype=np.int64)
        if token in VOCABULARY.ids["units"]:
            return token - VOCABULARY.ids["units"].start + 1
        counts = _next_counts(wish, formula, VOCABULARY.tokens[token])
        counted = yield _IDS["count"][np.array(counts) - 1]
        formula[VOCABULARY.tokens[token]] = counted - VOCABULARY.ids["count"].start + 1


def _next_elements(wish: Wish, formula: dict[str, int]) -> list[int]:
    """Return ids of the elements that a formula may go on with, ascending."""
    if wish.elements is not None:
        return [VOCABULARY.id_of[e] for e in wish.elements[len(formula) : len(formula) + 1]]
    if not wish.completes(formula.values(), 1):
        return []
    return _elements_after(next(reversed(formula), None))


@cache
def _elements_after(element: str | None) -> list[int]:
    """Return ids of the elements after one in the order of the text, ascending."""
    order = electronegativity_order()
    last = -1 if element is None else order[element]
    return sorted(VOCABULARY.id_of[name] for name, place in order.items() if place > last)


def _next_counts(wish: Wish, formula: dict[str, int], element: str) -> list[int]:
    """Return the counts that an element may have."""
    before = tuple(sorted(formula.values()))
    if wish.counts is not None:
        return [wish.counts[len(formula)]]
    if wish.elements is not None:
        pending = [len(wish.elements) - len(formula) - 1]
    else:  # the formula may end here, or go on with an element that comes later
        pending = [0, 1] if _elements_after(element) else [0]
    return list(_counts_that_complete(before, tuple(pending), wish.group, wish.most))


@lru_cache(maxsize=8192)
def _counts_that_complete(
    counts: tuple[int, ...], pending: tuple[int, ...], group: int | None, most: int
) -> tuple[int, ...]:
    """Return the counts after which one of the numbers of pending elements completes a formula."""
    return tuple(
        count
        for count in range(1, min(MOST_COUNT, most - sum(counts)) + 1)
        if any(completes(tuple(sorted((*counts, count))), n, group, most) for n in pending)
    )


def _group(wish: Wish, totals: tuple[int, ...]) -> Generator[Ids, int, int]:
    """Let a space group be chosen that can hold the atoms (ascending); return its number."""
    groups = closing_groups(totals) if wish.group is None else (wish.group,)
    token = yield _IDS["group"][np.array(groups) - 1]
    return token - VOCABULARY.ids["group"].start + 1


def _sites(group: int, totals: dict[str, int], places: Places) -> Steps:
    """Let all atoms find their places."""
    known = outline(group)
    used = 0
    waiting = list(totals.values())
    for element, count in totals.items():
        waiting.pop(0)
        name = np.array([VOCABULARY.id_of[element]], dtype=np.int64)
        atoms = _Waiting(
            group, VOCABULARY.ids["element"].index(name[0]) + 1, tuple(sorted(waiting))
        )
        last = 0
        while count:
            yield name
            token = yield _IDS["letter"][list(atoms.letters(places, used, last, count))]
            last = token - VOCABULARY.ids["letter"].start
            count -= known.multiplicities[last]
            if known.single[last]:
                used |= 1 << last
            place = positions(group)[last]
            values: list[int] = []
            for _ in place.free:
                open_values = places.open_values(atoms.number, place, values)
                values.append((yield from _coordinate(open_values)))
            places.add(atoms.number, place, values)


class _Waiting:
    """The atoms of one element that have no place yet.

    Args:
        group: International Tables number.
        number: atomic number.
        later: atoms of each later element, ascending.
    """

    def __init__(self, group: int, number: int, later: tuple[int, ...]) -> None:
        self.number = number
        self._group = group
        self._later = later
        self._crowded = 0  # bit k: position k has no room for this element, nor will it get any

    def letters(self, places: Places, used: int, last: int, count: int) -> tuple[int, ...]:
        """Return the positions to choose from: those with room, where that can be.

        Arguments as in `next_positions`.
        """
        offered = next_positions(self._group, used, last, count, self._later)
        all_positions = positions(self._group)
        if len(offered) == 1 and all_positions[offered[0]].free:
            return offered  # its coordinates will tell
        for k in offered:
            if not self._crowded >> k & 1 and places.crowded(self.number, all_positions[k]):
                self._crowded |= 1 << k
        if not self._crowded:
            return offered
        roomy = next_positions(self._group, used, last, count, self._later, self._crowded)
        if roomy:
            return roomy
        places.strained = True
        return tuple(k for k in offered if not self._crowded >> k & 1) or offered


def _coordinate(open_values: NDArray[np.bool_]) -> Generator[Ids, int, int]:
    """Let a coordinate be written among open values (10000,); return it in 0..9999."""
    table = open_values.reshape(100, 100)
    token = yield _IDS["hundredths"][table.any(axis=1)]
    first = token - VOCABULARY.ids["hundredths"].start
    token = yield _IDS["decimals"][table[first]]
    return 100 * first + token - VOCABULARY.ids["decimals"].start


_NOTHING: Ids = np.zeros(0, dtype=np.int64)
