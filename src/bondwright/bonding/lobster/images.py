"""From the rows of a LOBSTER list to the bonds of a structure.

The structure decides. LOBSTER 3 shifts the first atom of a row by its translation, LOBSTER 4 and 5
the second, and both count from positions that are not wrapped into the cell; the listed distances
tell which it was. A list whose distances the structure cannot give is refused.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.bonding.lobster.icohplist import BondList, Quantity
from bondwright.bonding.pairs import canonical_bonds
from bondwright.bonding.table import LENGTH_TOLERANCE_A, BondTable
from bondwright.errors import InputError
from bondwright.structure.neighbours import neighbour_pairs

TWICE_TOLERANCE = 0.01
"""eV (or electrons); a bond that is listed twice may differ by this between its rows."""

_FAR = 2
"""Cells between two atoms of a bond that LOBSTER may have had elsewhere, seen from wrapped ones."""


@dataclass(frozen=True)
class Located:
    """Rows of a list as bonds of a structure, each once.

    Attributes:
        i: (n,) first atoms, 0-based.
        j: (n,) second atoms.
        image: (n, 3) translation of the second atom.
        values: (spins, n) values of the list, positive for bonding.
        rows: (n,) the row of the list where each bond stands first.
        convention: how the translations were read, for people.
    """

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    image: NDArray[np.int64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    convention: str


def bond_table(
    bonds: BondList,
    atoms: Atoms,
    *,
    method: str = "LOBSTER",
    charge_spilling: float | None = None,
    details: dict[str, Any] | None = None,
    tolerance_A: float = LENGTH_TOLERANCE_A,  # noqa: N803
) -> BondTable:
    """Return the -ICOHPs of a list as a bond table of its structure.

    Args:
        bonds: an ICOHPLIST as read.
        atoms: the structure that LOBSTER had, atoms in its order; wrapped or not.
        method: name of the method, with version.
        charge_spilling: share of the charge that was lost, 0..1.
        details: further results of the method.
        tolerance_A: largest difference between listed and recomputed distances, Å.

    Raises:
        InputError: the list is not of ICOHPs, or does not belong to the structure; see `locate`.
    """
    if bonds.quantity is not Quantity.COHP:
        raise InputError(
            f"{bonds.path} lists {bonds.quantity.upper()}s, which are no energies; "
            "a bond table needs ICOHPLIST.lobster."
        )
    found = locate(bonds, atoms, tolerance_A)
    notes = {**(details or {}), "rows_listed": len(bonds), "translations": found.convention}
    return BondTable.build(
        atoms,
        found.i,
        found.j,
        found.image,
        found.values.sum(axis=0),
        method,
        icohp_by_spin_eV=found.values if bonds.spin_polarised else None,
        charge_spilling=charge_spilling,
        details=notes,
    )


def locate(
    bonds: BondList,
    atoms: Atoms,
    tolerance_A: float = LENGTH_TOLERANCE_A,  # noqa: N803
) -> Located:
    """Find which bond of a structure each row of a list is.

    Args:
        bonds: any list, as read.
        atoms: the structure that LOBSTER had, atoms in its order; wrapped or not.
        tolerance_A: largest difference between listed and recomputed distances, Å.

    Returns:
        The bonds in the order of the rows. A bond that is listed from both of its ends stands
        once, with the mean of its values.

    Raises:
        InputError: an element or a distance differs from the structure (the message names the row
            and both distances), the images cannot be told, or the rows of one bond disagree.
    """
    i, j = bonds.atoms()
    _check_elements(bonds, atoms, i, j)
    if bonds.translation is None:
        rows, image = _by_distance(bonds, atoms, i, j, tolerance_A)
        convention = "images found from the listed distances"
    else:
        rows = np.arange(len(bonds))
        image, convention = _by_translation(bonds, bonds.translation, atoms, i, j, tolerance_A)
    return _once(bonds, (i[rows], j[rows], image), rows, convention)


def _check_elements(
    bonds: BondList, atoms: Atoms, i: NDArray[np.int64], j: NDArray[np.int64]
) -> None:
    """Refuse a list whose atoms are not those of the structure."""
    symbols = atoms.get_chemical_symbols()
    for labels, index in ((bonds.first, i), (bonds.second, j)):
        for label, atom, line in zip(labels, index.tolist(), bonds.line.tolist(), strict=True):
            have = symbols[atom] if atom < len(symbols) else "nothing"
            if label.rstrip("0123456789") != have:
                raise InputError(
                    f"{bonds.path}, line {line}: {label}, but atom {atom + 1} of the structure is "
                    f"{have}; give the structure that LOBSTER had, with its order of atoms."
                )


def _by_translation(
    bonds: BondList,
    translation: NDArray[np.int64],
    atoms: Atoms,
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    tolerance: float,
) -> tuple[NDArray[np.int64], str]:
    """Return (n, 3) images from the written translations, in whichever convention fits."""
    usual = -1 if bonds.translation_on_first else 1
    off = {}
    for sign in (usual, -usual):
        image = sign * translation
        off[sign] = np.abs(_lengths(atoms, i, j, image) - bonds.length_A)
        if (off[sign] <= tolerance).all():
            return image, _CONVENTIONS[sign]
    for sign in (usual, -usual):
        shifted = _unwrap(atoms, i, j, sign * translation, bonds.length_A, tolerance)
        if shifted is not None:
            return shifted, f"{_CONVENTIONS[sign]}, atoms moved by whole cells"
    best = min(off, key=lambda sign: int((off[sign] > tolerance).sum()))
    row = int((off[best] > tolerance).argmax())
    here = float(_lengths(atoms, i, j, best * translation)[row])
    raise InputError(
        f"{bonds.path}, line {bonds.line[row]}: {bonds.first[row]}-{bonds.second[row]} is listed "
        f"at {bonds.length_A[row]:.5f} Å but is {here:.5f} Å long in the structure "
        f"({int((off[best] > tolerance).sum())} of {len(bonds)} rows differ); give the structure "
        "that LOBSTER had."
    )


_CONVENTIONS = {-1: "translation shifts the first atom", 1: "translation shifts the second atom"}


def _lengths(
    atoms: Atoms, i: NDArray[np.int64], j: NDArray[np.int64], image: NDArray[np.int64]
) -> NDArray[np.float64]:
    vectors = atoms.positions[j] + image @ atoms.cell.array - atoms.positions[i]
    return np.asarray(np.linalg.norm(vectors, axis=1))


def _unwrap(
    atoms: Atoms,
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    image: NDArray[np.int64],
    length: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.int64] | None:
    """Find the whole cells by which atoms were moved, and return the images that undo it.

    For every pair of atoms the moves are kept that give all of its listed distances; the moves of
    single atoms then follow along pairs that leave no choice. None when nothing fits, or when a
    choice is left.
    """
    # Atoms wrapped into the cell are few cells from where LOBSTER had them, wherever they are here.
    inside = np.floor(atoms.get_scaled_positions(wrap=False)).astype(np.int64)
    image = image - inside[j] + inside[i]
    base = atoms.positions[j] + image @ atoms.cell.array - atoms.positions[i]
    pair, inverse = np.unique(np.column_stack([i, j]), axis=0, return_inverse=True)
    # One cell more than is believed: a choice just outside is a choice too.
    moves = np.array(list(product(range(-_FAR - 1, _FAR + 2), repeat=3)), dtype=np.int64)
    allowed = np.ones((len(pair), len(moves)), dtype=bool)
    for place, move in enumerate(moves):
        off = np.abs(np.linalg.norm(base + move @ atoms.cell.array, axis=1) - length)
        np.logical_and.at(allowed[:, place], inverse.reshape(-1), off <= tolerance)
    if not allowed.any(axis=1).all():
        return None
    moved = _moves_of_atoms(len(atoms), pair, allowed, moves)
    if moved is None:
        return None
    result = image + moved[j] - moved[i]
    return result if (np.abs(_lengths(atoms, i, j, result) - length) <= tolerance).all() else None


def _moves_of_atoms(
    n: int, pair: NDArray[np.int64], allowed: NDArray[np.bool_], moves: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Return (atoms, 3) moves that follow along the pairs with one allowed move each."""
    certain: list[list[tuple[int, NDArray[np.int64]]]] = [[] for _ in range(n)]
    for (a, b), choice in zip(pair.tolist(), allowed, strict=True):
        move = moves[int(choice.argmax())]
        if a != b and choice.sum() == 1 and np.abs(move).max() <= _FAR:
            certain[a].append((b, move))
            certain[b].append((a, -move))
    named = np.unique(pair).tolist()
    moved = np.zeros((n, 3), dtype=np.int64)
    seen = {named[0]}
    queue = deque(seen)
    while queue:
        atom = queue.popleft()
        for other, move in certain[atom]:
            if other not in seen:
                seen.add(other)
                moved[other] = moved[atom] + move
                queue.append(other)
    return moved if len(seen) == len(named) else None


def _by_distance(
    bonds: BondList,
    atoms: Atoms,
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    tolerance: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and images of all bonds at the listed distances (LOBSTER 2 has no images)."""
    if not len(bonds):
        return np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int64)
    pairs = neighbour_pairs(atoms, float(bonds.length_A.max()) + tolerance)
    rows: list[NDArray[np.int64]] = []
    images: list[NDArray[np.int64]] = []
    for row in range(len(bonds)):
        first, second = sorted((int(i[row]), int(j[row])))
        mine = (pairs.i == first) & (pairs.j == second)
        off = np.abs(pairs.distance - bonds.length_A[row])
        here = np.flatnonzero(mine & (off <= tolerance))
        if len(here) != bonds.count[row]:
            near = float(pairs.distance[mine][off[mine].argmin()]) if mine.any() else None
            nearest = f"the nearest is {near:.5f} Å" if near is not None else "there is none"
            raise InputError(
                f"{bonds.path}, line {bonds.line[row]}: {bonds.count[row]} bonds "
                f"{bonds.first[row]}-{bonds.second[row]} of {bonds.length_A[row]:.5f} Å are "
                f"listed, the structure has {len(here)} ({nearest}); give the structure that "
                "LOBSTER had."
            )
        rows.append(np.full(len(here), row))
        turned = -1 if i[row] > j[row] else 1
        images.append(turned * pairs.image[here])
    return np.concatenate(rows), np.concatenate(images)


def _once(
    bonds: BondList,
    found: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    rows: NDArray[np.int64],
    convention: str,
) -> Located:
    """Join the rows that are one bond seen from its two ends."""
    keys = np.column_stack(canonical_bonds(*found)).reshape(-1, 5)
    unique, start, inverse, count = np.unique(
        keys, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    inverse = inverse.reshape(-1)
    values = bonds.values[:, rows]
    mean = np.stack([np.bincount(inverse, v, len(unique)) / count for v in values])
    off = np.abs(values - mean[:, inverse]).max(axis=0, initial=0.0)
    if len(off) and off.max() > TWICE_TOLERANCE / 2:
        row = int(rows[int(off.argmax())])
        raise InputError(
            f"{bonds.path}, line {bonds.line[row]}: {bonds.first[row]}-{bonds.second[row]} is "
            "listed twice with values that differ; the file is damaged or the structure is not "
            "the one that LOBSTER had."
        )
    order = np.argsort(start)
    unique, mean = unique[order], mean[:, order]
    return Located(unique[:, 0], unique[:, 1], unique[:, 2:], mean, rows[start[order]], convention)
