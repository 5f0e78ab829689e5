"""A folder in which LOBSTER ran: its list, its output and its structure as one bond table."""

from __future__ import annotations

from pathlib import Path

from ase import Atoms

from bondwright.bonding.lobster.icohplist import BondList, read_icohplist
from bondwright.bonding.lobster.images import bond_table
from bondwright.bonding.lobster.lobsterout import LobsterOutput, read_lobsterout
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError


def read_lobster_folder(folder: Path, atoms: Atoms) -> BondTable:
    """Read the -ICOHPs of a LOBSTER run with the run's version, basis and charge spilling.

    Args:
        folder: holds ICOHPLIST.lobster and lobsterout, plain or gzipped.
        atoms: the structure of the run, atoms in its order.

    Returns:
        The bonds; `charge_spilling` is the larger of the two spins'. Whether the label may be
        used is the question of `acceptance.accept_label`.

    Raises:
        InputError: a file is missing or damaged, the list is shorter than the output says, or it
            does not belong to the structure.
    """
    bonds = read_icohplist(_find(folder, "ICOHPLIST.lobster"))
    output = read_lobsterout(_find(folder, "lobsterout"))
    _check_count(bonds, output)
    return bond_table(
        bonds,
        atoms,
        method=output.method,
        charge_spilling=max(output.charge_spilling, default=None),
        details={"lobster": output.details()},
    )


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(f"{folder} has no {name}; LOBSTER did not write it, or it was not copied.")


def _check_count(bonds: BondList, output: LobsterOutput) -> None:
    """Refuse a list that is shorter than LOBSTER says; from version 4 each spin counts."""
    found = output.interactions
    if found is None or bonds.translation is None:
        return
    spins = max(1, len(output.charge_spilling))
    if len(bonds) != found and len(bonds) * spins != found:
        raise InputError(
            f"{bonds.path} lists {len(bonds)} bonds but lobsterout found {found} "
            f"({spins} spins); the list is cut off, or of another run."
        )
