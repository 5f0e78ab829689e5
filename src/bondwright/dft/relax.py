"""Relaxation of positions, or of positions and cell, with an engine's forces and stress.

A step costs minutes, so few are wanted: quasi-Newton steps (BFGS) in positions and the logarithm of
the cell's deformation (ASE's Frechet cell filter), the cell's part of the first Hessian being that
of an isotropic solid. The mesh of k-points is chosen once, for the first structure.

Every solved step is a record in the folder, and the optimizer is deterministic: a second call walks
through the records in no time and goes on where the first one ended, also after kill -9.

Plane waves: the stress of each step is corrected for the finite cut-off (see `dft.pulay`), so that
the cell goes to the minimum of the energy at the cut-off that was asked for, and the last energy is
what a single point of the final structure gives.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.optimize.cellawarebfgs import CellAwareBFGS

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.engine import Engine, ScfProgress, Session
from bondwright.dft.kpoints import mesh_of
from bondwright.dft.pulay import pulay_stress
from bondwright.dft.records import calculation_from_json, calculation_to_json
from bondwright.dft.session_calculator import SessionCalculator, UnsolvedError
from bondwright.dft.settings import DftSettings
from bondwright.errors import InputError
from bondwright.structure.records import atoms_from_json, atoms_to_json
from bondwright.structure.write import write_extxyz, write_text

RelaxProgress = Callable[[int, float, float, float | None], None]
"""Called after every step with its number, energy in eV, largest force in eV/Å and largest stress
component in GPa (None when the cell is fixed)."""

MIN_VOLUME_RATIO = 0.4
MAX_VOLUME_RATIO = 2.5
_LONGEST_STEP_A = 0.15  # of an atom; and 15 % of strain


@dataclass(frozen=True)
class Relaxed:
    """What came of a relaxation.

    Attributes:
        status: how it ended; only `CONVERGED` is a minimum.
        atoms: the last structure that was solved; the initial one when none was.
        cell: whether the cell was relaxed too.
        reason: stable slug unless converged: "steps-used-up", "exploded", "collapsed",
            "not-finite", "pulay-unknown", or a reason of the engine such as "scf-not-converged".
        message: one sentence for people; empty when converged.
        calculation: the last calculation, of `atoms` unless its status says otherwise; None when
            nothing was calculated.
        steps: optimizer steps taken, those of earlier calls included.
        energies_eV: energy of each solved structure, the initial one first.
        fmax_eV_per_A: largest force at each.
        max_stress_GPa: largest stress component at each, as an absolute value; empty when the cell
            was fixed.
        volume_ratio: final over initial volume.
        pulay_stress_GPa: what each diagonal component of the engine's stress was lowered by at the
            last structure; None when the cell was fixed.
    """

    status: Status
    atoms: Atoms
    cell: bool
    reason: str = ""
    message: str = ""
    calculation: Calculation | None = None
    steps: int = 0
    energies_eV: list[float] = field(default_factory=list)
    fmax_eV_per_A: list[float] = field(default_factory=list)
    max_stress_GPa: list[float] = field(default_factory=list)
    volume_ratio: float = 1.0
    pulay_stress_GPa: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the relaxation as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        done = self.calculation
        return {
            **values,
            "status": str(self.status),
            "atoms": atoms_to_json(self.atoms),
            "calculation": None if done is None else calculation_to_json(done),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Relaxed:
        """Rebuild a relaxation from what `to_json` returned.

        Raises:
            InputError: the record is damaged.
        """
        try:
            done = data["calculation"]
            return cls(
                **{
                    **data,
                    "status": Status(data["status"]),
                    "atoms": atoms_from_json(data["atoms"]),
                    "calculation": None if done is None else calculation_from_json(done),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"a stored relaxation is damaged ({error!r}); delete its record and run it again."
            ) from None


class _StopError(Exception):
    """The relaxation ends before it has converged."""

    def __init__(self, status: Status, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class _GuardedCalculator(SessionCalculator):
    """Stops a walk that has run away, and takes the Pulay stress off."""

    def __init__(self, session: Session, start: Atoms, pulay: Callable[[], float] | None) -> None:
        super().__init__(session, stress=pulay is not None)
        self._volume = float(abs(start.cell.volume))
        self._ask_pulay = pulay
        self._pulay: float | None = None

    def check(self, atoms: Atoms) -> None:
        """Let any first structure pass: the engine refuses with a reason what it cannot take."""
        if self.done:
            _check_geometry(atoms, self._volume)

    def corrected(self, found: Calculation) -> Calculation:
        """Lower the stress by what the finite cut-off adds to it."""
        if found.stress_GPa is None:
            return found
        pulay = self._pulay_at(float(abs(found.atoms.cell.volume)))
        return replace(
            found,
            stress_GPa=found.stress_GPa - pulay * np.eye(3),
            notes={**found.notes, "pulay_stress_GPa": pulay},
        )

    def _pulay_at(self, volume: float) -> float:
        """Return the Pulay stress, GPa: its energy belongs to the atoms, so it goes as 1 / volume.

        It is asked for after the first structure is solved, whose reasons say more when it fails.
        """
        if self._pulay is None and self._ask_pulay is not None:
            try:
                self._pulay = self._ask_pulay()
            except InputError as error:
                raise _StopError(Status.NOT_CONVERGED, "pulay-unknown", f"{error}") from error
        return (self._pulay or 0.0) * self._volume / volume


def relax(
    atoms: Atoms,
    engine: Engine,
    settings: DftSettings,
    folder: Path,
    *,
    cell: bool = True,
    progress: RelaxProgress | None = None,
    scf_progress: ScfProgress | None = None,
) -> Relaxed:
    """Relax a structure until forces, and stress where the cell moves, are below their limits.

    Args:
        atoms: fully periodic structure (positions and cell in Å); left as it is.
        engine: the program that gives energies, forces and stress.
        settings: what is asked for, the limits included.
        folder: records, log, `trajectory.extxyz` and `relaxation.json`; made when absent. What an
            earlier call has solved there is not repeated.
        cell: relax the cell too.
        progress: called after every step.
        scf_progress: called after every SCF step.

    Returns:
        The relaxation, also when it failed: the status says how it ended.

    Raises:
        InputError: the program is not installed, or the k-points cannot be used.
    """
    start = atoms.copy()
    start.calc = None
    if abs(start.cell.volume) > 0:  # else the engine refuses the structure, with a reason
        settings = replace(settings, kpoints=mesh_of(start, settings))
    session = engine.open(settings, folder, progress=scf_progress)

    def pulay() -> float:
        return pulay_stress(start, engine, settings, folder / "pulay")

    try:
        relaxed = _walk(start, session, settings, folder, pulay if cell else None, progress)
    finally:
        session.close()
    write_text(folder / "relaxation.json", json.dumps(relaxed.to_json(), allow_nan=False) + "\n")
    return relaxed


def _walk(
    start: Atoms,
    session: Session,
    settings: DftSettings,
    folder: Path,
    pulay: Callable[[], float] | None,
    progress: RelaxProgress | None,
) -> Relaxed:
    cell = pulay is not None
    moving = start.copy()
    calculator = _GuardedCalculator(session, start, pulay)
    moving.calc = calculator
    limits: dict[str, float] = {"fmax": settings.force_tolerance_eV_per_A}
    if cell:
        limits["smax"] = settings.stress_tolerance_GPa * units.GPa
        optimizer = CellAwareBFGS(
            FrechetCellFilter(moving, exp_cell_factor=1.0), logfile=None, maxstep=_LONGEST_STEP_A
        )
    else:
        optimizer = BFGS(moving, logfile=None, maxstep=_LONGEST_STEP_A)

    def report() -> None:
        last = calculator.done[-1]
        write_extxyz(folder / "trajectory.extxyz", [c.atoms for c in calculator.done])
        if progress is not None:
            progress(optimizer.nsteps, last.energy_eV or 0.0, *_largest(last))

    optimizer.attach(report)
    ended: dict[str, Any]
    with warnings.catch_warnings():  # the cell filter's matrix logarithm reports errors of 1e-13
        warnings.filterwarnings("ignore", message="logm result may be inaccurate")
        try:
            if optimizer.run(**limits, steps=settings.max_relax_steps):
                ended = {"status": Status.CONVERGED}
            else:
                ended = {
                    "status": Status.NOT_CONVERGED,
                    "reason": "steps-used-up",
                    "message": f"Forces or stress are still above their limits after "
                    f"{settings.max_relax_steps} steps; call again with more, and it goes on.",
                }
        except _StopError as stop:
            ended = {"status": stop.status, "reason": stop.reason, "message": str(stop)}
        except UnsolvedError:
            failed = calculator.failed
            assert failed is not None  # noqa: S101 (the error says so)
            ended = {"status": failed.status, "reason": failed.reason, "message": failed.message}
    done = calculator.done
    last = done[-1] if done else None
    final = start if last is None else last.atoms
    largest = [_largest(c) for c in done]
    return Relaxed(
        **ended,
        atoms=final,
        cell=cell,
        calculation=calculator.failed or last,
        steps=max(0, len(done) - 1),
        energies_eV=[c.energy_eV for c in done if c.energy_eV is not None],
        fmax_eV_per_A=[force for force, _ in largest],
        max_stress_GPa=[stress for _, stress in largest if stress is not None],
        volume_ratio=abs(final.cell.volume / start.cell.volume) if last is not None else 1.0,
        pulay_stress_GPa=None if last is None else last.notes.get("pulay_stress_GPa"),
    )


def _check_geometry(atoms: Atoms, initial_volume: float) -> None:
    """Stop before a structure is calculated that has run away.

    Raises:
        _StopError: as said.
    """
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise _StopError(
            Status.FAILED, "not-finite", "A step led to coordinates that are not finite."
        )
    ratio = abs(atoms.cell.volume) / initial_volume
    if ratio < MIN_VOLUME_RATIO:
        raise _StopError(
            Status.FAILED, "collapsed", f"The volume fell to {ratio:.2f} of the initial one."
        )
    if ratio > MAX_VOLUME_RATIO:
        raise _StopError(
            Status.FAILED, "exploded", f"The volume grew to {ratio:.2f} of the initial one."
        )


def _largest(done: Calculation) -> tuple[float, float | None]:
    """Return the largest force, eV/Å, and the largest stress component, GPa, or None."""
    forces, stress = done.forces_eV_per_A, done.stress_GPa
    force = 0.0 if forces is None else float(np.linalg.norm(forces, axis=1).max())
    return force, None if stress is None else float(np.abs(stress).max())
