"""Fitting a correction between two methods, and measuring it on cells that were left out."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from bondwright.bonding.table import LENGTH_TOLERANCE_A, BondTable
from bondwright.errors import InputError
from bondwright.learn.correction import (
    ALL_PAIRS,
    FORMS,
    REFERENCE_A,
    Correction,
    Form,
    PairCorrection,
    corrected_values,
)

Array = NDArray[np.float64]

_PAYS = 0.98
"""A more flexible form must bring the error below this share of the simpler one's."""


@dataclass(frozen=True)
class LabelledTwice:
    """One structure whose bonds two methods have labelled.

    Attributes:
        name: of the cell; errors are measured on cells that were left out.
        cheap: labels of the cheap method.
        dear: labels of the dear method, in the same cell and order of atoms.
    """

    name: str
    cheap: BondTable
    dear: BondTable


@dataclass(frozen=True)
class _Bonds:
    """Bonds that both methods labelled: pair, place of the cell, length, both strengths."""

    pair: NDArray[np.str_]
    cell: NDArray[np.int64]
    length_A: Array
    cheap_eV: Array
    dear_eV: Array

    def select(self, keep: NDArray[np.bool_]) -> _Bonds:
        return _Bonds(*(getattr(self, each.name)[keep] for each in fields(self)))


def fit_correction(
    cells: Sequence[LabelledTwice],
    *,
    forms: Sequence[Form] = FORMS,
    ridge_bonds: float = 20.0,
) -> Correction:
    """Fit a correction to cells labelled by both methods.

    Of the forms, the next more flexible one is taken where it brings the error on left-out cells
    down by more than 2 %; with one cell there is no such error and the slope alone is taken.
    `Correction.errors_eV` tells all that were tried.

    Args:
        cells: the cells; bonds that only one method lists are left out.
        forms: forms to choose from.
        ridge_bonds: how many bonds the correction of all pairs counts for in that of each pair.

    Raises:
        InputError: no cell, tables of different structures or of mixed methods, no bond in common,
            or strengths that do not rise together.
    """
    cheap, dear = _methods(cells)
    bonds = _gather(cells)
    tried = [form for form in FORMS if form in forms] if len(cells) > 1 else []
    left_out: dict[str, Array] = {
        form: _leave_cells_out(bonds, form, ridge_bonds) for form in tried
    }
    errors = {form: _rmse(values - bonds.dear_eV) for form, values in left_out.items()}
    chosen: Form = tried[0] if tried else FORMS[0]
    for form in tried[1:]:
        if errors[form] < _PAYS * errors[chosen]:
            chosen = form
    pairs = _fit(bonds, chosen, ridge_bonds)
    if chosen in left_out:
        pairs = _with_errors(pairs, bonds, left_out[chosen] - bonds.dear_eV)
    names = tuple(cell.name for cell in cells)
    return Correction(cheap, dear, chosen, pairs, errors, names)


def _methods(cells: Sequence[LabelledTwice]) -> tuple[str, str]:
    """Return the two methods that all cells share."""
    found = []
    for side in ("cheap", "dear"):
        methods = sorted({getattr(cell, side).method for cell in cells})
        if len(methods) != 1:
            named = " and ".join(methods) or "no cell"
            raise InputError(f"a correction needs one {side} method in all cells, not {named}.")
        found += methods
    if found[0] == found[1]:
        raise InputError(f"both labels are of {found[0]!r}; there is nothing to correct.")
    return found[0], found[1]


def _gather(cells: Sequence[LabelledTwice]) -> _Bonds:
    """Return the bonds that both methods labelled, of all cells."""
    parts = []
    for place, cell in enumerate(cells):
        here, there = cell.cheap.match(cell.dear)
        cheap, dear = cell.cheap.select(here), cell.dear.select(there)
        _check_same_structure(cell.name, cheap, dear)
        parts.append(
            (
                cheap.pairs(),
                np.full(len(cheap), place),
                cheap.length_A,
                cheap.icohp_eV,
                dear.icohp_eV,
            )
        )
    bonds = _Bonds(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    if not len(bonds.cell):
        raise InputError("the two methods have no bond in common; label equal windows of lengths.")
    return bonds


def _check_same_structure(name: str, cheap: BondTable, dear: BondTable) -> None:
    same = np.array_equal(cheap.atoms.numbers, dear.atoms.numbers)
    if same and len(cheap):
        same = float(np.abs(cheap.length_A - dear.length_A).max()) <= 2 * LENGTH_TOLERANCE_A
    if not same:
        raise InputError(
            f"the two tables of {name} are of different structures; label the same cell, with the "
            "atoms in one order, by both methods."
        )


def _fit(bonds: _Bonds, form: Form, ridge_bonds: float) -> dict[str, PairCorrection]:
    """Return the correction of all bonds and of each pair, errors on left-out cells unknown."""
    whole = _solve(bonds, form, None, 0.0)
    if not _rises(whole, bonds.length_A):
        raise InputError(
            "the strengths of the two methods do not rise together; compare their labels first."
        )
    pairs = {ALL_PAIRS: _pair_correction(bonds, whole)}
    for pair in np.unique(bonds.pair):
        mine = bonds.select(bonds.pair == pair)
        found = _solve(mine, form, whole, ridge_bonds)
        # A pair whose own data would turn the order of strengths round keeps the common one.
        kept = found if _rises(found, mine.length_A) else whole
        pairs[str(pair)] = _pair_correction(mine, kept)
    return pairs


def _solve(bonds: _Bonds, form: Form, towards: Array | None, ridge_bonds: float) -> Array:
    """Return slope, offset (eV) and slope per Å by ridge regression towards other values."""
    columns = np.column_stack(
        [bonds.cheap_eV, np.ones(len(bonds.cell)), (bonds.length_A - REFERENCE_A) * bonds.cheap_eV]
    )
    used = [0] + ([1] if form == "slope and offset" else [2] if form == "slope by length" else [])
    x = columns[:, used]
    start = np.zeros(len(used)) if towards is None else towards[used]
    penalty = ridge_bonds * np.diag(np.maximum((x**2).mean(axis=0), 1e-12))
    result = np.zeros(3)
    rest = x.T @ (bonds.dear_eV - x @ start)
    result[used] = start + np.linalg.lstsq(x.T @ x + penalty, rest, rcond=None)[0]
    return result


def _rises(coefficients: Array, length: Array) -> bool:
    """Tell whether the slope is positive at all lengths of the fit."""
    ends = np.array([length.min(), length.max()]) - REFERENCE_A
    return bool((coefficients[0] + coefficients[2] * ends > 0).all())


def _pair_correction(bonds: _Bonds, coefficients: Array) -> PairCorrection:
    slope, offset, by_length = map(float, coefficients)
    return PairCorrection(
        slope=slope,
        offset_eV=offset,
        slope_per_A=by_length,
        bonds=len(bonds.cell),
        length_A=(float(bonds.length_A.min()), float(bonds.length_A.max())),
        before_eV=_rmse(bonds.cheap_eV - bonds.dear_eV),
        after_eV=None,
    )


def _leave_cells_out(bonds: _Bonds, form: Form, ridge_bonds: float) -> Array:
    """Return (n,) strengths of each cell's bonds, corrected by a fit to the other cells."""
    values = np.zeros(len(bonds.cell))
    for cell in np.unique(bonds.cell):
        out = bonds.cell == cell
        if out.all():
            raise InputError("only one of the cells has bonds that both methods labelled.")
        fitted = _fit(bonds.select(~out), form, ridge_bonds)
        left = bonds.select(out)
        values[out] = corrected_values(fitted, left.pair, left.length_A, left.cheap_eV)
    return values


def _with_errors(
    pairs: dict[str, PairCorrection], bonds: _Bonds, error: Array
) -> dict[str, PairCorrection]:
    """Return the corrections with their errors on left-out cells."""
    found = {}
    for pair, each in pairs.items():
        mine = np.full(len(error), True) if pair == ALL_PAIRS else bonds.pair == pair
        several = len(np.unique(bonds.cell[mine])) > 1
        found[pair] = replace(each, after_eV=_rmse(error[mine]) if several else None)
    return found


def _rmse(error: Array) -> float:
    return float(np.sqrt(np.mean(error**2)))
