"""What pw.x and batch systems say when something went wrong, and what it means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bondwright.dft.calculation import Status


@dataclass(frozen=True)
class Meaning:
    """What a message means.

    Attributes:
        reason: stable slug.
        status: how a calculation with this message ended.
        sentence: for people, with what to do.
    """

    reason: str
    status: Status
    sentence: str


def _failed(reason: str, sentence: str) -> Meaning:
    return Meaning(reason, Status.FAILED, sentence)


def _stopped(reason: str, sentence: str) -> Meaning:
    return Meaning(reason, Status.INTERRUPTED, sentence)


# The patterns are looked for in "routine: text" of an error block, in order, whatever the case.
_PW: tuple[tuple[str, Meaning], ...] = (
    (
        r"charge is wrong",
        _failed("charge-wrong", "The charge density lost electrons; softer mixing may help."),
    ),
    (
        r"too many bands are not converged",
        _failed("bands-not-converged", "The diagonalisation did not converge for many bands."),
    ),
    (
        r"problems computing cholesky|s matrix not positive definite",
        _failed("overlap-matrix", "The overlap matrix of the diagonalisation is not positive."),
    ),
    (
        r"eigenvectors failed to converge|zhegvd failed|\bqr\(|diagonalization",
        _failed("diagonalisation", "The diagonalisation broke down."),
    ),
    (
        r"broyden.*factorization",
        _failed("mixing-factorisation", "The charge mixing broke down."),
    ),
    (
        r"dexx is negative",
        _failed("exchange-negative", "The exact-exchange energy difference became negative."),
    ),
    (
        r"some nodes have no k-points",
        _failed("too-many-pools", "There are more k-point pools than k-points; use fewer pools."),
    ),
    (
        r"not enough space allocated for radial fft",
        _failed("cell-factor", "The cell shrank much; restart from the last geometry."),
    ),
    (
        r"not orthogonal operation",
        _failed("symmetry", "A symmetry operation is not orthogonal; switch symmetry off."),
    ),
    (
        r"(readpp|read_pseudo|readpseudo).*not found|readpp.*(open|exist)",
        _failed("pseudopotential-missing", "A pseudopotential file was not found."),
    ),
    (
        r"readpp|read_upf|upf",
        _failed("pseudopotential-unreadable", "A pseudopotential file could not be read."),
    ),
    (
        r"k-?points?.*(not found|missing|open)|reading k0000|error (opening|reading).*wfc"
        r"|read_wfc|eigenval.*not found",
        _failed("kpoint-file-missing", "Saved k-points or wave functions are missing."),
    ),
    (
        r"fatal error reading xml|xml data file|pw_readfile|readxmlfile|read_xml"
        r"|charge-density|read_rhog|read_scf",
        _failed("saved-data-unreadable", "Files of an earlier run are missing or damaged."),
    ),
    (
        r"too few bands",
        _failed("too-few-bands", "There are fewer bands than the electrons need."),
    ),
    (
        r"fixed occupations|smearing is needed|need smearing",
        _failed(
            "smearing-needed", "These electrons need smeared occupations (an odd number, or spins)."
        ),
    ),
    (
        r"atoms? #?.*overlap",
        _failed("atoms-overlap", "Two atoms lie on top of each other."),
    ),
    (
        r"bad line in namelist|read_namelists|card_|read_cards|namelist",
        _failed("input-refused", "pw.x did not accept its input."),
    ),
    (
        r"cannot allocate|allocation|not enough memory|insufficient memory",
        _stopped("out-of-memory", "There was too little memory; use more of it, or more nodes."),
    ),
    (
        r"davcio|diropn|error while writing|no space left|disk quota|\bio error",
        _stopped("disk", "A file could not be read or written; look at space and quota."),
    ),
)

_MARKS: dict[str, Meaning] = {
    "qr-failed": _failed("diagonalisation", "The diagonalisation broke down."),
    "no-density": _failed(
        "saved-data-unreadable",
        "The charge density that the bands were asked of is missing; pw.x took that of free atoms.",
    ),
    "g-par": _failed("symmetry", "The string of k-points does not close; check the field setting."),
}

_SCHEDULER: tuple[tuple[str, Meaning], ...] = (
    (
        r"time ?limit|\btimeout\b|walltime \d+ exceeded|exceeded.*wall.?time|term_runlimit"
        r"|wall ?clock limit|job killed: walltime",
        _stopped("walltime", "The batch system ended the job at its time limit."),
    ),
    (
        r"node.?fail|node_fail|due to node|lost connection to node|communication with node.*lost",
        _stopped("node-failure", "A node failed."),
    ),
    (
        r"preempt",
        _stopped("preempted", "The batch system gave the nodes to another job."),
    ),
    (
        r"oom.?kill|out.of.memory|out_of_memory|exceeded.*memory limit|term_memlimit",
        _stopped("out-of-memory", "The job used more memory than it was given."),
    ),
    (
        r"no space left|disk quota exceeded",
        _stopped("disk", "The disk is full or the quota is used up."),
    ),
    (
        r"cancelled at|\bscancel\b|term_owner|job (was )?(deleted|cancelled)|qdel",
        _stopped("cancelled", "The job was cancelled."),
    ),
    (
        r"signal:? (9|15)\b|sigterm|sigkill|killed by signal|\bkilled\b",
        _stopped("killed", "Something outside killed the program."),
    ),
)


def meaning_of_error(routine: str, text: str) -> Meaning:
    """Return what an error block of pw.x means; "pw-error" for one that is not known."""
    said = f"{routine}: {text}"
    for pattern, meaning in _PW:
        if re.search(pattern, said, re.IGNORECASE):
            return meaning
    return _failed("pw-error", f"pw.x stopped in {routine or 'an unnamed routine'}: {text[:200]}")


def meaning_of_mark(marks: frozenset[str]) -> Meaning | None:
    """Return what a remark outside any error block means; None when there is none of note."""
    return next((_MARKS[m] for m in sorted(marks) if m in _MARKS), None)


def meaning_of_scheduler(text: str) -> Meaning | None:
    """Return what the batch system says about a job's end; None when it says nothing known.

    Args:
        text: standard error of the job, or the state that `sacct` or `squeue` tells.
    """
    for pattern, meaning in _SCHEDULER:
        if re.search(pattern, text, re.IGNORECASE):
            return meaning
    return None
