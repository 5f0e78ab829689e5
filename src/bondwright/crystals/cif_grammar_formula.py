"""Which cell formulas a request leaves open, and how one is written."""

from __future__ import annotations

from functools import lru_cache

from bondwright.crystals.cif_grammar_choice import DIGITS, Ids, Steps, one_of, pick
from bondwright.crystals.cif_text import check_vocabulary
from bondwright.crystals.cif_vocabulary import CRYSTALLM, ELEMENTS, GROUP_SYMBOLS, formula_order
from bondwright.crystals.closure import MOST_ATOMS, closes, closing_groups
from bondwright.crystals.dialect import Request
from bondwright.crystals.wyckoff import positions
from bondwright.errors import InputError

Counts = dict[str, int]

_ELEMENT_IDS = {element: CRYSTALLM.ids[element] for element in ELEMENTS}
_SYMBOLS = {token: element for element, token in _ELEMENT_IDS.items()}


def check_request(request: Request, dialect: str) -> None:
    """Refuse a request that no text of a dialect can meet.

    Raises:
        InputError: what cannot be met.
    """
    elements = tuple(request.formula or request.elements or ())
    check_vocabulary(elements, request.space_group, dialect)
    if request.formula is not None and request.elements is not None:
        raise InputError("ask for a formula or for a chemical system, not for both.")
    if request.formula is None and request.formula_units is not None:
        raise InputError("formula units (Z) count units of a formula; give the formula too.")
    if request.formula is not None:
        wrong = [n for n in request.formula.values() if n < 1 or int(n) != n]
        if wrong or not request.formula:
            raise InputError(f"a formula needs whole counts above 0, not {dict(request.formula)}.")
    if request.formula_units is not None and request.formula_units < 1:
        raise InputError(f"formula units (Z) are 1 or more, not {request.formula_units}.")
    if request.formula is None and not _extends(
        (), max(len(elements), 1), request.space_group, request.max_atoms
    ):
        group = f" in space group {request.space_group}" if request.space_group else ""
        raise InputError(
            f"at most {request.max_atoms} atoms{group} cannot hold what is asked for; allow more."
        )


def cells(request: Request) -> list[Counts]:
    """Return the cells of the requested formula that can be closed, from few to many units.

    Raises:
        InputError: there is none.
    """
    unit = request.formula or {}
    atoms = sum(unit.values())
    units = request.formula_units
    most = request.max_atoms // atoms
    if units is not None and units > most:
        raise InputError(
            f"{units} formula units are {units * atoms} atoms, more than the {request.max_atoms} "
            "allowed; ask for fewer, or allow more atoms."
        )
    tried = range(1, most + 1) if units is None else [units]
    found = [
        {element: z * unit[element] for element in formula_order(unit)}
        for z in tried
        if closable_groups(tuple(sorted(z * n for n in unit.values())), request.space_group)
    ]
    if not found:
        name = "".join(f"{element}{unit[element]}" for element in formula_order(unit))
        cell = f"{units} formula units of {name}" if units else f"{name} up to {most} units"
        raise InputError(
            f"no combination of Wyckoff positions of space group {request.space_group} "
            f"holds {cell}; ask for another Z or group."
        )
    return found


def closable_groups(counts: tuple[int, ...], asked: int | None) -> tuple[int, ...]:
    """Return the space groups of the vocabulary whose positions can hold these counts.

    Args:
        counts: atoms of each element in the cell, ascending.
        asked: the only group to look at; None for all.
    """
    if asked is not None:
        return (asked,) if closes(asked, counts) else ()
    return tuple(group for group in closing_groups(counts) if group in GROUP_SYMBOLS)


def formula(request: Request, end: int) -> Steps[Counts]:
    """Let the cell's formula be written, and the token that ends it; return the counts.

    Args:
        request: what is asked for.
        end: id of the token that follows the formula.
    """
    if request.formula is not None:
        options = {
            (*(token for e, n in counts.items() for token in _spelled(e, n)), end): counts
            for counts in cells(request)
        }
        return (yield from pick(options))
    return (yield from _free_formula(request, end))


def _free_formula(request: Request, end: int) -> Steps[Counts]:
    """Let any formula be written that the request allows."""
    counts: Counts = {}
    wanted = formula_order(request.elements or ())
    token = yield from one_of(_next_elements(request, counts, wanted))
    while token != end:
        element, text = _SYMBOLS[token], ""
        allowed = _allowed_counts(request, counts, len(wanted) - len(counts) - 1)
        while not text or token in DIGITS:
            tokens = list(_next_digits(allowed, text))
            if text and int(text) in allowed:
                counts[element] = int(text)
                tokens += _next_elements(request, counts, wanted)
                if len(counts) >= len(wanted):
                    tokens.append(end)
            token = yield from one_of(tokens)
            if token in DIGITS:
                text += str(DIGITS.index(token))
    return counts


@lru_cache(maxsize=8192)
def _next_digits(allowed: frozenset[int], text: str) -> Ids:
    """Return the digits with which one of some numbers goes on."""
    starts = {str(n)[: len(text) + 1] for n in allowed if len(str(n)) > len(text)}
    return tuple(DIGITS[d] for d in range(10) if f"{text}{d}" in starts)


def _next_elements(request: Request, counts: Counts, wanted: list[str]) -> list[int]:
    """Return the elements that a formula may go on with."""
    if wanted:
        left = wanted[len(counts) : len(counts) + 1]
    else:
        order = _ordered_elements()
        left = order[order.index(next(reversed(counts))) + 1 :] if counts else order
    if not left or not _extends(
        tuple(sorted(counts.values())), 1, request.space_group, request.max_atoms
    ):
        return []
    return [_ELEMENT_IDS[element] for element in left]


def _allowed_counts(request: Request, counts: Counts, pending: int) -> frozenset[int]:
    """Return how many atoms the next element may have."""
    return _counts_that_extend(
        tuple(sorted(counts.values())), max(pending, 0), request.space_group, request.max_atoms
    )


@lru_cache(maxsize=8192)
def _counts_that_extend(
    counts: tuple[int, ...], pending: int, group: int | None, most: int
) -> frozenset[int]:
    """Return the counts after which `pending` more elements still find room."""
    return frozenset(
        n
        for n in range(1, min(most - sum(counts), MOST_ATOMS) + 1)
        if _extends(tuple(sorted((*counts, n))), pending, group, most)
    )


@lru_cache(maxsize=65536)
def _extends(counts: tuple[int, ...], pending: int, group: int | None, most: int) -> bool:
    """Say whether a cell can be completed with `pending` more elements.

    If it can, it can with one orbit of each: the others of a solution are left out.
    """
    if sum(counts) + pending > most:
        return False
    if group is None:
        return True  # P1 takes anything
    if not pending:
        return closes(group, counts)
    orbits = sorted({place.multiplicity for place in positions(group)})
    return any(_extends(tuple(sorted((*counts, m))), pending - 1, group, most) for m in orbits)


@lru_cache(maxsize=1)
def _ordered_elements() -> list[str]:
    """Return all elements of the vocabulary as formulas order them."""
    return formula_order(ELEMENTS)


def _spelled(element: str, count: int) -> Ids:
    """Return the tokens of an element and its count."""
    return (_ELEMENT_IDS[element], *(DIGITS[int(digit)] for digit in str(count)))
