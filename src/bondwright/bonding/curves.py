"""COHP as a function of energy, bond by bond."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CohpCurves:
    """-COHP(E) and its integral for n bonds of one structure.

    Attributes:
        energies_eV: (e,) energies relative to the Fermi level, eV, rising.
        fermi_eV: Fermi level on the scale of the program that computed it, eV.
        i: (n,) first atoms, 0-based.
        j: (n,) second atoms.
        length_A: (n,) bond lengths, Å; None in lists of bonds with more than two centres.
        minus_cohp: (spins, n, e) -COHP, eV per eV: positive is bonding. A curve without spins has
            one channel that holds both.
        minus_icohp_eV: (spins, n, e) -COHP integrated from the first energy up to each energy, eV;
            its value at energy 0 is the bond's -ICOHP.
        image: (n, 3) translation of the second atom, each bond once as in a bond table; None for
            curves of a file that does not tell it, which stand as in the file.
        orbitals: for each curve the two orbitals, or None for the whole bond; empty when all are
            whole bonds.
    """

    energies_eV: NDArray[np.float64]
    fermi_eV: float
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    length_A: NDArray[np.float64] | None
    minus_cohp: NDArray[np.float64]
    minus_icohp_eV: NDArray[np.float64]
    image: NDArray[np.int64] | None = None
    orbitals: tuple[tuple[str, str] | None, ...] = ()

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.i)

    def at_fermi_level(self) -> NDArray[np.float64]:
        """Return (spins, n) -ICOHP at the Fermi level, eV, between energies interpolated."""
        e = self.energies_eV
        upper = int(np.clip(np.searchsorted(e, 0.0), 1, len(e) - 1))
        share = float(np.clip(-e[upper - 1] / (e[upper] - e[upper - 1]), 0.0, 1.0))
        below, above = self.minus_icohp_eV[..., upper - 1], self.minus_icohp_eV[..., upper]
        return np.asarray(below + share * (above - below))
