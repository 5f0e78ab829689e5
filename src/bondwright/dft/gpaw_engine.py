"""GPAW as an engine: plane waves and PAW, in this process.

A session's folder holds `gpaw.log` (GPAW's own text, appended), `<digest>.json` for every ground
state that was asked for, and `<digest>.gpw` with the density of the last one. A file with such a
name is complete; a process that is killed loses the SCF that was running and nothing else.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from bondwright.dft.calculation import Calculation, Correction, Status
from bondwright.dft.engine import ScfProgress
from bondwright.dft.gpaw_corrections import continues, corrections
from bondwright.dft.gpaw_failures import DivergedError, GiveUpError, gpaw_failures
from bondwright.dft.gpaw_parameters import (
    check_functional,
    elements_without_data,
    gpaw_version,
    scf_parameters,
)
from bondwright.dft.gpaw_results import ground_state
from bondwright.dft.records import read_record, request_digest, settings_to_json, write_record
from bondwright.dft.settings import DftSettings
from bondwright.dft.spin import initial_moments
from bondwright.dft.usable import unusable
from bondwright.errors import InputError

_SPARE_BANDS = 0.3
"""Unoccupied bands that `eigenvalues` returns, as a share of the occupied ones (eight at least)."""


class GpawEngine:
    """GPAW in plane-wave mode."""

    name = "gpaw"

    def version(self) -> str:
        """Return the version of the installed GPAW.

        Raises:
            InputError: it is not installed; the message says how to install it.
        """
        return gpaw_version()

    def open(
        self, settings: DftSettings, folder: Path, *, progress: ScfProgress | None = None
    ) -> GpawSession:
        """Begin work in a folder, which is made when absent; files of earlier work are reused.

        Raises:
            InputError: GPAW is missing, or it does not have the functional.
        """
        version = f"{self.name} {self.version()}"
        check_functional(settings.functional)
        folder.mkdir(parents=True, exist_ok=True)
        return GpawSession(settings, folder, version, progress)


class GpawSession:
    """GPAW at work in one folder; density and wave functions are kept between calculations."""

    def __init__(
        self, settings: DftSettings, folder: Path, version: str, progress: ScfProgress | None
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._version = version
        self._progress = progress
        self._log = (folder / "gpaw.log").open("a", encoding="utf-8")
        self._calculator: Any = None
        self._parameters: dict[str, Any] = {}
        self._solved = ""  # digest of the ground state that the calculator holds
        self._last: tuple[str, Atoms] | None = None

    def solve(self, atoms: Atoms, *, forces: bool = True, stress: bool = False) -> Calculation:
        """Find the ground state, with bounded, recorded corrections when the SCF does not settle.

        A request that the folder's records answer is not computed again.

        Args:
            atoms: fully periodic structure (positions and cell in Å); initial magnetic moments
                that it brings along are used unless the settings say "none".
            forces: compute the forces too.
            stress: compute the stress too.

        Returns:
            The calculation. Reasons: "scf-not-converged", "bad-structure", "atoms-too-close",
            "no-paw-set", "not-finite", "out-of-memory", "engine-error".
        """
        begin = time.monotonic()
        plain = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        tried: list[Correction] = []
        try:
            moments = self._check(atoms)
            digest = request_digest(plain, self._settings, self._version, moments)
            known = self._recorded(digest, forces=forces, stress=stress)
            if known is not None:
                if known.status is Status.CONVERGED:
                    self._last = digest, atoms.copy()
                return known
            start = plain.copy()
            if moments is not None:
                start.set_initial_magnetic_moments(moments)
            found = self._compute(start, moments, digest, tried, forces=forces, stress=stress)
        except GiveUpError as failure:
            found = {
                "status": failure.status,
                "reason": failure.reason,
                "message": str(failure),
                "scf_steps": self._steps(),
            }
            self._forget()
        except BaseException:  # an interrupt leaves the calculator half-way
            self._forget()
            raise
        calculation = Calculation(
            **{"status": Status.CONVERGED, **found},
            atoms=plain,
            engine=self._version,
            settings=settings_to_json(self._settings),
            corrections=tuple(tried),
            seconds=time.monotonic() - begin,
        )
        if calculation.status is Status.CONVERGED:
            self._keep_density(digest)
            self._last = digest, atoms.copy()
        if calculation.status in (Status.CONVERGED, Status.NOT_CONVERGED):
            write_record(self._record(digest), calculation)
        return calculation

    def eigenvalues(self, kpoints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return eigenvalues in eV at the density of the last solved structure.

        Args:
            kpoints: (k, 3) in units of the reciprocal lattice vectors.

        Returns:
            (spins, k, bands), on the same scale as `Calculation.fermi_eV`.

        Raises:
            InputError: nothing has converged yet, or the bands do not converge.
        """
        if self._last is None:
            raise InputError("there is no converged density yet; solve the structure first.")
        from gpaw import KohnShamConvergenceError

        calculator = self._calculator_of_last()
        occupied = int(np.ceil(calculator.get_number_of_electrons() / 2))
        wanted = occupied + max(8, int(_SPARE_BANDS * occupied))
        bands = calculator.fixed_density(
            txt=self._log,
            kpts=np.asarray(kpoints, dtype=float).reshape(-1, 3),
            symmetry="off",
            nbands=wanted + max(4, wanted // 10),
            convergence={"bands": wanted},
            maxiter=max(200, self._settings.max_scf_steps),
        )
        try:
            values = bands.eigenvalues()
        except KohnShamConvergenceError:
            raise InputError(
                f"the bands of {self._last[1].symbols} did not converge; see {self._log.name}."
            ) from None
        return np.asarray(values[:, :, :wanted], dtype=float)

    def close(self) -> None:
        """Give back memory; safe to call twice."""
        self._forget()
        self._log.close()

    def _check(self, atoms: Atoms) -> NDArray[np.float64] | None:
        """Return the initial moments of a structure that can be calculated.

        Raises:
            GiveUpError: it cannot be calculated.
        """
        if (refused := unusable(atoms)) is not None:
            raise GiveUpError(Status.FAILED, *refused)
        missing = elements_without_data(atoms, self._settings.functional)
        if missing:
            raise GiveUpError(
                Status.FAILED,
                "no-paw-set",
                f"GPAW has no {self._settings.functional} PAW data set for {', '.join(missing)}; "
                "leave such structures out, or put a set into a folder of GPAW_SETUP_PATH.",
            )
        return initial_moments(atoms, self._settings.spin)

    def _compute(
        self,
        atoms: Atoms,
        moments: NDArray[np.float64] | None,
        digest: str,
        tried: list[Correction],
        *,
        forces: bool,
        stress: bool,
    ) -> dict[str, Any]:
        """Return the fields of a converged calculation; `tried` is filled on the way.

        Raises:
            GiveUpError: there is no ground state to be had.
        """
        parameters = scf_parameters(atoms, self._settings, moments)
        if not self._fits(atoms, parameters):
            self._start(parameters)
        converged = self._attempt(atoms)
        for correction in () if converged else corrections(self._settings, self._bands()):
            tried.append(correction)
            changed = {**self._parameters, **correction.changes}
            if continues(correction) and self._change(correction):
                self._parameters = changed
            else:
                self._start(changed)
            converged = self._attempt(atoms)
            if converged:
                break
        if not converged:
            raise GiveUpError(
                Status.NOT_CONVERGED,
                "scf-not-converged",
                f"The SCF did not settle in {self._settings.max_scf_steps} steps, nor after "
                f"{len(tried)} corrections; see {self._log.name}.",
            )
        self._solved = digest
        with gpaw_failures(self._log.name):
            return ground_state(
                self._calculator,
                atoms,
                self._settings,
                self._parameters,
                forces=forces,
                stress=stress,
            )

    def _fits(self, atoms: Atoms, parameters: dict[str, Any]) -> bool:
        """Return whether the calculator in memory can go on with a structure."""
        if self._calculator is None or not self._calculator.initialized:
            return False
        same = np.array_equal(self._calculator.atoms.numbers, atoms.numbers)
        # A softer mixer may stay; whatever else a correction changed must not reach the next one.
        held = {k: v for k, v in self._parameters.items() if k != "mixer"}
        return bool(same and held == parameters)

    def _start(self, parameters: dict[str, Any]) -> None:
        from gpaw.new.ase_interface import GPAW

        self._forget()
        self._parameters = parameters
        self._calculator = GPAW(**parameters, txt=self._log)

    def _change(self, correction: Correction) -> bool:
        """Change keywords of the calculator in memory; False when it is of no use any more."""
        calculator = self._calculator
        if not calculator.initialized or not np.isfinite(calculator.dft.density.nt_sR.data).all():
            return False
        calculator.dft.change(**correction.changes)
        return True

    def _attempt(self, atoms: Atoms) -> bool:
        """Run SCF steps until they settle or are used up."""
        from gpaw import KohnShamConvergenceError

        def converge() -> bool:
            before: float | None = None
            for step in self._calculator.iconverge(atoms, need_wfs=True):
                energy = float(step.energies.total_extrapolated) * units.Ha
                if self._progress is not None:
                    self._progress(step.niter, None if before is None else energy - before)
                before = energy
            return True

        try:
            with gpaw_failures(self._log.name):
                return converge()
        except (KohnShamConvergenceError, DivergedError):
            return False

    def _steps(self) -> int:
        held = self._calculator is not None and self._calculator.initialized
        return int(self._calculator.get_number_of_iterations()) if held else 0

    def _bands(self) -> int | None:
        held = self._calculator is not None and self._calculator.initialized
        return int(self._calculator.get_number_of_bands()) if held else None

    def _recorded(self, digest: str, *, forces: bool, stress: bool) -> Calculation | None:
        known = read_record(self._record(digest))
        if known is None or known.status is not Status.CONVERGED:
            return known
        lacks = (forces and known.forces_eV_per_A is None) or (stress and known.stress_GPa is None)
        return None if lacks else known

    def _calculator_of_last(self) -> Any:
        """Return a calculator that holds the density of the last solved structure."""
        from gpaw.new.ase_interface import GPAW

        assert self._last is not None  # noqa: S101 (asked by the caller)
        digest, atoms = self._last
        if self._solved == digest and self._calculator is not None:
            return self._calculator
        try:
            return GPAW(self._density(digest), txt=self._log)
        except (OSError, ValueError, KeyError):  # gone, or torn by a power cut
            self._record(digest).unlink(missing_ok=True)
            self.solve(atoms)
            return self._calculator

    def _keep_density(self, digest: str) -> None:
        """Write the density of the last ground state, and remove those before it."""
        target = self._density(digest)
        part = target.with_name(f".{digest}.{os.getpid()}.part.gpw")
        self._calculator.write(part)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(target)
        for old in self._folder.glob("*.gpw"):
            if old != target:
                old.unlink(missing_ok=True)

    def _record(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"

    def _density(self, digest: str) -> Path:
        return self._folder / f"{digest}.gpw"

    def _forget(self) -> None:
        self._calculator = None
        self._solved = ""
