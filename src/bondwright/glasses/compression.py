"""Uniaxial compression (or tension) of a finished glass, with a trajectory for later analysis.

The box is deformed along x at a constant engineering rate while the other two sides are kept at
zero pressure (Nosé-Hoover), as in Phys. Rev. Materials 4, 113603 (2020).
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from bondwright.errors import InputError
from bondwright.glasses.lammps_session import LammpsSession, lammps_version
from bondwright.glasses.potentials import MACHINE_LEARNED, GlassPotential
from bondwright.structure.identity import content_hash
from bondwright.structure.write import write_text

DUMP, TABLE, RESULT = "compression.dump", "stress-strain.csv", "compression.json"
STATE = "compression-state.json"
_GPA_PER_BAR = 1e-4
_MODULUS_UP_TO = 0.02


@dataclass(frozen=True)
class CompressionSettings:
    """How a glass is compressed.

    Attributes:
        strain: engineering strain at the end; positive compresses, negative pulls.
        rate_per_s: strain rate. The published 1e7 /s takes 47 h for 10,000 atoms on two cores;
            1e10 /s takes three minutes.
        temperature_K: of the thermostat.
        equilibration_ps: at zero pressure before the strain begins.
        frames: frames in the dump after the one at zero strain.
        timestep_fs: of the integration.
        thermostat_damping_ps: of the thermostat.
        barostat_damping_ps: of the sides.
        seed: of the velocities.
        rows_per_frame: rows of the stress-strain table per frame; each is a mean over the steps
            since the row before.
    """

    strain: float = 0.10
    rate_per_s: float = 1e10
    temperature_K: float = 300.0
    equilibration_ps: float = 10.0
    frames: int = 20
    timestep_fs: float = 1.0
    thermostat_damping_ps: float = 1.0
    barostat_damping_ps: float = 1.0
    seed: int = 1
    rows_per_frame: int = 5

    @property
    def sign(self) -> int:
        """1 for compression, -1 for tension: stress and strain are reported positive."""
        return 1 if self.strain > 0 else -1

    @property
    def steps(self) -> int:
        """Time steps of the deformation."""
        return max(1, round(abs(self.strain) / self.rate_per_s * 1e15 / self.timestep_fs))


@dataclass(frozen=True)
class Compression:
    """What a compression gave.

    Attributes:
        strain: (n,) engineering strain, as a positive number in compression and in tension.
        stress_GPa: (n,) stress along x, positive in the sense of the strain; mean since the row
            before.
        modulus_GPa: slope of the first 2 %.
        peak_GPa: highest stress.
        peak_strain: where.
        flow_GPa: mean stress of the last fifth.
        dump: the trajectory; types are those of `elements`.
        elements: symbols in the order of the LAMMPS types.
    """

    strain: list[float]
    stress_GPa: list[float]
    modulus_GPa: float | None
    peak_GPa: float
    peak_strain: float
    flow_GPa: float
    dump: Path
    elements: tuple[str, ...]


def compress(
    atoms: Atoms,
    potential: GlassPotential,
    settings: CompressionSettings,
    folder: Path,
    progress: Callable[[int, int, float], None] | None = None,
    *,
    threads: int = 1,
) -> Compression:
    """Compress a glass along x and keep frames, stress and strain.

    Writes `compression.dump` (LAMMPS text dump with a column `element`), `stress-strain.csv` and
    `compression.json` into the folder. The state is saved with every frame; the same call goes on
    from there.

    Args:
        atoms: the glass in a right-angled periodic cell (Å).
        potential: an EAM potential.
        settings: how.
        folder: takes the files.
        progress: called with steps done, steps in all, and the stress (GPa) at the moment.
        threads: OpenMP threads.

    Raises:
        InputError: a cell that is not right-angled, a potential that LAMMPS does not run, or a
            folder that holds another compression.
        GlassError: LAMMPS failed.
    """
    _check(atoms, potential, settings)
    folder.mkdir(parents=True, exist_ok=True)
    elements = tuple(sorted(set(atoms.get_chemical_symbols())))
    order = {
        "structure": content_hash(atoms),
        "potential": potential.sha256,
        "settings": asdict(settings),
    }
    state = _open_state(folder, order)
    if not state.length_A:
        with LammpsSession(potential, elements, threads=threads) as lammps:
            lammps.place(atoms)
            _equilibrate(lammps, settings)
            state.length_A = lammps.value("lx")
            _keep(folder, state, lammps)
    every = max(1, settings.steps // (settings.frames * settings.rows_per_frame))
    in_frame = every * settings.rows_per_frame
    while state.frames <= settings.frames:
        with LammpsSession(potential, elements, threads=threads) as lammps:
            lammps.resume(_restart(folder, state.frames - 1))
            _deform(lammps, settings, every)
            first = (state.frames - 1) * in_frame
            for row in range(settings.rows_per_frame):
                lammps.command(f"run {every} start 0 stop {settings.frames * in_frame}")
                stress = settings.sign * lammps.fix_value("mean") * _GPA_PER_BAR
                length = lammps.value("lx")
                state.rows.append([settings.sign * (1 - length / state.length_A), stress])
                if progress:
                    progress(first + (row + 1) * every, settings.frames * in_frame, stress)
            _keep(folder, state, lammps)
    found = _summed_up(state.rows, folder / DUMP, elements)
    _write(folder, found, settings, potential, len(atoms))
    _restart(folder, settings.frames).unlink(missing_ok=True)
    return found


@dataclass
class _State:
    """What the folder knows: the order, frames kept, rows, bytes of the dump, length at rest."""

    order: dict[str, Any]
    frames: int = 0
    rows: list[list[float]] = field(default_factory=list)
    dump_bytes: int = 0
    length_A: float = 0.0


def _restart(folder: Path, frame: int) -> Path:
    return folder / f"frame-{frame:04d}.restart"


def _open_state(folder: Path, order: dict[str, Any]) -> _State:
    path = folder / STATE
    if not path.is_file():
        return _State(order)
    try:
        state = _State(**json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); delete it and begin again.") from None
    if state.order != order:
        raise InputError(f"{folder} holds another compression; give another folder with --out.")
    return state


def _keep(folder: Path, state: _State, lammps: LammpsSession) -> None:
    """Append the present frame to the dump, then say that it is there."""
    one = folder / ".frame.dump"
    lammps.command(
        f'write_dump all custom "{one}" id type element x y z modify sort id '
        f"element {' '.join(lammps.elements)}"
    )
    lammps.save(_restart(folder, state.frames))
    mode = "r+b" if state.dump_bytes else "wb"
    with (folder / DUMP).open(mode) as dump:
        dump.truncate(state.dump_bytes)  # what a killed run wrote after its last state
        dump.seek(state.dump_bytes)
        dump.write(one.read_bytes())
        state.dump_bytes = dump.tell()
    one.unlink()
    state.frames += 1
    write_text(folder / STATE, json.dumps(asdict(state)))
    if state.frames > 1:
        _restart(folder, state.frames - 2).unlink(missing_ok=True)


def _deform(lammps: LammpsSession, settings: CompressionSettings, every: int) -> None:
    """Deform the box along x while its sides are free."""
    kelvin, damping = settings.temperature_K, settings.barostat_damping_ps
    lammps.command(
        f"timestep {settings.timestep_fs / 1000}",
        f"fix sides all npt temp {kelvin} {kelvin} {settings.thermostat_damping_ps} "
        f"y 0 0 {damping} z 0 0 {damping} drag 1",
        # The restart file remembers the box at step 0, from which this rate counts.
        f"fix push all deform 1 x erate {-settings.sign * settings.rate_per_s * 1e-12} units box "
        "remap x",
        "variable stress equal pxx",
        f"fix mean all ave/time 1 {every} {every} v_stress",
    )


def _check(atoms: Atoms, potential: GlassPotential, settings: CompressionSettings) -> None:
    if potential.style == MACHINE_LEARNED:
        raise InputError("a compression needs an EAM potential: give one with --potential.")
    if not np.allclose(atoms.cell.array, np.diag(atoms.cell.array.diagonal()), atol=1e-6):
        raise InputError("a compression along x needs a right-angled cell; give an unstrained one.")
    if not 0 < abs(settings.strain) < 0.9 or not 1e5 <= settings.rate_per_s <= 1e12:
        raise InputError(
            f"a strain of {settings.strain:g} at {settings.rate_per_s:g} /s cannot be made; strain "
            "is below 0.9 and the rate from 1e5 to 1e12 /s."
        )
    if settings.frames < 1 or settings.rows_per_frame < 1:
        raise InputError("a compression keeps at least one frame and one row.")
    if settings.steps < settings.frames * settings.rows_per_frame:
        raise InputError(
            f"{settings.frames} frames do not fit into {settings.steps} time steps; take a lower "
            "rate or fewer frames."
        )


def _equilibrate(lammps: LammpsSession, settings: CompressionSettings) -> None:
    kelvin, damping = settings.temperature_K, settings.barostat_damping_ps
    steps = max(1, round(settings.equilibration_ps * 1000 / settings.timestep_fs))
    lammps.command(
        f"timestep {settings.timestep_fs / 1000}",
        f"velocity all create {kelvin} {settings.seed} mom yes rot no dist gaussian",
        f"fix calm all npt temp {kelvin} {kelvin} {settings.thermostat_damping_ps} "
        f"x 0 0 {damping} y 0 0 {damping} z 0 0 {damping} drag 1",
        f"run {steps}",
        "unfix calm",
        "reset_timestep 0",
    )


def _summed_up(
    rows: Sequence[Sequence[float]], dump: Path, elements: tuple[str, ...]
) -> Compression:
    strain, stress = np.array(rows).T
    elastic = strain <= _MODULUS_UP_TO
    modulus = None
    if elastic.sum() >= 3:
        modulus = float(np.polyfit(strain[elastic], stress[elastic], 1)[0])
    peak = int(stress.argmax())
    last = max(1, len(stress) // 5)
    return Compression(
        strain.tolist(),
        stress.tolist(),
        modulus,
        float(stress[peak]),
        float(strain[peak]),
        float(stress[-last:].mean()),
        dump,
        elements,
    )


def _write(
    folder: Path,
    found: Compression,
    settings: CompressionSettings,
    potential: GlassPotential,
    atoms: int,
) -> None:
    lines = ["strain,stress_GPa"]
    lines += [f"{e:.6f},{s:.5f}" for e, s in zip(found.strain, found.stress_GPa, strict=True)]
    write_text(folder / TABLE, "\n".join(lines) + "\n")
    record: dict[str, Any] = {
        "atoms": atoms,
        "elements": list(found.elements),
        "settings": asdict(settings),
        "potential": potential.to_json(),
        "versions": {"lammps": lammps_version()},
        "modulus_GPa": found.modulus_GPa,
        "peak_GPa": found.peak_GPa,
        "peak_strain": found.peak_strain,
        "flow_GPa": found.flow_GPa,
    }
    write_text(folder / RESULT, json.dumps(record, indent=1) + "\n")
