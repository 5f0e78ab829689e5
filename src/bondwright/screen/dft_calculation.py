"""The DFT of one structure: relaxation, gap and bonds, each kept as it comes.

A folder belongs to one structure and one `relaxation_settings`. Whatever an earlier call has found
there is not computed again, however that call ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from bondwright.dft.bands import band_structure
from bondwright.dft.brillouin import standard_primitive
from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.engine import Engine
from bondwright.dft.engines import get_engine
from bondwright.dft.records import read_record, settings_to_json
from bondwright.dft.relax import Relaxed, relax
from bondwright.dft.settings import DftSettings
from bondwright.dft.single_point import single_point
from bondwright.errors import InputError
from bondwright.screen.dft import STAGE, VERSION, DftStageSettings, hull_note
from bondwright.screen.dft_bonds import bonds_of
from bondwright.screen.verdict import Outcome, StageResult, Verdict

_NO_DATA = frozenset({"no-paw-set", "pseudopotential-missing"})


def primitive_cell(atoms: Atoms, settings: DftStageSettings) -> Atoms:
    """Return the cell that is computed: the standard primitive one, or all where there is none."""
    try:
        return standard_primitive(atoms, settings.calculation().spin)
    except InputError:
        return atoms.copy()


def calculate(atoms: Atoms, settings: DftStageSettings, folder: Path) -> StageResult:
    """Relax a structure with DFT, and find its gap and its bonds.

    Args:
        atoms: fully periodic structure (Å); it is reduced to its standard primitive cell.
        settings: what is asked for.
        folder: where all is kept; a repeated call computes nothing twice.

    Returns:
        The verdict, and the final structure once anything has been solved. It has passed when
        energy and forces converged; it is `unknown` where the engine has no data for an element,
        and `failed`, with the engine's own reason, otherwise.

    Raises:
        InputError: the engine is missing, or the folder cannot be written.
    """
    engine, asked = get_engine(settings.engine), settings.calculation()
    start = primitive_cell(atoms, settings)
    relaxed = _relaxed(start, engine, asked, settings.relax, folder)
    done = relaxed.calculation
    converged = relaxed.status is Status.CONVERGED
    details = {
        "engine": done.engine if done else f"{engine.name} {engine.version()}",
        "preset": settings.preset,
        "settings": settings_to_json(asked),
        "status": str(relaxed.status),
        "corrections": [asdict(c) for c in done.corrections] if done else [],
        "atoms": len(start),
        **_energies(relaxed),
        "e_above_hull_eV_per_atom": None,
        "hull_note": hull_note(settings),
        "band_gap_eV": None,
        "band_gap_direct_eV": None,
        "band_gap_note": "",
        "magnetic_moment": done.magnetic_moment if done else None,
        "bonds": None,
    }
    if converged and done is not None:
        details |= _gap(relaxed.atoms, done, engine, asked, settings, folder)
        if settings.bonds:
            details["bonds"] = bonds_of(relaxed.atoms, folder / "bonds")
    bonds = details["bonds"] or {}
    details["seconds"] = sum(c.seconds for c in _records(folder)) + (bonds.get("seconds") or 0.0)
    outcome = Outcome.PASSED if converged else Outcome.FAILED
    if relaxed.reason in _NO_DATA:
        outcome = Outcome.UNKNOWN
    verdict = Verdict(
        STAGE,
        outcome,
        reason="" if converged else relaxed.reason or str(relaxed.status),
        message=_message(details) if converged else f"DFT: {relaxed.message}",
        details=details,
        version=VERSION,
        settings=asdict(settings),
    )
    return StageResult(verdict, relaxed.atoms if relaxed.energies_eV else None)


def _relaxed(start: Atoms, engine: Engine, asked: DftSettings, how: str, folder: Path) -> Relaxed:
    if how != "none":
        return relax(start, engine, asked, folder / "relaxation", cell=how == "cell")
    done = single_point(start, engine, asked, folder / "relaxation")
    forces, stress = done.forces_eV_per_A, done.stress_GPa
    return Relaxed(
        done.status,
        start,
        cell=False,
        reason=done.reason,
        message=done.message,
        calculation=done,
        energies_eV=[] if done.energy_eV is None else [done.energy_eV],
        fmax_eV_per_A=[] if forces is None else [float(np.linalg.norm(forces, axis=1).max())],
        max_stress_GPa=[] if stress is None else [float(np.abs(stress).max())],
    )


def _energies(relaxed: Relaxed) -> dict[str, Any]:
    def last(values: list[float]) -> float | None:
        return values[-1] if values else None

    energy = last(relaxed.energies_eV)
    return {
        "energy_eV_per_atom": None if energy is None else energy / len(relaxed.atoms),
        "relative_energy_eV_per_atom": None,
        "relative_to": None,
        "volume_ratio": float(relaxed.volume_ratio),
        "steps": relaxed.steps,
        "fmax_eV_per_A": last(relaxed.fmax_eV_per_A),
        "max_stress_GPa": last(relaxed.max_stress_GPa),
        "pulay_stress_GPa": relaxed.pulay_stress_GPa,
    }


def _gap(
    atoms: Atoms,
    done: Calculation,
    engine: Engine,
    asked: DftSettings,
    settings: DftStageSettings,
    folder: Path,
) -> dict[str, Any]:
    """Return the gap of the mesh, or of path and mesh together where bands were asked for."""
    mesh = {
        "band_gap_eV": done.gap_eV,
        "band_gap_note": "smallest on the mesh of k-points; the true gap may be smaller",
    }
    if not settings.bands:
        return mesh
    try:
        found = band_structure(atoms, engine, asked, folder / "bands")
    except InputError as error:
        return {**mesh, "band_gap_note": f"{mesh['band_gap_note']}; no bands: {error}"}
    if found.gap is None:
        return {**mesh, "band_gap_note": f"{mesh['band_gap_note']}; no bands: {found.message}"}
    return {
        "band_gap_eV": found.gap.gap_eV,
        "band_gap_direct_eV": found.gap.direct_gap_eV,
        "band_gap_note": f"on the path {found.path} and the mesh of k-points",
    }


def _records(folder: Path) -> Iterator[Calculation]:
    """Yield every ground state of a folder."""
    for path in folder.rglob("*.json"):
        found = read_record(path)
        if found is not None:
            yield found


def _message(details: dict[str, Any]) -> str:
    gap = details["band_gap_eV"]
    said = f"DFT energy {details['energy_eV_per_atom']:.3f} eV/atom"
    if gap is None:
        return said
    return f"{said}, {'no gap' if gap == 0 else f'gap {gap:.2f} eV'}"
