"""Is it a metal, and if not: how wide is the gap, and between which k-points?"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BandEdge:
    """The highest occupied or the lowest empty state.

    Attributes:
        energy_eV: on the engine's own scale, eV.
        kpoint: in units of the reciprocal lattice vectors.
        spin: 0 (up, or both) or 1 (down).
        band: index of the band, from 0.
    """

    energy_eV: float
    kpoint: tuple[float, float, float]
    spin: int
    band: int


@dataclass(frozen=True)
class Gap:
    """The gap of a band structure.

    Attributes:
        metal: whether the Fermi level cuts a band or bands overlap; None where no empty band was
            computed to tell by.
        gap_eV: fundamental gap, 0 for a metal; None when unknown.
        direct_gap_eV: smallest gap at one k-point and within one spin; None for metals.
        direct_kpoint: where that is, in units of the reciprocal lattice vectors.
        valence_top: the highest occupied state; None for metals.
        conduction_bottom: the lowest empty state; None for metals.
        spin_gaps_eV: gap within each spin, 0 where it is metallic (in a half metal one of two),
            None where unknown or where the spin has no electrons.
    """

    metal: bool | None
    gap_eV: float | None = None
    direct_gap_eV: float | None = None
    direct_kpoint: tuple[float, float, float] | None = None
    valence_top: BandEdge | None = None
    conduction_bottom: BandEdge | None = None
    spin_gaps_eV: tuple[float | None, ...] = ()

    @property
    def direct(self) -> bool | None:
        """Whether both edges lie at one k-point and in one spin; None without a gap."""
        top, bottom = self.valence_top, self.conduction_bottom
        if top is None or bottom is None:
            return None
        return top.spin == bottom.spin and bool(np.allclose(top.kpoint, bottom.kpoint, atol=1e-6))


def occupied_bands(mesh_eigenvalues: NDArray[np.float64], fermi: float) -> tuple[int | None, ...]:
    """Return how many bands are occupied in each spin, None where the Fermi level cuts a band.

    Only the mesh of the self-consistent calculation can tell, because the Fermi level is its own:
    on other k-points an edge may lie on the wrong side of it by the coarseness of the mesh.

    Args:
        mesh_eigenvalues: (spins, k, bands) in eV.
        fermi: Fermi level, eV.
    """
    below = (mesh_eigenvalues < fermi).sum(axis=2)
    return tuple(int(s[0]) if (s == s[0]).all() else None for s in below)


def find_gap(
    eigenvalues: NDArray[np.float64],
    kpoints: NDArray[np.float64],
    occupied: Sequence[int | None],
) -> Gap:
    """Find the gap among eigenvalues, those of a path and of a mesh together.

    Args:
        eigenvalues: (spins, k, bands) in eV, sorted along the bands.
        kpoints: (k, 3) in units of the reciprocal lattice vectors.
        occupied: number of occupied bands of each spin (see `occupied_bands`).

    Returns:
        The gap; a metal where a spin has no fixed number of bands or bands overlap.
    """
    spin_gaps = tuple(_spin_gap(e, n) for e, n in zip(eigenvalues, occupied, strict=True))
    counts = [count for count in occupied if count is not None]
    if len(counts) < len(occupied):
        return Gap(metal=True, gap_eV=0.0, spin_gaps_eV=spin_gaps)
    if max(counts) >= eigenvalues.shape[2] or not max(counts):
        return Gap(metal=None, spin_gaps_eV=spin_gaps)
    tops, bottoms, direct = [], [], []
    for spin, (energies, count) in enumerate(zip(eigenvalues, counts, strict=True)):
        above = energies[:, count]
        low = int(above.argmin())
        bottoms.append(BandEdge(float(above[low]), _point(kpoints[low]), spin, count))
        if count:  # a spin without electrons has no valence band
            below = energies[:, count - 1]
            high, near = int(below.argmax()), int((above - below).argmin())
            tops.append(BandEdge(float(below[high]), _point(kpoints[high]), spin, count - 1))
            direct.append((float((above - below)[near]), _point(kpoints[near])))
    top = max(tops, key=lambda edge: edge.energy_eV)
    bottom = min(bottoms, key=lambda edge: edge.energy_eV)
    if bottom.energy_eV <= top.energy_eV:
        return Gap(metal=True, gap_eV=0.0, spin_gaps_eV=spin_gaps)
    width, where = min(direct)
    return Gap(
        metal=False,
        gap_eV=bottom.energy_eV - top.energy_eV,
        direct_gap_eV=width,
        direct_kpoint=where,
        valence_top=top,
        conduction_bottom=bottom,
        spin_gaps_eV=spin_gaps,
    )


def _spin_gap(energies: NDArray[np.float64], count: int | None) -> float | None:
    """Return the gap within one spin: (k, bands) eigenvalues, number of occupied bands."""
    if count is None:
        return 0.0
    if not 0 < count < energies.shape[1]:
        return None
    return max(0.0, float(energies[:, count].min() - energies[:, count - 1].max()))


def _point(kpoint: NDArray[np.float64]) -> tuple[float, float, float]:
    a, b, c = (float(x) for x in kpoint)
    return a, b, c
