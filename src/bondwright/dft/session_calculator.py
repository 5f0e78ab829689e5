"""An engine's session in the form that ASE's optimizers know."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.engine import Session


class UnsolvedError(Exception):
    """A calculation did not converge; it is `failed` of the calculator."""


class SessionCalculator(Calculator):  # type: ignore[misc]
    """Solves each structure that an optimizer asks for with an engine's session.

    Attributes:
        done: what converged, in order.
        failed: what ended the walk; None while nothing did.
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, session: Session, *, stress: bool) -> None:
        super().__init__()
        self._session, self._stress = session, stress
        self.done: list[Calculation] = []
        self.failed: Calculation | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Solve a structure and keep what ASE asks for, in its units.

        Raises:
            UnsolvedError: the structure has no ground state.
        """
        super().calculate(atoms, properties, system_changes)
        self.check(self.atoms)
        found = self._session.solve(self.atoms, forces=True, stress=self._stress)
        if found.status is not Status.CONVERGED or found.forces_eV_per_A is None:
            self.failed = found
            raise UnsolvedError(found.message)
        found = self.corrected(found)
        self.done.append(found)
        self.results = {"energy": found.energy_eV, "forces": found.forces_eV_per_A}
        if found.stress_GPa is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(found.stress_GPa * units.GPa)

    def check(self, atoms: Atoms) -> None:
        """Refuse a structure before it is solved, by an exception; nothing is refused here."""

    def corrected(self, found: Calculation) -> Calculation:
        """Return what is kept of a calculation: itself."""
        return found
