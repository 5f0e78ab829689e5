"""What a tree search rewards: crystals that the cheap stages of the funnel would let through.

The reward R of a text lies between 0 and 1:

    R = 0                     no crystal: the text is unfinished or malformed
    R = 0.3 c w / 2^k         a crystal that fails the strict validity check
    R = 0.4                   valid, but known, or found before in this search
    R = 0.4 + 0.6 b           valid and new

c is the shortest contact over the shortest that is allowed, at most 1; w the volume per atom over
the limit that it exceeds (or the inverse), 1 within the limits; k the number of other strict tests
that fail. b is 1 where no band gap is asked for, else 1 / (1 + |E - E0| / 0.5 eV) with the asked
gap E0 and the estimate E of the shipped model, 0 where that has none: 0.5 eV beside the wish is
worth half. So an invalid crystal is worth less than any valid one, one that was found before less
than any new one, and even a bad one tells in which direction to go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ase import Atoms

from bondwright.crystals.evaluation_known import Known
from bondwright.crystals.generate_cif import crystal_cif
from bondwright.crystals.sampling_text import Sample
from bondwright.crystals.search_seen import Seen
from bondwright.crystals.strict import STRICT, strict_verdict
from bondwright.errors import InputError
from bondwright.screen.property import load_property
from bondwright.screen.verdict import Outcome

INVALID, VALID = 0.3, 0.4
HALF_WORTH_EV = 0.5
"""Distance from the asked band gap at which a crystal is worth half, eV."""


class CrystalReward:
    """Rewards the samples of one search, in their order.

    Args:
        known: crystals that are not new; None where nothing is known.
        band_gap: asked for, eV; None where it does not matter.
    """

    def __init__(self, known: Known | None, band_gap: float | None) -> None:
        self._seen, self._band_gap = Seen(known), band_gap

    def __call__(self, sample: Sample) -> float:
        """Return the reward of a sample, from 0 to 1."""
        if sample.crystal is None:
            return 0.0
        try:
            text = crystal_cif(sample.crystal, "sample")
        except InputError:  # a site that is not where its letter says
            return 0.0
        candidate, verdict = strict_verdict(text)
        if candidate.atoms is None or verdict.outcome is not Outcome.PASSED:
            return INVALID * validity_grade(verdict.details.get("strict", {}))
        if not self._seen.is_new(candidate.atoms):
            return VALID
        return VALID + (1 - VALID) * self._nearness(candidate.atoms)

    def _nearness(self, atoms: Atoms) -> float:
        """Return b of the formula."""
        if self._band_gap is None:
            return 1.0
        found = load_property("band_gap").predict(atoms).value
        return 0.0 if found is None else 1 / (1 + abs(found - self._band_gap) / HALF_WORTH_EV)


def validity_grade(strict: Mapping[str, Mapping[str, Any]]) -> float:
    """Return c w / 2^k of the strict tests: 1 where all pass, 0 where there are none.

    Args:
        strict: `details["strict"]` of the validity verdict.
    """
    if not strict:
        return 0.0
    failed = {name for name, result in strict.items() if result["passed"] is False}
    contact = volume = 1.0
    if "contact" in failed:
        contact = min(1.0, (strict["contact"]["ratio"] or 0.0) / STRICT.contact_factor)
    if "volume" in failed:
        each = max(strict["volume"]["per_atom_A3"], 1e-9)
        volume = min(1.0, each / STRICT.smallest_volume_A3, STRICT.largest_volume_A3 / each)
    others: int = len(failed - {"contact", "volume"})
    return float(contact * volume / 2**others)
