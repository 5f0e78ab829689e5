"""Charge balance of a composition: a label for people, never a reason to reject.

Only 82 to 90 % of real compounds can be balanced with tabulated oxidation states (zintl phases,
sub-oxides, mixed valence), so the answer stands beside the verdict and does not enter it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from smact import Element, metals
from smact.screening import MIXED_VALENCE_ELEMENTS

MAX_COMBINATIONS = 1_000_000
"""More combinations of oxidation states than this are not searched; the answer is None."""


def charge_balanced(counts: Mapping[str, int]) -> bool | None:
    """Say whether tabulated oxidation states can make a composition neutral.

    Each element takes one of its oxidation states known from the ICSD (smact's 2024 table), and
    the atoms of an element that is known for mixed valence (Fe in Fe3O4) may take several of the
    same sign; the charges must cancel and no cation may be more electronegative (Pauling) than an
    anion. Pure elements and alloys of metals count as balanced, as is usual (Davies et al., Chem
    1, 617 (2016), doi:10.1016/j.chempr.2016.09.010).

    Args:
        counts: atoms of each element; multiples of a formula unit give the same answer.

    Returns:
        True or False; None when an element has no tabulated state or electronegativity, or when
        the states have more than `MAX_COMBINATIONS` combinations.
    """
    symbols = sorted(counts)
    if len(symbols) == 1 or all(symbol in metals for symbol in symbols):
        return True
    divisor = reduce(math.gcd, counts.values())
    charges: list[list[int]] = []
    negativities: list[float] = []
    for symbol in symbols:
        element = _element(symbol)
        if element is None or element.pauling_eneg is None or not element.oxidation_states_icsd24:
            return None
        negativities.append(element.pauling_eneg)
        mixed = symbol in MIXED_VALENCE_ELEMENTS
        charges.append(
            _possible_charges(element.oxidation_states_icsd24, counts[symbol] // divisor, mixed)
        )
    if math.prod(len(c) for c in charges) > MAX_COMBINATIONS:
        return None
    combinations = _combinations(charges)
    neutral = combinations[combinations.sum(axis=1) == 0]
    return bool(_pauling_order(neutral, np.array(negativities)).any())


def _element(symbol: str) -> Element | None:
    try:
        return Element(symbol)
    except (KeyError, NameError):  # what smact raises for a symbol that its tables do not hold
        return None


def _possible_charges(states: list[int], atoms: int, mixed: bool) -> list[int]:
    """Return the total charges that `atoms` atoms of one element can carry together."""
    totals = {state * atoms for state in states}
    for sign in (1, -1) if mixed else ():
        same_sign = [state for state in states if state * sign > 0]
        sums = {0}
        for _ in range(atoms):
            sums = {total + state for total in sums for state in same_sign}
        totals |= sums - {0}
    return sorted(totals)


def _combinations(charges: list[list[int]]) -> NDArray[np.int64]:
    """Return every choice of one charge per element, shape (combinations, elements)."""
    grids = np.meshgrid(*(np.array(c, dtype=np.int64) for c in charges), indexing="ij")
    return np.stack([grid.ravel() for grid in grids], axis=1)


def _pauling_order(
    charges: NDArray[np.int64], negativities: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell for each row of charges whether every cation is less electronegative than every anion.

    Args:
        charges: total charge of each element, shape (combinations, elements).
        negativities: Pauling electronegativities, shape (elements,).
    """
    cations = np.where(charges > 0, negativities, -np.inf).max(axis=1)
    anions = np.where(charges < 0, negativities, np.inf).min(axis=1)
    ordered: NDArray[np.bool_] = cations < anions
    return ordered
