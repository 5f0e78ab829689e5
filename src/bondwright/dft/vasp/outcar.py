"""Reading an OUTCAR where no `vasprun.xml` was kept: energy, forces, stress and moment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa
from numpy.typing import NDArray

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.vasp.inputs import poscar_rows
from bondwright.errors import InputError

_LARGEST = 2_000_000_000
_ITERATION = re.compile(r"-+ Iteration\s+(\d+)\(\s*(\d+)\)")
_SETTING = r"^\s+{}\s*=\s*(-?\d+)"


def read_outcar(file: Path) -> Calculation:
    """Read an OUTCAR as a calculation; gap and eigenvalues are not looked for.

    Args:
        file: the OUTCAR.

    Raises:
        InputError: it cannot be read, or does not come from VASP.
    """
    try:
        if file.stat().st_size > _LARGEST:
            raise InputError(f"{file}: too large for an OUTCAR; name the right file.")
        text = file.read_text(encoding="latin-1")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from error
    version = re.match(r"\s*vasp\.(\S+?)(?:\s|$)", text)
    if version is None:
        raise InputError(f"{file}: does not begin as an OUTCAR of VASP does.")
    engine = f"vasp {version[1]}"
    steps = list(_ITERATION.finditer(text))
    done = int(steps[-1][2]) if steps else 0
    if "General timing and accounting" not in text:
        return _unfinished(
            Status.INTERRUPTED, "interrupted", f"{file.name} ends in the middle.", engine, done
        )
    if not steps or "aborting loop because EDIFF is reached" not in text[steps[-1].start() :]:
        return _unfinished(
            Status.NOT_CONVERGED,
            "scf-not-converged",
            f"The SCF did not converge in {done} iterations.",
            engine,
            done,
        )
    relaxing = _setting("NSW", text) > 1 and _setting("IBRION", text) > 0
    if relaxing and "reached required accuracy" not in text:
        return _unfinished(
            Status.NOT_CONVERGED,
            "relaxation-steps",
            f"The relaxation was not finished after {steps[-1][1]} geometries.",
            engine,
            done,
        )
    return _finished(file, text, engine, done)


def _finished(file: Path, text: str, engine: str, done: int) -> Calculation:
    from ase.io import read

    try:
        atoms = read(file, format="vasp-out", index=-1)
        results = dict(atoms.calc.results)
        energy = float(results["energy"])
    except Exception as error:
        raise InputError(f"{file}: ASE cannot read this OUTCAR ({error}).") from error
    order = poscar_rows(file.parent, len(atoms))
    plain = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)[order]
    forces, each = results.get("forces"), results.get("magmoms")
    polarised = _setting("ISPIN", text) == 2 and "magmom" in results
    fermi = re.findall(r"E-fermi :\s*(-?\d+\.\d+)", text)
    notes: dict[str, Any] = {"free_energy_eV": float(results["free_energy"])}
    return Calculation(
        Status.CONVERGED,
        atoms=plain,
        engine=engine,
        settings={},
        energy_eV=energy,
        forces_eV_per_A=None if forces is None else np.asarray(forces, dtype=float)[order],
        stress_GPa=_matrix(results["stress"]) / GPa if "stress" in results else None,
        fermi_eV=float(fermi[-1]) if fermi else None,
        magnetic_moment=float(results["magmom"]) if polarised else None,
        magnetic_moments=None if each is None else np.asarray(each, dtype=float)[order],
        scf_steps=done,
        notes=notes,
    )


def _unfinished(status: Status, reason: str, message: str, engine: str, done: int) -> Calculation:
    return Calculation(
        status,
        atoms=Atoms(),
        engine=engine,
        settings={},
        reason=reason,
        message=message,
        scf_steps=done,
    )


def _setting(name: str, text: str) -> int:
    found = re.search(_SETTING.format(name), text, re.MULTILINE)
    return int(found[1]) if found else 0


def _matrix(voigt: NDArray[np.float64]) -> NDArray[np.float64]:
    from ase.stress import voigt_6_to_full_3x3_stress

    return np.asarray(voigt_6_to_full_3x3_stress(voigt), dtype=float)
