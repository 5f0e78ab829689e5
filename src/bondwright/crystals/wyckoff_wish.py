"""A request in the terms of the Wyckoff dialect, and which formulas and cells can meet it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from bondwright.crystals.closure import closes
from bondwright.crystals.crystal import electronegativity_order
from bondwright.crystals.dialect import Request
from bondwright.crystals.wyckoff_vocabulary import MOST_COUNT, MOST_UNITS
from bondwright.errors import InputError, nearest

# Counts by which it is decided whether further elements can complete a formula in a space group.
_SIMPLE_COUNTS = (1, 2, 3, 4, 6, 8, 12)


@dataclass(frozen=True)
class Wish:
    """A request in the terms of the text.

    Attributes:
        elements: in the order of the text; None where the model chooses.
        counts: reduced formula; None where the model chooses.
        step: units of the reduced formula in the formula that was asked for.
        units: Z in units of the reduced formula; None where the model chooses.
        group: space group; None where the model chooses.
        most: most atoms in the cell.
    """

    elements: tuple[str, ...] | None
    counts: tuple[int, ...] | None
    step: int
    units: int | None
    group: int | None
    most: int

    def allowed_units(self, counts: Iterable[int]) -> tuple[int, ...]:
        """Return how many units of a reduced formula may be in the cell."""
        key = tuple(sorted(counts))
        return _allowed_units(key, self.step, self.units, self.group, self.most)

    def completes(self, counts: Iterable[int], pending: int) -> bool:
        """Tell whether a formula can be completed with `pending` more elements."""
        return completes(tuple(sorted(counts)), pending, self.group, self.most)


def understand(request: Request) -> Wish:
    """Check a request and put it in the terms of the text.

    Raises:
        InputError: what cannot be met.
    """
    if request.formula is not None and request.elements is not None:
        raise InputError("ask for a formula or for a chemical system, not for both.")
    if request.formula is None and request.formula_units is not None:
        raise InputError("formula units (Z) count units of a formula; give the formula too.")
    if request.max_atoms < 1:
        raise InputError(f"at least one atom has to be allowed, not {request.max_atoms}.")
    if request.space_group is not None and not 1 <= request.space_group <= 230:
        raise InputError(f"space-group numbers are 1 to 230, not {request.space_group}.")
    group, most = request.space_group, request.max_atoms
    if request.formula is not None:
        return _with_formula(request)
    if request.elements is None:
        wish = Wish(None, None, 1, None, group, most)
        if not wish.completes((), 1):
            raise InputError(
                f"space group {group} holds no crystal of {most} atoms; allow more atoms."
            )
        return wish
    elements = _in_order(request.elements)
    if not elements:
        raise InputError("a chemical system needs at least one element.")
    wish = Wish(elements, None, 1, None, group, most)
    if not wish.completes((), len(elements)):
        where = "a cell" if group is None else f"space group {group}"
        raise InputError(
            f"{'-'.join(elements)} finds no place in {where} with {most} atoms; allow more atoms."
        )
    return wish


def _with_formula(request: Request) -> Wish:
    """Put a request for a formula in the terms of the text."""
    formula = dict(request.formula or {})
    wrong = [element for element, n in formula.items() if n < 1 or int(n) != n]
    if wrong or not formula:
        raise InputError(f"a formula needs whole counts above 0, not {formula}.")
    elements = _in_order(formula)
    step = math.gcd(*formula.values())
    counts = tuple(formula[element] // step for element in elements)
    name = "".join(f"{e}{n if n > 1 else ''}" for e, n in zip(elements, counts, strict=True))
    if max(counts) > MOST_COUNT:
        raise InputError(f"{name}: at most {MOST_COUNT} atoms of an element can be written.")
    units = None if request.formula_units is None else request.formula_units * step
    if units is not None and not 1 <= units <= MOST_UNITS:
        raise InputError(f"{name}: 1 to {MOST_UNITS} formula units can be written, not {units}.")
    wish = Wish(elements, counts, step, units, request.space_group, request.max_atoms)
    if (units or step) * sum(counts) > wish.most:
        raise InputError(
            f"{units or step} units of {name} are {(units or step) * sum(counts)} atoms, more than "
            f"the {wish.most} allowed; ask for fewer, or allow more atoms."
        )
    if not wish.allowed_units(counts):
        cell = f"{units} units of {name}" if units else f"{name} with up to {wish.most} atoms"
        raise InputError(
            f"no combination of Wyckoff positions of space group {wish.group} holds {cell}; "
            "ask for another Z or group."
        )
    return wish


def _in_order(elements: Iterable[str]) -> tuple[str, ...]:
    """Return elements in the order of the text, each once.

    Raises:
        InputError: a name is no element that can be written.
    """
    order = electronegativity_order()
    for element in elements:
        if element not in order:
            raise InputError(
                f"{element!r} is none of the 103 elements that can be written."
                f"{nearest(element, order)}"
            )
    return tuple(sorted(set(elements), key=order.__getitem__))


@lru_cache(maxsize=65_536)
def completes(counts: tuple[int, ...], pending: int, group: int | None, most: int) -> bool:
    """Tell whether a reduced formula can be completed with `pending` more elements.

    In a given space group the counts of the pending elements are tried among simple ones only.
    """
    if sum(counts) + pending > most:
        return False
    if not pending:
        return bool(_allowed_units(counts, 1, None, group, most))
    if group is None:
        return True  # one atom of each, in P1
    return any(
        completes(tuple(sorted((*counts, count))), pending - 1, group, most)
        for count in _SIMPLE_COUNTS
    )


@lru_cache(maxsize=65_536)
def _allowed_units(
    counts: tuple[int, ...], step: int, units: int | None, group: int | None, most: int
) -> tuple[int, ...]:
    """Return how many units of a formula a cell may hold; none where it is not reduced."""
    if not counts or math.gcd(*counts) != 1:
        return ()
    largest = min(most // sum(counts), MOST_UNITS)
    tried = range(step, largest + 1, step) if units is None else range(units, units + 1)
    return tuple(
        z
        for z in tried
        if z <= largest and (group is None or closes(group, tuple(z * n for n in counts)))
    )
