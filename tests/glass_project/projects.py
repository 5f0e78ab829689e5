"""Small glass projects for tests, and LOBSTER folders of two atoms that a test can write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

from bondwright.bonding.lobster import icohplist_text
from bondwright.bonding.table import BondTable
from bondwright.campaign.glass.config import GlassConfig, parse_config
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.labels import ACCEPTED, LabelRecord, label_key, store_label
from bondwright.structure.identity import content_hash
from bondwright.structure.neighbours import neighbour_pairs

# Aluminium with everything as coarse as it goes: three seconds of one core.
COARSE = """
name = "coarse"
compositions = ["Al100"]
[label]
orbitals = "pbe"
grid_spacing_A = 0.35
kpoint_spacing_per_A = 1.5
scf_kpoint_spacing_per_A = 1.5
max_length_A = 3.0
[run]
workers = 1
"""


def project(folder: Path, text: str = COARSE) -> tuple[GlassFolder, GlassConfig]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "glass.toml").write_text(text)
    return GlassFolder(folder), parse_config(text, folder)


def aluminium(lattice: float = 4.05) -> Atoms:
    return bulk("Al", a=lattice)


def alloy(seed: int, zirconium: int = 4, atoms: int = 8) -> Atoms:
    """A random Cu-Zr cell; its labels below are a law of the length, not a calculation."""
    rng = np.random.default_rng(seed)
    grid = np.array([[x, y, z] for x in range(2) for y in range(2) for z in range(2)])[:atoms]
    positions = grid * 2.7 + rng.normal(0, 0.15, (atoms, 3))
    return Atoms(
        "Zr" * zirconium + "Cu" * (atoms - zirconium), positions=positions, cell=[5.4] * 3, pbc=True
    )


def law(atoms: Atoms, method: str = "law/1", scale: float = 1.0) -> BondTable:
    """-ICOHP that falls with the length and depends on the pair."""
    pairs = neighbour_pairs(atoms, 4.2)
    weight = np.where(atoms.numbers == 40, 1.0, 0.5)
    strength = scale * 8.0 * np.exp(-pairs.distance / 1.2) * weight[pairs.i] * weight[pairs.j]
    return BondTable.build(
        atoms, pairs.i, pairs.j, pairs.image, strength, method, charge_spilling=0.01
    )


def add_labelled(
    folder: GlassFolder, name: str, atoms: Atoms, method: str = "law/1", scale: float = 1.0
) -> None:
    cell = CellName.parse(name)
    folder.add(cell, atoms, {"made": "for a test"})
    kept = folder.read(cell)
    structure = content_hash(kept)
    table = law(kept, method, scale)
    record = LabelRecord(
        label_key(structure, method), name, structure, method, ACCEPTED, bonds=len(table)
    )
    store_label(folder, record, table)


def lobster_folder(folder: Path, atoms: Atoms, *, done: bool = True) -> Path:
    """Write what LOBSTER 3 would leave for a cell."""
    folder.mkdir(parents=True)
    atoms.write(folder / "cell.xyz", format="extxyz")
    (folder / "lobsterin").write_text("COHPstartEnergy -100\n")
    if done:
        table = law(atoms)
        (folder / "ICOHPLIST.lobster").write_text(icohplist_text(table, 3))
        (folder / "lobsterout").write_text(
            "LOBSTER v3.0.0 (g++ 4.9.2)\n"
            f"setting up CO interactions... found {len(table)} interactions\n"
            "  abs. total  spilling:   3.70%\n  abs. charge spilling:   1.60%\n"
            "finished in 0 h  1 min  0 s   0 ms of wall time\n"
        )
    return folder
