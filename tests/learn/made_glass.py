"""Small made-up labelled cells whose labels know the length and the neighbours of a bond."""

from __future__ import annotations

import numpy as np
from ase.build import bulk

from bondwright.bonding.table import BondTable
from bondwright.learn.cells import LabelledCell
from bondwright.structure.neighbours import neighbour_pairs

REACH_A = 3.6


def made_cell(
    run: int,
    variant: str = "0",
    *,
    composition: str = "Zr50Cu50",
    elements: tuple[str, ...] = ("Zr", "Cu"),
    strain: np.ndarray | None = None,
    method: str = "made up/1",
    noise_eV: float = 0.0,
) -> LabelledCell:
    """A cell of 16 atoms; the same run gives the same atoms before its strain.

    -ICOHP falls with length, differs between pairs, and is weaker between crowded atoms.
    """
    random = np.random.default_rng(run)
    atoms = bulk("Cu", "fcc", a=4.2, cubic=True).repeat((2, 2, 1))
    atoms.symbols = random.choice(elements, len(atoms))
    atoms.positions += random.normal(0, 0.18, atoms.positions.shape)
    if strain is not None:
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    found = neighbour_pairs(atoms, REACH_A)
    crowd = np.bincount(np.r_[found.i, found.j], minlength=len(atoms))
    heavy = (atoms.numbers[found.i] + atoms.numbers[found.j]) / 80
    label = heavy * np.exp(-found.distance) * (20 - 0.3 * (crowd[found.i] + crowd[found.j]))
    label = label + noise_eV * random.normal(size=len(label))
    bonds = BondTable.build(atoms, found.i, found.j, found.image, label, method)
    return LabelledCell(
        f"{composition}/{run}/{variant}", composition, f"{composition}/{run}", variant, bonds
    )


def stretch(x: float = 1.0, y: float = 1.0, z: float = 1.0) -> np.ndarray:
    return np.diag([x, y, z])
