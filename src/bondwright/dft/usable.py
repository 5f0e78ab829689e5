"""Structures that no engine is given."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from bondwright.structure.neighbours import shortest_contact

SHORTEST_CONTACT_A = 0.5


def unusable(atoms: Atoms) -> tuple[str, str] | None:
    """Return why a structure cannot be calculated, as a stable slug and a sentence; None if it can.

    The slugs are "bad-structure" (no atoms, numbers that are not finite, a cell without volume or
    not periodic in three directions) and "atoms-too-close".
    """
    finite = np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()
    if not (len(atoms) and finite and atoms.pbc.all() and abs(atoms.cell.volume) > 0):
        return "bad-structure", (
            "The structure needs atoms, finite positions and a cell periodic in three directions."
        )
    contact = shortest_contact(atoms)
    if contact.distance < SHORTEST_CONTACT_A:
        pair = "-".join(atoms.symbols[k] for k in (contact.i, contact.j))
        return "atoms-too-close", (
            f"{pair} atoms are {contact.distance:.2f} Å apart; nothing below "
            f"{SHORTEST_CONTACT_A} Å is calculated."
        )
    return None
