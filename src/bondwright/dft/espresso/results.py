"""An output of pw.x as the calculation that every engine gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.dft.calculation import Calculation, Correction, Status
from bondwright.dft.espresso.facts import PwOutput
from bondwright.dft.espresso.output import read_pw_output
from bondwright.dft.espresso.status import Judgement, inspect_save, judge


def read_calculation(
    path: Path,
    *,
    scheduler: str = "",
    save: Path | None = None,
    forces: bool = False,
    stress: bool = False,
) -> Calculation:
    """Read an output of pw.x, whoever ran it, as a calculation.

    A relaxation gives its last geometry. Nothing is raised for what the file holds.

    Args:
        path: what pw.x printed.
        scheduler: what the batch system said, if anything.
        save: the `.save` folder, where it is at hand; tells how to run again.
        forces: only an output with forces counts as converged.
        stress: only an output with the stress counts as converged.
    """
    output = read_pw_output(path)
    saved = None if save is None else inspect_save(save)
    return calculation_of(
        output, judge(output, scheduler=scheduler, save=saved, forces=forces, stress=stress)
    )


def calculation_of(
    output: PwOutput,
    verdict: Judgement,
    *,
    atoms: Atoms | None = None,
    settings: Mapping[str, Any] | None = None,
    corrections: Sequence[Correction] = (),
    seconds: float | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Calculation:
    """Return an output and the verdict on it as a calculation.

    Args:
        output: what pw.x printed.
        verdict: how it ended.
        atoms: the structure as it was given; None takes the last one that has an energy, else the
            last one printed, else no atoms.
        settings: what was asked for; JSON values.
        corrections: what was changed on the way.
        seconds: wall-clock time of all attempts; None takes what pw.x counted.
        notes: further sub-results; JSON values.
    """
    step = output.steps[-1] if output.steps else None
    found: dict[str, Any] = {
        "kpoints": output.kpoint_count,
        "bands": output.band_count,
        "electrons": output.electrons,
        **(notes or {}),
    }
    if atoms is None:
        atoms = output.final_atoms or output.next_atoms or Atoms()
    if seconds is None:
        seconds = output.wall_seconds or output.cpu_seconds or 0.0
    common: dict[str, Any] = {
        "status": verdict.status,
        "atoms": atoms.copy(),
        "engine": f"espresso {output.version}".strip(),
        "settings": dict(settings or {}),
        "reason": verdict.reason,
        "message": verdict.message,
        "scf_steps": step.iterations[-1].number if step and step.iterations else 0,
        "corrections": tuple(corrections),
        "seconds": seconds,
    }
    if verdict.status is not Status.CONVERGED or step is None:
        return Calculation(**common, notes={**found, "restart": str(verdict.restart)})
    last = step.iterations[-1] if step.iterations else None
    found |= {
        "free_energy_eV": step.free_energy_eV,
        "absolute_moment": step.absolute_moment,
        "scf_accuracy_eV": last.accuracy_eV if last else None,
    }
    return Calculation(
        **common,
        energy_eV=step.energy_eV,
        forces_eV_per_A=step.forces_eV_per_A,
        stress_GPa=step.stress_GPa,
        fermi_eV=step.fermi_eV if step.fermi_eV is not None else step.homo_eV,
        gap_eV=step.gap_eV,
        magnetic_moment=step.magnetic_moment,
        magnetic_moments=step.magnetic_moments,
        notes=found,
    )
