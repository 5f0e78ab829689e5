"""Compare -ICOHP with LOBSTER's labels of real 100-atom Zr-Cu-Al cells, pair by pair.

    python benchmarks/icohp_on_glass.py --cells 0 1 8 --out out/icohp-glass

The labels are those of `glass-zrcual/cells` (Quantum ESPRESSO 6.2, LOBSTER 3.0, Bunge basis;
Phys. Rev. Materials 4, 113603 (2020)): cell 0 is the quenched glass, 1 to 6 are sheared, 8, 10, 12
and 14 compressed. Prints correlation, slope and error per pair of elements, and the CPU seconds.
The density of a cell is kept, so that another choice of orbitals or k-points takes about a minute.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from ase.io import read

from bondwright.bonding.icohp import BondSettings, bond_strengths
from bondwright.bonding.lobster import read_lobster_folder
from bondwright.structure.datasets import data_folder


def statistics(ours: np.ndarray, labels: np.ndarray) -> str:
    """Return correlation, slope of a line through ours against the labels, and RMSE."""
    slope = np.polyfit(labels, ours, 1)[0]
    rmse = np.sqrt(np.mean((ours - labels) ** 2))
    return f"r {np.corrcoef(ours, labels)[0, 1]:.4f}  slope {slope:.3f}  RMSE {rmse:.3f} eV"


def compare(cell: int, settings: BondSettings, out: Path) -> None:
    """Print the comparison of one cell."""
    folder = data_folder() / "glass-zrcual" / "cells" / f"21-{cell}"
    atoms = read(next(folder.glob("*.xyz")))
    atoms.pbc = True
    labels = read_lobster_folder(folder, atoms)
    begin = time.process_time()
    table = bond_strengths(
        atoms, settings, out / f"21-{cell}", lambda line: print(line, flush=True)
    )
    seconds = time.process_time() - begin
    mine, theirs = table.match(labels)
    print(f"cell 21-{cell}: {settings.orbitals}, {table.details['kpoints']} k-points, ", end="")
    print(f"charge spilling {table.charge_spilling:.2%}, {seconds:.0f} CPU-s")
    labels = labels.select(theirs)
    found, wanted = table.icohp_eV[mine], labels.icohp_eV
    print(f"  all    {len(labels):4d}  {statistics(found, wanted)}")
    for pair, rows in labels.pair_types().items():
        if len(rows) < 5:
            continue
        print(f"  {pair:6s} {len(rows):4d}  {statistics(found[rows], wanted[rows])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--orbitals", nargs="+", default=["hartree-fock"])
    parser.add_argument("--kpoints", type=int, default=2, help="mesh in each direction")
    parser.add_argument("--out", type=Path, default=Path("out/icohp-glass"))
    options = parser.parse_args()
    mesh = (options.kpoints,) * 3
    for cell in options.cells:
        for orbitals in options.orbitals:
            compare(
                cell, BondSettings(orbitals=orbitals, kpoints=mesh, max_length_A=4.3), options.out
            )


if __name__ == "__main__":
    main()
