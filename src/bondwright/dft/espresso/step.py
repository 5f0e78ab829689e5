"""One geometry of a run while it is being read."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.espresso.bands import BandReader, Bands, gap_of
from bondwright.dft.espresso.facts import PwStep, ScfIteration


def zero_width(free_energy: float, minus_ts: float | None, smearing: str) -> float:
    """Extrapolate a total energy to zero smearing width.

    For Fermi-Dirac and Gaussian smearing F and E leave the limit by the same amount in opposite
    directions at lowest order, so that their mean is right: E0 = F + TS/2 (M. J. Gillan, J. Phys.:
    Condens. Matter 1, 689 (1989)). Methfessel-Paxton and cold smearing are made such that F
    itself is already right to that order (Phys. Rev. B 40, 3616; Phys. Rev. Lett. 82, 3296).

    Args:
        free_energy: F = E - TS.
        minus_ts: -TS; None without smearing.
        smearing: as in `PwOutput.smearing`; for an unknown kind F is returned.
    """
    if minus_ts is None or smearing not in ("fermi-dirac", "gaussian"):
        return free_energy
    return free_energy - minus_ts / 2


class StepReader:
    """A geometry that is being read."""

    def __init__(self, atoms: Atoms | None) -> None:
        self.atoms = atoms
        self.iterations: list[ScfIteration] = []
        self.converged: bool | None = None
        self.energy: float | None = None
        self.smeared: float | None = None
        self.forces: NDArray[np.float64] | None = None
        self.stress: NDArray[np.float64] | None = None
        self.fermi: float | None = None
        self.homo: float | None = None
        self.lumo: float | None = None
        self.moment: float | None = None
        self.absolute: float | None = None
        self.moments: NDArray[np.float64] | None = None
        self.bands = BandReader()

    @property
    def empty(self) -> bool:
        """Whether nothing has been read yet."""
        return not self.iterations and self.energy is None and self.fermi is None

    def finished(self, smearing: str, electrons: float | None, count: int | None) -> PwStep:
        """Return what is known of the step."""
        bands = self.bands.bands(count)
        decided = self.energy is not None and self.converged is not False
        return PwStep(
            atoms=self.atoms,
            iterations=tuple(self.iterations),
            scf_converged=self.converged,
            free_energy_eV=self.energy,
            smearing_eV=self.smeared,
            energy_eV=zero_width(self.energy, self.smeared, smearing)
            if self.energy is not None
            else None,
            forces_eV_per_A=self.forces if decided else None,
            stress_GPa=self.stress if decided else None,
            fermi_eV=self.fermi,
            homo_eV=self.homo,
            lumo_eV=self.lumo,
            gap_eV=self._gap(bands, electrons),
            magnetic_moment=self.moment,
            absolute_moment=self.absolute,
            magnetic_moments=self.moments,
            bands=bands,
        )

    def _gap(self, bands: Bands | None, electrons: float | None) -> float | None:
        if self.homo is not None and self.lumo is not None:
            return max(0.0, self.lumo - self.homo)
        if bands is None:
            return None
        return gap_of(bands.eigenvalues_eV, fermi=self.fermi, electrons=electrons)
