"""How a run ended, and whether to run it again (faults 39 to 43)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bondwright.dft.calculation import Status
from bondwright.dft.espresso.messages import meaning_of_error, meaning_of_scheduler
from bondwright.dft.espresso.output import read_pw_output
from bondwright.dft.espresso.status import (
    Restart,
    SavedState,
    inspect_save,
    judge,
    keep_going,
    made_progress,
)

CONVERGED = (Status.CONVERGED, "", Restart.NONE)
WHOLE = SavedState(description=True, density=True, missing=())
BROKEN = SavedState(description=False, density=True, missing=("data-file-schema.xml",))


def failed(reason: str) -> tuple[Status, str, Restart]:
    return Status.FAILED, reason, Restart.NONE


UNSETTLED = (Status.NOT_CONVERGED, "scf-not-converged", Restart.CONTINUE)
UNRELAXED = (Status.NOT_CONVERGED, "relaxation-steps", Restart.CONTINUE)
SAVING = (Status.INTERRUPTED, "killed-while-saving", Restart.FROM_SCRATCH)
SHRUNK = (Status.FAILED, "cell-factor", Restart.FROM_SCRATCH)
EXPECTED = {
    "default": CONVERGED,
    "default_no_xml": CONVERGED,
    "default_xml_191206": CONVERGED,
    "default_xml_200420": CONVERGED,
    "default_xml_211101": CONVERGED,
    "default_xml_220603": CONVERGED,
    "default_xml_240411": CONVERGED,
    "default_xml_241015": CONVERGED,
    "failed_broyden_factorization": failed("mixing-factorisation"),
    "failed_broyden_factorization_stdout": failed("mixing-factorisation"),
    "failed_computing_cholesky_stdout": failed("overlap-matrix"),
    "failed_dexx_negative": failed("exchange-negative"),
    "failed_eigenvectors_convergence": failed("diagonalisation"),
    "failed_eigenvectors_convergence_stdout": failed("diagonalisation"),
    "failed_g_par_stdout": failed("symmetry"),
    "failed_interrupted": SAVING,
    "failed_interrupted_stdout": SAVING,
    # the text is whole although the XML is not: what it says can be used
    "failed_interrupted_xml": CONVERGED,
    "failed_npools_too_high_stdout": failed("too-many-pools"),
    "failed_out_of_walltime": (Status.INTERRUPTED, "walltime", Restart.CONTINUE),
    "failed_qr_failed": failed("diagonalisation"),
    "failed_qr_failed_stdout": failed("diagonalisation"),
    "failed_s_matrix_not_positive_definite_stdout": failed("overlap-matrix"),
    "failed_scf_not_converged": UNSETTLED,
    "failed_too_many_bands_not_converged": failed("bands-not-converged"),
    "failed_too_many_bands_not_converged_stdout": failed("bands-not-converged"),
    "failed_zhegvd_failed_stdout": failed("diagonalisation"),
    "finished_npools_too_high": CONVERGED,
    "fixed_coords_vcrelax": CONVERGED,
    "initialization_xml_new": (Status.INTERRUPTED, "stopped-by-user", Restart.FROM_SCRATCH),
    "relax_failed_electronic": UNSETTLED,
    "relax_failed_not_converged_nstep": UNRELAXED,
    "scf_electric_field": CONVERGED,
    "scf_success_rVV10": CONVERGED,
    "vcrelax_failed_bfgs_history": (
        Status.NOT_CONVERGED,
        "relaxation-stuck",
        Restart.FROM_SCRATCH,
    ),
    "vcrelax_failed_bfgs_history_final_scf": UNSETTLED,
    "vcrelax_failed_charge_wrong_stdout": failed("charge-wrong"),
    "vcrelax_failed_electronic": UNSETTLED,
    "vcrelax_failed_fft_significant_volume_contraction": SHRUNK,
    "vcrelax_failed_fft_significant_volume_contraction_stdout": SHRUNK,
    "vcrelax_failed_not_converged_nstep": UNRELAXED,
    "vcrelax_failed_symmetry_not_orthogonal": failed("symmetry"),
    "vcrelax_success": CONVERGED,
    "vcrelax_success_atoms_shape": CONVERGED,
    "vcrelax_success_fractional": CONVERGED,
}


@pytest.mark.data
def test_every_sample_is_expected(samples: Path) -> None:
    assert {p.name for p in samples.iterdir() if p.is_dir()} == set(EXPECTED)


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_sample_gets_its_status(samples: Path, name: str) -> None:
    """Fault 43 and all others: each failure has its own name, and none passes for a result."""
    folder = samples / name
    file = folder / "aiida.out"
    verdict = judge(read_pw_output(file if file.exists() else folder / "CRASH"))
    assert (verdict.status, verdict.reason, verdict.restart) == EXPECTED[name]
    assert (verdict.message == "") == (verdict.status is Status.CONVERGED)


@pytest.mark.data
def test_killed_while_saving(samples: Path) -> None:
    """Fault 39: only a whole `.save` folder is built upon."""
    output = read_pw_output(samples / "failed_interrupted" / "aiida.out")
    for save, restart in (
        (None, Restart.FROM_SCRATCH),
        (BROKEN, Restart.FROM_SCRATCH),
        (WHOLE, Restart.CONTINUE),
    ):
        verdict = judge(output, save=save)
        assert (verdict.reason, verdict.restart) == ("killed-while-saving", restart)
    killed = judge(output, scheduler="slurmstepd: error: *** JOB 7 CANCELLED DUE TO TIME LIMIT ***")
    assert killed.reason == "killed-while-saving"
    assert "time limit" in killed.message


def test_save_folder_is_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "pw.save"
    assert not inspect_save(folder).complete
    folder.mkdir()
    (folder / "charge-density.dat").write_bytes(b"x" * 100)
    (folder / "data-file-schema.xml").write_text("<qes:espresso>\n<general_info>\n")
    assert inspect_save(folder) == BROKEN
    (folder / "data-file-schema.xml").write_text("<qes:espresso>\n</qes:espresso>\n")
    assert inspect_save(folder) == WHOLE
    (folder / "charge-density.dat").write_bytes(b"")
    assert inspect_save(folder).missing == ("charge-density.dat",)


@pytest.mark.data
def test_stopped_during_forces_or_stress(samples: Path) -> None:
    """Fault 40: the SCF had converged, so that the run can be taken up, but there is no result."""
    text = (samples / "default_xml_240411" / "aiida.out").read_text()
    for sign in ("The non-local contrib.", "kinetic stress (kbar)"):
        output = read_pw_output(text[: text.index(sign)])
        assert output.steps[-1].scf_converged
        verdict = judge(output, save=WHOLE)
        assert verdict.status is Status.INTERRUPTED
        assert (verdict.reason, verdict.restart) == ("interrupted-after-scf", Restart.CONTINUE)
        assert judge(output, save=BROKEN).restart is Restart.FROM_SCRATCH


SCHEDULERS = {
    "slurmstepd: error: *** JOB 812 ON n1 CANCELLED AT 2020-03-01T10:00:00 DUE TO TIME LIMIT ***": (
        "walltime"
    ),
    "slurmstepd: error: *** JOB 8 ON n1 CANCELLED AT 2020-03-01T10:00:00 DUE TO NODE FAILURE *": (
        "node-failure"
    ),
    "slurmstepd: error: *** JOB 8 ON n1 CANCELLED AT 2020-03-01T10:00:00 DUE TO PREEMPTION ***": (
        "preempted"
    ),
    "slurmstepd: error: *** JOB 812 ON n1 CANCELLED AT 2020-03-01T10:00:00 ***": "cancelled",
    "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=8.0 cgroup.": "out-of-memory",
    "=>> PBS: job killed: walltime 3635 exceeded limit 3600": "walltime",
    "TERM_RUNLIMIT: job killed after reaching LSF run time limit.": "walltime",
    "NODE_FAIL": "node-failure",
    "TIMEOUT": "walltime",
    "mpirun noticed that process rank 0 exited on signal 9 (Killed).": "killed",
}


@pytest.mark.data
@pytest.mark.parametrize("text", sorted(SCHEDULERS))
def test_scheduler_explains_an_output_that_just_ends(cells: Path, text: str) -> None:
    """Fault 41: classified, and never charged to the calculation."""
    output = read_pw_output(cells / "21-13" / "Zr49Cu49Al2.scf.out")
    verdict = judge(output, scheduler=text)
    assert (verdict.status, verdict.reason) == (Status.INTERRUPTED, SCHEDULERS[text])
    assert verdict.restart is Restart.FROM_SCRATCH


@pytest.mark.data
def test_scheduler_does_not_undo_a_result(samples: Path) -> None:
    """A job may be cancelled while its last process is leaving."""
    output = read_pw_output(samples / "default" / "aiida.out")
    assert judge(output, scheduler="CANCELLED AT 2020 DUE TO TIME LIMIT").status is Status.CONVERGED
    assert meaning_of_scheduler("Loading module gcc/12") is None


@pytest.mark.data
def test_walltime_is_repeated_while_it_brings_progress(cells: Path) -> None:
    """Fault 42, with the 80 iterations of cell 21-13 as runs that were cut at their time limit."""
    text = (cells / "21-13" / "Zr49Cu49Al2.scf.out").read_text()
    runs = [read_pw_output(text[: text.index(f"iteration # {n:>2}")]) for n in (3, 10, 30, 70, 80)]
    verdict = judge(runs[0], scheduler="DUE TO TIME LIMIT", save=WHOLE)
    assert keep_going(runs[:1], verdict) == verdict
    assert keep_going(runs[:2], verdict) == verdict
    # from 4e-3 to 2e-3 Ry and then no further: the SCF oscillates
    assert made_progress(runs[0], runs[1])
    assert not made_progress(runs[3], runs[4])
    stopped = keep_going([runs[3], runs[4]], verdict)
    assert (stopped.status, stopped.reason) == (Status.NOT_CONVERGED, "no-progress")
    assert stopped.restart is Restart.NONE


@pytest.mark.data
def test_converged_needs_everything_that_was_asked(samples: Path) -> None:
    output = read_pw_output(samples / "default" / "aiida.out")
    assert judge(output).status is Status.CONVERGED
    for asked in ("forces", "stress"):
        verdict = judge(output, **{asked: True})
        assert (verdict.status, verdict.reason) == (Status.FAILED, f"{asked}-missing")


def test_unknown_errors_keep_their_words() -> None:
    meaning = meaning_of_error("new_routine", "a flux compensator is missing")
    assert (meaning.status, meaning.reason) == (Status.FAILED, "pw-error")
    assert "flux compensator" in meaning.sentence
    assert meaning_of_error("davcio", "error while writing to file").status is Status.INTERRUPTED
