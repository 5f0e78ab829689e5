"""The bonds of a crystal for a verdict: computed once, kept as a table, summed up per pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.bonding.acceptance import accept_label
from bondwright.bonding.analysis import coordination
from bondwright.bonding.describe import describe
from bondwright.bonding.export import write_parquet
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError

TABLE = "bonds.parquet"


def bonds_of(atoms: Atoms, folder: Path) -> dict[str, Any]:
    """Compute the -ICOHP of every bond, or take it from the folder, and sum it up.

    What cannot be computed (an element without a basis, an SCF that does not settle) is a reason,
    not an error: energy and gap of the crystal stand without it.

    Args:
        atoms: fully periodic structure (Å).
        folder: where the table and its calculation are kept.

    Returns:
        `method`, `charge_spilling` (0..1), `accepted`, `reason`, `message`, `description`, `pairs`,
        `strongest_minus_icohp_eV`, `seconds` and `table`, the file in `folder`; None where unknown.
    """
    from bondwright.bonding.icohp import IcohpError, bond_strengths

    try:
        table = bond_strengths(atoms, folder=folder)
    except IcohpError as error:
        return _nothing(error.reason, error.message)
    except InputError as error:
        return _nothing("bonds-not-possible", str(error))
    write_parquet(folder / TABLE, table)
    return {**summary(table), "table": TABLE}


def summary(table: BondTable) -> dict[str, Any]:
    """Return what a verdict keeps of a bond table, as JSON values.

    `pairs` sums up the strong bonds, as `bonding.analysis.coordination` tells them from the many
    weak contacts of a table, strongest pair first.
    """
    label = accept_label(table)
    strong = table.select(coordination(table).strong)
    pairs = [
        {
            "pair": pair,
            "count": len(rows),
            "mean_length_A": float(strong.length_A[rows].mean()),
            "mean_minus_icohp_eV": float(strong.icohp_eV[rows].mean()),
            "strongest_minus_icohp_eV": float(strong.icohp_eV[rows].max()),
        }
        for pair, rows in strong.pair_types().items()
    ]
    return {
        "method": table.method,
        "charge_spilling": table.charge_spilling,
        "accepted": label.accepted,
        "reason": label.reason,
        "message": label.message,
        "description": describe(table),
        "pairs": sorted(pairs, key=lambda pair: -pair["mean_minus_icohp_eV"]),
        "strongest_minus_icohp_eV": float(table.icohp_eV.max()) if len(table) else None,
        "seconds": table.details.get("seconds"),
    }


def _nothing(reason: str, message: str) -> dict[str, Any]:
    return {
        "method": None,
        "charge_spilling": None,
        "accepted": False,
        "reason": reason,
        "message": message,
        "description": "",
        "pairs": [],
        "strongest_minus_icohp_eV": None,
        "seconds": None,
        "table": None,
    }
