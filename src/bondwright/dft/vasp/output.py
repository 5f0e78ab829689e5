"""Reading what VASP found, through pymatgen, as the same `Calculation` as the engines give."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa
from numpy.typing import NDArray

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.vasp.inputs import poscar_rows
from bondwright.dft.vasp.outcar import read_outcar
from bondwright.errors import InputError

_KBAR_TO_GPA = 0.1


def read_vasp(path: Path) -> Calculation:
    """Read `vasprun.xml` (with an `OUTCAR` beside it for moments), or an `OUTCAR` alone.

    Atoms come back in the order of the structure that `write_vasp_inputs` was given when its note
    lies beside; else in the order of POSCAR. A relaxation gives its last geometry. VASP prints the
    stress with the sign of a pressure in kbar; it is turned to ASE's sign here.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        InputError: there is no such file, or it does not come from VASP. A file that is cut off is
            an interrupted calculation, not an error.
    """
    file = path / "vasprun.xml" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        file = path / "OUTCAR"
    if not file.is_file():
        raise InputError(f"{path}: no vasprun.xml and no OUTCAR there; name one, or their folder.")
    if "OUTCAR" in file.name:
        return read_outcar(file)
    from pymatgen.io.vasp.outputs import Vasprun

    if _cut_off(file):
        return Calculation(
            Status.INTERRUPTED,
            atoms=Atoms(),
            engine="vasp",
            settings={},
            reason="interrupted",
            message=f"{file.name} ends in the middle of the run.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = Vasprun(str(file), parse_dos=False, parse_potcar_file=False)
    except Exception as error:
        raise InputError(f"{file}: not a vasprun.xml that pymatgen can read ({error}).") from error
    return _calculation(run, file)


def _calculation(run: Any, file: Path) -> Calculation:
    structure = run.final_structure
    numbers = [site.specie.Z for site in structure]
    atoms = Atoms(numbers, positions=structure.cart_coords, cell=structure.lattice.matrix, pbc=True)
    back = poscar_rows(file.parent, len(atoms))
    atoms = atoms[back]
    last = run.ionic_steps[-1] if run.ionic_steps else {}
    common: dict[str, Any] = {
        "atoms": atoms,
        "engine": f"vasp {run.vasp_version}",
        "settings": {k: v for k, v in run.incar.items() if isinstance(v, str | int | float | bool)},
        "scf_steps": len(last.get("electronic_steps", [])),
    }
    if not run.ionic_steps:
        return Calculation(Status.INTERRUPTED, **common, reason="no-output", message="No step yet.")
    if not run.converged_electronic:
        return Calculation(
            Status.NOT_CONVERGED,
            **common,
            reason="scf-not-converged",
            message=f"The SCF did not converge in {common['scf_steps']} iterations.",
        )
    if not run.converged_ionic:
        return Calculation(
            Status.NOT_CONVERGED,
            **common,
            reason="relaxation-steps",
            message=f"The relaxation was not finished after {len(run.ionic_steps)} geometries.",
        )
    total, moments = _moments(file.parent / "OUTCAR") if run.is_spin else (None, None)
    forces, stress = last.get("forces"), last.get("stress")
    gap = run.eigenvalue_band_properties[0] if run.eigenvalues else None
    # Under an outer pressure (PSTRESS, kbar) VASP adds p V to every energy that it prints.
    outer = float(run.incar.get("PSTRESS", 0.0)) * _KBAR_TO_GPA * GPa * atoms.get_volume()
    return Calculation(
        Status.CONVERGED,
        **common,
        energy_eV=float(last["e_0_energy"]) - outer,
        forces_eV_per_A=None if forces is None else np.asarray(forces, dtype=float)[back],
        stress_GPa=None if stress is None else -_KBAR_TO_GPA * np.asarray(stress, dtype=float),
        fermi_eV=None if run.efermi is None else float(run.efermi),
        gap_eV=None if gap is None or not np.isfinite(gap) else float(gap),
        magnetic_moment=total,
        magnetic_moments=moments,
        notes={"free_energy_eV": float(last["e_fr_energy"]) - outer},
    )


def _moments(file: Path) -> tuple[float | None, NDArray[np.float64] | None]:
    """Return total and atomic moments of an OUTCAR; None where it is absent or not whole."""
    try:
        found = read_outcar(file)
    except InputError:
        return None, None
    return found.magnetic_moment, found.magnetic_moments


def _cut_off(file: Path) -> bool:
    """Whether this is VASP's XML without its closing tag."""
    with file.open("rb") as stream:
        head = stream.read(1000)
        stream.seek(max(0, file.stat().st_size - 100))
        return b"<modeling" in head and b"</modeling>" not in stream.read()
