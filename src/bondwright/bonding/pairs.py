"""Names of pairs of elements, and the one way in which a bond is written."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)


def pair_label(first: str, second: str) -> str:
    """Return the name of a pair of elements, the more metallic one first: "Zr-Cu", "Na-Cl"."""
    a, b = sorted((first, second), key=lambda symbol: _place(atomic_numbers[symbol]))
    return f"{a}-{b}"


def split_pair(label: str) -> tuple[str, str]:
    """Return the two elements of a pair's name."""
    first, _, second = label.partition("-")
    return first, second


def pair_labels(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the names of pairs of atomic numbers, (n,) and (n,)."""
    code = np.asarray(first, dtype=np.int64) * 256 + np.asarray(second, dtype=np.int64)
    kinds, inverse = np.unique(code, return_inverse=True)
    names = [pair_label(chemical_symbols[k // 256], chemical_symbols[k % 256]) for k in kinds]
    return np.asarray(names, dtype=np.str_)[inverse] if len(code) else np.zeros(0, dtype="<U5")


def canonical_bonds(
    i: NDArray[np.int64], j: NDArray[np.int64], image: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Write each bond with i < j, or i == j and an image whose first component is positive.

    Args:
        i: (n,) first atoms.
        j: (n,) second atoms.
        image: (n, 3) translation of the second atom.

    Returns:
        i, j and image of the same bonds; a bond that is turned round has its image negated.
    """
    i, j = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
    image = np.asarray(image, dtype=np.int64).reshape(len(i), 3)
    h, k, m = image.T
    negative = (h < 0) | ((h == 0) & ((k < 0) | ((k == 0) & (m < 0))))
    turn = (i > j) | ((i == j) & negative)
    return np.where(turn, j, i), np.where(turn, i, j), np.where(turn[:, None], -image, image)


@lru_cache(maxsize=256)
def _place(number: int) -> tuple[float, int]:
    """Return group and row, so that the less electronegative element sorts first.

    The sequence goes through the groups from left to right and upwards in each, as in chemical
    formulas; hydrogen stands before oxygen's group (IUPAC Red Book 2005, table VI).
    """
    if number == 1:
        return 15.5, 0
    row = next(k for k, last in enumerate(_NOBLE) if number <= last)
    before, last = _NOBLE[row - 1], _NOBLE[row]
    left = number - before
    if left <= 2:
        group = float(left)
    elif last - number < 16:
        group = 18.0 - (last - number)
    else:  # lanthanides and actinides
        group = 3.0
    return (18.0 if number in _NOBLE else group), -number
