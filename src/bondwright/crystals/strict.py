"""Generated crystals before the strict validity check of the funnel."""

from __future__ import annotations

from bondwright.screen.validity import ValiditySettings, check_validity
from bondwright.screen.verdict import Verdict
from bondwright.structure.candidate import Candidate, Origin
from bondwright.structure.formats import parse_text
from bondwright.structure.parsed import ReadLimits

STRICT = ValiditySettings(published=False)


def strict_verdict(cif: str) -> tuple[Candidate, Verdict]:
    """Return a crystal as the funnel reads it, and what the strict validity check says of it.

    Args:
        cif: text of a row, or of `crystal_cif`.
    """
    parsed = parse_text("cif", cif, ReadLimits())[0]
    candidate = Candidate(
        "", "", Origin(""), cif, parsed.atoms, parsed.declared, parsed.problem, parsed.notes
    )
    return candidate, check_validity(candidate, STRICT)


def reason_against(cif: str) -> str:
    """Return why a generated crystal fails the strict validity check, "" where it passes."""
    return strict_verdict(cif)[1].reason
