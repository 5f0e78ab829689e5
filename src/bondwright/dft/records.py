"""Calculations as JSON files, found again by what was asked for.

A record's name is a digest of the structure, the settings and the engine's version, so that the
same request is answered from disk, whoever asks and however the first process ended.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.calculation import Calculation, Correction, Status
from bondwright.dft.settings import DftSettings, Spin
from bondwright.errors import InputError, nearest
from bondwright.structure.identity import content_hash
from bondwright.structure.records import atoms_from_json, atoms_to_json
from bondwright.structure.write import write_text

_ARRAYS = ("forces_eV_per_A", "stress_GPa", "magnetic_moments")


def settings_to_json(settings: DftSettings) -> dict[str, Any]:
    """Return settings as JSON values."""
    values = asdict(replace(settings, hubbard_u_eV=dict(settings.hubbard_u_eV)))
    mesh = settings.kpoints
    return {**values, "spin": str(settings.spin), "kpoints": None if mesh is None else list(mesh)}


def settings_from_json(data: dict[str, Any]) -> DftSettings:
    """Rebuild settings from what `settings_to_json` returned.

    Raises:
        InputError: a setting is unknown or its value cannot be used.
    """
    known = [f.name for f in fields(DftSettings)]
    for key in data:
        if key not in known:
            raise InputError(f"there is no DFT setting {key!r}." + nearest(key, known))
    values = dict(data)
    try:
        if "spin" in values:
            values["spin"] = Spin(values["spin"])
        if values.get("kpoints") is not None:
            a, b, c = (int(n) for n in values["kpoints"])
            values["kpoints"] = (a, b, c)
    except (TypeError, ValueError) as error:
        raise InputError(f"a DFT setting cannot be used: {error}.") from None
    return DftSettings(**values)


def calculation_to_json(calculation: Calculation) -> dict[str, Any]:
    """Return a calculation as JSON values."""
    values = {f.name: getattr(calculation, f.name) for f in fields(calculation)}
    for key in _ARRAYS:
        values[key] = None if values[key] is None else values[key].tolist()
    return {
        **values,
        "status": str(calculation.status),
        "atoms": atoms_to_json(calculation.atoms),
        "corrections": [asdict(c) for c in calculation.corrections],
    }


def calculation_from_json(data: dict[str, Any]) -> Calculation:
    """Rebuild a calculation from what `calculation_to_json` returned.

    Raises:
        InputError: the record is damaged.
    """
    try:
        values = dict(data)
        for key in _ARRAYS:
            if values[key] is not None:
                values[key] = np.asarray(values[key], dtype=float)
        values["status"] = Status(values["status"])
        values["atoms"] = atoms_from_json(values["atoms"])
        values["corrections"] = tuple(Correction(**c) for c in values["corrections"])
        return Calculation(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"a stored calculation is damaged ({error!r}); delete its record and run it again."
        ) from None


def request_digest(
    atoms: Atoms,
    settings: DftSettings,
    engine: str,
    moments: NDArray[np.float64] | None = None,
) -> str:
    """Return 32 hexadecimal digits that name a request for a ground state.

    Args:
        atoms: the structure; positions and cell count to 1e-6 Å.
        settings: all of them count except the preset's name and the limits of relaxations.
        engine: name and version.
        moments: initial magnetic moments, Bohr magnetons; None when not polarised.

    Raises:
        ValueError: cell or positions are not finite.
    """
    asked = settings_to_json(settings)
    for key in ("preset", "force_tolerance_eV_per_A", "stress_tolerance_GPa", "max_relax_steps"):
        del asked[key]
    text = json.dumps(
        [
            content_hash(atoms),
            asked,
            engine,
            None if moments is None else [round(float(m), 6) for m in moments],
        ],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write_record(path: Path, calculation: Calculation) -> None:
    """Write a calculation to a file that appears whole or not at all."""
    write_text(path, json.dumps(calculation_to_json(calculation), allow_nan=False) + "\n")


def read_record(path: Path) -> Calculation | None:
    """Return the calculation of a record, or None when there is none that can be read.

    A torn or foreign file counts as absent: the work is done again.
    """
    try:
        return calculation_from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, InputError):
        return None
