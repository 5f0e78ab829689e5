"""The Birch-Murnaghan fit against ASE's formula and against curves that are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase.eos import birchmurnaghan
from ase.units import GPa

from bondwright.dft.birch_murnaghan import fit_birch_murnaghan
from bondwright.errors import InputError


@pytest.mark.parametrize(
    ("energy", "bulk", "derivative", "volume"),
    [(-10.8, 88.5, 4.3, 40.9), (-9000.0, 433.0, 3.7, 11.4), (-0.05, 1.1, 7.4, 250.0)],
)
def test_finds_the_parameters_that_made_the_energies(
    energy: float, bulk: float, derivative: float, volume: float
) -> None:
    # The energies come from ASE's independent form of the equation. 1e-6: rounding at -9000 eV.
    volumes = volume * np.linspace(0.93, 1.06, 7)
    energies = birchmurnaghan(volumes, energy, bulk * GPa, derivative, volume)
    found = fit_birch_murnaghan(volumes, energies)
    assert found.volume_A3 == pytest.approx(volume, rel=1e-6)
    assert found.energy_eV == pytest.approx(energy, abs=1e-7)
    assert found.bulk_modulus_GPa == pytest.approx(bulk, rel=1e-5)
    assert found.pressure_derivative == pytest.approx(derivative, rel=1e-4)
    assert found.residual_eV < 1e-7
    assert found.energies(volumes) == pytest.approx(list(energies), abs=1e-7)


def test_residual_is_the_scatter_about_the_curve() -> None:
    volumes = np.linspace(38, 44, 2001)
    random = np.random.default_rng(7)
    scatter = random.normal(0, 0.002, len(volumes))
    energies = birchmurnaghan(volumes, -10.8, 88.5 * GPa, 4.3, 40.9) + scatter
    # The scatter of 2001 random numbers is known to 1.6 %.
    assert fit_birch_murnaghan(volumes, energies).residual_eV == pytest.approx(0.002, rel=0.05)


def test_order_of_the_points_does_not_matter() -> None:
    volumes = np.linspace(38, 44, 7)
    energies = birchmurnaghan(volumes, -10.8, 88.5 * GPa, 4.3, 40.9)
    there, back = (
        fit_birch_murnaghan(volumes[::s], energies[::s]).bulk_modulus_GPa for s in (1, -1)
    )
    assert there == pytest.approx(back, rel=1e-9)


@pytest.mark.parametrize(
    ("volumes", "energies"),
    [
        ([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]),
        ([1.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0, 4.0], [0.0, float("nan"), 2.0, 3.0]),
        ([-1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0]),
    ],
)
def test_refuses_what_has_no_curve(volumes: list[float], energies: list[float]) -> None:
    with pytest.raises(InputError):
        fit_birch_murnaghan(volumes, energies)


def test_a_hill_has_no_minimum() -> None:
    volumes = np.linspace(10, 14, 5)
    with pytest.raises(InputError, match="minimum"):
        fit_birch_murnaghan(volumes, -((volumes ** (-2 / 3) - 0.19) ** 2))
