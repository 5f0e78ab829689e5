"""The SOAP of an atom as QUIP computes it: the descriptor of the published bond-strength model.

The smooth density of an atom's neighbours is expanded in spherical harmonics and radial basis
functions, and the rotation-invariant power spectrum of the coefficients is the descriptor
(A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013)). The radial basis, the
treatment of the centre and the order of the components are those of QUIP, checked against vectors
that QUIP made. With the published settings (`SoapSettings()` and three elements) a vector has
(24·25/2)·7 + 1 = 2101 components.

Order of the components: channels c = 0, 1, ... count (element, radial function), elements in the
order given and radial functions fastest; the vector runs over c, then c' <= c, then l fastest;
its last component is 0 (QUIP's covariance offset, unused here).
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.special import erf, sph_harm_y, spherical_in

from bondwright.errors import InputError
from bondwright.structure.neighbours import neighbour_pairs

PUBLISHED_ELEMENTS = ("Al", "Cu", "Zr")
_BASIS_ERROR_EXPONENT = 10.0
_CHUNK_ATOMS = 500

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SoapSettings:
    """Settings of the descriptor; the defaults are the published ones.

    Attributes:
        cutoff_A: neighbours farther than this do not count, Å.
        transition_A: width over which a neighbour fades out below the cutoff (cosine), Å.
        sigma_A: width of the Gaussian of each neighbour, Å.
        n_max: number of radial functions.
        l_max: highest degree of the spherical harmonics.
        central_weight: weight of the centre's own Gaussian.
    """

    cutoff_A: float = 3.75
    transition_A: float = 0.5
    sigma_A: float = 0.5
    n_max: int = 8
    l_max: int = 6
    central_weight: float = 1.0

    def length(self, elements: int) -> int:
        """Return the number of components of a vector for this number of elements."""
        channels = elements * self.n_max
        return channels * (channels + 1) // 2 * (self.l_max + 1) + 1


def atom_soap(
    atoms: Atoms,
    elements: Sequence[str] = PUBLISHED_ELEMENTS,
    settings: SoapSettings = SoapSettings(),
    centres: NDArray[np.int64] | None = None,
) -> Array:
    """Return the SOAP vectors of atoms, each of unit norm.

    Args:
        atoms: the structure (Å), open or periodic.
        elements: elements in the order of their channels; QUIP orders them by atomic number.
        settings: see the class.
        centres: (m,) atoms whose vectors are wanted; None: all.

    Returns:
        (m, `settings.length(len(elements))`), rows in the order of `centres`.

    Raises:
        InputError: the structure holds an element that is not among `elements`.
    """
    wanted = np.arange(len(atoms)) if centres is None else np.asarray(centres, dtype=np.int64)
    channel = _channels(atoms, elements)
    pairs = neighbour_pairs(atoms, settings.cutoff_A, full=True)
    starts = np.searchsorted(pairs.i, np.arange(len(atoms) + 1))
    vectors = np.zeros((len(wanted), settings.length(len(elements))))
    for first in range(0, len(wanted), _CHUNK_ATOMS):
        block = wanted[first : first + _CHUNK_ATOMS]
        rows = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in block])
        owner = np.repeat(np.arange(len(block)), starts[block + 1] - starts[block])
        coefficients = _coefficients(
            pairs.vector[rows],
            owner * len(elements) + channel[pairs.j[rows]],
            np.arange(len(block)) * len(elements) + channel[block],
            len(block) * len(elements),
            settings,
        )
        vectors[first : first + len(block), :-1] = _power(coefficients, len(elements), settings)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    return vectors


def _channels(atoms: Atoms, elements: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of each atom's element in `elements`."""
    place = {atomic_numbers[symbol]: k for k, symbol in enumerate(elements)}
    if unknown := sorted(set(atoms.get_chemical_symbols()) - set(elements)):
        raise InputError(
            f"the descriptor was made for {', '.join(elements)}, but the structure holds "
            f"{', '.join(unknown)}; make it with these elements."
        )
    return np.array([place[number] for number in atoms.numbers], dtype=np.int64)


def _coefficients(
    vector: Array,
    target: NDArray[np.int64],
    central: NDArray[np.int64],
    places: int,
    settings: SoapSettings,
) -> Array:
    """Expand the density around each centre.

    Args:
        vector: (p, 3) from a centre to a neighbour, Å.
        target: (p,) which (centre, element) each neighbour belongs to.
        central: (centres,) the (centre, element) of each centre itself.
        places: number of (centre, element).
        settings: see the class.

    Returns:
        (places, n_max, (l_max + 1)^2) coefficients of real spherical harmonics.
    """
    distance = np.linalg.norm(vector, axis=1)
    radial = _radial(distance, settings) * _fade(distance, settings)[:, None, None]
    harmonics = _harmonics(vector, distance, settings.l_max)
    order = np.argsort(target, kind="stable")
    present, first = np.unique(target[order], return_index=True)
    result = np.zeros((places, settings.n_max, (settings.l_max + 1) ** 2))
    if len(order):
        for degree in range(settings.l_max + 1):
            columns = slice(degree**2, (degree + 1) ** 2)
            terms = radial[order, degree, :, None] * harmonics[order, None, columns]
            result[present, :, columns] = np.add.reduceat(terms, first, axis=0)
    # The centre's Gaussian is round, so it has l = 0 only; Y_00 = 1 / sqrt(4 pi).
    own = _radial(np.zeros(1), settings)[0, 0] * settings.central_weight / np.sqrt(4 * np.pi)
    result[central, :, 0] += own
    return result


def _power(coefficients: Array, elements: int, settings: SoapSettings) -> Array:
    """Return (centres, components) sums over m of products of coefficients, see the module."""
    channels = elements * settings.n_max
    by_centre = coefficients.reshape(-1, channels, (settings.l_max + 1) ** 2)
    lower = np.tril_indices(channels)
    scale = np.where(lower[0] == lower[1], 1.0, np.sqrt(2.0))
    power = np.empty((len(by_centre), len(scale), settings.l_max + 1))
    for degree in range(settings.l_max + 1):
        part = by_centre[:, :, degree**2 : (degree + 1) ** 2]
        square = part @ part.transpose(0, 2, 1)
        power[:, :, degree] = square[:, lower[0], lower[1]] * scale / np.sqrt(2 * degree + 1)
    return power.reshape(len(by_centre), -1)


def _radial(distance: Array, settings: SoapSettings) -> Array:
    """Return (p, l_max + 1, n_max) projections of shifted Gaussians on the radial basis."""
    alpha = 1 / (2 * settings.sigma_A**2)
    nodes, transform = _radial_basis(settings)
    argument = 2 * alpha * distance[:, None] * nodes
    # The Bessel functions grow as exp(x); with x of at most 100 here they are far from overflow.
    bessel = [spherical_in(degree, argument) for degree in range(settings.l_max + 1)]
    envelope = np.exp(-alpha * (distance[:, None] ** 2 + nodes**2))
    return np.asarray(np.stack([envelope * each for each in bessel], axis=1) @ transform)


@lru_cache(maxsize=8)
def _radial_basis(settings: SoapSettings) -> tuple[Array, Array]:
    """Return the nodes r_k (Å) and the matrix from Gaussians at nodes to orthonormal functions."""
    alpha = 1 / (2 * settings.sigma_A**2)
    reach = settings.cutoff_A + settings.sigma_A * np.sqrt(2 * _BASIS_ERROR_EXPONENT * np.log(10))
    nodes = np.arange(settings.n_max) * reach / settings.n_max
    total, apart = nodes[:, None] + nodes, nodes[:, None] - nodes
    covariance = np.exp(-alpha * apart**2)
    # Integral over r > 0 of r^2 exp(-alpha (r - r_i)^2) exp(-alpha (r - r_j)^2).
    overlap = (
        np.exp(-alpha * (nodes[:, None] ** 2 + nodes**2)) * np.sqrt(2) * alpha**1.5 * total
        + alpha
        * np.exp(-alpha * apart**2 / 2)
        * np.sqrt(np.pi)
        * (1 + alpha * total**2)
        * (1 + erf(np.sqrt(alpha / 2) * total))
    ) / np.sqrt(128 * alpha**5)
    lower = np.linalg.cholesky(overlap)
    return nodes, np.linalg.solve(covariance, lower)


def _fade(distance: Array, settings: SoapSettings) -> Array:
    """Return the weight of neighbours: 1, then half a cosine down to 0 at the cutoff."""
    into = (distance - settings.cutoff_A + settings.transition_A) / settings.transition_A
    return np.asarray(0.5 * (1 + np.cos(np.pi * np.clip(into, 0.0, 1.0))))


def _harmonics(vector: Array, distance: Array, l_max: int) -> Array:
    """Return (p, (l_max + 1)^2) real spherical harmonics; sums over m do not see their phase."""
    safe = np.maximum(distance, 1e-12)
    theta = np.arccos(np.clip(vector[:, 2] / safe, -1, 1))
    phi = np.arctan2(vector[:, 1], vector[:, 0])
    columns = np.empty((len(vector), (l_max + 1) ** 2))
    for degree in range(l_max + 1):
        middle = degree**2 + degree
        columns[:, middle] = sph_harm_y(degree, 0, theta, phi).real
        for m in range(1, degree + 1):
            value = np.sqrt(2) * sph_harm_y(degree, m, theta, phi)
            columns[:, middle + m], columns[:, middle - m] = value.real, value.imag
    return columns
