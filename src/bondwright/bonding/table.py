"""A table of bonds: which atoms, which image, how long, how strong, by which method."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.bonding.pairs import canonical_bonds, pair_label, pair_labels
from bondwright.errors import InputError
from bondwright.structure.identity import content_hash
from bondwright.structure.neighbours import Pairs, neighbour_pairs

LENGTH_TOLERANCE_A = 1e-3
"""Å; a stored length may differ by this from the structure's (text files round positions)."""


@dataclass(frozen=True)
class BondTable:
    """Bonds of one structure; n rows, in the order they were computed or read.

    A bond is (i, j, image) with i <= j and vector r_j + image @ cell - r_i, positions as they stand
    in `atoms` (wrapped or not). Each pair of atoms and image stands once; of an atom with its own
    image, the image whose first non-zero component is positive stands. `BondTable.build` makes a
    table from pairs in any order.

    Attributes:
        atoms: the structure (positions and cell in Å).
        i: (n,) index of the first atom, 0-based.
        j: (n,) index of the second atom, i <= j.
        image: (n, 3) lattice translation of the second atom.
        length_A: (n,) Å.
        icohp_eV: (n,) **-ICOHP**, eV, summed over spins: positive is bonding. Files call this
            column `minus_icohp_eV`.
        method: where the numbers come from, e.g. "bondwright-lcao/1" or "LOBSTER 3.0.0"; numbers
            of different methods are never mixed.
        icohp_by_spin_eV: (spins, n) -ICOHP of each spin channel; None when not known.
        charge_spilling: share of the occupied charge that the projection lost, 0..1; None when
            unknown.
        details: settings and further results of the method; JSON values only.
    """

    atoms: Atoms
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    image: NDArray[np.int64]
    length_A: NDArray[np.float64]
    icohp_eV: NDArray[np.float64]
    method: str
    icohp_by_spin_eV: NDArray[np.float64] | None = None
    charge_spilling: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of bonds."""
        return len(self.i)

    @classmethod
    def build(
        cls,
        atoms: Atoms,
        i: NDArray[np.int64],
        j: NDArray[np.int64],
        image: NDArray[np.int64],
        icohp_eV: NDArray[np.float64],  # noqa: N803
        method: str,
        *,
        icohp_by_spin_eV: NDArray[np.float64] | None = None,  # noqa: N803
        charge_spilling: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make a table from bonds whose two atoms may stand in either order.

        Lengths are taken from the structure. Rows keep their order.

        Args:
            atoms: the structure.
            i: (n,) first atoms.
            j: (n,) second atoms.
            image: (n, 3) translation of the second atom.
            icohp_eV: (n,) -ICOHP, eV, both spins.
            method: see the class.
            icohp_by_spin_eV: (spins, n) -ICOHP of each spin.
            charge_spilling: see the class.
            details: see the class.

        Raises:
            InputError: a bond stands twice, names an atom that is not there, or a value is not
                finite.
        """
        first, second, cells = canonical_bonds(i, j, image)
        table = cls(
            atoms=atoms,
            i=first,
            j=second,
            image=cells,
            length_A=np.zeros(len(first)),
            icohp_eV=np.asarray(icohp_eV, dtype=float),
            method=method,
            icohp_by_spin_eV=icohp_by_spin_eV,
            charge_spilling=charge_spilling,
            details=dict(details or {}),
        )
        table._check_indices()
        table = replace(table, length_A=np.linalg.norm(table.vectors_A(), axis=1))
        table.check()
        return table

    def vectors_A(self) -> NDArray[np.float64]:  # noqa: N802
        """Return (n, 3) vectors from the first to the second atom, Å, from the structure."""
        positions = self.atoms.positions
        vectors = positions[self.j] + self.image @ self.atoms.cell.array - positions[self.i]
        return np.asarray(vectors, dtype=float)

    def check(self, tolerance_A: float = LENGTH_TOLERANCE_A) -> None:  # noqa: N803
        """Refuse a table that breaks its own agreements.

        Args:
            tolerance_A: largest difference between a stored length and the structure's, Å.

        Raises:
            InputError: lengths differ from the structure, a bond stands twice or in the wrong
                order, an atom does not exist, or a value is not finite.
        """
        self._check_indices()
        if not (np.isfinite(self.icohp_eV).all() and np.isfinite(self.length_A).all()):
            raise InputError("a bond table holds a length or -ICOHP that is not finite.")
        first, second, cells = canonical_bonds(self.i, self.j, self.image)
        turned = (first != self.i) | (second != self.j) | (cells != self.image).any(axis=1)
        if turned.any():
            row = int(turned.argmax())
            raise InputError(f"{self._name(row)} is not written with i <= j; use BondTable.build.")
        _, index = np.unique(self.keys(), axis=0, return_index=True)
        if len(index) < len(self):
            row = int(np.setdiff1d(np.arange(len(self)), index)[0])
            raise InputError(f"{self._name(row)} stands twice in the bond table; keep one.")
        apart = np.abs(np.linalg.norm(self.vectors_A(), axis=1) - self.length_A)
        if len(self) and apart.max() > tolerance_A:
            row = int(apart.argmax())
            found = float(np.linalg.norm(self.vectors_A()[row]))
            raise InputError(
                f"{self._name(row)} is {self.length_A[row]:.5f} Å long in the table but "
                f"{found:.5f} Å in its structure; the two do not belong together."
            )

    def keys(self) -> NDArray[np.int64]:
        """Return (n, 5) rows i, j and image, which name each bond."""
        return np.column_stack([self.i, self.j, self.image]).astype(np.int64)

    def pairs(self) -> NDArray[np.str_]:
        """Return (n,) the pair of elements of each bond, e.g. "Zr-Cu"."""
        return pair_labels(self.atoms.numbers[self.i], self.atoms.numbers[self.j])

    def pair_types(self) -> dict[str, NDArray[np.int64]]:
        """Return the rows of each pair of elements, pairs in the order of their names."""
        labels = self.pairs()
        return {str(label): np.flatnonzero(labels == label) for label in np.unique(labels)}

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """Return the bonds chosen by a mask or by row numbers, in that order."""
        spins = self.icohp_by_spin_eV
        return replace(
            self,
            i=self.i[keep],
            j=self.j[keep],
            image=self.image[keep],
            length_A=self.length_A[keep],
            icohp_eV=self.icohp_eV[keep],
            icohp_by_spin_eV=None if spins is None else spins[:, keep],
        )

    def of_pair(self, first: str, second: str) -> Self:
        """Return the bonds between two elements, named in either order."""
        return self.select(self.pairs() == pair_label(first, second))

    def between(self, shortest_A: float, longest_A: float) -> Self:  # noqa: N803
        """Return the bonds with `shortest_A` <= length <= `longest_A`, Å."""
        return self.select((self.length_A >= shortest_A) & (self.length_A <= longest_A))

    def sort(self, by: Literal["atoms", "length", "strength"] = "atoms") -> Self:
        """Return the bonds by atoms and image, shortest first, or strongest first.

        Equal lengths and strengths keep the order of atoms and images.
        """
        atoms = (*self.image.T[::-1], self.j, self.i)
        if by == "length":
            return self.select(np.lexsort((*atoms, self.length_A)))
        if by == "strength":
            return self.select(np.lexsort((*atoms, -self.icohp_eV)))
        return self.select(np.lexsort(atoms))

    def match(self, other: BondTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the bonds that two tables of one structure share.

        Returns:
            (m,) rows here and (m,) the same bonds' rows in `other`, by atoms and image.
        """
        both = np.concatenate([self.keys(), other.keys()])
        order = np.lexsort(both.T[::-1])
        same = (both[order[1:]] == both[order[:-1]]).all(axis=1)
        # The sort is stable: of two equal keys the first comes from this table.
        return order[:-1][same], order[1:][same] - len(self)

    def join(self, other: BondTable, tolerance_eV: float = 1e-4) -> Self:  # noqa: N803
        """Return these bonds and those that only `other` lists, behind them.

        Args:
            other: bonds of the same structure by the same method, e.g. those of another window of
                lengths. Charge spilling and details stay as they are here.
            tolerance_eV: largest difference of -ICOHP between the two for a bond that both list.

        Raises:
            InputError: another structure or method, or the two disagree on a bond.
        """
        if self.method != other.method:
            raise InputError(
                f"bonds of {self.method!r} and {other.method!r} are not put into one table."
            )
        if content_hash(self.atoms) != content_hash(other.atoms):
            raise InputError("bonds of two different structures are not put into one table.")
        mine, theirs = self.match(other)
        apart = np.abs(self.icohp_eV[mine] - other.icohp_eV[theirs])
        if len(apart) and apart.max() > tolerance_eV:
            row = int(apart.argmax())
            raise InputError(
                f"{self._name(int(mine[row]))} has -ICOHP {self.icohp_eV[mine[row]]:.5f} eV in one "
                f"table and {other.icohp_eV[theirs[row]]:.5f} eV in the other."
            )
        new = other.select(np.setdiff1d(np.arange(len(other)), theirs))
        here, there = self.icohp_by_spin_eV, new.icohp_by_spin_eV
        both = here is not None and there is not None and len(here) == len(there)
        return replace(
            self,
            i=np.concatenate([self.i, new.i]),
            j=np.concatenate([self.j, new.j]),
            image=np.concatenate([self.image, new.image]),
            length_A=np.concatenate([self.length_A, new.length_A]),
            icohp_eV=np.concatenate([self.icohp_eV, new.icohp_eV]),
            icohp_by_spin_eV=np.concatenate([here, there], axis=1) if both else None,
        )

    def missing(self, cutoff_A: float | Mapping[tuple[str, str], float]) -> Pairs:  # noqa: N803
        """Return the pairs of atoms within a cutoff that the table does not list.

        Args:
            cutoff_A: longest distance in Å, or one per pair of elements.
        """
        wanted = neighbour_pairs(self.atoms, cutoff_A)
        keys = np.column_stack([wanted.i, wanted.j, wanted.image])
        both = np.concatenate([self.keys(), keys])
        _, inverse = np.unique(both, axis=0, return_inverse=True)
        listed = np.isin(inverse[len(self) :], inverse[: len(self)])
        return wanted.select(~listed)

    def _check_indices(self) -> None:
        n = len(self.i)
        spins = self.icohp_by_spin_eV
        whole = (
            self.j.shape == self.length_A.shape == self.icohp_eV.shape == (n,)
            and self.image.shape == (n, 3)
            and (spins is None or (spins.ndim == 2 and spins.shape[1] == n))
        )
        if not whole:
            raise InputError("the columns of a bond table have different lengths.")
        if n and (min(self.i.min(), self.j.min()) < 0 or self._last_atom() >= len(self.atoms)):
            raise InputError(
                f"a bond names atom {self._last_atom()} (0-based), but the structure has "
                f"{len(self.atoms)} atoms."
            )

    def _last_atom(self) -> int:
        return int(max(self.i.max(), self.j.max()))

    def _name(self, row: int) -> str:
        elements = self.atoms.get_chemical_symbols()
        i, j = int(self.i[row]), int(self.j[row])
        return f"bond {elements[i]}{i}-{elements[j]}{j} image {self.image[row].tolist()} (0-based)"
