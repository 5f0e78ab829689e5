"""Where the LOBSTER files of the data folder lie, and which structure belongs to which list."""

from __future__ import annotations

import gzip
import io
from functools import cache
from pathlib import Path

import ase.io
from ase import Atoms

from bondwright.bonding.lobster import BondList, read_icohplist

GLASS_SUBS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14)
"""Cells of the glass that have labels; 13 is the one whose SCF was cut off."""

# LOBSTER 4 and 5 (orbital-resolved) and 3 (last three): list -> structure, below pymatgen-cohp.
PYMATGEN = {
    "environments/ICOHPLIST.lobster.NaCl.gz": "environments/POSCAR.NaCl.gz",
    "environments/ICOHPLIST.lobster.NaSi.gz": "environments/POSCAR.NaSi.gz",
    "environments/ICOHPLIST.lobster.mp-1018096.gz": "environments/CONTCAR.mp-1018096.gz",
    "environments/ICOHPLIST.lobster.mp-190.gz": "environments/CONTCAR.mp-190.gz",
    "environments/ICOHPLIST.lobster.mp-353.gz": "environments/CONTCAR.mp-353.gz",
    "environments/ICOHPLIST.lobster.mp-470.gz": "environments/CONTCAR.mp-470.gz",
    "environments/ICOHPLIST.lobster.mp-632319.gz": "environments/CONTCAR.mp-632319.gz",
    "environments/ICOHPLIST.lobster.mp_632319.gz": "environments/POSCAR.mp_632319.gz",
    "environments/ICOHPLIST.lobster.mp-7000.gz": "environments/POSCAR.mp-7000.gz",
    "environments/ICOHPLIST.lobster.mp_190.gz": "environments/POSCAR.mp_190.gz",
    "environments/ICOHPLIST.lobster.mp_353.gz": "environments/POSCAR.mp_353.gz",
}


def lobster(data_dir: Path) -> Path:
    return data_dir / "crystals" / "lobster"


@cache
def read_once(path: Path) -> BondList:
    """Read a list that several tests look at."""
    return read_icohplist(path)


def glass(data_dir: Path, sub: int) -> Path:
    return data_dir / "glass-zrcual" / "cells" / f"21-{sub}"


def glass_atoms(data_dir: Path, sub: int) -> Atoms:
    return ase.io.read(glass(data_dir, sub) / "Zr49Cu49Al2.xyz")


def poscar(path: Path) -> Atoms:
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    return ase.io.read(io.StringIO(text), format="vasp")


def lists(data_dir: Path) -> list[Path]:
    """Every list of bonds in the data folder: 66 of crystals and 14 of the glass."""
    crystals = (p for p in lobster(data_dir).rglob("ICO*LIST*"))
    glasses = (glass(data_dir, sub) / "ICOHPLIST.lobster" for sub in GLASS_SUBS)
    return [*sorted(crystals), *glasses]


def lobsterpy_folders(data_dir: Path) -> list[Path]:
    """Folders with a list of ICOHPs and its structure."""
    tests = lobster(data_dir) / "lobsterpy-tests"
    folders = sorted({p.parent for p in tests.rglob("ICOHPLIST*")})
    return [folder for folder in folders if structure_of(folder)]


def structure_of(folder: Path) -> Path | None:
    found = sorted([*folder.glob("CONTCAR*"), *folder.glob("POSCAR*")])
    return found[0] if found else None
