"""Constrained decoding of the published CIF dialects.

The grammar is the text itself, read from top to bottom: what earlier text decides is forced, and
where something is open only those tokens are offered that can still be finished. So every text
that comes out is complete, means one crystal, and keeps the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.cif_grammar_choice import (
    POINT,
    Choice,
    Ids,
    Steps,
    choice,
    four_digits,
    number,
    one_of,
    pick,
)
from bondwright.crystals.cif_grammar_formula import (
    Counts,
    cells,
    check_request,
    closable_groups,
    formula,
)
from bondwright.crystals.cif_grammar_places import UNIT, PlaceWalk, images
from bondwright.crystals.cif_text import AFTER_SITE, CifSpec, cell_volume
from bondwright.crystals.cif_tokens import encode_text
from bondwright.crystals.cif_vocabulary import (
    GROUP_SUFFIX,
    GROUP_SYMBOLS,
    PAULING,
    CifVocabulary,
    cell_formula,
    formula_order,
)
from bondwright.crystals.closure import closes
from bondwright.crystals.dialect import Request
from bondwright.crystals.wyckoff import positions
from bondwright.structure.symmetry import lattice_system

LENGTHS = (15_000, 990_000)
"""Bounds of a free cell length, in 0.0001 Å."""

ANGLES = (300_000, 1_500_000)
"""Bounds of a free cell angle, in 0.0001 degrees."""

CLEARANCE = 0.1
"""Å by which an atom keeps off places of higher symmetry and off other atoms. spglib, at the
tolerance of the published tests, would take atoms that are nearer for one."""

_DEGREE = 10_000
_FLAT = _DEGREE  # by how much the angles of a cell must miss being flat


class CifGrammar:
    """Follows one text of a dialect from its first token.

    Args:
        spec: of the dialect.
        request: what the crystal has to be.

    Raises:
        InputError: the request cannot be met.
    """

    def __init__(self, spec: CifSpec, request: Request) -> None:
        check_request(request, spec.name)
        if request.formula is not None:
            cells(request)  # say now what could not be met later
        self.done = False
        self.strained = False  # no token is refused for distances, so that nothing is known of them
        self._steps = _text(spec, request)
        self._forced: Ids = ()
        self._place = 0
        self._choice: Choice | None = None
        self._singles = _singles(spec.vocabulary)
        self._step(None)

    def allowed(self) -> NDArray[np.int64]:
        """Return the ids that may come next, ascending; none when the text is complete."""
        return self._allowed

    def advance(self, token: int) -> None:
        """Read the next token.

        Raises:
            ValueError: the token is not among `allowed()`.
        """
        chosen = self._choice
        if chosen is not None:
            if token not in chosen.members:
                raise ValueError(f"token {token} may not come here")
            self._step(int(token))
            return
        if self.done or token != self._forced[self._place]:
            raise ValueError(f"token {token} may not come here")
        self._place += 1
        if self._place < len(self._forced):
            self._allowed = self._singles[self._forced[self._place]]
        else:
            self._step(None)

    def _step(self, token: int | None) -> None:
        """Go on in the text to the next forced tokens or the next choice."""
        try:
            step = next(self._steps) if token is None else self._steps.send(token)
        except StopIteration:
            self.done = True
            self._choice, self._forced, self._place = None, (), 0
            self._allowed = _NONE
            return
        if isinstance(step, Choice):
            self._choice, self._allowed = step, step.ids
        else:
            self._choice, self._forced, self._place = None, step, 0
            self._allowed = self._singles[step[0]]


def prompt(spec: CifSpec, request: Request) -> list[int]:
    """Return the beginning of every text that keeps a request, cut where published prompts are.

    Nothing is asked, or no cell formula follows: up to where the formula begins. One cell formula:
    its line. Also a space group: up to the line of its symbol.

    Raises:
        InputError: the request cannot be met.
    """
    check_request(request, spec.name)
    layout = spec.layout
    text = layout.start()
    found = cells(request) if request.formula is not None else []
    if len(found) != 1:
        return encode_text(text, spec.vocabulary)
    (counts,) = found
    text += cell_formula(counts)
    if request.space_group is None:
        text += f"{layout.closing}\n"
    else:
        text += f"{layout.facts(counts)}{GROUP_SYMBOLS[request.space_group]}{layout.closing}\n"
    return encode_text(text, spec.vocabulary)


def _text(spec: CifSpec, request: Request) -> Steps[None]:
    """Follow a whole text."""
    layout, vocabulary = spec.layout, spec.vocabulary
    yield _ids(vocabulary, layout.start())
    end = _ids(vocabulary, layout.closing or "\n")[0]
    counts = yield from formula(request, end)
    yield _ids(vocabulary, layout.facts(formula_order(counts)))[1:]
    groups = closable_groups(tuple(sorted(counts.values())), request.space_group)
    symbols = {vocabulary.ids[GROUP_SYMBOLS[n] + GROUP_SUFFIX]: n for n in groups}
    group = symbols[(yield from one_of(symbols))]
    cell = yield from _cell(spec, group)
    yield _ids(vocabulary, layout.summary(group, counts))
    yield from number(*_volume_bounds(cell, group))
    yield _ids(vocabulary, layout.before_sites(counts))
    yield from _sites(spec, group, counts, cell)
    yield _ids(vocabulary, layout.finish())


def _cell(spec: CifSpec, group: int) -> Steps[list[int]]:
    """Follow the cell's lengths and angles; return them in units of 0.0001 Å and degrees."""
    cell: list[int] = []
    for index, rule in enumerate(_cell_rules(group)):
        yield _ids(spec.vocabulary, spec.layout.before_cell(index))
        bounds = _angle_bounds(cell) if index > 2 else LENGTHS
        if rule is not None:
            value = cell[rule] if index < 3 else rule
            bounds = value, value
        cell.append((yield from number(*bounds)))
    return cell


@cache
def _cell_rules(group: int) -> tuple[int | None, ...]:
    """Return what the lattice system demands of a, b, c, alpha, beta, gamma.

    For a length the index of the one that it equals, for an angle its value in units of 0.0001
    degrees, None where it is free. Rhombohedral groups have hexagonal axes.
    """
    right, wide = 90 * _DEGREE, 120 * _DEGREE
    return {
        "triclinic": (None, None, None, None, None, None),
        "monoclinic": (None, None, None, right, None, right),
        "orthorhombic": (None, None, None, right, right, right),
        "tetragonal": (None, 0, None, right, right, right),
        "rhombohedral": (None, 0, None, right, right, wide),
        "hexagonal": (None, 0, None, right, right, wide),
        "cubic": (None, 0, 0, right, right, right),
    }[lattice_system(group)]


def _angle_bounds(cell: list[int]) -> tuple[int, int]:
    """Return the bounds of the next angle: alpha, beta and gamma must close a cell."""
    if len(cell) < 5:
        return ANGLES
    alpha, beta = cell[3:5]
    low, high = abs(alpha - beta) + _FLAT, min(alpha + beta, 360 * _DEGREE - alpha - beta) - _FLAT
    return max(low, ANGLES[0]), min(high, ANGLES[1])


def _volume_bounds(cell: list[int], group: int) -> tuple[int, int]:
    """Return the volumes, in units of 0.0001 Å³, that a cell can have before its rounding."""
    values = [value / _DEGREE for value in cell]
    volume = _volume(values)
    slack = 0.5 / _DEGREE
    for index, rule in enumerate(_cell_rules(group)):
        if index < 3 or rule is None:
            moved = list(values)
            moved[index] += 0.5 / _DEGREE
            slack += abs(_volume(moved) - volume) * 1.001
    low = int(np.floor((volume - slack) * _DEGREE))
    return max(low, 0), int(np.ceil((volume + slack) * _DEGREE))


def _volume(values: list[float]) -> float:
    a, b, c, alpha, beta, gamma = values
    return cell_volume((a, b, c), (alpha, beta, gamma))


def _sites(spec: CifSpec, group: int, counts: Counts, cell: list[int]) -> Steps[None]:
    """Follow the site loop until the sites add up to the formula."""
    vocabulary, layout = spec.vocabulary, spec.layout
    left = dict(counts)
    used: frozenset[str] = frozenset()
    atoms = np.zeros((0, 3))
    radius = CLEARANCE * UNIT / (np.array(cell[:3]) / _DEGREE)
    index, after = 0, ""
    while left:
        if layout.indent:
            yield _ids(vocabulary, layout.indent)
        open_ = _openings(group, used, left)
        tokens = {vocabulary.ids[element]: element for element in open_}
        element = tokens[(yield from one_of(tokens))]
        yield _ids(vocabulary, layout.before_multiplicity(element, index))
        texts = {_ids(vocabulary, f"{m} 0."): m for m in open_[element]}
        multiplicity = yield from pick(texts)
        walk = PlaceWalk(group, multiplicity, open_[element][multiplicity], radius, atoms)
        place = []
        for axis in range(3):
            if axis:
                yield _ids(vocabulary, " 0.")
            place.append((yield from four_digits(walk.values())))
            walk.take(place[-1])
        after = yield from _occupancy(spec, after)
        left[element] -= multiplicity
        left = {element: n for element, n in left.items() if n}
        if walk.letter in _single(group):
            used |= {walk.letter}
        if left:
            atoms = np.concatenate([atoms, images(group, walk.letter, (*place,))])
        index += 1


def _occupancy(spec: CifSpec, after: str) -> Steps[str]:
    """Follow the end of a site's line; return it.

    The texts that models learnt from have an occupancy of 1.0 or of 1, as pymatgen happened to
    print it. The first line decides (`after` is empty), the others follow.
    """
    if after:
        yield _ids(spec.vocabulary, after)
        return after
    yield _ids(spec.vocabulary, " 1")
    if (yield from one_of({POINT, *_ids(spec.vocabulary, "\n")})) != POINT:
        return " 1\n"
    yield _ids(spec.vocabulary, "0\n")
    return AFTER_SITE


def _openings(
    group: int, used: frozenset[str], left: Mapping[str, int]
) -> dict[str, dict[int, frozenset[str]]]:
    """Return which element may come next, with which multiplicities, on which letters.

    Elements come in the order of the formula; those of equal electronegativity may mix.
    """
    order = formula_order(left)
    found = {}
    for element in order:
        if PAULING[element] == PAULING[order[0]]:
            others = tuple(sorted(n for other, n in left.items() if other != element))
            letters = _letters(group, used, left[element], others)
            if letters:
                found[element] = letters
    return found


@lru_cache(maxsize=65536)
def _letters(
    group: int, used: frozenset[str], mine: int, others: tuple[int, ...]
) -> dict[int, frozenset[str]]:
    """Return the letters by multiplicity that leave a composition that can be closed."""
    found: dict[int, set[str]] = {}
    for place in positions(group):
        if place.letter in used or place.multiplicity > mine:
            continue
        after = used if place.free else used | {place.letter}
        if closes(group, (*others, mine - place.multiplicity), after):
            found.setdefault(place.multiplicity, set()).add(place.letter)
    return {multiplicity: frozenset(letters) for multiplicity, letters in found.items()}


@cache
def _single(group: int) -> frozenset[str]:
    """Return the letters that hold one orbit only."""
    return frozenset(place.letter for place in positions(group) if not place.free)


@lru_cache(maxsize=16384)
def _ids(vocabulary: CifVocabulary, text: str) -> Ids:
    """Return the ids of a piece of text."""
    return tuple(encode_text(text, vocabulary))


@cache
def _singles(vocabulary: CifVocabulary) -> list[NDArray[np.int64]]:
    """Return the choice of each single token."""
    return [choice((token,)).ids for token in range(len(vocabulary.tokens))]


_NONE = np.zeros(0, dtype=np.int64)
