"""Writing bond tables and curves in LOBSTER's formats, so that its tools can open them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.bonding.curves import CohpCurves
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError

Dialect = Literal[3, 5]

_TITLE_3 = (
    "  COHP#  atomMU  atomNU     distance     translation      ICOHP (at) eF   for spin  {spin}"
)
_TITLE_5 = (
    "  COHP#       atomMU       atomNU     distance     translation      "
    "ICOHP (at) eF   for spin  1"
)
_TITLE_5_SPINS = (
    "  COHP#    atomMU    atomNU   distance   translation   ICOHP (at) eF    ICOHP (at) eF \n"
    "                                                          for spin 1       for spin 2 "
)


def icohplist_text(table: BondTable, dialect: Dialect = 5, *, first: int = 1) -> str:
    """Return a bond table as the text of an ICOHPLIST.lobster.

    Values have LOBSTER's sign (bonding is negative) and five decimals, atoms count from 1. A bond
    of an atom with its own image stands twice, from either side, as LOBSTER does. With
    `icohp_by_spin_eV` of two spins both are written, else their sum.

    Args:
        table: the bonds, in the order in which they are written.
        dialect: 3 shifts the first atom by the translation and writes spins as two blocks; 5
            shifts the second and writes them side by side.
        first: number of the first row; above 1 the text goes on from an earlier part of a long
            list and has no title.

    Raises:
        InputError: no such dialect.
    """
    if dialect not in (3, 5):
        raise InputError(f"ICOHPLIST is written in dialect 3 or 5, not {dialect}.")
    rows, mirrored = _both_sides(table.i == table.j)
    spins = table.icohp_by_spin_eV
    values = -(spins if spins is not None and len(spins) == 2 else table.icohp_eV[None])[:, rows]
    cells = np.where(mirrored[:, None] == (dialect == 3), 1, -1) * table.image[rows]
    names = _names(table.atoms)
    wide = 7 if dialect == 3 else (12 if len(values) == 1 else 9)
    gap = 11 if wide == 9 else 13
    columns = (table.i[rows], table.j[rows], table.length_A[rows], cells)
    begin = [
        f"{k:7d} {names[i]:>{wide}} {names[j]:>{wide}}{d:{gap}.5f}{a:{gap - 5}d}{b:4d}{c:4d}"
        for k, (i, j, d, (a, b, c)) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), start=first
        )
    ]
    numbers = [[_value(v) for v in spin] for spin in values.tolist()]
    if dialect == 5 and len(numbers) == 2:
        pairs = [f"{b}{u:>16}{d:>17} " for b, u, d in zip(begin, *numbers, strict=True)]
        return "".join(f"{line}\n" for line in [_TITLE_5_SPINS, *pairs][first > 1 :])
    lines: list[str] = []
    for spin, column in enumerate(numbers, start=1):
        title = _TITLE_3.format(spin=spin) if dialect == 3 else _TITLE_5
        lines.extend([] if first > 1 else [title])
        lines.extend(f"{b}{v:>19} " for b, v in zip(begin, column, strict=True))
    return "".join(f"{line}\n" for line in lines)


def cohpcar_text(curves: CohpCurves, atoms: Atoms) -> str:
    """Return curves as the text of a COHPCAR.lobster, with the average over whole bonds.

    Curves with images stand once for each bond; those of an atom with its own image are written
    twice, so that their numbers are those of `icohplist_text`.

    Args:
        curves: the curves, each whole bond before its orbitals; lengths are needed.
        atoms: the structure, for the names of the atoms.

    Raises:
        InputError: the curves have no lengths.
    """
    if curves.length_A is None:
        raise InputError("a COHPCAR names the length of each bond; these curves have none.")
    orbitals = curves.orbitals or (None,) * len(curves)
    whole = np.array([pair is None for pair in orbitals], dtype=bool)
    own = (curves.i == curves.j) & (curves.image is not None)
    rows, mirrored = _both_sides(own, group=np.cumsum(whole) - 1)
    names = _names(atoms)
    labels: list[str] = []
    bond = 0
    for row, turned in zip(rows.tolist(), mirrored.tolist(), strict=True):
        pair = orbitals[row]
        bond += pair is None
        ends = (f"[{o}]" for o in (pair[::-1] if turned else pair)) if pair else ("", "")
        first, second = (
            names[atom] + end
            for atom, end in zip((curves.i[row], curves.j[row]), ends, strict=True)
        )
        labels.append(f"No.{bond}:{first}->{second}({float(curves.length_A[row])!r})")
    both = -np.stack([curves.minus_cohp, curves.minus_icohp_eV], axis=-1)[:, rows]
    kept = whole[rows]
    mean = both[:, kept].mean(axis=1, keepdims=True) if kept.any() else 0 * both[:, :1]
    data = np.concatenate([mean, both], axis=1).transpose(2, 0, 1, 3)
    steps, spins, count = data.shape[:3]
    ends_eV = (curves.energies_eV[[0, -1]] + curves.fermi_eV).tolist()  # noqa: N806
    head = [
        "bondwright ; COHP. Energy is shifted such that the Fermi level lies at 0 eV.",
        f"{count:10d} {spins:10d} {steps:10d} "
        + " ".join(f"{value:13.5e}" for value in (*ends_eV, curves.fermi_eV)),
        "Average",
    ]
    lines = [
        f"{energy:9.5f} " + " ".join(f"{_value(v):>9}" for v in row)
        for energy, row in zip(
            curves.energies_eV.tolist(), data.reshape(steps, -1).tolist(), strict=True
        )
    ]
    return "\n".join([*head, *labels, *lines]) + "\n"


def _both_sides(
    own: NDArray[np.bool_], group: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return rows in writing order, bonds of an atom with its own image twice.

    Args:
        own: (n,) whether a row is such a bond.
        group: (n,) rows of one bond have one number, rising; None where each row is a bond.

    Returns:
        (m,) rows, and (m,) whether each is the second time.
    """
    rows = np.arange(len(own))
    group = rows if group is None else group
    twice = np.concatenate([rows, rows[own]])
    mirrored = np.arange(len(twice)) >= len(rows)
    order = np.lexsort((twice, mirrored, group[twice]))
    return twice[order], mirrored[order]


def _names(atoms: Atoms) -> list[str]:
    return [f"{symbol}{k}" for k, symbol in enumerate(atoms.get_chemical_symbols(), start=1)]


def _value(value: float) -> str:
    """Return five decimals; what rounds to zero has no sign."""
    return f"{round(value, 5) + 0.0:.5f}"
