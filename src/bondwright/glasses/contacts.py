"""Atoms that stand closer than they do in any glass."""

from __future__ import annotations

from ase import Atoms

from bondwright.screen.validity_geometry import ContactLimits, check_contacts
from bondwright.screen.verdict import Outcome, Verdict

VERSION = "glass/1"
CONTACT_FACTOR = 0.70
"""Shortest distance over the sum of the covalent radii: 2.45 Å for Zr-Zr, 2.15 Å for Zr-Cu, 1.85 Å
for Cu-Cu. The published glass of 10,000 atoms has 0.72, its strained cells go down to 0.64."""


def check_close_pairs(atoms: Atoms, factor: float = CONTACT_FACTOR) -> Verdict:
    """Reject a structure with two atoms closer than `factor` times the sum of their radii."""
    found = check_contacts(atoms, ContactLimits(factor, factor, 0.5, 0.5))
    message = (
        found.get("problem")
        or f"{found['ratio_pair']} {found['ratio_distance_A']:.3f} Å, {found['ratio']:.2f} of the "
        f"covalent radii (at least {factor:g})"
    )
    return Verdict(
        "contacts",
        Outcome.PASSED if found["passed"] else Outcome.REJECTED,
        "" if found["passed"] else "short-contact",
        message,
        found["ratio"],
        "",
        {key: value for key, value in found.items() if key != "passed"},
        VERSION,
        {"contact_factor": factor},
    )
