"""`bondwright dft`: one DFT calculation on one structure."""

from __future__ import annotations

import json as json_module
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.calculating import (
    NOT_CONVERGED,
    folder_name,
    read_one,
    telling,
)
from bondwright.cli.console import note, say, say_json, say_table
from bondwright.cli.driving import INTERRUPTED
from bondwright.cli.types import Json
from bondwright.errors import InputError, nearest

if TYPE_CHECKING:
    from bondwright.cli.dft_outcome import Outcome
    from bondwright.dft.settings import DftSettings
    from bondwright.structure.candidate import Candidate

Structure = Annotated[
    Path,
    typer.Argument(
        help="CIF, POSCAR, extended XYZ, LAMMPS data: a file with one structure.",
        show_default=False,
    ),
]
Task = Annotated[
    str,
    typer.Option(
        help="single-point, relax (positions and cell), relax-positions, eos (equation of state, "
        "bulk modulus), convergence (cut-off and k-points), bands (with the gap), dos."
    ),
]
Preset = Annotated[str, typer.Option(help="quick, standard, tight or materials-project.")]
EngineName = Annotated[str, typer.Option("--engine", help="gpaw or espresso.")]
Cutoff = Annotated[
    float | None, typer.Option(metavar="EV", help="Plane-wave cut-off. (default: the preset's)")
]
Spacing = Annotated[
    float | None,
    typer.Option(
        "--kspacing",
        metavar="PER_A",
        help="Largest distance between k-points, Å⁻¹ with 2 pi. (default: the preset's)",
    ),
]
Mesh = Annotated[
    tuple[int, int, int] | None,
    typer.Option("--kpoints", metavar="N N N", help="An explicit Gamma-centred mesh instead."),
]
Smearing = Annotated[
    float | None, typer.Option(metavar="EV", help="Width of the occupations. (default: preset's)")
]
SpinWord = Annotated[
    str,
    typer.Option("--spin", help="auto (where d or f shells ask for it), none or polarised."),
]
MaxSteps = Annotated[
    int | None,
    typer.Option(
        "--max-steps", metavar="N", help="Most steps of a relaxation. (default: the preset's)"
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Folder to make, or to continue. (default: STRUCTURE-TASK, here)"
    ),
]


def dft(
    structure: Structure,
    task: Task = "single-point",
    preset: Preset = "standard",
    engine: EngineName = "gpaw",
    cutoff: Cutoff = None,
    kspacing: Spacing = None,
    kpoints: Mesh = None,
    smearing: Smearing = None,
    spin: SpinWord = "auto",
    max_steps: MaxSteps = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Calculate one structure: energy, relaxation, equation of state, convergence, bands, DOS.

    The same command again continues what was stopped, or answers from the folder. Exit code 4
    means that the calculation did not converge; the reason is printed.
    """
    from bondwright.cli.dft_outcome import Job, TellingEngine
    from bondwright.cli.dft_tasks import TASKS
    from bondwright.dft.engines import get_engine

    if task not in TASKS:
        known = ", ".join(TASKS)
        raise InputError(
            f"there is no task {task!r}; choose one of {known}." + nearest(task, TASKS)
        )
    settings = _settings(preset, spin, cutoff, kspacing, kpoints, smearing, max_steps)
    program = get_engine(engine)
    version = f"{program.name} {program.version()}"
    candidate = read_one(structure)
    folder = out or Path(folder_name(candidate.name, task))
    _claim(folder, task, candidate, version, settings)
    for text in candidate.notes:
        note(f"Note: {text}")
    try:
        with telling() as tell:
            atoms = candidate.atoms
            assert atoms is not None  # noqa: S101 (read_one)
            told = TellingEngine(program, tell.scf)
            found = TASKS[task](Job(atoms, told, settings, folder, tell))
    except KeyboardInterrupt:
        note(f"Interrupted. What is done is kept in {folder}; the same command goes on from here.")
        raise typer.Exit(INTERRUPTED) from None
    answer = _answer(candidate, task, version, preset, found)
    result = folder / f"{task}-result.json"
    _write_result(result, {**answer, "full": found.full})
    if json:
        say_json({**answer, "files": [str(f) for f in (*found.files, result)]})
    else:
        _say(candidate, task, version, preset, found, result)
    if found.status != "converged":
        raise typer.Exit(INTERRUPTED if found.status == "interrupted" else NOT_CONVERGED)


def _settings(
    name: str,
    spin: str,
    cutoff: float | None,
    spacing: float | None,
    kpoints: tuple[int, int, int] | None,
    smearing: float | None,
    max_steps: int | None,
) -> DftSettings:
    """Return the preset with what the options change.

    Raises:
        InputError: an option cannot be used.
    """
    from bondwright.dft.settings import Spin, preset

    changes: dict[str, Any] = {}
    for option, key, value in (
        ("--cutoff", "cutoff_eV", cutoff),
        ("--kspacing", "kpoint_spacing_per_A", spacing),
        ("--smearing", "smearing_eV", smearing),
        ("--max-steps", "max_relax_steps", max_steps),
    ):
        if value is None:
            continue
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{option} {value:g}: give a number above zero.")
        changes[key] = value
    if kpoints is not None:
        if spacing is not None:
            raise InputError("--kpoints and --kspacing both choose the mesh; give one of them.")
        if min(kpoints) < 1:
            raise InputError(
                f"--kpoints {' '.join(map(str, kpoints))}: every number is at least 1."
            )
        changes["kpoints"] = kpoints
    if spin not in list(Spin):
        raise InputError(
            f"there is no spin setting {spin!r}; choose one of {', '.join(Spin)}."
            + nearest(spin, Spin)
        )
    return preset(name, spin=Spin(spin), **changes)


def _claim(
    folder: Path, task: str, candidate: Candidate, version: str, settings: DftSettings
) -> None:
    """Note down what a folder is for, so that another structure never ends up in it.

    Raises:
        InputError: it holds the task for something else, or cannot be written.
    """
    from bondwright.cli.dft_tasks import neutral
    from bondwright.dft.records import settings_to_json
    from bondwright.structure.identity import content_hash
    from bondwright.structure.write import write_text

    wanted = {
        "structure": content_hash(candidate.atoms),
        "engine": version,
        "settings": settings_to_json(neutral(settings)),
    }
    path = folder / f"{task}-request.json"
    try:
        if path.exists():
            kept = json_module.loads(path.read_text("utf-8"))
            other = [key for key in wanted if kept.get(key) != wanted[key]]
            if other:
                raise InputError(
                    f"{folder} holds the task {task} for another {' and '.join(other)}; name "
                    "another folder with --out, or repeat the command as it was."
                )
            return
        write_text(path, json_module.dumps(wanted, indent=1) + "\n")
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used ({error.strerror}); name another folder with --out."
        ) from None
    except (ValueError, AttributeError):
        raise InputError(
            f"{path} is damaged; remove it, or name another folder with --out."
        ) from None


def _answer(
    candidate: Candidate, task: str, version: str, preset: str, found: Outcome
) -> dict[str, Any]:
    """Return the answer for programs."""
    from bondwright.structure.identity import reduced_formula

    return {
        "task": task,
        "structure": candidate.name,
        "formula": reduced_formula(candidate.atoms),
        "atoms": 0 if candidate.atoms is None else len(candidate.atoms),
        "engine": version,
        "preset": preset,
        "status": found.status,
        "reason": found.reason,
        "message": found.message,
        "corrections": [{"slug": c.slug, "message": c.message} for c in found.corrections],
        "result": found.answer,
    }


def _write_result(path: Path, answer: dict[str, Any]) -> None:
    from bondwright.structure.write import write_text

    write_text(path, json_module.dumps(answer, indent=1, allow_nan=False) + "\n")


def _say(
    candidate: Candidate, task: str, version: str, preset: str, found: Outcome, result: Path
) -> None:
    """Print the result for people."""
    from bondwright.structure.identity import reduced_formula

    atoms = candidate.atoms
    many = 0 if atoms is None else len(atoms)
    of = f"{candidate.name} ({reduced_formula(atoms)}, {many} atom{'' if many == 1 else 's'})"
    say(f"{of}: {task}, {version}, preset {preset}: {found.status.replace('-', ' ')}")
    if found.status != "converged":
        say(f"Reason: {found.reason}. {found.message}")
    elif found.message:
        say(f"Note: {found.message}")
    for correction in found.corrections:
        say(f"Correction {correction.slug}: {correction.message}")
    if found.table:
        say_table(found.head, found.table)
    if found.rows:
        say_table(("", ""), found.rows, left=2)
    for file in (*found.files, result):
        say(f"{file}")
