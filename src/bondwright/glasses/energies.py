"""The energy of a structure as it stands, by the potential of a glass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ase import Atoms

from bondwright.errors import InputError
from bondwright.glasses.lammps_session import LammpsSession
from bondwright.glasses.potentials import MACHINE_LEARNED, GlassPotential
from bondwright.glasses.variants import DrawLimits, Variant, draw
from bondwright.screen.potentials import load_potential


def energy_function(potential: GlassPotential) -> Callable[[Atoms], float]:
    """Return what gives the potential energy (eV) of a periodic structure.

    Raises:
        GlassError: when called: LAMMPS refuses the structure.
    """
    if potential.style == MACHINE_LEARNED:
        return _ase_energy
    return lambda atoms: _lammps_energy(atoms, potential)


def _lammps_energy(atoms: Atoms, potential: GlassPotential) -> float:
    with LammpsSession(potential, sorted(set(atoms.get_chemical_symbols()))) as lammps:
        lammps.place(atoms)
        lammps.command("run 0")
        return lammps.value("pe")


def _ase_energy(atoms: Atoms) -> float:
    asked = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    asked.calc = load_potential("chgnet").calculator
    return float(asked.get_potential_energy())


@dataclass(frozen=True)
class DrawTask:
    """A deformation to draw; see `variants.draw`.

    Attributes:
        atoms: the cell (Å).
        seed: with `number` it decides the draw.
        number: k of the name "d<k>".
        limits: of the deformation.
        potential: of the energies; None where the limits ask for none.
    """

    atoms: Atoms
    seed: int
    number: int
    limits: DrawLimits
    potential: GlassPotential | None


def draw_all(tasks: Sequence[DrawTask]) -> list[Variant | str]:
    """Draw deformations; where a cell leaves no room for one, say why.

    Raises:
        GlassError: LAMMPS refuses a structure.
    """
    return [_draw(task) for task in tasks]


def _draw(task: DrawTask) -> Variant | str:
    energy = None if task.potential is None else energy_function(task.potential)
    try:
        return draw(task.atoms, task.seed, task.number, task.limits, energy_eV=energy)
    except InputError as error:
        return str(error)
