"""Writing the prediction of one frame: bonds, atoms, a LOBSTER-style list, extended XYZ.

Bonds come block by block in any order. They are spooled to disk by their first atom and sorted
there, part by part, so that the files are in the order of atoms whatever the blocks were, and the
memory needed does not grow with the number of bonds.

`bonds.parquet` holds `step`, `i`, `j` (0-based), `image_a`, `image_b`, `image_c`, `pair`,
`length_A`, `minus_icohp_eV`, `sigma_eV` (both empty where the model does not know the pair of
elements) and `flag` (see `learn.model_types`). `atoms.parquet` holds `id` (of LAMMPS),
`element`, `x_A`, `y_A`, `z_A`, `minus_icohp_sum_eV`, `sigma_mean_eV`, `bonds` (known ones) and
`unknown_bonds`; a bond counts for both of its atoms.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.bonding.lobster.write import icohplist_text
from bondwright.bonding.pairs import pair_label
from bondwright.bonding.table import BondTable
from bondwright.learn.model_types import UNKNOWN_PAIR

if TYPE_CHECKING:
    import pyarrow as pa

BONDS, ATOMS = "bonds.parquet", "atoms.parquet"
LOBSTER, EXTXYZ = "ICOHPLIST.lobster", "atoms.extxyz"
HEADER = b"bondwright"
PART_ATOMS = 100_000
"""First atoms of the bonds that are sorted at a time: about 700,000 bonds of a metallic glass."""
_LINES = 50_000

ROW = np.dtype(
    [
        ("i", "<i4"),
        ("j", "<i4"),
        ("image", "<i4", (3,)),
        ("length", "<f4"),
        ("mean", "<f4"),
        ("sigma", "<f4"),
        ("flag", "u1"),
    ]
)
"""One bond on its way to the files; lengths in Å, energies in eV."""


class Spool:
    """Bonds on disk, one file for each range of first atoms."""

    def __init__(self, folder: Path, part_atoms: int = PART_ATOMS) -> None:
        folder.mkdir(parents=True)
        self._folder, self._part_atoms = folder, part_atoms
        self._numbers: set[int] = set()

    def add(self, rows: NDArray[np.void]) -> None:
        """Append bonds of a block, dtype `ROW`."""
        parts = rows["i"] // self._part_atoms
        for number in np.unique(parts).tolist():
            self._numbers.add(number)
            with self._file(number).open("ab") as file:
                file.write(rows[parts == number].tobytes())

    def sorted_parts(self) -> Iterator[NDArray[np.void]]:
        """Yield the bonds in the order of i, j and image, one range of atoms at a time."""
        for number in sorted(self._numbers):
            path = self._file(number)
            rows = np.fromfile(path, ROW)
            path.unlink()
            yield rows[np.lexsort((*rows["image"].T[::-1], rows["j"], rows["i"]))]

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}"


@dataclass(frozen=True)
class AtomSums:
    """What the bonds say of each atom; a bond counts for both of its atoms.

    Attributes:
        strength_eV: (atoms,) sum of -ICOHP, eV.
        sigma_eV: (atoms,) sum of sigma, eV.
        known: (atoms,) bonds with a prediction.
        unknown: (atoms,) bonds of a pair of elements that the model does not know.
    """

    strength_eV: NDArray[np.float64]  # noqa: N815
    sigma_eV: NDArray[np.float64]  # noqa: N815
    known: NDArray[np.int64]
    unknown: NDArray[np.int64]

    @classmethod
    def empty(cls, atoms: int) -> AtomSums:
        """Return sums over no bond at all."""
        return cls(*(np.zeros(atoms, dtype=t) for t in (float, float, np.int64, np.int64)))

    def add(self, rows: NDArray[np.void]) -> None:
        """Count bonds, dtype `ROW`."""
        atoms = len(self.known)
        known = (rows["flag"] & UNKNOWN_PAIR) == 0
        for side in ("i", "j"):
            end = rows[side][known]
            self.strength_eV[:] += np.bincount(end, rows["mean"][known], atoms)
            self.sigma_eV[:] += np.bincount(end, rows["sigma"][known], atoms)
            self.known[:] += np.bincount(end, minlength=atoms)
            self.unknown[:] += np.bincount(rows[side][~known], minlength=atoms)

    @property
    def sigma_mean_eV(self) -> NDArray[np.float64]:  # noqa: N802
        """(atoms,) mean sigma of the known bonds, eV; 0 without any."""
        return np.divide(
            self.sigma_eV, self.known, out=np.zeros_like(self.sigma_eV), where=self.known > 0
        )


class PairCodes:
    """Names of the pairs of elements of a structure, as small numbers."""

    def __init__(self, atoms: Atoms) -> None:
        kinds, self._kind = np.unique(atoms.numbers, return_inverse=True)
        symbols = [Atoms([number]).get_chemical_symbols()[0] for number in kinds.tolist()]
        labels = [[pair_label(a, b) for b in symbols] for a in symbols]
        self.labels = sorted({label for row in labels for label in row})
        self._table = np.array([[self.labels.index(b) for b in row] for row in labels], np.int32)

    def of(self, rows: NDArray[np.void]) -> NDArray[np.int32]:
        """Return (n,) the index of each bond's pair in `labels`."""
        return np.asarray(self._table[self._kind[rows["i"]], self._kind[rows["j"]]])


class BondWriter:
    """Writes bonds to Parquet and, where asked, to an ICOHPLIST; part by part."""

    def __init__(
        self, folder: Path, atoms: Atoms, step: int, method: str, *, lobster: bool
    ) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._atoms, self._step, self._method = atoms, step, method
        self._pairs = PairCodes(atoms)
        self._rows = 1
        note = {"step": step, "method": method, "positive": "-ICOHP > 0 is bonding"}
        self._schema = pa.schema(
            [
                ("step", pa.int64()),
                *((name, pa.int32()) for name in ("i", "j", "image_a", "image_b", "image_c")),
                ("pair", pa.dictionary(pa.int32(), pa.string())),
                *((name, pa.float32()) for name in ("length_A", "minus_icohp_eV", "sigma_eV")),
                ("flag", pa.uint8()),
            ],
            metadata={HEADER: json.dumps(note).encode()},
        )
        self._file = (folder / BONDS).open("wb")
        self._parquet = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        self._list = (folder / LOBSTER).open("w", encoding="utf-8") if lobster else None

    def write(self, rows: NDArray[np.void]) -> None:
        """Write bonds (dtype `ROW`) as one row group."""
        self._parquet.write_table(self._arrow(rows))
        if self._list is not None:
            known = rows[(rows["flag"] & UNKNOWN_PAIR) == 0]
            for start in range(0, len(known), _LINES):
                table = self._table(known[start : start + _LINES])
                self._list.write(icohplist_text(table, first=self._rows))
                self._rows += len(table) + int((table.i == table.j).sum())

    def close(self) -> None:
        """Finish the files; they are on the disk then."""
        self._parquet.close()
        _settle(self._file)
        if self._list is not None:
            if self._rows == 1:
                self._list.write(icohplist_text(self._table(np.zeros(0, ROW))))
            _settle(self._list)

    def _arrow(self, rows: NDArray[np.void]) -> pa.Table:
        import pyarrow as pa

        unknown = (rows["flag"] & UNKNOWN_PAIR) != 0
        columns: list[Any] = [
            np.full(len(rows), self._step, np.int64),
            *(rows[name] for name in ("i", "j")),
            *(np.ascontiguousarray(rows["image"][:, k]) for k in range(3)),
            pa.DictionaryArray.from_arrays(self._pairs.of(rows), self._pairs.labels),
            rows["length"],
            *(pa.array(rows[name].copy(), mask=unknown) for name in ("mean", "sigma")),
            rows["flag"],
        ]
        ready = [c if isinstance(c, pa.Array) else pa.array(c.copy()) for c in columns]
        return pa.Table.from_arrays(ready, schema=self._schema)

    def _table(self, rows: NDArray[np.void]) -> BondTable:
        return BondTable(
            atoms=self._atoms,
            i=rows["i"].astype(np.int64),
            j=rows["j"].astype(np.int64),
            image=rows["image"].astype(np.int64),
            length_A=rows["length"].astype(float),
            icohp_eV=rows["mean"].astype(float),
            method=self._method,
        )


def write_atoms(
    folder: Path,
    atoms: Atoms,
    ids: NDArray[np.int64],
    step: int,
    sums: AtomSums,
    *,
    extxyz: bool,
) -> None:
    """Write the atoms with their sums, to Parquet and, where asked, to extended XYZ."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    symbols = np.array(atoms.get_chemical_symbols(), dtype=object)
    columns = {
        "id": np.asarray(ids, dtype=np.int64),
        "element": pa.array(symbols).dictionary_encode(),
        **{f"{axis}_A": atoms.positions[:, k].copy() for k, axis in enumerate("xyz")},
        "minus_icohp_sum_eV": sums.strength_eV,
        "sigma_mean_eV": sums.sigma_mean_eV,
        "bonds": sums.known.astype(np.int32),
        "unknown_bonds": sums.unknown.astype(np.int32),
    }
    cell = {"cell": atoms.cell.array.tolist(), "pbc": atoms.pbc.tolist(), "step": step}
    table = pa.table(columns).replace_schema_metadata({HEADER: json.dumps(cell).encode()})
    with (folder / ATOMS).open("wb") as file:
        pq.write_table(table, file, compression="zstd")
    if extxyz:
        with (folder / EXTXYZ).open("w", encoding="utf-8") as text:
            for piece in _extxyz(atoms, step, sums):
                text.write(piece)


def _extxyz(atoms: Atoms, step: int, sums: AtomSums) -> Iterator[str]:
    """Yield an extended XYZ file in pieces: a million atoms are 100 MB of text."""
    lattice = " ".join(f"{x:.10g}" for x in atoms.cell.array.ravel().tolist())
    pbc = " ".join("T" if p else "F" for p in atoms.pbc)
    yield (
        f'{len(atoms)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3:minus_icohp_sum_eV:R:1:'
        f'sigma_mean_eV:R:1:bonds:I:1:unknown_bonds:I:1 step={step} pbc="{pbc}"\n'
    )
    symbols = atoms.get_chemical_symbols()
    for start in range(0, len(atoms), _LINES):
        part = slice(start, start + _LINES)
        columns = (
            symbols[part],
            *atoms.positions[part].T.tolist(),
            sums.strength_eV[part].tolist(),
            sums.sigma_mean_eV[part].tolist(),
            sums.known[part].tolist(),
            sums.unknown[part].tolist(),
        )
        yield "".join(
            f"{e:<2} {x:16.8f} {y:16.8f} {z:16.8f} {s:12.6f} {w:12.6f} {n:4d} {u:4d}\n"
            for e, x, y, z, s, w, n, u in zip(*columns, strict=True)
        )


def _settle(file: IO[Any]) -> None:
    """Close a file once it is on the disk."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
