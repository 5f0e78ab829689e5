"""A glass cell that has been made, and its files."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io.extxyz import read_xyz, write_extxyz

from bondwright.errors import InputError
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.identity import composition as count_elements
from bondwright.structure.write import write_text

CELL_JSON, CELL_EXTXYZ = "cell.json", "cell.extxyz"


@dataclass(frozen=True)
class GlassCell:
    """One independent melt-quench.

    Attributes:
        composition: canonical name, "Zr49Cu49Al2".
        atoms: the last snapshot at the final temperature, periodic (Å); None when the simulation
            failed.
        seed: the seed that was asked for; `seeds` has those made from it.
        seeds: of the starting places and of the velocities.
        potential: `GlassPotential.to_json`.
        protocol: `Protocol.to_json`.
        versions: of the programs.
        energy_eV_per_atom: potential energy of `atoms`.
        inherent_energy_eV_per_atom: after minimising the positions of `atoms` in its cell.
        mean_energy_eV_per_atom: potential energy, mean of the second half of the hold.
        mean_density_g_cm3: mean of the second half of the hold.
        density_g_cm3: of `atoms`.
        hold_msd_A2: mean squared displacement of the atoms during the hold, Å².
        seconds: wall-clock time.
        cpu_seconds: processor time.
        history: rows [step, temperature (K), energy (eV/atom), density (g/cm³)], at most 400.
        verdicts: of the checks.
        threads: OpenMP threads; results of several threads agree in statistics, not to the bit.
    """

    composition: str
    atoms: Atoms | None
    seed: int
    seeds: dict[str, int]
    potential: dict[str, Any]
    protocol: dict[str, Any]
    versions: dict[str, str]
    energy_eV_per_atom: float | None = None
    inherent_energy_eV_per_atom: float | None = None
    mean_energy_eV_per_atom: float | None = None
    mean_density_g_cm3: float | None = None
    density_g_cm3: float | None = None
    hold_msd_A2: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    history: Sequence[Sequence[float]] = ()
    verdicts: tuple[Verdict, ...] = ()
    threads: int = 1

    @property
    def accepted(self) -> bool:
        """Whether every check passed, or knows too little to say."""
        return self.atoms is not None and all(
            verdict.outcome in (Outcome.PASSED, Outcome.UNKNOWN) for verdict in self.verdicts
        )

    def to_json(self) -> dict[str, Any]:
        """Return all but the atoms as JSON values."""
        values = {
            name: value
            for name, value in vars(self).items()
            if name not in ("atoms", "verdicts", "history")
        }
        counts = {} if self.atoms is None else count_elements(self.atoms)
        return {
            **values,
            "atoms": sum(counts.values()),
            "counts": counts,
            "volume_A3": None if self.atoms is None else float(self.atoms.get_volume()),
            "accepted": self.accepted,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "history": [list(row) for row in self.history],
        }


def write_cell(folder: Path, cell: GlassCell) -> None:
    """Write `cell.extxyz` and then `cell.json`, so that the latter says that all is there."""
    if cell.atoms is not None:
        buffer = io.StringIO()
        bare = Atoms(
            cell.atoms.numbers, positions=cell.atoms.positions, cell=cell.atoms.cell, pbc=True
        )
        if cell.energy_eV_per_atom is not None:
            bare.info["energy"] = cell.energy_eV_per_atom * len(bare)
        bare.info["composition"] = cell.composition
        bare.info["seed"] = cell.seed
        write_extxyz(buffer, bare, columns=["symbols", "positions"], write_info=True)
        write_text(folder / CELL_EXTXYZ, buffer.getvalue())
    write_text(folder / CELL_JSON, json.dumps(cell.to_json(), indent=1, ensure_ascii=False) + "\n")


def read_cell(folder: Path) -> GlassCell | None:
    """Read what `write_cell` wrote; None where no cell has been finished.

    Raises:
        InputError: the files are damaged.
    """
    path = folder / CELL_JSON
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text("utf-8"))
        known = {name: data[name] for name in GlassCell.__dataclass_fields__ if name in data}
        known["verdicts"] = tuple(Verdict.from_json(verdict) for verdict in data["verdicts"])
        cell = GlassCell(**{**known, "atoms": None})
        if not data["atoms"]:
            return cell
        text = (folder / CELL_EXTXYZ).read_text("utf-8")
        atoms = next(iter(read_xyz(io.StringIO(text), index=slice(0, 1))))
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise InputError(
            f"{path} or {CELL_EXTXYZ} beside it is damaged ({error!r}); delete the folder and "
            "make the cell again."
        ) from None
    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    return replace(cell, atoms=bare)
