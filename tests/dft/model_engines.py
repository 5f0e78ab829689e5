"""Engines that cost nothing and whose answers are known otherwise, to test tasks with.

`EmtEngine` is ASE's effective-medium theory, a real potential with forces and stress.
`TightBinding` has one s band, or an s and a p-like band, on a lattice with one atom per cell: its
energies are cosines that can be written down.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from ase.units import GPa
from numpy.typing import NDArray

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.records import settings_to_json
from bondwright.dft.settings import DftSettings


class EmtEngine:
    """Effective-medium theory (ASE); `fails` names the structures that do not converge."""

    name = "emt"

    def __init__(self, fails: Callable[[Atoms], Status | None] = lambda _: None) -> None:
        self.fails = fails
        self.solved: list[Atoms] = []

    def version(self) -> str:
        return "1"

    def open(self, settings: DftSettings, folder: Path, *, progress: object = None) -> EmtSession:
        folder.mkdir(parents=True, exist_ok=True)
        return EmtSession(self, settings)


class EmtSession:
    def __init__(self, engine: EmtEngine, settings: DftSettings) -> None:
        self.engine, self.settings = engine, settings

    def solve(self, atoms: Atoms, *, forces: bool = True, stress: bool = False) -> Calculation:
        self.engine.solved.append(atoms.copy())
        plain = atoms.copy()
        plain.calc = None
        asked = settings_to_json(self.settings)
        failure = self.engine.fails(plain)
        if failure is not None:
            return Calculation(failure, plain, "emt 1", asked, "scf-not-converged", "No luck.")
        still = plain.copy()
        still.calc = EMT()
        return Calculation(
            Status.CONVERGED,
            plain,
            "emt 1",
            asked,
            energy_eV=float(still.get_potential_energy()),
            forces_eV_per_A=still.get_forces() if forces else None,
            stress_GPa=still.get_stress(voigt=False) / GPa if stress else None,
            fermi_eV=0.0,
        )

    def eigenvalues(self, kpoints: NDArray[np.float64]) -> NDArray[np.float64]:
        raise AssertionError("effective-medium theory has no bands")

    def close(self) -> None:
        pass


class TightBinding:
    """Bands given as functions of k in units of the reciprocal vectors: (k, 3) -> (k,)."""

    name = "tight-binding"

    def __init__(
        self, bands: list[list[Callable[[NDArray[np.float64]], NDArray[np.float64]]]], fermi: float
    ) -> None:
        self.bands, self.fermi = bands, fermi
        self.asked = 0

    def version(self) -> str:
        return "1"

    def open(
        self, settings: DftSettings, folder: Path, *, progress: object = None
    ) -> TightBindingSession:
        return TightBindingSession(self, settings)


class TightBindingSession:
    def __init__(self, engine: TightBinding, settings: DftSettings) -> None:
        self.engine, self.settings = engine, settings

    def solve(self, atoms: Atoms, *, forces: bool = True, stress: bool = False) -> Calculation:
        return Calculation(
            Status.CONVERGED,
            atoms,
            "tight-binding 1",
            settings_to_json(self.settings),
            energy_eV=0.0,
            fermi_eV=self.engine.fermi,
        )

    def eigenvalues(self, kpoints: NDArray[np.float64]) -> NDArray[np.float64]:
        self.engine.asked += len(kpoints)
        values = [np.stack([band(kpoints) for band in spin], axis=1) for spin in self.engine.bands]
        return np.sort(np.array(values), axis=2)

    def close(self) -> None:
        pass


def cubic_band(
    centre: float, hopping: float
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return an s band of a simple cubic lattice: centre - 2 t (cos x + cos y + cos z)."""

    def energies(kpoints: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = centre - 2 * hopping * np.cos(2 * np.pi * kpoints).sum(axis=1)
        return found

    return energies
