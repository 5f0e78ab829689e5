"""The energy of a structure as it stands, by the potential of a glass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ase import Atoms

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


def draw_by_energy(
    atoms: Atoms,
    seed: int,
    numbers: Sequence[int],
    limits: DrawLimits,
    potential: GlassPotential,
) -> list[Variant]:
    """Draw deformations within all limits, that of the energy included; see `variants.draw`."""
    energy = energy_function(potential)
    return [draw(atoms, seed, number, limits, energy_eV=energy) for number in numbers]
