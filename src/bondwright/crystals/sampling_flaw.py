"""What no token shows: whether a whole crystal passes the geometric checks of the screening."""

from __future__ import annotations

from bondwright.crystals.crystal import Crystal, to_atoms
from bondwright.errors import InputError
from bondwright.screen.validity import ValiditySettings
from bondwright.screen.validity_geometry import check_contacts, check_space_group, check_volume
from bondwright.screen.validity_published import bond_score
from bondwright.structure.candidate import Declared

MALFORMED, VOLUME, SHORT_CONTACT = "malformed", "volume", "short-contact"
SPACE_GROUP = "space-group"


def flaw_of(crystal: Crystal) -> str:
    """Return why a crystal will not pass the strict validity check; "" where it will.

    Looked at is what a grammar cannot promise: atoms may be too close where none of the Wyckoff
    positions left has room in the cell that was written before them, and sites may lie so that
    the crystal is more symmetric than it says.

    Args:
        crystal: as decoded; composition, multiplicities and metric are taken for granted.

    Returns:
        "", "malformed" (a cell or site that is none), or what `screen.validity` calls it:
        "volume", "short-contact", "space-group".
    """
    limits = ValiditySettings()
    try:
        atoms = to_atoms(crystal)
    except InputError:
        return MALFORMED
    if not check_volume(
        atoms,
        None,
        smallest_A3=limits.smallest_volume_A3,
        largest_A3=limits.largest_volume_A3,
        tolerance=limits.volume_tolerance,
    )["passed"]:
        return VOLUME
    if not check_contacts(atoms, limits.contacts)["passed"]:
        return SHORT_CONTACT
    declared = Declared(space_group_number=crystal.space_group)
    answers = []
    for symprec in limits.symprecs_A:  # one after the other: mostly the first one passes
        answers.append(check_space_group(atoms, declared, symprecs=(symprec,))["passed"])
        if answers[-1]:
            return ""
    return SPACE_GROUP if False in answers else ""  # no answer at any tolerance is no objection


def has_odd_bonds(crystal: Crystal) -> bool:
    """Tell whether bonds of a crystal are shorter or longer than bonds of such atoms are.

    It is the bond test of the published validity check (`screen.validity_published`), which 98.7 %
    of the known crystals pass. Takes about 10 ms for each distinct site.

    Args:
        crystal: without a flaw (`flaw_of`). One that cannot be tested, being too large, without
            bonds, or with an element whose radius is not tabulated, is not objected to.
    """
    atoms = to_atoms(crystal)
    if len(atoms) > ValiditySettings().published_max_sites:
        return False
    score = bond_score(atoms)
    return score is not None and score < 1
