"""Facts about reference glasses with which a new cell is compared.

They are measured by this module from structures named in `source`; the structures themselves are
not shipped:

    python -m bondwright.glasses.reference glass.data --potential ZrCuAl.eam --name ... --source ...
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.glasses.cell import read_cell
from bondwright.glasses.dynamics import LammpsDynamics
from bondwright.glasses.energies import energy_function
from bondwright.glasses.lammps_files import read_data
from bondwright.glasses.lammps_session import density_g_cm3
from bondwright.glasses.potentials import GlassPotential, choose_potential
from bondwright.glasses.protocol import PRESETS
from bondwright.glasses.rdf import Rdf, partial_rdf
from bondwright.structure.identity import composition as count_elements
from bondwright.structure.write import write_text

_TABLE = Path(__file__).parent / "tables" / "reference-glasses.json"


@dataclass(frozen=True)
class ReferenceGlass:
    """A glass to compare with.

    Attributes:
        name: what it is.
        source: where its structure is from.
        atoms: their number.
        fractions: element -> atomic fraction.
        potential_name: of the potential that all its numbers belong to.
        potential_sha256: see there.
        density_g_cm3: at the temperature of the snapshot.
        energy_eV_per_atom: potential energy of the snapshot.
        inherent_energy_eV_per_atom: after minimising the positions.
        rdf: partial radial distribution functions.
    """

    name: str
    source: str
    atoms: int
    fractions: Mapping[str, float]
    potential_name: str
    potential_sha256: str
    density_g_cm3: float
    energy_eV_per_atom: float
    inherent_energy_eV_per_atom: float
    rdf: Rdf

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**vars(self), "fractions": dict(self.fractions), "rdf": self.rdf.to_json()}

    def apart(self, fractions: Mapping[str, float]) -> float:
        """Return the largest difference in an element's fraction."""
        elements = set(fractions) | set(self.fractions)
        return max(abs(fractions.get(e, 0.0) - self.fractions.get(e, 0.0)) for e in elements)


@lru_cache(maxsize=1)
def reference_glasses() -> tuple[ReferenceGlass, ...]:
    """Return the references that are shipped."""
    rows = json.loads(_TABLE.read_text("utf-8"))
    return tuple(ReferenceGlass(**{**row, "rdf": Rdf.from_json(row["rdf"])}) for row in rows)


def find_reference(potential_sha256: str, fractions: Mapping[str, float]) -> ReferenceGlass | None:
    """Return the reference of the same potential and elements whose composition is nearest."""
    same = [
        reference
        for reference in reference_glasses()
        if reference.potential_sha256 == potential_sha256
        and set(reference.fractions) == set(fractions)
    ]
    return min(same, key=lambda reference: reference.apart(fractions), default=None)


def measure_reference(
    atoms: Atoms, potential: GlassPotential, name: str, source: str
) -> ReferenceGlass:
    """Measure the facts of a glass.

    Raises:
        InputError: the potential lacks an element.
        GlassError: LAMMPS failed.
    """
    counts = count_elements(atoms)
    elements = tuple(counts)
    energy = energy_function(potential)(atoms)
    minimum = LammpsDynamics(potential, elements, PRESETS["standard"]).minimised_energy(atoms)
    n = len(atoms)
    return ReferenceGlass(
        name,
        source,
        n,
        {element: count / n for element, count in counts.items()},
        potential.name,
        potential.sha256,
        round(density_g_cm3(atoms), 5),
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
    if given.glass.is_dir():
        cell = read_cell(given.glass)
        if cell is None or cell.atoms is None:
            parser.error(f"{given.glass} holds no finished cell")
        atoms = cell.atoms
    else:
        atoms = read_data(given.glass)
    potential = choose_potential(count_elements(atoms), given.potential)
    found = measure_reference(atoms, potential, given.name, given.source)
    rows = json.loads(_TABLE.read_text("utf-8")) if _TABLE.is_file() else []
    rows = [row for row in rows if row["name"] != found.name] + [found.to_json()]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    write_text(_TABLE, f"[\n{lines}\n]\n")


if __name__ == "__main__":
    _main()
