"""What a campaign holds, as plain data for the report, the command line and the web pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ase import Atoms

from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.candidate import Candidate


@dataclass(frozen=True)
class StageSummary:
    """The funnel at one stage; controls are not counted.

    Attributes:
        name: stage name.
        entered: candidates that reached the stage (passed every stage before it).
        passed: candidates that went on.
        rejected: reason -> number.
        unknown: reason -> number.
        failed: reason -> number.
        waiting: candidates that reached the stage and have no verdict yet.
        seconds: total seconds of work of the stage, all workers together.
        seconds_per_candidate: mean over the candidates with a verdict, those that were left out not
            counted; None without any.
        peak_memory_mb: highest resident memory of a worker in this stage, MiB; None if unknown.
    """

    name: str
    entered: int
    passed: int
    rejected: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    seconds: float = 0.0
    seconds_per_candidate: float | None = None
    peak_memory_mb: float | None = None


@dataclass(frozen=True)
class CandidateView:
    """One candidate with everything known about it.

    Attributes:
        candidate: the candidate as read.
        verdicts: stage name -> verdict, in the order of the stages.
        relaxed: the structure after relaxation (positions in Å), where there is one.
        survived: True when every stage passed it; one that DFT left out for the sake of the cost
            (`unknown`, `not-selected`) has survived what was asked of it.
        dft: the structure after relaxation with DFT, in its standard primitive cell (positions in
            Å), where there is one.
    """

    candidate: Candidate
    verdicts: dict[str, Verdict]
    relaxed: Atoms | None
    survived: bool
    dft: Atoms | None = None

    @property
    def verified(self) -> bool:
        """Whether it survived and DFT has seen it."""
        return self.survived and (
            "dft" in self.verdicts and self.verdicts["dft"].outcome is Outcome.PASSED
        )


@dataclass(frozen=True)
class CampaignView:
    """A whole campaign.

    Attributes:
        name: campaign name.
        description: a sentence of the user's about it; may be empty.
        stages: the funnel in order; the first is "read".
        candidates: all candidates in the order they were added, controls included.
        targets: property -> target value asked for in `campaign.toml`, e.g. {"band_gap": 1.5}.
        provenance: versions, seeds, settings, hardware, seconds, peak memory (JSON values).
    """

    name: str
    description: str
    stages: list[StageSummary]
    candidates: list[CandidateView]
    targets: dict[str, float]
    provenance: dict[str, Any]

    @property
    def controls(self) -> list[CandidateView]:
        """The known crystals carried through every stage."""
        return [c for c in self.candidates if c.candidate.control]

    @property
    def survivors(self) -> list[CandidateView]:
        """Candidates that survived, without the controls; see `CandidateView.survived`."""
        return [c for c in self.candidates if c.survived and not c.candidate.control]
