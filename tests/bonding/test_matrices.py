"""H and S of a real crystal: what the sums over cells give, and how much memory they take."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.units import Hartree

from bondwright.bonding.between_cells import BetweenCells
from bondwright.bonding.matrices import matrices
from bondwright.bonding.orbitals import basis_name
from bondwright.bonding.potential import (
    LcaoRequest,
    Potential,
    converge_potential,
    functions_at_hand,
    lcao_parameters,
)
from bondwright.bonding.projection import Projection, project

pytest.importorskip("gpaw")

ORBITALS = "pbe"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrices")


@pytest.fixture(scope="module")
def asked() -> LcaoRequest:
    aluminium = bulk("Al", "fcc", a=4.05, cubic=True)
    aluminium.rattle(0.1, seed=1)
    aluminium.wrap()
    return LcaoRequest(
        atoms=aluminium,
        grid_spacing_A=0.35,
        smearing_eV=0.1,
        density_tolerance_per_electron=1.0,  # any potential serves here
        scf_mesh=(1, 1, 1),
    )


@pytest.fixture(scope="module")
def potential(asked: LcaoRequest, kept: Path) -> Potential:
    return converge_potential(asked, kept)


@pytest.mark.parametrize("mesh", [(1, 1, 1), (2, 1, 3)], ids=["Gamma", "complex"])
def test_sums_over_cells_are_the_matrices_that_gpaw_makes_for_each_k_point(
    asked, potential, kept, mesh
):
    from gpaw.new.calculation import DFT

    basis = basis_name(ORBITALS)
    with functions_at_hand(asked, basis, kept):
        dft = DFT(asked.atoms, **lcao_parameters(asked, basis, mesh), txt=None, converge=False)
    dft.potential.vt_sR.data[:] = potential.smooth
    for a, block in enumerate(potential.atomic):
        dft.potential.dH_asii[a][:] = block
    theirs = dft.scf_loop.hamiltonian.create_hamiltonian_matrix_calculator(dft.potential)
    _, points = matrices(asked, potential, ORBITALS, mesh, kept)
    for wave, point in zip(dft.ibzwfs, points, strict=True):
        np.testing.assert_allclose(point.fractional, wave.kpt_c)
        assert point.weight == pytest.approx(wave.weight)
        # The same sums in another order: rounding of elements of up to 1e3 eV.
        np.testing.assert_allclose(point.overlap, wave.S_MM.data, atol=1e-12)
        hamiltonian = theirs.calculate_matrix(wave).data * Hartree
        np.testing.assert_allclose(point.hamiltonian_eV, hamiltonian, atol=1e-10)
        # Real algebra costs a third, so a k-point that is its own negative must be real.
        assert np.iscomplexobj(point.overlap) == (not np.allclose((2 * wave.kpt_c) % 1, 0))


def test_elements_that_are_zero_take_no_memory():
    images = np.array([[0, 0, 0], [1, 0, 0]])
    whole = np.zeros((2, 60, 50))
    whole[0, 3, 4], whole[1, 59, 49] = 2.0, 3.0
    kept = BetweenCells.gather(
        ((row, whole[:, row : row + 20]) for row in (0, 20, 40)), images, (60, 50)
    )
    assert kept.elements.nnz == 2
    k = np.array([0.25, 0.0, 0.0])
    np.testing.assert_allclose(kept.at(k), whole[0] + 1j * whole[1], atol=1e-15)


def peak_of(
    asked: LcaoRequest, potential: Potential, mesh: tuple[int, int, int], folder: Path
) -> tuple[Projection, int]:
    """Return the projection and the most bytes that its arrays took at once."""
    tracemalloc.start()
    try:
        functions, points = matrices(asked, potential, ORBITALS, mesh, folder)
        projection = project(functions, points, 0.1)
        return projection, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_matrices_of_a_k_point_are_let_go_before_the_next(asked, potential, kept):
    functions, points = matrices(asked, potential, ORBITALS, (1, 1, 1), kept)
    project(functions, points, 0.1)  # imports and caches
    _, one = peak_of(asked, potential, (1, 1, 1), kept)
    many, eight = peak_of(asked, potential, (2, 2, 2), kept)
    assert len(many.points) == 8
    # Overlap, kinetic energy and projectors of seven further points, each as large as a matrix of
    # all functions. A fifth was seen: projected bands, and small objects of Python.
    held = 7 * 3 * 8 * len(functions.atom) ** 2
    assert eight - one < 0.5 * held
