"""Identity of a structure for storage, and its composition.

Identity is not similarity: two descriptions of one crystal (a supercell, another order of atoms)
have different hashes here; whether they are the same crystal is asked in `screen.novelty`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from math import gcd

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from pymatgen.core import Composition

POSITION_STEP = 1e-6
"""Å; positions and cell are compared at this resolution."""


def content_hash(atoms: Atoms) -> str:
    """Return the SHA-256 of species, cell, periodicity and positions as 64 hexadecimal digits.

    Cell and Cartesian positions are rounded to 1e-6 Å, so that a trip through a text file keeps
    the hash. The order of the atoms counts, because per-atom results are stored in that order.

    Raises:
        ValueError: cell or positions are not finite.
    """
    digest = hashlib.sha256(f"{len(atoms)}".encode())
    digest.update(np.asarray(atoms.numbers, dtype="<i8").tobytes())
    digest.update(np.asarray(atoms.pbc, dtype="u1").tobytes())
    for lengths in (atoms.cell.array, atoms.positions):
        if not np.isfinite(lengths).all():
            raise ValueError("a structure with positions that are not finite has no identity")
        digest.update(np.rint(lengths / POSITION_STEP).astype("<i8").tobytes())
    return digest.hexdigest()


def composition(atoms: Atoms) -> dict[str, int]:
    """Return element -> number of atoms in the cell, elements in alphabetical order."""
    counts = Counter(chemical_symbols[number] for number in atoms.numbers)
    return dict(sorted(counts.items()))


def reduced_formula(atoms: Atoms) -> str:
    """Return the reduced formula in the usual order of elements, e.g. "TiO2" or "LiFePO4"."""
    counts = composition(atoms)
    divisor = gcd(*counts.values()) or 1
    return str(Composition({e: n // divisor for e, n in counts.items()}).reduced_formula)
