"""Quantum ESPRESSO as an engine: pw.x run in a folder, its results kept as records."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.calculation import Calculation, Correction, Status
from bondwright.dft.engine import ScfProgress
from bondwright.dft.espresso.corrections import next_correction
from bondwright.dft.espresso.facts import PwOutput
from bondwright.dft.espresso.input import PREFIX, PwJob, cutoffs_eV, write_pw_input
from bondwright.dft.espresso.output import read_pw_output
from bondwright.dft.espresso.pseudopotentials import (
    Pseudopotential,
    choose_pseudopotentials,
    pseudopotential_folder,
)
from bondwright.dft.espresso.results import calculation_of
from bondwright.dft.espresso.run import (
    INPUT,
    OUTPUT,
    RunEnd,
    end_leftover,
    find_program,
    program_version,
    run_pw,
)
from bondwright.dft.espresso.status import judge, keep_going
from bondwright.dft.espresso.workspace import Workspace
from bondwright.dft.kpoints import mesh_of
from bondwright.dft.records import read_record, request_digest, settings_to_json, write_record
from bondwright.dft.settings import DftSettings
from bondwright.dft.spin import initial_moments
from bondwright.dft.usable import unusable
from bondwright.errors import InputError
from bondwright.structure.write import write_text

"""Atoms closer than this (Å) are no structure; pw.x would fall over in its diagonalisation."""

_TIME_TO_SAVE = 1.25, 10.0  # killed after the limit times this, plus this many seconds


class EspressoEngine:
    """Quantum ESPRESSO's pw.x.

    Attributes:
        name: "espresso".
    """

    name = "espresso"

    def __init__(
        self,
        *,
        program: str = "pw.x",
        prefix: Sequence[str] = (),
        pseudo_folder: Path | None = None,
        pseudo_names: Mapping[str, str] | None = None,
        time_limit_s: float | None = None,
        symmetry: bool = True,
    ) -> None:
        """Say how pw.x is run; nothing is looked for yet.

        Args:
            program: name on the PATH, or a path.
            prefix: what stands before it, e.g. ["mpirun", "-np", "4"]; a list, never a shell's
                text.
            pseudo_folder: folder of UPF files; None asks BONDWRIGHT_PSEUDO and ESPRESSO_PSEUDO.
            pseudo_names: element -> file name where the rule of `choose_pseudopotentials` is not
                wanted.
            time_limit_s: seconds after which pw.x is asked to stop and save, so that the next
                `solve` of the same structure goes on from there. It is killed when it has not
                stopped a quarter of that time and ten seconds later.
            symmetry: use symmetry.
        """
        self._program = program
        self._prefix = [str(word) for word in prefix]
        self._pseudo_folder = pseudo_folder
        self._pseudo_names = dict(pseudo_names or {})
        self._time_limit = time_limit_s
        self._symmetry = symmetry

    def version(self) -> str:
        """Return the version of pw.x, e.g. "6.7MaX".

        Raises:
            InputError: it is not installed.
        """
        return program_version(find_program(self._program))

    def open(
        self, settings: DftSettings, folder: Path, *, progress: ScfProgress | None = None
    ) -> EspressoSession:
        """Begin work in a folder; see `Engine.open`.

        Raises:
            InputError: pw.x or the folder of pseudopotentials is missing.
        """
        program = find_program(self._program)
        return EspressoSession(
            command=[*self._prefix, str(program)],
            version=program_version(program),
            settings=settings,
            folder=folder,
            pseudo_folder=pseudopotential_folder(self._pseudo_folder),
            pseudo_names=self._pseudo_names,
            time_limit_s=self._time_limit,
            symmetry=self._symmetry,
            progress=progress,
        )


class EspressoSession:
    """pw.x at work in one folder.

    `records/` holds finished calculations by digest, `run/` the input, output and saved data of the
    last ground state, `bands/` those of the last eigenvalues.
    """

    def __init__(
        self,
        *,
        command: Sequence[str],
        version: str,
        settings: DftSettings,
        folder: Path,
        pseudo_folder: Path,
        pseudo_names: Mapping[str, str],
        time_limit_s: float | None,
        symmetry: bool,
        progress: ScfProgress | None,
    ) -> None:
        self._command = list(command)
        self._version = version
        self._settings = settings
        self._folder = folder
        self._pseudo_folder = pseudo_folder
        self._pseudo_names = pseudo_names
        self._limit = time_limit_s
        self._symmetry = symmetry
        self._progress = progress
        self._solved: Atoms | None = None
        self._work = Workspace(folder / "run")

    # -- the interface -----------------------------------------------------------------------

    def solve(self, atoms: Atoms, *, forces: bool = True, stress: bool = False) -> Calculation:
        """Find the ground state; see `Session.solve`.

        A record of the same request is returned at once. A run that was interrupted is taken up
        where it stopped for as long as each run brings progress. Reasons, beside those of
        `espresso.messages`: "bad-structure", "atoms-too-close", "pseudopotential-missing",
        "scf-not-converged", "walltime", "no-progress", "interrupted", "killed-while-saving".
        """
        problem = unusable(atoms)
        try:
            potentials = self._potentials(atoms)
        except InputError as error:
            problem = problem or ("pseudopotential-missing", str(error))
        if problem is not None:
            return Calculation(
                Status.FAILED,
                atoms=atoms.copy(),
                engine=f"espresso {self._version}",
                settings=settings_to_json(self._settings),
                reason=problem[0],
                message=problem[1],
            )
        moments = initial_moments(atoms, self._settings.spin)
        digest = self._digest(atoms, potentials, moments)
        record = self._folder / "records" / f"{digest}.json"
        known = read_record(record)
        if known is not None and _answers(known, forces=forces, stress=stress):
            found = known
        else:
            found = self._settle(atoms, potentials, moments, digest, forces=forces, stress=stress)
            if _worth_keeping(found):
                write_record(record, found)
        if found.status is Status.CONVERGED:
            self._solved = atoms.copy()
        return found

    def eigenvalues(self, kpoints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return eigenvalues at given k-points; see `Session.eigenvalues`.

        Printed by pw.x to 1e-4 eV. The ground state is computed again when its density is no
        longer in the folder.

        Raises:
            InputError: nothing has converged yet, or the band calculation failed.
        """
        if self._solved is None:
            raise InputError("no structure has been solved yet; call solve first.")
        atoms = self._solved
        potentials = self._potentials(atoms)
        moments = initial_moments(atoms, self._settings.spin)
        digest = self._digest(atoms, potentials, moments)
        if not self._work.holds(digest):
            again = self._settle(atoms, potentials, moments, digest, forces=False, stress=False)
            if again.status is not Status.CONVERGED:
                raise InputError(f"the density could not be computed again: {again.message}")
        folder = self._folder / "bands"
        shutil.rmtree(folder, ignore_errors=True)
        target = folder / "out" / f"{PREFIX}.save"
        target.parent.mkdir(parents=True)
        # A copy, because pw.x writes the new k-points over the description of the ground state.
        shutil.copytree(self._work.save, target, ignore=shutil.ignore_patterns("wfc*"))
        corrections = self._work.state["corrections"]
        job = PwJob(
            calculation="bands",
            forces=False,
            symmetry=self._symmetry,
            kpoints=np.asarray(kpoints, dtype=float).reshape(-1, 3),
            changes=corrections[-1]["changes"] if corrections else {},
        )
        output, _ = self._once(folder, atoms, potentials, moments, job)
        verdict = judge(output)
        bands = output.steps[-1].bands if output.steps else None
        if verdict.status is not Status.CONVERGED or bands is None:
            raise InputError(f"the band calculation in {folder} failed: {verdict.message}")
        if bands.eigenvalues_eV.shape[1] != len(np.atleast_2d(kpoints)):
            raise InputError(f"the band calculation in {folder} left out some k-points.")
        return bands.eigenvalues_eV

    def close(self) -> None:
        """Remove the wave functions of finished work; density and records stay."""
        end_leftover(self._work.folder)
        if self._work.state.get("status") == Status.CONVERGED:
            for path in [*self._work.save.glob("wfc*"), *self._work.outdir.glob("*.wfc*")]:
                path.unlink(missing_ok=True)

    # -- one ground state ----------------------------------------------------------------------

    def _settle(
        self,
        atoms: Atoms,
        potentials: Mapping[str, Pseudopotential],
        moments: NDArray[np.float64] | None,
        digest: str,
        *,
        forces: bool,
        stress: bool,
    ) -> Calculation:
        """Run pw.x until it converges, is interrupted, or nothing is left to change."""
        begin = time.monotonic()
        work = self._work
        end_leftover(work.folder)
        go_on = work.can_continue(digest)
        corrections: list[Correction] = []
        attempts: list[PwOutput] = []
        if go_on:
            begin -= float(work.state["seconds"])
            corrections = [Correction(**c) for c in work.state["corrections"]]
            attempts = [read_pw_output(work.folder / OUTPUT)]
        old_density = not go_on and work.has_density_near(atoms, moments)
        while True:
            if not go_on and not old_density:
                shutil.rmtree(work.outdir, ignore_errors=True)
            job = PwJob(
                forces=forces,
                stress=stress,
                symmetry=self._symmetry,
                restart=go_on,
                old_density=old_density,
                max_seconds=self._limit,
                changes=corrections[-1].changes if corrections else {},
            )
            work.begin(digest)
            started = time.time()
            output, end = self._once(work.folder, atoms, potentials, moments, job)
            attempts.append(output)
            verdict = judge(
                output,
                scheduler=_outside(end),
                save=work.saved_since(started),
                forces=forces,
                stress=stress,
            )
            if go_on:
                verdict = keep_going(attempts, verdict)
            work.end(
                digest,
                verdict,
                corrections,
                seconds=time.monotonic() - begin,
                atoms=atoms,
                polarised=moments is not None,
            )
            if verdict.status in (Status.CONVERGED, Status.INTERRUPTED):
                break
            step = next_correction(verdict.reason, corrections, atoms, self._settings)
            if step is None:
                break
            corrections.append(step)
            go_on = old_density = False
        return calculation_of(
            # pw.x may end before it says who it is
            replace(output, version=self._version),
            verdict,
            atoms=atoms,
            settings=settings_to_json(self._settings),
            corrections=corrections,
            seconds=time.monotonic() - begin,
            notes=self._notes(atoms, potentials),
        )

    def _once(
        self,
        folder: Path,
        atoms: Atoms,
        potentials: Mapping[str, Pseudopotential],
        moments: NDArray[np.float64] | None,
        job: PwJob,
    ) -> tuple[PwOutput, RunEnd]:
        """Write an input, run pw.x on it and read what it printed."""
        text = write_pw_input(
            atoms, self._settings, potentials, version=self._version, moments=moments, job=job
        )
        write_text(folder / INPUT, text)
        factor, extra = _TIME_TO_SAVE
        end = run_pw(
            self._command,
            folder,
            time_limit_s=None if self._limit is None else factor * self._limit + extra,
            progress=self._progress,
        )
        output = read_pw_output(folder / OUTPUT)
        if not output.errors and (folder / "CRASH").is_file():
            output = replace(output, errors=read_pw_output(folder / "CRASH").errors)
        return output, end

    def _notes(self, atoms: Atoms, potentials: Mapping[str, Pseudopotential]) -> dict[str, Any]:
        wave, density = cutoffs_eV(self._settings, potentials)
        return {
            "kpoint_mesh": list(mesh_of(atoms, self._settings)),
            "cutoff_eV": wave,
            "density_cutoff_eV": density,
            "pseudopotentials": {
                e: {"file": p.path.name, "sha256": p.sha256, "kind": p.kind}
                for e, p in potentials.items()
            },
        }

    # -- what is in the folder -----------------------------------------------------------------

    def _potentials(self, atoms: Atoms) -> dict[str, Pseudopotential]:
        return choose_pseudopotentials(
            atoms.get_chemical_symbols(),
            self._pseudo_folder,
            functional=self._settings.functional,
            names=self._pseudo_names,
        )

    def _digest(
        self,
        atoms: Atoms,
        potentials: Mapping[str, Pseudopotential],
        moments: NDArray[np.float64] | None,
    ) -> str:
        sums = hashlib.sha256("".join(p.sha256 for p in potentials.values()).encode())
        name = f"espresso {self._version} {sums.hexdigest()} symmetry {self._symmetry}"
        return request_digest(atoms, self._settings, name, moments)


def _worth_keeping(found: Calculation) -> bool:
    """Whether the same request would end the same way; other failures can be mended outside."""
    return found.status is Status.CONVERGED or found.reason == "scf-not-converged"


def _answers(record: Calculation, *, forces: bool, stress: bool) -> bool:
    """Whether a record holds what is asked for."""
    if record.status is not Status.CONVERGED:
        return True
    return not (forces and record.forces_eV_per_A is None) and not (
        stress and record.stress_GPa is None
    )


def _outside(end: RunEnd) -> str:
    """Return what ended a run from outside, in a batch system's words."""
    if end.timed_out:
        return f"{end.errors}\ntime limit"
    if end.returncode < 0:
        return f"{end.errors}\nkilled by signal {-end.returncode}"
    return end.errors
