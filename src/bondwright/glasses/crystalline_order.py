"""How much of a structure is crystalline: atoms whose neighbours are arranged like their own.

Steinhardt, Nelson and Ronchetti, Phys. Rev. B 28, 784 (1983), doi:10.1103/PhysRevB.28.784; bonds
between like environments after ten Wolde, Ruiz-Montero and Frenkel, J. Chem. Phys. 104, 9932
(1996), doi:10.1063/1.471721.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.special import factorial, lpmv

from bondwright.structure.neighbours import neighbour_pairs

_L = 6
_REACH = 1.42
"""Of (volume per atom)^(1/3): beyond the first shell of fcc and hcp, the second of bcc and B2."""
_COHERENT = 0.7
_MOST_OF = 0.6


@dataclass(frozen=True)
class CrystallineOrder:
    """Order of a structure.

    Attributes:
        crystalline: fraction of atoms for which most bonds (0.6) connect like environments.
        coherent: fraction of bonds that do (normalised q6(i).q6(j) above 0.7).
        mean_q6: mean of the local order parameter q6: 0.575 in fcc, 0.511 in bcc.
    """

    crystalline: float
    coherent: float
    mean_q6: float


def crystalline_order(atoms: Atoms) -> CrystallineOrder:
    """Measure the crystalline order of a periodic structure (Å); elements do not matter."""
    reach = _REACH * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    pairs = neighbour_pairs(atoms, float(reach), full=True)
    neighbours = np.bincount(pairs.i, minlength=len(atoms))
    harmonics = _harmonics(pairs.vector / np.maximum(pairs.distance, 1e-9)[:, None])
    summed = np.zeros((len(atoms), _L + 1), dtype=complex)
    np.add.at(summed, pairs.i, harmonics)
    q = summed / np.maximum(neighbours, 1)[:, None]
    # Components with negative m are the conjugates of those with positive m.
    weight = np.array([1.0] + [2.0] * _L)
    length = np.sqrt((weight * np.abs(q) ** 2).sum(axis=1))
    unit = q / np.maximum(length, 1e-12)[:, None]
    like = (weight * (unit[pairs.i] * unit[pairs.j].conj()).real).sum(axis=1) > _COHERENT
    share = np.bincount(pairs.i, like, minlength=len(atoms)) / np.maximum(neighbours, 1)
    return CrystallineOrder(
        float((share >= _MOST_OF).mean()),
        float(like.mean()) if len(like) else 0.0,
        float(np.sqrt(4 * np.pi / (2 * _L + 1)) * length.mean()),
    )


def _harmonics(directions: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the spherical harmonics (n, 7) of l = 6, m = 0 ... 6, of unit vectors (n, 3)."""
    m = np.arange(_L + 1)
    norm = np.sqrt((2 * _L + 1) / (4 * np.pi) * factorial(_L - m) / factorial(_L + m))
    azimuth = np.arctan2(directions[:, 1], directions[:, 0])
    legendre = lpmv(m, _L, np.clip(directions[:, 2:], -1, 1))
    return np.asarray(norm * legendre * np.exp(1j * m * azimuth[:, None]))
