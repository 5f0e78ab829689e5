"""Reading what VASP found, through pymatgen, as the same `Calculation` as the engines give."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa
from numpy.typing import NDArray

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.vasp.inputs import NOTE
from bondwright.errors import InputError

_KBAR_TO_GPA = 0.1


def read_vasp(path: Path) -> Calculation:
    """Read `vasprun.xml` (and `OUTCAR` beside it, for moments) as a calculation.

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
    if not file.is_file():
        raise InputError(f"{file}: no such file; name a vasprun.xml or the folder that holds it.")
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
    back = _order(file.parent, len(atoms))
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
    total, moments = _moments(file.parent / "OUTCAR", back) if run.is_spin else (None, None)
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


def _order(folder: Path, count: int) -> NDArray[np.int64]:
    """Return the POSCAR row of every atom of the structure as it was given."""
    try:
        order = json.loads((folder / NOTE).read_bytes())["order"]
    except (OSError, ValueError, KeyError, TypeError):
        return np.arange(count)
    if sorted(order) != list(range(count)):
        raise InputError(f"{folder / NOTE}: belongs to another structure; remove it.")
    return np.argsort(order)


def _moments(
    file: Path, back: NDArray[np.int64]
) -> tuple[float | None, NDArray[np.float64] | None]:
    from pymatgen.io.vasp.outputs import Outcar

    if not file.is_file():
        return None, None
    try:
        outcar = Outcar(str(file))
        each = np.array([float(m["tot"]) for m in outcar.magnetization])
    except Exception:  # noqa: BLE001  (an OUTCAR that is cut off says nothing about moments)
        return None, None
    total = None if outcar.total_mag is None else float(outcar.total_mag)
    return total, each[back] if len(each) == len(back) else None


def _cut_off(file: Path) -> bool:
    """Whether this is VASP's XML without its closing tag."""
    with file.open("rb") as stream:
        head = stream.read(1000)
        stream.seek(max(0, file.stat().st_size - 100))
        return b"<modeling" in head and b"</modeling>" not in stream.read()
