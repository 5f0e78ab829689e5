"""Molecular dynamics of a melt, by LAMMPS or by any potential through ASE.

A trajectory is a chain of segments. Each begins from the restart file that ended the one before,
also when nothing was interrupted: so an interrupted run goes on as if it had not been.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.optimize import FIRE

from bondwright.glasses.errors import GlassError
from bondwright.glasses.lammps_session import LammpsSession, lammps_version
from bondwright.glasses.potentials import MACHINE_LEARNED, GlassPotential
from bondwright.glasses.protocol import Protocol, Stage
from bondwright.screen.potentials import load_potential

_BAR_PER_GPA = 1e4
_RAMP_STEPS = 10  # after so many steps the thermostat of the ASE engine follows the ramp
_CALM = "minimize 0.0 1.0e-2 500 5000"  # only takes random atoms apart
_FIND_MINIMUM = "minimize 0.0 1.0e-4 10000 100000"


@dataclass(frozen=True)
class Sample:
    """State of the simulation at one step: temperature, potential energy (eV), volume (Å³)."""

    step: int
    temperature_K: float
    energy_eV: float
    volume_A3: float


class Dynamics(Interface):
    """What a melt-quench needs of an engine."""

    def versions(self) -> dict[str, str]:
        """Return the programs used and their versions."""

    def begin(self, atoms: Atoms, temperature_K: float, seed: int, target: Path) -> None:  # noqa: N803
        """Take overlapping atoms apart, give them velocities and save the state."""

    def advance(
        self,
        source: Path,
        target: Path,
        stage: Stage,
        until: int,
        every: int,
        report: Callable[[Sample], None],
    ) -> None:
        """Run from a saved state until a step of the stage, and save the state there."""

    def snapshot(self, source: Path) -> tuple[Atoms, float]:
        """Return structure (unwrapped, Å) and potential energy (eV) of a saved state."""

    def minimised_energy(self, atoms: Atoms) -> float:
        """Return the energy (eV) of the nearest minimum in the same cell."""


def open_dynamics(
    potential: GlassPotential,
    elements: tuple[str, ...],
    protocol: Protocol,
    seed: int,
    threads: int = 1,
) -> Dynamics:
    """Return the engine for a potential."""
    if potential.style == MACHINE_LEARNED:
        return AseDynamics(load_potential("chgnet").calculator, protocol, seed)
    return LammpsDynamics(potential, elements, protocol, threads)


class LammpsDynamics:
    """LAMMPS with an EAM potential; Nosé-Hoover NPT."""

    def __init__(
        self,
        potential: GlassPotential,
        elements: tuple[str, ...],
        protocol: Protocol,
        threads: int = 1,
    ) -> None:
        self._potential, self._elements, self._protocol = potential, elements, protocol
        self._threads = threads

    def _session(self) -> LammpsSession:
        return LammpsSession(self._potential, self._elements, threads=self._threads)

    def versions(self) -> dict[str, str]:
        """Return the version of LAMMPS."""
        return {"lammps": lammps_version()}

    def begin(self, atoms: Atoms, temperature_K: float, seed: int, target: Path) -> None:  # noqa: N803
        """See `Dynamics.begin`."""
        with self._session() as lammps:
            lammps.place(atoms)
            lammps.command(
                "min_style cg",
                _CALM,
                "reset_timestep 0",
                f"velocity all create {temperature_K} {seed} mom yes rot no dist gaussian",
            )
            lammps.save(target)

    def advance(
        self,
        source: Path,
        target: Path,
        stage: Stage,
        until: int,
        every: int,
        report: Callable[[Sample], None],
    ) -> None:
        """See `Dynamics.advance`."""
        protocol = self._protocol
        bar = protocol.pressure_GPa * _BAR_PER_GPA
        with self._session() as lammps:
            lammps.resume(source)
            lammps.command(
                f"timestep {protocol.timestep_fs / 1000}",
                f"fix glass all npt temp {stage.from_K} {stage.to_K} "
                f"{protocol.thermostat_damping_ps} iso {bar} {bar} {protocol.barostat_damping_ps}",
            )
            while (step := lammps.step()) < until:
                chunk = min(every, until - step)
                lammps.command(f"run {chunk} start {stage.first_step} stop {stage.last_step}")
                report(
                    Sample(
                        lammps.step(),
                        lammps.value("temp"),
                        lammps.value("pe"),
                        lammps.value("vol"),
                    )
                )
            lammps.save(target)

    def snapshot(self, source: Path) -> tuple[Atoms, float]:
        """See `Dynamics.snapshot`."""
        with self._session() as lammps:
            lammps.resume(source)
            lammps.command("run 0")
            return lammps.atoms(), lammps.value("pe")

    def minimised_energy(self, atoms: Atoms) -> float:
        """See `Dynamics.minimised_energy`."""
        with self._session() as lammps:
            lammps.place(atoms)
            lammps.command("min_style cg", _FIND_MINIMUM)
            return lammps.value("pe")


class AseDynamics:
    """Any ASE calculator; Langevin NPT (Quigley and Probert, J. Chem. Phys. 120, 11432, 2004)."""

    def __init__(self, calculator: BaseCalculator, protocol: Protocol, seed: int) -> None:
        self._calculator, self._protocol, self._seed = calculator, protocol, seed

    def versions(self) -> dict[str, str]:
        """Return the version of ASE."""
        import ase

        return {"ase": ase.__version__}

    def begin(self, atoms: Atoms, temperature_K: float, seed: int, target: Path) -> None:  # noqa: N803
        """See `Dynamics.begin`."""
        moving = self._with_calculator(atoms)
        FIRE(moving, logfile=None).run(fmax=5.0, steps=100)
        MaxwellBoltzmannDistribution(
            moving, temperature_K=temperature_K, rng=np.random.default_rng(seed)
        )
        Stationary(moving)
        _save(target, moving, 0, 0.0)

    def advance(
        self,
        source: Path,
        target: Path,
        stage: Stage,
        until: int,
        every: int,
        report: Callable[[Sample], None],
    ) -> None:
        """See `Dynamics.advance`."""
        protocol = self._protocol
        atoms, step, strain_momentum = _load(source)
        moving = self._with_calculator(atoms)
        moving.set_momenta(atoms.get_momenta())
        with warnings.catch_warnings():  # that it chooses the mass of the cell itself
            warnings.filterwarnings("ignore", message="Using heuristic P_mass")
            dynamics = LangevinBAOAB(
                moving,
                protocol.timestep_fs * units.fs,
                temperature_K=_temperature(stage, step),
                externalstress=-protocol.pressure_GPa * units.GPa,
                hydrostatic=True,
                T_tau=protocol.thermostat_damping_ps * 1000 * units.fs,
                P_tau=protocol.barostat_damping_ps * 1000 * units.fs,
                rng=np.random.default_rng([self._seed, step]),
            )
        dynamics.p_eps = strain_momentum
        while step < until:
            end = min(step + every, until)
            while step < end:
                few = min(_RAMP_STEPS, end - step)
                dynamics.set_temperature(_temperature(stage, step))
                dynamics.run(few)
                step += few
            energy = float(moving.get_potential_energy())
            if not (np.isfinite(energy) and np.isfinite(moving.positions).all()):
                raise GlassError(f"the energy became {energy} at step {step}", "not-finite")
            report(Sample(step, moving.get_temperature(), energy, moving.get_volume()))
        _save(target, moving, step, float(dynamics.p_eps))

    def snapshot(self, source: Path) -> tuple[Atoms, float]:
        """See `Dynamics.snapshot`."""
        moving = self._with_calculator(_load(source)[0])
        energy = float(moving.get_potential_energy())
        moving.calc = None
        return moving, energy

    def minimised_energy(self, atoms: Atoms) -> float:
        """See `Dynamics.minimised_energy`."""
        moving = self._with_calculator(atoms)
        FIRE(moving, logfile=None).run(fmax=0.05, steps=300)
        return float(moving.get_potential_energy())

    def _with_calculator(self, atoms: Atoms) -> Atoms:
        bare = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
        bare.calc = self._calculator
        return bare


def _temperature(stage: Stage, step: int) -> float:
    done = (step - stage.first_step) / (stage.last_step - stage.first_step)
    return stage.from_K + done * (stage.to_K - stage.from_K)


def _save(target: Path, atoms: Atoms, step: int, strain_momentum: float) -> None:
    part = target.with_name(f".{target.name}.part")
    with part.open("wb") as file:
        np.savez(
            file,
            numbers=atoms.numbers,
            positions=atoms.positions,
            momenta=atoms.get_momenta(),
            cell=atoms.cell.array,
            step=step,
            strain_momentum=strain_momentum,
        )
    part.replace(target)


def _load(source: Path) -> tuple[Atoms, int, float]:
    with np.load(source, allow_pickle=False) as state:
        atoms = Atoms(state["numbers"], positions=state["positions"], cell=state["cell"], pbc=True)
        atoms.set_momenta(state["momenta"])
        return atoms, int(state["step"]), float(state["strain_momentum"])
