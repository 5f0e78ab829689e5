"""The interface that every DFT engine has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.calculation import Calculation
from bondwright.dft.settings import DftSettings

ScfProgress = Callable[[int, float | None], None]
"""Called after an SCF step with its number and the change of energy in eV (None in the first)."""


class Session(Protocol):
    """An engine at work on one structure whose atoms and cell may move between calculations.

    What can be kept from one calculation to the next (density, wave functions) is kept.
    """

    def solve(self, atoms: Atoms, *, forces: bool = True, stress: bool = False) -> Calculation:
        """Find the ground state, with bounded, recorded corrections when the SCF does not settle.

        Never raises for what the calculation does; its status says so.
        """
        ...

    def eigenvalues(self, kpoints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return eigenvalues in eV at the density of the last solved structure.

        Args:
            kpoints: (k, 3) in units of the reciprocal lattice vectors.

        Returns:
            (spins, k, bands), on the same scale as `Calculation.fermi_eV`.

        Raises:
            InputError: nothing has converged yet, or the engine cannot do this.
        """
        ...

    def close(self) -> None:
        """Give back memory and processes; safe to call twice."""
        ...


class Engine(Protocol):
    """A program that solves the Kohn-Sham equations.

    Attributes:
        name: "gpaw", "espresso".
    """

    name: str

    def version(self) -> str:
        """Return the version of the installed program.

        Raises:
            InputError: it is not installed; the message says how to install it.
        """
        ...

    def open(
        self, settings: DftSettings, folder: Path, *, progress: ScfProgress | None = None
    ) -> Session:
        """Begin work in a folder, which is made when absent; files of earlier work are reused.

        Args:
            settings: what every calculation of the session is asked for.
            folder: where logs, densities and records are kept.
            progress: called after every SCF step where the engine can tell.

        Raises:
            InputError: the program or its data sets are missing.
        """
        ...
