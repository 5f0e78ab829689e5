"""How many units of a formula the cell may hold: the numbers that a search tries.

Crystals with more units than a model likes to write are seldom sampled; sharing the samples out
equally finds them, and the perplexity, which does not depend on the length of a text, ranks all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bondwright.crystals.dialect import Dialect, Request
from bondwright.errors import InputError

FORMULA_UNITS = (1, 2, 3, 4, 6, 8)


def possible_units(
    dialect: Dialect, request: Request, units: Sequence[int] = FORMULA_UNITS
) -> tuple[int, ...]:
    """Return the numbers of formula units with which a request can be met.

    Args:
        dialect: that texts are written in.
        request: with a formula, without a number of units.
        units: numbers to try.

    Raises:
        InputError: none is possible (too many atoms, no Wyckoff positions that give the
            composition), or the request names no formula.
    """
    if request.formula is None:
        raise InputError("a search over formula units needs a formula.")
    found, reasons = [], []
    for count in units:
        try:
            dialect.grammar(replace(request, formula_units=count))
        except InputError as error:
            reasons.append(str(error))
        else:
            found.append(count)
    if not found:
        raise InputError(f"no number of formula units is possible: {reasons[0]}")
    return tuple(found)
