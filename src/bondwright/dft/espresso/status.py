"""How a run of pw.x ended, and whether and how to run it again.

Three things are looked at: what pw.x printed, what the batch system said, and whether the `.save`
folder is whole. pw.x's own words count most; a batch system's word explains an output that simply
ends. An interruption is never charged to the calculation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from bondwright.dft.calculation import Status
from bondwright.dft.espresso.facts import PwOutput
from bondwright.dft.espresso.messages import (
    Meaning,
    meaning_of_error,
    meaning_of_mark,
    meaning_of_scheduler,
)

PROGRESS = 0.7
"""A restarted SCF has made progress when its best accuracy fell below this share of the last."""


class Restart(StrEnum):
    """How to run a calculation again.

    `CONTINUE` takes up what was saved; `FROM_SCRATCH` must not touch it; `NONE` says that the same
    run again would end the same way, or is not needed.
    """

    CONTINUE = "continue"
    FROM_SCRATCH = "from-scratch"
    NONE = "none"


@dataclass(frozen=True)
class SavedState:
    """What is in a `.save` folder.

    Attributes:
        description: the XML file is there and ends as it should.
        density: the charge density is there and not empty.
        missing: names of what is absent or cut off.
    """

    description: bool
    density: bool
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether pw.x can be restarted from it."""
        return self.description and self.density


@dataclass(frozen=True)
class Judgement:
    """How a run ended.

    Attributes:
        status: the verdict.
        reason: stable slug; "" when converged.
        message: one sentence; "" when converged.
        restart: how to run it again.
    """

    status: Status
    reason: str = ""
    message: str = ""
    restart: Restart = Restart.NONE


def inspect_save(folder: Path) -> SavedState:
    """Look at a `.save` folder; an absent one is incomplete.

    pw.x writes the XML file last line by line: one that does not end with its closing tag was cut
    off, and reading it crashes pw.x.
    """
    missing = []
    xml = [folder / name for name in ("data-file-schema.xml", "data-file.xml")]
    description = any(_ends_with_tag(path) for path in xml)
    if not description:
        missing.append(xml[0].name)
    names = ("charge-density.dat", "charge-density.hdf5", "charge-density.xml")
    density = any(_size(folder / name) > 0 for name in names)
    if not density:
        missing.append(names[0])
    return SavedState(description, density, tuple(missing))


def judge(
    output: PwOutput,
    *,
    scheduler: str = "",
    save: SavedState | None = None,
    forces: bool = False,
    stress: bool = False,
    eigenvalues: bool = False,
) -> Judgement:
    """Say how a run ended.

    Args:
        output: what pw.x printed.
        scheduler: what the batch system or MPI said (standard error), if anything.
        save: state of the `.save` folder; None when it was not looked at.
        forces: forces were asked for.
        stress: the stress was asked for.
        eigenvalues: eigenvalues were asked for.

    Returns:
        `CONVERGED` only when pw.x finished, the last SCF converged, a relaxation reached its end
        and everything asked for is there.
    """
    outside = meaning_of_scheduler(scheduler)
    if output.unreadable:
        return Judgement(Status.FAILED, "output-unreadable", f"{output.unreadable}.")
    if output.errors:
        error = output.errors[-1]
        meaning = meaning_of_error(error.routine, error.text)
        if meaning.reason == "pw-error" and outside:
            meaning = outside  # a job that is being killed may fall over in any routine
        return _as_judgement(meaning, save)
    if (remark := meaning_of_mark(output.marks)) is not None:
        return _as_judgement(remark, save)
    last = output.steps[-1] if output.steps else None
    if last is not None and last.scf_converged is False:
        done = len(last.iterations)
        return Judgement(
            Status.NOT_CONVERGED,
            "scf-not-converged",
            f"The SCF did not converge in {done} iterations.",
            Restart.CONTINUE if save is None or save.complete else Restart.FROM_SCRATCH,
        )
    if "max-seconds" in output.marks:
        return _out_of_time(output, save)
    if "user-stop" in output.marks:
        return Judgement(
            Status.INTERRUPTED,
            "stopped-by-user",
            "pw.x was asked to stop by an EXIT file.",
            _after_clean_stop(output, save),
        )
    if not output.job_done:
        return _cut_off(output, outside, save)
    finished = _finished(output, forces=forces, stress=stress, eigenvalues=eigenvalues)
    if save is not None and not save.complete and finished.restart is Restart.CONTINUE:
        return replace(finished, restart=Restart.FROM_SCRATCH)
    return finished


def keep_going(attempts: Sequence[PwOutput], verdict: Judgement) -> Judgement:
    """Decide whether an interrupted calculation is worth another run.

    Runs go on for as long as each brings something: another geometry, a converged SCF, or an SCF
    that came clearly closer. When the last one brought nothing, the time limit is too short for
    the calculation, and running again would not help.

    Args:
        attempts: outputs of all runs so far, in order, the last one included.
        verdict: of the last one.

    Returns:
        The verdict, or "no-progress", which is not to be run again.
    """
    if verdict.status is not Status.INTERRUPTED or len(attempts) < 2:
        return verdict
    if made_progress(attempts[-2], attempts[-1]):
        return verdict
    return Judgement(
        Status.NOT_CONVERGED,
        "no-progress",
        f"{verdict.message} Run {len(attempts)} came no further than the one before it; give it "
        "more time, memory or processes.",
    )


def made_progress(earlier: PwOutput, later: PwOutput) -> bool:
    """Whether a restarted run came further than the run before it."""
    if any(step.scf_converged for step in later.steps):
        return True
    best = [_best_accuracy(output) for output in (earlier, later)]
    if best[1] is None:
        return False
    return best[0] is None or best[1] < PROGRESS * best[0]


def _best_accuracy(output: PwOutput) -> float | None:
    values = [
        i.accuracy_eV for s in output.steps[-1:] for i in s.iterations if i.accuracy_eV is not None
    ]
    return min(values, default=None)


def _as_judgement(meaning: Meaning, save: SavedState | None) -> Judgement:
    restart = Restart.NONE
    if meaning.status is Status.INTERRUPTED:
        restart = Restart.CONTINUE if save is not None and save.complete else Restart.FROM_SCRATCH
    elif meaning.reason in ("saved-data-unreadable", "kpoint-file-missing", "cell-factor"):
        restart = Restart.FROM_SCRATCH
    return Judgement(meaning.status, meaning.reason, meaning.sentence, restart)


def _out_of_time(output: PwOutput, save: SavedState | None) -> Judgement:
    where = {
        "after-scf": "after the SCF had converged",
        "forces": "during the forces",
        "stress": "during the stress",
    }.get(output.stage, "during the SCF")
    return Judgement(
        Status.INTERRUPTED,
        "walltime",
        f"pw.x stopped by itself at its time limit, {where}.",
        _after_clean_stop(output, save),
    )


def _after_clean_stop(output: PwOutput, save: SavedState | None) -> Restart:
    """A stop at its own wish leaves everything that is needed to go on, once it has begun."""
    if not output.job_done or not output.steps or (save is not None and not save.complete):
        return Restart.FROM_SCRATCH
    return Restart.CONTINUE


def _cut_off(output: PwOutput, outside: Meaning | None, save: SavedState | None) -> Judgement:
    """Judge an output that ends without a word of its own."""
    whole = save is not None and save.complete
    last = output.steps[-1] if output.steps else None
    if not output.version and last is None:
        reason, text = "no-output", "pw.x printed nothing that can be read."
    elif last is not None and output.stage == "saving" and last.scf_converged:
        reason, text = "killed-while-saving", "The run ended while its results were being saved."
    elif last is not None and last.scf_converged:
        reason = "interrupted-after-scf"
        text = "The run ended after the SCF had converged, before everything was computed."
    else:
        reason, text = "interrupted", "The output ends in the middle of the run."
    if outside is not None:
        text = f"{outside.sentence} {text}"
        if reason != "killed-while-saving":
            reason = outside.reason
    # Only what was there when the run began, or a geometry step that was saved whole, can be used.
    usable = whole and bool(last) and (reason != "no-output")
    return Judgement(
        Status.INTERRUPTED, reason, text, Restart.CONTINUE if usable else Restart.FROM_SCRATCH
    )


def _finished(output: PwOutput, *, forces: bool, stress: bool, eigenvalues: bool) -> Judgement:
    """Judge a run that came to its end."""
    last = output.steps[-1] if output.steps else None
    if "relax-steps" in output.marks:
        return Judgement(
            Status.NOT_CONVERGED,
            "relaxation-steps",
            f"The relaxation was not finished after {len(output.steps)} geometries.",
            Restart.CONTINUE,
        )
    if "bfgs-history" in output.marks or "bfgs-failed" in output.marks:
        return Judgement(
            Status.NOT_CONVERGED,
            "relaxation-stuck",
            "The relaxation found no way down any more; begin again from its last geometry.",
            Restart.FROM_SCRATCH,
        )
    if last is None:
        return Judgement(
            Status.FAILED, "nothing-computed", "pw.x finished without computing anything."
        )
    if output.task == "bands":
        if last.bands is None:
            return _missing("eigenvalues")
        return Judgement(Status.CONVERGED)
    if not last.scf_converged or last.energy_eV is None:
        return Judgement(
            Status.FAILED, "energy-missing", "pw.x finished without a converged energy."
        )
    wanted = {
        "forces": forces and last.forces_eV_per_A is None,
        "stress": stress and last.stress_GPa is None,
        "eigenvalues": eigenvalues and last.bands is None,
    }
    for name, absent in wanted.items():
        if absent:
            return _missing(name)
    if output.task in ("relax", "vc-relax") and output.relaxed is None:
        return Judgement(
            Status.INTERRUPTED,
            "interrupted",
            "The relaxation ended without saying how.",
            Restart.CONTINUE,
        )
    return Judgement(Status.CONVERGED)


def _missing(what: str) -> Judgement:
    return Judgement(
        Status.FAILED, f"{what}-missing", f"pw.x finished, but its output has no complete {what}."
    )


def _ends_with_tag(path: Path) -> bool:
    size = _size(path)
    if not size:
        return False
    try:
        with path.open("rb") as file:
            file.seek(max(0, size - 200))
            tail = file.read().rstrip()
    except OSError:
        return False
    return tail.endswith((b"</qes:espresso>", b"</Root>"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
