"""Labels in the published file formats: .bnd tables per pair of elements, single or mixed.

A .bnd file has one bond per row: run, sub-run, the two atoms (1-based), length (Å) and -ICOHP
(eV); a mixed database has the number of the composition in front. Both are described with the data
of Phys. Rev. Materials 4, 113603 (2020). The format knows no images, so two bonds of the same atoms
stand as two rows that only their lengths tell apart. Descriptors are written as .npz, never as
pickles.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from bondwright.bonding.pairs import split_pair
from bondwright.campaign.glass.folder import CellName
from bondwright.errors import InputError
from bondwright.learn.atom_soap import SoapSettings, atom_soap
from bondwright.learn.cells import LabelledCell
from bondwright.structure.write import write_bytes, write_text

_DRAWN = 1000
"""Variants without a published number get numbers above this one."""


def export_databases(
    out: Path, cells: Sequence[LabelledCell], *, descriptors: bool = False
) -> list[Path]:
    """Write one database per composition, `<composition>-PBSSDB/<A>-<B>.bnd`.

    Args:
        out: folder that takes them.
        cells: labelled cells of one method.
        descriptors: also write `<A>-<B>-SOAPS.npz` with the published SOAP vector of every atom
            in a bond: `keys` (m,) "run-sub-atom" and `soaps` (m, length).

    Returns:
        The files written. `variants.info` names the variants that have no published number.

    Raises:
        InputError: no cell, several methods, or a run that is no number.
    """
    _check(cells)
    written = []
    for composition in sorted({cell.composition for cell in cells}):
        chosen = [cell for cell in cells if cell.composition == composition]
        folder, numbers = out / f"{composition}-PBSSDB", _variants(chosen)
        lines: dict[str, list[str]] = defaultdict(list)
        for cell in chosen:
            for pair, rows in _rows(cell, numbers).items():
                lines[pair] += rows
        written += [_write(folder / f"{pair}.bnd", rows) for pair, rows in sorted(lines.items())]
        if named := {v: n for v, n in numbers.items() if n > _DRAWN}:
            text = [f"{number} {variant}" for variant, number in named.items()]
            written.append(_write(folder / "variants.info", text))
        if descriptors:
            written += _descriptors(folder, chosen, numbers)
    return written


def export_mixed(out: Path, name: str, cells: Sequence[LabelledCell]) -> list[Path]:
    """Write a mixed database `<name>/<A>-<B>.bnd` with its `.info` files.

    Args:
        out: folder that takes it.
        name: name of the database, e.g. "DB4".
        cells: the cells with the bonds drawn for it (`training_set.select`).

    Returns:
        The files written.

    Raises:
        InputError: as `export_databases`.
    """
    _check(cells)
    compositions = sorted({cell.composition for cell in cells})
    numbers = _variants(cells)
    lines: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(compositions, 0))
    for cell in sorted(cells, key=lambda cell: (cell.composition, CellName.parse(cell.name).order)):
        place = compositions.index(cell.composition)
        for pair, rows in _rows(cell, numbers).items():
            lines[pair] += [f"{place} {row}" for row in rows]
            counts[pair][cell.composition] += len(rows)
    written = []
    for pair, rows in sorted(lines.items()):
        written.append(_write(out / name / f"{pair}.bnd", rows))
        info = [f"{name} {pair}", *(f"{c} {n}" for c, n in counts[pair].items())]
        written.append(_write(out / name / f"{pair}.info", info))
    return written


def _check(cells: Sequence[LabelledCell]) -> None:
    if not cells:
        raise InputError("there are no labelled cells to export.")
    if len(methods := sorted({cell.bonds.method for cell in cells})) > 1:
        raise InputError(f"a database has labels of one method, not of {'; '.join(methods)}.")
    for cell in cells:
        if not CellName.parse(cell.name).number.isdigit():
            raise InputError(f"{cell.name}: a .bnd file needs a run that is a number.")


def _variants(cells: Sequence[LabelledCell]) -> dict[str, int]:
    """Return variant -> number."""
    names = {cell.variant for cell in cells}
    others = sorted(name for name in names if not name.isdigit())
    own = {name: int(name) for name in sorted(names) if name.isdigit()}
    return own | {name: _DRAWN + k for k, name in enumerate(others, 1)}


def _rows(cell: LabelledCell, numbers: dict[str, int]) -> dict[str, list[str]]:
    """Return pair -> lines "run sub atomA atomB length -ICOHP" of a cell."""
    table = cell.bonds
    symbols = np.array(table.atoms.get_chemical_symbols())
    run, variant = CellName.parse(cell.name).number, numbers[cell.variant]
    found = {}
    for pair, rows in table.pair_types().items():
        turned = symbols[table.i[rows]] != split_pair(pair)[0]
        first = np.where(turned, table.j[rows], table.i[rows]) + 1
        second = np.where(turned, table.i[rows], table.j[rows]) + 1
        values = zip(first, second, table.length_A[rows], table.icohp_eV[rows], strict=True)
        found[pair] = [f"{run} {variant} {a} {b} {d:f} {e:f}" for a, b, d, e in values]
    return found


def _descriptors(
    folder: Path, cells: Sequence[LabelledCell], numbers: dict[str, int]
) -> list[Path]:
    elements = sorted(
        {symbol for cell in cells for symbol in cell.atoms.get_chemical_symbols()},
        key=atomic_numbers.__getitem__,
    )
    keys: dict[str, list[str]] = defaultdict(list)
    soaps: dict[str, list[np.ndarray]] = defaultdict(list)
    for cell in cells:
        vectors = atom_soap(cell.atoms, elements, SoapSettings())
        where = f"{CellName.parse(cell.name).number}-{numbers[cell.variant]}"
        for pair, rows in cell.bonds.pair_types().items():
            atoms = np.unique([cell.bonds.i[rows], cell.bonds.j[rows]])
            keys[pair] += [f"{where}-{atom + 1}" for atom in atoms]
            soaps[pair].append(vectors[atoms])
    written = []
    for pair, names in sorted(keys.items()):
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            keys=np.array(names),
            soaps=np.concatenate(soaps[pair]),
            elements=np.array(elements),
        )
        path = folder / f"{pair}-SOAPS.npz"
        write_bytes(path, buffer.getvalue())
        written.append(path)
    return written


def _write(path: Path, lines: Sequence[str]) -> Path:
    write_text(path, "\n".join(lines) + "\n")
    return path
