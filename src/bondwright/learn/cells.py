"""Labelled cells: structures with the -ICOHP of their bonds, and the run that they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from pathlib import Path

import numpy as np
from ase import Atoms

from bondwright.bonding.lobster import read_lobster_folder
from bondwright.bonding.pairs import pair_label
from bondwright.bonding.table import BondTable
from bondwright.errors import InputError
from bondwright.structure.identity import composition, content_hash
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.sandbox import parse_texts
from bondwright.structure.texts import decode, read_bytes


@dataclass(frozen=True)
class LabelledCell:
    """One cell whose bonds carry labels.

    Attributes:
        name: "<composition>/<run>/<variant>", e.g. "Zr49Cu49Al2/21/0".
        composition: nominal composition in atomic per cent, e.g. "Zr49Cu49Al2".
        run: the independent melt-quench, e.g. "Zr49Cu49Al2/21": the group that no split divides.
        variant: "0" is the quenched cell, others are its strained copies.
        bonds: labels of the bonds of any length; the structure is `bonds.atoms`, the source of the
            labels `bonds.method`.
    """

    name: str
    composition: str
    run: str
    variant: str
    bonds: BondTable

    @property
    def atoms(self) -> Atoms:
        """The structure."""
        return self.bonds.atoms


def cell_hash(cell: LabelledCell) -> str:
    """Return the SHA-256 of a cell's name and of its `labels_hash`."""
    return hashlib.sha256(f"{cell.name}|{labels_hash(cell.bonds)}".encode()).hexdigest()


def labels_hash(table: BondTable) -> str:
    """Return the SHA-256 of a bond table: structure, bonds and their -ICOHPs to 1e-9 eV."""
    digest = hashlib.sha256(content_hash(table.atoms).encode())
    digest.update(table.method.encode())
    digest.update(np.ascontiguousarray(table.keys(), dtype="<i8").tobytes())
    digest.update(np.rint(table.icohp_eV * 1e9).astype("<i8").tobytes())
    return digest.hexdigest()


def composition_name(atoms: Atoms) -> str:
    """Return the composition in atomic per cent, most frequent element first: "Zr49Cu49Al2".

    Elements of equal share stand in the order of a pair's name, the more metallic one first.
    """
    shares = {element: 100 * n / len(atoms) for element, n in composition(atoms).items()}

    def order(a: str, b: str) -> int:
        if shares[a] != shares[b]:
            return 1 if shares[a] < shares[b] else -1
        return -1 if pair_label(a, b) == f"{a}-{b}" else 1

    return "".join(f"{e}{round(shares[e], 2):g}" for e in sorted(shares, key=cmp_to_key(order)))


def read_lobster_cells(folder: Path, variants: Sequence[str] | None = None) -> list[LabelledCell]:
    """Read labelled cells from folders "<run>-<variant>" in which LOBSTER ran.

    Args:
        folder: holds one folder per cell, each with ICOHPLIST.lobster, lobsterout and one
            structure (`*.xyz`) in LOBSTER's order of atoms.
        variants: the variants to read; all when None.

    Returns:
        The cells by run and variant. Cells without ICOHPLIST.lobster have no labels and are left
        out.

    Raises:
        InputError: no labelled cell at all, or a file is missing or damaged.
    """
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        run, _, variant = path.name.rpartition("-")
        labelled = any(path.glob("ICOHPLIST.lobster*"))
        if run and labelled and (variants is None or variant in variants):
            found.append((run, variant, path))
    if not found:
        raise InputError(f"{folder} has no folders <run>-<variant> with an ICOHPLIST.lobster.")
    found.sort(key=lambda item: (_number(item[0]), _number(item[1])))
    limits = ReadLimits()
    files = [_structure_file(path) for _, _, path in found]
    texts = (("extxyz", decode(read_bytes(file, limits.text_bytes))[0]) for file in files)
    cells = []
    for (run, variant, path), parsed in zip(found, parse_texts(texts, limits), strict=True):
        atoms, problem = parsed[0].atoms, parsed[0].problem
        if atoms is None:
            message = problem.message if problem else "it holds no structure."
            raise InputError(f"the structure in {path} cannot be read: {message}")
        name = composition_name(atoms)
        cells.append(
            LabelledCell(
                name=f"{name}/{run}/{variant}",
                composition=name,
                run=f"{name}/{run}",
                variant=variant,
                bonds=read_lobster_folder(path, atoms),
            )
        )
    return cells


def _structure_file(folder: Path) -> Path:
    files = sorted(folder.glob("*.xyz"))
    if len(files) != 1:
        raise InputError(f"{folder} has {len(files)} *.xyz files; LOBSTER's cell must be the one.")
    return files[0]


def _number(text: str) -> tuple[int, str]:
    """Sort "2" before "10" and words behind numbers."""
    return (int(text), "") if text.isdigit() else (10**9, text)
