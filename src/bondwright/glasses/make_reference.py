"""Measuring a reference glass. The structures themselves are not shipped, these facts are.

    python -m bondwright.glasses.make_reference glass.data --potential ZrCuAl.eam --name ... \\
        --source ...
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ase import Atoms

from bondwright.glasses.cell import read_cell
from bondwright.glasses.dynamics import open_dynamics
from bondwright.glasses.energies import energy_function
from bondwright.glasses.lammps_files import read_data
from bondwright.glasses.lammps_session import density_g_cm3
from bondwright.glasses.potentials import GlassPotential, choose_potential
from bondwright.glasses.protocol import PRESETS
from bondwright.glasses.rdf import partial_rdf
from bondwright.glasses.reference import TABLE, ReferenceGlass
from bondwright.structure.identity import composition as count_elements
from bondwright.structure.write import write_text


def measure_reference(
    atoms: Atoms,
    potential: GlassPotential,
    name: str,
    source: str,
    *,
    density: float | None = None,
) -> ReferenceGlass:
    """Measure the facts of a glass.

    Args:
        atoms: the glass (Å).
        potential: of its energies.
        name: what it is; with its size and cooling rate where it was made here.
        source: where its structure is from.
        density: mean density in g/cm³, where it is known; a snapshot of some hundred atoms is off
            by half a per cent. None takes that of the snapshot.

    Raises:
        InputError: the potential lacks an element.
        GlassError: LAMMPS failed.
    """
    counts = count_elements(atoms)
    elements = tuple(counts)
    energy = energy_function(potential)(atoms)
    minimum = open_dynamics(potential, elements, PRESETS["standard"], 0).minimised_energy(atoms)
    n = len(atoms)
    return ReferenceGlass(
        name,
        source,
        n,
        {element: count / n for element, count in counts.items()},
        potential.name,
        potential.sha256,
        round(density or density_g_cm3(atoms), 5),
        round(energy / n, 7),
        round(minimum / n, 6),
        partial_rdf(atoms),
    )


def _main() -> None:
    """Measure one glass and put it into the table in place of one of the same name."""
    parser = argparse.ArgumentParser(description=_main.__doc__)
    parser.add_argument("glass", type=Path, help="LAMMPS data file, or folder of a cell.json")
    parser.add_argument("--potential", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--source", required=True)
    given = parser.parse_args()
    density = None
    if given.glass.is_dir():
        cell = read_cell(given.glass)
        if cell is None or cell.atoms is None:
            parser.error(f"{given.glass} holds no finished cell")
        atoms, density = cell.atoms, cell.mean_density_g_cm3
    else:
        atoms = read_data(given.glass)
    potential = choose_potential(count_elements(atoms), given.potential)
    found = measure_reference(atoms, potential, given.name, given.source, density=density)
    rows = json.loads(TABLE.read_text("utf-8")) if TABLE.is_file() else []
    rows = [row for row in rows if row["name"] != found.name] + [found.to_json()]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    write_text(TABLE, f"[\n{lines}\n]\n")


if __name__ == "__main__":
    _main()
