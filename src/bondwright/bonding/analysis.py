"""What a bond table says about each atom: sums, first shells, coordination, weak and strong."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bondwright.bonding.pairs import pair_label
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError

STRONG_SHARE = 0.1
"""A bond counts as strong when it has this share of the strongest bond's -ICOHP ..."""
STRONG_FLOOR_EV = 0.1
"""... and at least this, eV; both as in 10.1002/cplu.202200123 (LobsterPy)."""

_FAR = 1.4
"""A first shell ends below this many times an atom's shortest bond ..."""
_GAP = 1.1
"""... where the next bond is longer by this factor at least."""


def atom_sums(table: BondTable, keep: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return (atoms,) the sum of -ICOHP over the bonds of each atom, eV.

    A bond counts for both of its atoms; one between an atom and its own image counts twice, for
    the atom has such a neighbour on either side.

    Args:
        table: the bonds.
        keep: (n,) which bonds count, or (n, 2) which count for their first and second atom (see
            `first_shell`); None counts all.
    """
    return _per_atom(table, table.icohp_eV, keep)


def atom_counts(table: BondTable, keep: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Return (atoms,) the number of bonds of each atom, counted as in `atom_sums`."""
    return _per_atom(table, np.ones(len(table)), keep).astype(np.int64)


def first_shell(
    table: BondTable,
    cutoffs_A: Mapping[tuple[str, str], float] | None = None,  # noqa: N803
) -> NDArray[np.bool_]:
    """Return (n, 2) whether a bond lies in the first shell of its first and its second atom.

    Without cutoffs, each atom's bonds are put in the order of their lengths, and its shell ends at
    the widest relative gap below 1.4 times the shortest, of 10 % at least. An atom without such a
    gap has all its listed bonds in the shell: for glasses, give cutoffs.

    Args:
        table: the bonds.
        cutoffs_A: longest bond of each pair of elements, Å, in either order; pairs that are not
            named are left out. Such a shell is the same for both atoms.
    """
    if cutoffs_A is None:
        ends = _shell_ends(table)
        return np.column_stack([table.length_A <= ends[table.i], table.length_A <= ends[table.j]])
    limit = {pair_label(a, b): cutoff for (a, b), cutoff in cutoffs_A.items()}
    longest = np.full(len(table), -1.0)
    for label, rows in table.pair_types().items():
        longest[rows] = limit.get(label, -1.0)
    inside = table.length_A <= longest
    return np.column_stack([inside, inside])


@dataclass(frozen=True)
class Coordination:
    """Coordination of each atom by bonds that are strong in their structure.

    Attributes:
        limit_eV: -ICOHP from which a bond counts, eV.
        strong: (n,) whether a bond counts.
        number: (atoms,) number of such bonds.
        effective: (atoms,) their summed -ICOHP over that of the atom's strongest bond: how many
            bonds as strong as the strongest there are; 0 without any.
    """

    limit_eV: float
    strong: NDArray[np.bool_]
    number: NDArray[np.int64]
    effective: NDArray[np.float64]


def coordination(
    table: BondTable,
    share: float = STRONG_SHARE,
    floor_eV: float = STRONG_FLOOR_EV,  # noqa: N803
) -> Coordination:
    """Count the bonds of each atom that are strong compared with the structure's strongest.

    Args:
        table: the bonds.
        share: share of the strongest bond's -ICOHP from which a bond counts, 0..1.
        floor_eV: and the least -ICOHP, eV; below it bonds are numerical noise.
    """
    strongest = float(table.icohp_eV.max(initial=0.0))
    limit = max(share * strongest, floor_eV)
    strong = table.icohp_eV >= limit
    sums = atom_sums(table, strong)
    best = np.zeros(len(table.atoms))
    for side in (table.i[strong], table.j[strong]):
        np.maximum.at(best, side, table.icohp_eV[strong])
    effective = np.divide(sums, best, out=np.zeros_like(sums), where=best > 0)
    return Coordination(limit, strong, atom_counts(table, strong), effective)


def strength_groups(
    table: BondTable,
    *,
    threshold_eV: Mapping[str, float] | float | None = None,  # noqa: N803
    quantile: float | None = None,
    keep: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Split atoms into weakly (1) and strongly (2) bonded ones, as groups G1 and G2.

    The mean -ICOHP of an atom's bonds is compared with a threshold, element by element (the
    analysis of 10.1103/PhysRevMaterials.4.113603).

    Args:
        table: the bonds.
        threshold_eV: mean -ICOHP from which an atom is in group 2, eV, or one for each element.
        quantile: or the share of each element's atoms that belongs into group 1, 0..1.
        keep: which bonds count, as in `atom_sums`, e.g. the first shell; None counts all.

    Returns:
        (atoms,) 1 or 2; 0 for atoms without a bond, and for elements without a threshold.

    Raises:
        InputError: not exactly one of threshold and quantile is given.
    """
    counts = atom_counts(table, keep)
    mean = np.divide(
        atom_sums(table, keep), counts, out=np.full(len(counts), np.nan), where=counts > 0
    )
    symbols = np.array(table.atoms.get_chemical_symbols())
    return split_atoms(mean, symbols, threshold_eV=threshold_eV, quantile=quantile)


def split_atoms(
    mean_eV: NDArray[np.float64],  # noqa: N803
    symbols: NDArray[np.str_],
    *,
    threshold_eV: Mapping[str, float] | float | None = None,  # noqa: N803
    quantile: float | None = None,
) -> NDArray[np.int64]:
    """Split atoms into groups as `strength_groups` does, from what is known of each atom.

    Args:
        mean_eV: (atoms,) mean -ICOHP of each atom's bonds, eV; NaN for an atom without one.
        symbols: (atoms,) elements.
        threshold_eV: see `strength_groups`.
        quantile: see `strength_groups`.

    Raises:
        InputError: not exactly one of threshold and quantile is given.
    """
    if (threshold_eV is None) == (quantile is None):
        raise InputError("give either a threshold or a quantile to split atoms into groups.")
    groups = np.zeros(len(mean_eV), dtype=np.int64)
    for element in np.unique(symbols).tolist():
        mine = (symbols == element) & ~np.isnan(mean_eV)
        if quantile is not None:
            limit = float(np.quantile(mean_eV[mine], quantile)) if mine.any() else None
        elif isinstance(threshold_eV, Mapping):
            limit = threshold_eV.get(element)
        else:
            limit = threshold_eV
        if limit is not None:
            groups[mine] = np.where(mean_eV[mine] >= limit, 2, 1)
    return groups


def _per_atom(
    table: BondTable, values: NDArray[np.float64], keep: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return (atoms,) sums of the bonds' values over the ends that count."""
    ends = np.column_stack([table.i, table.j])
    counts = np.ones(ends.shape, dtype=bool)
    if keep is not None:
        counts[...] = keep if keep.ndim == 2 else keep[:, None]
    both = np.column_stack([values, values])
    return np.asarray(np.bincount(ends[counts], both[counts], len(table.atoms)), dtype=float)


def _shell_ends(table: BondTable) -> NDArray[np.float64]:
    """Return (atoms,) the length at which each atom's first shell ends, Å; 0 without bonds."""
    n = len(table.atoms)
    atom = np.concatenate([table.i, table.j])
    length = np.concatenate([table.length_A, table.length_A])
    order = np.lexsort((length, atom))
    atom, length = atom[order], length[order]
    if not len(atom):
        return np.zeros(n)
    first = np.flatnonzero(np.diff(atom, prepend=-1))
    shortest = np.zeros(n)
    shortest[atom[first]] = length[first]
    # The gap behind each entry: to the same atom's next one, or to the end of its list (no gap).
    gap = np.zeros(len(atom))
    same = atom[1:] == atom[:-1]
    gap[:-1][same] = length[1:][same] / length[:-1][same]
    gap[length >= _FAR * shortest[atom]] = 0.0
    ends = np.zeros(n)
    np.maximum.at(ends, atom, length)  # a list without a gap is one shell
    widest = np.zeros(n)
    np.maximum.at(widest, atom, gap)
    at = np.flatnonzero((gap == widest[atom]) & (gap >= _GAP))[::-1]  # the first of equal gaps wins
    ends[atom[at]] = length[at]
    return ends * (1 + 1e-9)
