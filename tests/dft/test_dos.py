"""The density of states of bands that are known, against ASE's tetrahedra and exact counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.dft.dos import linear_tetrahedron_integration
from model_engines import TightBinding, cubic_band

from bondwright.dft.calculation import Status
from bondwright.dft.dos import Broadening, DensityOfStates, density_of_states
from bondwright.dft.settings import DftSettings, Spin
from bondwright.errors import InputError

CUBE = Atoms("Po", cell=np.eye(3) * 3.3, pbc=True)
PLAIN = DftSettings(kpoints=(4, 4, 4), spin=Spin.NONE)


def dos(engine: TightBinding, folder: Path, **options: object) -> DensityOfStates:
    settings = {"kpoint_spacing_per_A": 0.2, "interval_eV": 0.05, **options}
    return density_of_states(CUBE, engine, PLAIN, folder, **settings)  # type: ignore[arg-type]


def two_bands() -> TightBinding:
    return TightBinding([[cubic_band(0.0, 0.5), cubic_band(20.0, 0.5)]], fermi=8.0)


def test_tetrahedra_agree_with_those_of_ase(tmp_path: Path) -> None:
    found = dos(two_bands(), tmp_path)
    assert found.energies_eV is not None
    assert found.states_per_eV is not None
    assert found.mesh is not None
    size = found.mesh
    grid = np.stack(np.meshgrid(*(np.arange(n) / n for n in size), indexing="ij"), axis=-1)
    values = cubic_band(0.0, 0.5)(grid.reshape(-1, 3)).reshape(*size, 1)
    inside = (found.energies_eV > -2.9) & (found.energies_eV < 2.9)
    theirs = 2 * linear_tetrahedron_integration(CUBE.cell, values, found.energies_eV)[inside]
    ours = found.states_per_eV[0][inside]
    # Ours is the mean over an interval, theirs the value at its middle; ASE cuts the cells along
    # other diagonals. Both are about 0.35 states per eV.
    assert np.abs(ours - theirs).max() < 0.03
    assert ours.mean() == pytest.approx(theirs.mean(), rel=2e-3)


@pytest.mark.parametrize("broadening", list(Broadening))
def test_counts_two_electrons_per_full_band(tmp_path: Path, broadening: Broadening) -> None:
    found = dos(two_bands(), tmp_path, broadening=broadening)
    assert found.status is Status.CONVERGED
    assert found.electrons == pytest.approx(2.0, abs=1e-9)
    assert found.states_per_eV is not None
    assert found.states_below is not None
    assert found.states_per_eV.sum() * 0.05 == pytest.approx(found.states_below[0, -1], rel=1e-6)
    assert (found.states_per_eV > -1e-12).all()


@pytest.mark.parametrize("broadening", list(Broadening))
def test_a_band_is_half_full_at_its_middle(tmp_path: Path, broadening: Broadening) -> None:
    # cos changes its sign under k + (1/2, 1/2, 1/2): the band is symmetric about its centre.
    engine = TightBinding([[cubic_band(0.0, 0.5), cubic_band(20.0, 0.5)]], fermi=0.0)
    found = dos(engine, tmp_path, broadening=broadening, kpoint_spacing_per_A=0.1)
    assert found.electrons == pytest.approx(1.0, abs=0.01)


def test_tetrahedra_converge_to_the_exact_count(tmp_path: Path) -> None:
    # Free-electron-like bottom: N(E) = 2 * 4/3 pi k^3 / (2 pi / a)^3 with E = t (k a)^2 above it.
    t, above = 0.5, 0.2
    exact = 2 * 4 / 3 * np.pi * (above / t) ** 1.5 / (2 * np.pi) ** 3
    engine = TightBinding([[cubic_band(0.0, t), cubic_band(20.0, t)]], fermi=-6 * t + above)
    found = dos(engine, tmp_path, kpoint_spacing_per_A=0.05)
    # The pocket is four points of the mesh wide on either side: straight lines between them lie
    # above the curve, which costs 7 %; the band's quartic terms add 2 %.
    assert found.electrons == pytest.approx(exact, rel=0.1)


def test_spins_are_counted_once_each(tmp_path: Path) -> None:
    engine = TightBinding(
        [
            [cubic_band(-10.0, 0.5), cubic_band(10.0, 0.5)],
            [cubic_band(10.0, 0.5), cubic_band(20.0, 0.5)],
        ],
        fermi=0.0,
    )
    found = dos(engine, tmp_path)
    assert found.states_per_eV is not None
    assert found.states_per_eV.shape[0] == 2
    assert found.electrons == pytest.approx(1.0, abs=1e-9)


def test_a_second_call_asks_for_no_eigenvalues(tmp_path: Path) -> None:
    engine = two_bands()
    first = dos(engine, tmp_path)
    asked = engine.asked
    second = dos(engine, tmp_path, broadening=Broadening.GAUSSIAN)
    assert engine.asked == asked > 0
    assert second.electrons == pytest.approx(first.electrons)


def test_widths_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        dos(two_bands(), tmp_path, width_eV=0.0)
