"""The published bond-strength model, as a baseline that ours must beat.

One Gaussian process for each pair of elements with the kernel

    k = exp(-(d - d')^2 / (2 theta^2)) * [(A·A' + B·B' + A·B' + B·A') / 4]^zeta

for bonds of length d between atoms with SOAP vectors A and B, zero mean, unit prior amplitude and
the noise gamma·std(y) on the diagonal (Phys. Rev. Materials 4, 113603 (2020); the form of the
kernel: Nature Communications 9, 4501 (2018), supplement, eq. 3). The bracket is S·S' with
S = (A + B) / 2, which is how it is computed here.

The published model gives no uncertainty. Here sigma is the posterior's, with prior and noise
scaled together by the amplitude of greatest likelihood, s^2 = y^T (K + gamma std(y))^-1 y / n; this
leaves the mean as published. It is **not calibrated**.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from bondwright.bonding.pairs import pair_labels
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.learn.atom_soap import SoapSettings, atom_soap
from bondwright.learn.cells import LabelledCell
from bondwright.learn.model_types import OUTSIDE_LENGTH, UNKNOWN_PAIR, Prediction
from bondwright.learn.training_bonds import common_method
from bondwright.structure.neighbours import Pairs, neighbour_pairs

Array = NDArray[np.float64]

PUBLISHED_THETA_A: Mapping[str, float] = {"Zr-Cu": 1.0}
"""Width of the distance kernel, Å; 0.5 for pairs that are not named."""
PUBLISHED_GAMMA_PER_EV: Mapping[str, float] = {
    "Al-Al": 0.005,
    "Cu-Al": 0.005,
    "Cu-Cu": 0.010,
    "Zr-Al": 0.010,
    "Zr-Cu": 0.040,
    "Zr-Zr": 0.010,
}
"""Noise over the standard deviation of the labels; 0.010 for pairs that are not named."""
_CHUNK_BONDS = 2000


@dataclass(frozen=True)
class _PairProcess:
    """The Gaussian process of one pair of elements, fitted to n bonds.

    Attributes:
        length_A: (n,) lengths of the training bonds, Å.
        ends: (n, 2) rows of their atoms' vectors.
        weights: (n,) (K + noise)^-1 y.
        factor: (n, n) lower Cholesky factor of K + noise.
        noise: gamma·std(y), eV, added to the diagonal of K.
        amplitude_eV2: s^2, eV².
        theta_A: width of the distance kernel, Å.
    """

    length_A: Array
    ends: NDArray[np.int64]
    weights: Array
    factor: Array
    noise: float
    amplitude_eV2: float
    theta_A: float


@dataclass(frozen=True)
class PublishedModel:
    """The published model, fitted; see the module.

    Attributes:
        elements: elements of the descriptor, by atomic number.
        soap: settings of the descriptor.
        window_A: shortest and longest bond that `predict` looks for by itself, Å.
        vectors: (atoms, components) SOAP vectors of the atoms of the training bonds.
        processes: one for each pair of elements, by name.
        zeta: power of the SOAP kernel.
    """

    elements: tuple[str, ...]
    soap: SoapSettings
    window_A: tuple[float, float]
    vectors: Array
    processes: Mapping[str, _PairProcess]
    zeta: int = 1

    @classmethod
    def fit(
        cls,
        cells: Sequence[LabelledCell],
        max_bonds_per_pair: int = 2000,
        seed: int = 0,
        *,
        window_A: tuple[float, float] = (1.80, 3.75),  # noqa: N803
        soap: SoapSettings | None = None,
    ) -> Self:
        """Fit the model to labelled cells.

        Args:
            cells: the training cells, labelled by one method.
            max_bonds_per_pair: bonds drawn at random for each pair of elements; all if fewer.
            seed: of the draw.
            window_A: shortest and longest training bond, Å. The published training ends at the
                SOAP cutoff, 3.75 Å; longer bonds are extrapolated.
            soap: settings of the descriptor; the published ones when None.

        Raises:
            InputError: no cells, no bonds, or labels of different methods.
        """
        soap = soap or SoapSettings()
        common_method(cells)
        tables = [cell.bonds.between(*window_A) for cell in cells]
        if not sum(map(len, tables)):
            raise InputError(
                f"no labelled bond of {window_A[0]:g} to {window_A[1]:g} Å to learn from."
            )
        numbers = np.unique(np.concatenate([cell.atoms.numbers for cell in cells]))
        elements = tuple(Atoms(numbers=numbers).get_chemical_symbols())
        chosen = _draw(tables, max_bonds_per_pair, np.random.default_rng(seed))
        vectors, ends = _end_vectors(tables, chosen, elements, soap)
        model = cls(elements, soap, window_A, vectors, {})
        processes = {}
        for pair, (owner, row) in chosen.items():
            length = np.array([tables[k].length_A[r] for k, r in zip(owner, row, strict=True)])
            label = np.array([tables[k].icohp_eV[r] for k, r in zip(owner, row, strict=True)])
            processes[pair] = model._fit_pair(pair, length, ends[pair], label)
        return cls(elements, soap, window_A, vectors, processes)

    def predict(self, atoms: Atoms, pairs: Pairs | None = None) -> Prediction:
        """Predict the strengths of bonds.

        Args:
            atoms: structure (Å), periodic or a cluster; the environments of the atoms of the bonds
                must be complete in it to the descriptor's cutoff. Neighbours of an element without
                training make an environment less like those of the training.
            pairs: the bonds; all within `window_A` when None.

        Returns:
            Means and uncalibrated standard deviations, see the module; flags for unknown pairs of
            elements and for lengths outside those of the training.
        """
        if pairs is None:
            pairs = neighbour_pairs(atoms, self.window_A[1])
            pairs = pairs.select(pairs.distance >= self.window_A[0])
        labels = pair_labels(atoms.numbers[pairs.i], atoms.numbers[pairs.j])
        mean, sigma = np.zeros(len(pairs)), np.full(len(pairs), np.inf)
        flag = np.where(np.isin(labels, list(self.processes)), 0, UNKNOWN_PAIR).astype(np.uint8)
        used, places = np.unique(np.stack([pairs.i, pairs.j]), return_inverse=True)
        ends = places.reshape(2, -1).T
        # Elements without training come last, so that their components stand behind the others.
        foreign = sorted(set(atoms.get_chemical_symbols()) - set(self.elements))
        vectors = atom_soap(atoms, (*self.elements, *foreign), self.soap, used)
        known = self.soap.length(len(self.elements)) - 1
        similar = vectors[:, :known] @ self.vectors[:, :known].T
        for pair, process in self.processes.items():
            mine = np.flatnonzero(labels == pair)
            for first in range(0, len(mine), _CHUNK_BONDS):
                rows = mine[first : first + _CHUNK_BONDS]
                length = pairs.distance[rows]
                kernel = self._kernel(process, length, similar, ends[rows])
                mean[rows] = kernel @ process.weights
                half = solve_triangular(process.factor, kernel.T, lower=True, check_finite=False)
                itself = (vectors[ends[rows]].mean(axis=1) ** 2).sum(axis=1) ** self.zeta
                left = itself - (half**2).sum(axis=0) + process.noise
                sigma[rows] = np.sqrt(process.amplitude_eV2 * np.maximum(left, 0.0))
                outside = (length < process.length_A.min()) | (length > process.length_A.max())
                flag[rows[outside]] |= OUTSIDE_LENGTH
        return Prediction(pairs, mean, sigma, flag)

    def _kernel(
        self, process: _PairProcess, length: Array, similar: Array, ends: NDArray[np.int64]
    ) -> Array:
        """Return (m, n) kernel values between m bonds and the n training bonds of a pair.

        Args:
            process: the pair's training bonds.
            length: (m,) Å.
            similar: products of the vectors of the m bonds' atoms with those of all training atoms.
            ends: (m, 2) rows in `similar` of the bonds' atoms.
        """
        of_bonds = (similar[ends[:, 0]] + similar[ends[:, 1]]) / 2
        dots = (of_bonds[:, process.ends[:, 0]] + of_bonds[:, process.ends[:, 1]]) / 2
        apart = (length[:, None] - process.length_A) / process.theta_A
        return np.asarray(np.exp(-(apart**2) / 2) * dots**self.zeta)

    def _fit_pair(
        self, pair: str, length: Array, ends: NDArray[np.int64], label: Array
    ) -> _PairProcess:
        theta = PUBLISHED_THETA_A.get(pair, 0.5)
        # A single label has no spread, but its process still needs a definite matrix.
        noise = PUBLISHED_GAMMA_PER_EV.get(pair, 0.010) * max(float(label.std()), 1e-6)
        empty = np.zeros(0)
        draft = _PairProcess(length, ends, empty, empty, noise, 1.0, theta)
        used, compact = np.unique(ends, return_inverse=True)
        similar = self.vectors[used] @ self.vectors.T
        kernel = self._kernel(draft, length, similar, compact.reshape(ends.shape))
        kernel[np.diag_indices_from(kernel)] += noise
        factor = np.tril(cho_factor(kernel, lower=True)[0])
        weights = cho_solve((factor, True), label)
        amplitude = float(label @ weights) / len(label)
        return _PairProcess(length, ends, weights, factor, noise, amplitude, theta)


def _draw(
    tables: Sequence[BondTable], most: int, random: np.random.Generator
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return tables and rows of at most `most` bonds of each pair of elements."""
    owner = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    row = np.concatenate([np.arange(len(table)) for table in tables])
    labels = np.concatenate([table.pairs() for table in tables])
    chosen = {}
    for pair in np.unique(labels):
        mine = np.flatnonzero(labels == pair)
        if len(mine) > most:
            mine = np.sort(random.choice(mine, most, replace=False))
        chosen[str(pair)] = (owner[mine], row[mine])
    return chosen


def _end_vectors(
    tables: Sequence[BondTable],
    chosen: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]],
    elements: Sequence[str],
    soap: SoapSettings,
) -> tuple[Array, dict[str, NDArray[np.int64]]]:
    """Return the vectors of all atoms of the chosen bonds, and each bond's two rows in them."""
    vectors, begin = [], 0
    ends = {pair: np.zeros((len(owner), 2), dtype=np.int64) for pair, (owner, _) in chosen.items()}
    for k, table in enumerate(tables):
        bonds = {pair: (owner == k, row[owner == k]) for pair, (owner, row) in chosen.items()}
        rows = np.concatenate([row for _, row in bonds.values()])
        used = np.unique(np.concatenate([table.i[rows], table.j[rows]]))
        for pair, (mine, row) in bonds.items():
            both = np.column_stack([table.i[row], table.j[row]])
            ends[pair][mine] = begin + np.searchsorted(used, both)
        vectors.append(atom_soap(table.atoms, elements, soap, used))
        begin += len(used)
    return np.concatenate(vectors), ends
