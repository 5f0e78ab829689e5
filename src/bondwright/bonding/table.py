"""A table of bonds: which atoms, which image, how long, how strong, by which method."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray


@dataclass(frozen=True)
class BondTable:
    """Bonds of one structure; n rows, in the order they were computed or read.

    A bond is (i, j, image) with i <= j and vector r_j + image @ cell - r_i, positions as they stand
    in `atoms` (wrapped or not). Each pair of atoms and image stands once.

    Attributes:
        atoms: the structure (positions and cell in Å).
        i: (n,) index of the first atom, 0-based.
        j: (n,) index of the second atom, i <= j.
        image: (n, 3) lattice translation of the second atom.
        length_A: (n,) Å.
        icohp_eV: (n,) **-ICOHP**, eV, summed over spins: positive is bonding.
        icohp_by_spin_eV: (spins, n) -ICOHP of each spin channel; None when not known.
        method: where the numbers come from, e.g. "bondwright-lcao/1" or "LOBSTER 3.0.0"; numbers
            of different methods are never mixed.
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
