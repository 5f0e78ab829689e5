"""-ICOHP of atom pairs from H(k) and S(k): projection, occupation, sums over the zone.

For each k-point the projection functions are orthogonalised after Löwdin, X = S^(-1/2):

    h(k) = X H X                               Hamiltonian between orthogonal atomic orbitals
    c_n(k) = X S' C_n                          bands on them (S': projection x all functions)
    P(k) = sum_n f_n c_n c_n^dagger            density matrix, f = 0..2 (0..1 per spin channel)

and for the vector T from the cell of the first atom to the cell of the second

    h(T) = sum_k w_k Re[e^(-i k T) h(k)],  P(T) likewise,
    -ICOHP_ij(T) = - sum over orbitals mu of i, nu of j of P_mu,nu(T) h_mu,nu(T).

Dronskowski and Blöchl, J. Phys. Chem. 97, 8617 (1993), doi 10.1021/j100135a014; projected:
Deringer, Tchougréeff, Dronskowski, J. Phys. Chem. A 115, 5461 (2011), doi 10.1021/jp202489s.
h is diagonal in no basis of its own, so a constant added to the potential changes nothing between
different orbitals. On-site terms and all pairs, each counted twice, add to the projected band
energy tr(P h). What the bands lose in the projection is the charge spilling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from bondwright.bonding.curves import CohpCurves
from bondwright.bonding.matrices import Functions, KPoint
from bondwright.structure.neighbours import Pairs

_SPARE_BANDS = 1.15
_OCCUPIED = 1e-8
_SMALLEST_OVERLAP = 1e-7


@dataclass(frozen=True)
class ProjectedPoint:
    """Bands of one spin channel at one k-point on orthogonal atomic orbitals.

    Attributes:
        spin: spin channel.
        fractional: (3,) k in reciprocal lattice vectors.
        weight: share of the Brillouin zone.
        energies_eV: (bands,) eigenvalues.
        bands: (orbitals, bands) components of the bands; real where H and S are.
        hamiltonian_eV: (orbitals, orbitals); real likewise.
    """

    spin: int
    fractional: NDArray[np.float64]
    weight: float
    energies_eV: NDArray[np.float64]  # noqa: N815 (a unit)
    bands: NDArray[Any]
    hamiltonian_eV: NDArray[Any]  # noqa: N815


@dataclass(frozen=True)
class Projection:
    """Projected bands of a crystal.

    Attributes:
        points: one per spin channel and k-point.
        atom: (orbitals,) the atom of each orbital, rising.
        electrons: valence electrons of the cell.
        spins: 1 or 2.
        smearing_eV: Fermi-Dirac width of the occupations.
        fermi_eV: Fermi level on the k-points of the projection.
        charge_spilling: share of the occupied charge outside the projection, 0..1.
    """

    points: tuple[ProjectedPoint, ...]
    atom: NDArray[np.int64]
    electrons: float
    spins: int
    smearing_eV: float  # noqa: N815
    fermi_eV: float  # noqa: N815
    charge_spilling: float

    def occupations(self, point: ProjectedPoint) -> NDArray[np.float64]:
        """Return (bands,) occupations of a point: 0..2, or 0..1 per channel when polarised."""
        return _fermi_dirac(point.energies_eV, self.fermi_eV, self.smearing_eV) * 2 / self.spins

    def band_energy_eV(self) -> float:  # noqa: N802
        """Return the projected band energy per cell relative to the Fermi level, eV."""
        return float(
            sum(
                p.weight * np.real(np.sum(self.density(p).T * self._shifted(p)))
                for p in self.points
            )
        )

    def density(self, point: ProjectedPoint) -> NDArray[Any]:
        """Return (orbitals, orbitals) the density matrix of a point."""
        occupied = self.occupations(point)
        bands = point.bands[:, occupied > _OCCUPIED]
        return np.asarray((bands * occupied[occupied > _OCCUPIED]) @ bands.conj().T)

    def _shifted(self, point: ProjectedPoint) -> NDArray[Any]:
        return point.hamiltonian_eV - self.fermi_eV * np.eye(len(self.atom))


def project(
    functions: Functions,
    points: Iterable[KPoint],
    smearing_eV: float,  # noqa: N803
) -> Projection:
    """Project the bands of a crystal on its atomic orbitals.

    Args:
        functions: what H and S are in.
        points: H and S, one spin channel and k-point after the other; each is let go at once.
        smearing_eV: Fermi-Dirac width of the occupations.

    Raises:
        ValueError: two functions of the projection set are linearly dependent.
    """
    chosen = np.flatnonzero(functions.projection)
    bands = min(int(functions.electrons / 2 * _SPARE_BANDS) + 8, len(functions.atom))
    projected = tuple(_project_point(point, chosen, bands) for point in points)
    fermi = _fermi_level(projected, functions, smearing_eV)
    lost = 0.0
    for point in projected:
        share = _fermi_dirac(point.energies_eV, fermi, smearing_eV) * 2 / functions.spins
        kept = np.sum(np.abs(point.bands) ** 2, axis=0)
        lost += point.weight * float(np.sum(share * (1.0 - kept)))
    return Projection(
        points=projected,
        atom=functions.atom[chosen],
        electrons=functions.electrons,
        spins=functions.spins,
        smearing_eV=smearing_eV,
        fermi_eV=fermi,
        charge_spilling=max(lost / functions.electrons, 0.0),
    )


def pair_icohp(projection: Projection, pairs: Pairs) -> NDArray[np.float64]:
    """Return (spins, n) -ICOHP in eV of atom pairs, positive for bonding.

    Args:
        projection: of the structure with its positions inside the cell.
        pairs: pairs of atoms with the image of the second.
    """
    elements = _PairElements.of(projection.atom, pairs)
    density, hamiltonian = (
        _in_real_space(projection, elements, pairs, matrix)
        for matrix in (projection.density, _hamiltonian)
    )
    return np.stack([-elements.sums(density[s] * hamiltonian[s]) for s in range(projection.spins)])


def cohp_curves(
    projection: Projection,
    pairs: Pairs,
    *,
    energies_eV: NDArray[np.float64],  # noqa: N803
    broadening_eV: float = 0.2,  # noqa: N803
) -> CohpCurves:
    """Return -COHP(E) of pairs, each band broadened by a Gaussian.

    Bands far above the Fermi level are not part of the projection; curves are complete up to about
    a seventh of the occupied bands above it.

    Args:
        projection: of the structure with its positions inside the cell.
        pairs: pairs of atoms with the image of the second.
        energies_eV: (e,) energies relative to the Fermi level, rising.
        broadening_eV: standard deviation of the Gaussian.
    """
    curves = np.zeros((projection.spins, len(pairs), len(energies_eV)))
    orbitals = [np.flatnonzero(projection.atom == a) for a in range(int(projection.atom.max()) + 1)]
    elements = _PairElements.of(projection.atom, pairs)
    hamiltonian = _in_real_space(projection, elements, pairs, _hamiltonian)
    for row, (i, j, image) in enumerate(zip(pairs.i, pairs.j, pairs.image, strict=True)):
        for point in projection.points:
            block = elements.block(hamiltonian[point.spin], row)
            phase = _phases(point, image)
            weight = np.real(
                phase
                * np.einsum(
                    "mn,mv,vn->n",
                    point.bands[orbitals[i]],
                    block.reshape(len(orbitals[i]), len(orbitals[j])),
                    point.bands[orbitals[j]].conj(),
                )
            )
            distance = energies_eV[:, None] - (point.energies_eV - projection.fermi_eV)[None, :]
            line = np.exp(-0.5 * (distance / broadening_eV) ** 2)
            line /= broadening_eV * np.sqrt(2 * np.pi)
            curves[point.spin, row] -= point.weight * 2 / projection.spins * (line @ weight)
    steps = np.diff(energies_eV, prepend=energies_eV[0])
    before = np.concatenate([curves[..., :1], curves[..., :-1]], axis=-1)
    return CohpCurves(
        energies_eV=energies_eV,
        fermi_eV=projection.fermi_eV,
        i=pairs.i,
        j=pairs.j,
        length_A=pairs.distance,
        minus_cohp=curves,
        minus_icohp_eV=np.cumsum(0.5 * (curves + before) * steps, axis=-1),
        image=pairs.image,
    )


def _project_point(point: KPoint, chosen: NDArray[np.int64], bands: int) -> ProjectedPoint:
    overlap, hamiltonian = point.overlap, point.hamiltonian_eV
    energies, vectors = eigh(hamiltonian, overlap, subset_by_index=(0, bands - 1))
    values, modes = np.linalg.eigh(overlap[np.ix_(chosen, chosen)])
    if values[0] < _SMALLEST_OVERLAP:
        raise ValueError(
            f"atomic orbitals are linearly dependent (smallest overlap {values[0]:.1e})"
        )
    root = (modes / np.sqrt(values)) @ modes.conj().T
    return ProjectedPoint(
        spin=point.spin,
        fractional=point.fractional,
        weight=point.weight,
        energies_eV=energies,
        bands=root @ (overlap[chosen] @ vectors),
        hamiltonian_eV=root @ hamiltonian[np.ix_(chosen, chosen)] @ root,
    )


def _fermi_level(points: tuple[ProjectedPoint, ...], functions: Functions, width: float) -> float:
    """Return the level at which the bands hold the electrons, by bisection."""
    low = min(float(p.energies_eV[0]) for p in points)
    high = max(float(p.energies_eV[-1]) for p in points)
    for _ in range(200):
        middle = 0.5 * (low + high)
        held = sum(
            p.weight * float(_fermi_dirac(p.energies_eV, middle, width).sum()) for p in points
        )
        if held * 2 / functions.spins < functions.electrons:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _fermi_dirac(energies: NDArray[np.float64], fermi: float, width: float) -> NDArray[np.float64]:
    return np.asarray(1.0 / (np.exp(np.clip((energies - fermi) / width, -500, 500)) + 1.0))


@dataclass(frozen=True)
class _PairElements:
    """Where the matrix elements of pairs of atoms stand, one pair after the other.

    Attributes:
        row: (e,) orbital of the first atom.
        column: (e,) orbital of the second.
        start: (pairs + 1,) where the elements of a pair begin, and the end.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    start: NDArray[np.int64]

    @classmethod
    def of(cls, atom: NDArray[np.int64], pairs: Pairs) -> _PairElements:
        """Return the elements of pairs; orbitals stand in the order of the atoms."""
        ends = np.searchsorted(atom, np.arange(int(atom.max()) + 2))
        first, second = np.diff(ends)[pairs.i], np.diff(ends)[pairs.j]
        start = np.concatenate([[0], np.cumsum(first * second)])
        within = np.arange(start[-1]) - np.repeat(start[:-1], first * second)
        width = np.repeat(second, first * second)
        row = np.repeat(ends[pairs.i], first * second) + within // width
        column = np.repeat(ends[pairs.j], first * second) + within % width
        return cls(row, column, start)

    def of_each(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return (e,) the value of an element's pair, from (pairs,) values."""
        return np.repeat(values, np.diff(self.start))

    def block(self, values: NDArray[np.float64], pair: int) -> NDArray[np.float64]:
        """Return one pair's elements."""
        return values[self.start[pair] : self.start[pair + 1]]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (pairs,) sums over the elements of each pair."""
        count = len(self.start) - 1
        sums = np.bincount(self.of_each(np.arange(count)), values, minlength=count)
        return sums.astype(float)


def _phases(point: ProjectedPoint, image: NDArray[np.int64]) -> NDArray[np.complex128]:
    """Return e^(-ikT) of (..., 3) cells T, which undoes the phase of a function in cell T."""
    return np.asarray(np.exp(-2j * np.pi * (image @ point.fractional)))


def _in_real_space(
    projection: Projection,
    elements: _PairElements,
    pairs: Pairs,
    matrix: Callable[[ProjectedPoint], NDArray[Any]],
) -> NDArray[np.float64]:
    """Return (spins, e) elements of pairs of a matrix that is given at k; real by time reversal."""
    found = np.zeros((projection.spins, len(elements.row)))
    for point in projection.points:
        phases = elements.of_each(point.weight * _phases(point, pairs.image))
        found[point.spin] += np.real(phases * matrix(point)[elements.row, elements.column])
    return found


def _hamiltonian(point: ProjectedPoint) -> NDArray[Any]:
    return point.hamiltonian_eV
