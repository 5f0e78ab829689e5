"""Structures as JSON values and back, without loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from bondwright.errors import InputError


def atoms_to_json(atoms: Atoms) -> dict[str, Any]:
    """Return a structure as JSON values.

    Python writes floats with as many digits as they need, so nothing is lost in JSON text.

    Returns:
        {"numbers": [...], "positions": [[x, y, z], ...] in Å, "cell": 3 rows in Å, "pbc": [...]}.
    """
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def atoms_from_json(data: dict[str, Any]) -> Atoms:
    """Rebuild a structure from what `atoms_to_json` returned.

    Raises:
        InputError: the record is not that of a structure.
    """
    try:
        numbers = np.asarray(data["numbers"], dtype=int).reshape(-1)
        positions = np.asarray(data["positions"], dtype=float).reshape(len(numbers), 3)
        cell = np.asarray(data["cell"], dtype=float).reshape(3, 3)
        return Atoms(numbers=numbers, positions=positions, cell=cell, pbc=data["pbc"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"a stored structure is damaged ({error!r}); read it again from its source."
        ) from None
