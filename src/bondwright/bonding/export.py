"""Bond tables as data frames, Parquet, CSV, JSON and extended XYZ.

Columns: `i`, `j` (0-based), `element_i`, `element_j`, `pair`, `image_a`, `image_b`, `image_c`,
`length_A`, `minus_icohp_eV` (positive is bonding, both spins) and, where known, one column
`minus_icohp_spin<k>_eV` for each spin. Parquet and JSON also hold the structure, the method, the
charge spilling and the details, so that a table read back is complete.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.bonding.analysis import atom_sums
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.structure.records import atoms_from_json, atoms_to_json
from bondwright.structure.write import write_bytes, write_text

if TYPE_CHECKING:
    import pandas as pd

_FORMAT = "bondwright-bonds/1"
_HEADER = b"bondwright"
_NEEDED = ("i", "j", "image_a", "image_b", "image_c", "minus_icohp_eV")


def to_frame(table: BondTable) -> pd.DataFrame:
    """Return the bonds as a data frame, one row each, in their order."""
    import pandas as pd

    symbols = np.array(table.atoms.get_chemical_symbols(), dtype=object)
    columns: dict[str, Any] = {
        "i": table.i,
        "j": table.j,
        "element_i": symbols[table.i],
        "element_j": symbols[table.j],
        "pair": table.pairs().astype(object),
        **{f"image_{axis}": table.image[:, k] for k, axis in enumerate("abc")},
        "length_A": table.length_A,
        "minus_icohp_eV": table.icohp_eV,
    }
    if table.icohp_by_spin_eV is not None:
        for k, values in enumerate(table.icohp_by_spin_eV, start=1):
            columns[f"minus_icohp_spin{k}_eV"] = values
    return pd.DataFrame(columns)


def from_frame(
    frame: pd.DataFrame,
    atoms: Atoms,
    method: str,
    *,
    charge_spilling: float | None = None,
    details: dict[str, Any] | None = None,
) -> BondTable:
    """Return the bond table of a data frame with the columns of `to_frame`.

    Args:
        frame: `i`, `j`, `image_a`, `image_b`, `image_c` and `minus_icohp_eV` are needed; lengths
            are taken from the structure and compared with `length_A` where that is there.
        atoms: the structure.
        method: where the numbers come from.
        charge_spilling: share of the charge that was lost, 0..1.
        details: further results of the method.

    Raises:
        InputError: a column is missing, or the bonds are not those of the structure.
    """
    if absent := [name for name in _NEEDED if name not in frame.columns]:
        raise InputError(f"a bond table needs the column {absent[0]}; write it with to_frame.")
    spins = [c for c in frame.columns if c.startswith("minus_icohp_spin") and c.endswith("_eV")]
    try:
        whole = {c: frame[c].to_numpy() for c in _NEEDED[:-1]}
        integers = {c: np.asarray(values, dtype=np.int64) for c, values in whole.items()}
        if any((integers[c] != values).any() for c, values in whole.items()):
            raise ValueError("atoms and images must be whole numbers")
        reals = {c: frame[c].to_numpy(dtype=float) for c in ["minus_icohp_eV", *spins]}
    except (TypeError, ValueError) as error:
        raise InputError(f"a column of the bond table holds no numbers ({error}).") from None
    table = BondTable.build(
        atoms,
        integers["i"],
        integers["j"],
        np.column_stack([integers[f"image_{axis}"] for axis in "abc"]),
        reals["minus_icohp_eV"],
        method,
        icohp_by_spin_eV=np.stack([reals[c] for c in spins]) if spins else None,
        charge_spilling=charge_spilling,
        details=details,
    )
    if "length_A" in frame.columns:
        _compare_lengths(table, frame["length_A"].to_numpy(dtype=float))
    return table


def to_json(table: BondTable) -> dict[str, Any]:
    """Return a table as JSON values, complete; meant for small ones."""
    spins = table.icohp_by_spin_eV
    return {
        **_header(table),
        "i": table.i.tolist(),
        "j": table.j.tolist(),
        "image": table.image.tolist(),
        "length_A": table.length_A.tolist(),
        "minus_icohp_eV": table.icohp_eV.tolist(),
        "minus_icohp_by_spin_eV": None if spins is None else spins.tolist(),
    }


def from_json(data: dict[str, Any]) -> BondTable:
    """Rebuild a table from what `to_json` returned.

    Raises:
        InputError: the record is not that of a bond table.
    """
    try:
        atoms, known = _read_header(data)
        n = len(data["i"])
        spins = data["minus_icohp_by_spin_eV"]
        table = BondTable(
            atoms=atoms,
            i=np.array(data["i"], dtype=np.int64),
            j=np.array(data["j"], dtype=np.int64),
            image=np.array(data["image"], dtype=np.int64).reshape(n, 3),
            length_A=np.array(data["length_A"], dtype=float),
            icohp_eV=np.array(data["minus_icohp_eV"], dtype=float),
            icohp_by_spin_eV=None
            if spins is None
            else np.array(spins, float).reshape(len(spins), n),
            **known,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"a stored bond table is damaged ({error!r}); make it again.") from None
    table.check()
    return table


def write_parquet(path: Path, table: BondTable) -> None:
    """Write a table with its structure and method to a Parquet file, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(to_frame(table), preserve_index=False)
    note = {_HEADER: json.dumps(_header(table), allow_nan=False).encode()}
    buffer = io.BytesIO()
    pq.write_table(arrow.replace_schema_metadata(note), buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())


def read_parquet(path: Path) -> BondTable:
    """Read a table that `write_parquet` wrote.

    Raises:
        InputError: the file cannot be read, is no bond table, or breaks its own agreements.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        arrow = pq.read_table(path)
        header = json.loads((arrow.schema.metadata or {})[_HEADER])
        atoms, known = _read_header(header)
    except (OSError, pa.ArrowInvalid) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as Parquet ({first}); check it.") from None
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} is no bond table of bondwright; its header is missing.") from None
    return from_frame(arrow.to_pandas(), atoms, **known)


def write_csv(path: Path, table: BondTable) -> None:
    """Write the columns of `to_frame` as CSV; structure and method are not in it."""
    write_text(path, to_frame(table).to_csv(index=False, lineterminator="\n"))


def write_json(path: Path, table: BondTable) -> None:
    """Write a table, complete, as JSON; meant for small ones."""
    write_text(path, json.dumps(to_json(table), allow_nan=False) + "\n")


def write_extxyz(
    path: Path, table: BondTable, extra: dict[str, NDArray[np.float64]] | None = None
) -> None:
    """Write the structure as extended XYZ with each atom's sum of -ICOHP.

    Args:
        path: the file.
        table: the bonds.
        extra: further columns of one number per atom, e.g. the group of each atom.

    The column `minus_icohp_sum_eV` is the sum over all listed bonds of an atom, eV.
    """
    from ase.io.extxyz import write_extxyz as ase_write

    own = table.atoms
    atoms = Atoms(own.numbers, positions=own.positions, cell=own.cell, pbc=own.pbc)
    columns = {"minus_icohp_sum_eV": atom_sums(table), **(extra or {})}
    for name, values in columns.items():
        atoms.new_array(name, np.asarray(values))
    atoms.info["method"] = table.method
    buffer = io.StringIO()
    ase_write(buffer, [atoms], columns=["symbols", "positions", *columns])
    write_text(path, buffer.getvalue())


def _header(table: BondTable) -> dict[str, Any]:
    """Return all that is not a column."""
    return {
        "format": _FORMAT,
        "method": table.method,
        "charge_spilling": table.charge_spilling,
        "details": table.details,
        "structure": atoms_to_json(table.atoms),
    }


def _read_header(data: dict[str, Any]) -> tuple[Atoms, dict[str, Any]]:
    """Return the structure, and method, charge spilling and details by name.

    Raises:
        InputError: the structure is damaged.
        KeyError, TypeError, ValueError: it is no such header.
    """
    if data["format"] != _FORMAT:
        raise ValueError(f"format {data['format']!r}")
    spilling = data["charge_spilling"]
    return atoms_from_json(data["structure"]), {
        "method": str(data["method"]),
        "charge_spilling": None if spilling is None else float(spilling),
        "details": dict(data["details"]),
    }


def _compare_lengths(table: BondTable, listed: NDArray[np.float64]) -> None:
    """Refuse listed lengths that differ from the structure's."""
    replace(table, length_A=listed).check()
