"""H(k) and S(k) of a crystal in atomic orbitals, from GPAW's LCAO mode.

The matrix elements between cells are computed once, as sparse real matrices: of the potential on
GPAW's grid, of overlap, kinetic energy and PAW projectors as integrals over two centres. A k-point
then costs one sum with phases, and its matrices are let go before the next: neither the number of
k-points nor that of neighbouring cells decides how much memory is needed.

Row i, column j of a matrix at k is sum_T e^(2 pi i k T) <i in cell 0 | M | j in cell T>.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import Bohr, Hartree
from numpy.typing import NDArray
from scipy.sparse import block_diag

from bondwright.bonding.between_cells import BetweenCells
from bondwright.bonding.orbitals import basis_name
from bondwright.bonding.potential import (
    LcaoRequest,
    Potential,
    functions_at_hand,
    lcao_parameters,
)
from bondwright.structure.neighbours import Pairs, neighbour_pairs


@dataclass(frozen=True)
class KPoint:
    """H and S of one spin channel at one k-point.

    Attributes:
        spin: 0, or 1 in a polarised calculation.
        fractional: (3,) in reciprocal lattice vectors.
        weight: share of the Brillouin zone, its time-reversed partner included; they add to 1.
        hamiltonian_eV: (n, n), Hermitian; real where k is its own negative.
        overlap: (n, n), likewise.
    """

    spin: int
    fractional: NDArray[np.float64]
    weight: float
    hamiltonian_eV: NDArray[Any]  # noqa: N815 (a unit)
    overlap: NDArray[Any]


@dataclass(frozen=True)
class Functions:
    """The functions that H and S are in.

    Attributes:
        atom: (n,) the atom a function sits on.
        projection: (n,) True for the projection set.
        electrons: valence electrons of the cell.
        spins: 1 or 2.
    """

    atom: NDArray[np.int64]
    projection: NDArray[np.bool_]
    electrons: float
    spins: int


@dataclass(frozen=True)
class _Elements:
    """All that H(k) and S(k) are made of, Hartree.

    Attributes:
        potential: one per spin channel; halves: the matrix is the half and its adjoint.
        overlap: its half.
        kinetic: its half.
        projectors: between PAW projectors (rows) and functions (columns), whole.
        atomic_potential: PAW corrections of the potential, one block-diagonal matrix per spin.
        atomic_overlap: PAW corrections of the overlap.
    """

    potential: tuple[BetweenCells, ...]
    overlap: BetweenCells
    kinetic: BetweenCells
    projectors: BetweenCells
    atomic_potential: tuple[Any, ...]
    atomic_overlap: Any


def matrices(
    request: LcaoRequest,
    potential: Potential,
    orbitals: str,
    mesh: tuple[int, int, int],
    folder: Path,
) -> tuple[Functions, Iterator[KPoint]]:
    """Return the functions, and H and S for each spin and k-point in turn.

    Args:
        request: what the potential was converged for.
        potential: from `converge_potential`.
        orbitals: whose free-atom orbitals the projection set takes ("hartree-fock", "pbe").
        mesh: Gamma-centred k-points.
        folder: for the basis files.
    """
    builder = _builder(request, basis_name(orbitals), mesh, folder)
    labels = [
        (a, function.type.endswith(orbitals))
        for a, setup in enumerate(builder.setups)
        for function in setup.basis.bf_j
        for _ in range(2 * function.l + 1)
    ]
    functions = Functions(
        atom=np.array([a for a, _ in labels]),
        projection=np.array([kind for _, kind in labels]),
        electrons=float(builder.setups.nvalence),
        spins=1 if request.moments is None else 2,
    )
    zone = list(zip(np.array(builder.ibz.kpt_kc), map(float, builder.ibz.weight_k), strict=True))
    return functions, _kpoints(_elements(request, builder, potential), zone)


def _kpoints(
    elements: _Elements, zone: list[tuple[NDArray[np.float64], float]]
) -> Iterator[KPoint]:
    for k, weight in zone:
        projectors = elements.projectors.at(k)
        overlap = _whole(elements.overlap, k)
        overlap += _between_projectors(projectors, elements.atomic_overlap)
        for spin, smooth in enumerate(elements.potential):
            hamiltonian = _whole(smooth, k)
            hamiltonian += _whole(elements.kinetic, k)
            hamiltonian += _between_projectors(projectors, elements.atomic_potential[spin])
            hamiltonian *= Hartree
            yield KPoint(spin, k, weight, hamiltonian, overlap)


def _whole(half: BetweenCells, k: NDArray[np.float64]) -> NDArray[Any]:
    """Return the Hermitian matrix at k."""
    matrix = half.at(k)
    return np.asarray(matrix + matrix.conj().T)


def _between_projectors(projectors: NDArray[Any], atomic: Any) -> NDArray[Any]:
    """Return p^dagger A p for (projectors, functions) p and block-diagonal A."""
    return np.asarray(projectors.conj().T @ (atomic @ projectors))


def _builder(request: LcaoRequest, basis: str, mesh: tuple[int, int, int], folder: Path) -> Any:
    """Return GPAW's builder: PAW data, functions, grid and k-points, but no matrix of any kind."""
    from gpaw.dft import Parameters
    from gpaw.new.logger import Logger

    log = Logger(None, None)
    parameters = Parameters(**lcao_parameters(request, basis, mesh))
    with functions_at_hand(request, basis, folder):
        builder = parameters.dft_component_builder(request.atoms, log=log, comm=log.comm)
    # GPAW takes an atom at -1e-16 to the opposite face and would count its images from there.
    builder.relpos_ac = np.maximum(request.atoms.get_scaled_positions(wrap=False), 0.0)
    return builder


def _elements(request: LcaoRequest, builder: Any, potential: Potential) -> _Elements:
    from gpaw.lcao.tci import TCIExpansions

    setups = builder.setups
    expansions = TCIExpansions.new_from_setups(setups)
    functions = [setups.basis_indices()[a] for a in range(len(setups))]
    projectors = [setups.projector_indices()[a] for a in range(len(setups))]
    atoms = request.atoms
    reach = {
        symbol: (expansions.phit_rcmax_I[kind] * Bohr, expansions.pt_rcmax_I[kind] * Bohr)
        for symbol, kind in zip(atoms.get_chemical_symbols(), expansions.I_a, strict=True)
    }
    near = neighbour_pairs(atoms, {(a, b): reach[a][0] + reach[b][0] for a in reach for b in reach})
    near_projectors = neighbour_pairs(
        atoms, {(a, b): reach[a][1] + reach[b][0] for a in reach for b in reach}, full=True
    )
    return _Elements(
        potential=_potential_elements(builder.create_basis_set(), potential.smooth),
        overlap=_two_centre(expansions.O_expansions, near, functions, functions, on_site=0.5),
        kinetic=_two_centre(expansions.T_expansions, near, functions, functions, on_site=0.5),
        projectors=_two_centre(
            expansions.P_expansions, near_projectors, projectors, functions, on_site=1.0
        ),
        atomic_potential=tuple(
            block_diag([block[spin] for block in potential.atomic], format="csr")
            for spin in range(len(potential.smooth))
        ),
        atomic_overlap=block_diag([setup.dO_ii for setup in setups], format="csr"),
    )


def _two_centre(
    expansions: Any,
    pairs: Pairs,
    rows: list[tuple[int, int]],
    columns: list[tuple[int, int]],
    *,
    on_site: float,
) -> BetweenCells:
    """Return integrals over functions on the atoms of pairs, and on one atom.

    Args:
        expansions: GPAW's splines of the integrals.
        pairs: ordered by the first atom.
        rows: first row of each atom, and the one behind its last.
        columns: likewise.
        on_site: factor of the integrals on one atom.
    """
    from gpaw.lcao.overlap import AtomicDisplacement

    here = np.zeros(3, dtype=np.int64)
    images, cell_of = np.unique(np.vstack([pairs.image, here]), axis=0, return_inverse=True)
    cell_of = cell_of.reshape(-1)
    begins = np.searchsorted(pairs.i, np.arange(len(rows) + 1))

    def block(i: int, j: int, vector: NDArray[np.float64], image: NDArray[np.int64]) -> Any:
        displacement = AtomicDisplacement(None, i, j, vector / Bohr, image, None)
        return displacement.overlap_without_phases(expansions.get(i, j))

    def strips() -> Iterator[tuple[int, NDArray[np.float64]]]:
        for i, (first, end) in enumerate(rows):
            strip = np.zeros((len(images), end - first, columns[-1][1]))
            strip[cell_of[-1], :, slice(*columns[i])] = on_site * block(i, i, np.zeros(3), here)
            for n in range(begins[i], begins[i + 1]):
                j = int(pairs.j[n])
                strip[cell_of[n], :, slice(*columns[j])] = block(
                    i, j, pairs.vector[n], pairs.image[n]
                )
            yield first, strip

    return BetweenCells.gather(strips(), images, (rows[-1][1], columns[-1][1]))


def _potential_elements(basis: Any, smooth: NDArray[np.float64]) -> tuple[BetweenCells, ...]:
    """Return the halves of the smooth potential's matrices, one per spin channel.

    Args:
        basis: GPAW's functions on the grid.
        smooth: (spins, x, y, z) potential.
    """
    steps, cells = basis.create_displacement_arrays()
    rows = basis.Mmax
    ends = [*basis.M_a[1:], rows]

    def strips(channel: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
        for first, end in zip(basis.M_a, ends, strict=True):
            strip = np.zeros((len(cells), end - first, rows))
            basis.lfc.calculate_potential_matrices(channel, strip, steps, first, end)
            strip[0] *= 0.5  # GPAW counts the other cells once, in one of two directions
            yield first, strip

    return tuple(
        BetweenCells.gather(strips(np.ascontiguousarray(channel)), -cells, (rows, rows))
        for channel in smooth
    )
