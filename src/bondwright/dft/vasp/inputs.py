"""VASP input sets: INCAR, KPOINTS, POSCAR, and POTCAR by name.

The sets are pymatgen's; what `DftSettings` says is put on top, except in the Materials Project's
own sets, which are left as they are so that results stay comparable. POTCAR contents are never
shipped: `POTCAR.spec` lists names, and the file itself is put together from the user's own library
where one is named.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.kpoints import mesh_of
from bondwright.dft.records import settings_to_json
from bondwright.dft.settings import DftSettings
from bondwright.dft.spin import initial_moments
from bondwright.dft.vasp.potcar import assemble_potcar, potcar_library
from bondwright.errors import InputError
from bondwright.structure.write import write_text

NOTE = "bondwright.json"
"""File beside the inputs that says which atom of the structure stands where in POSCAR."""


class VaspTask(StrEnum):
    """What VASP is to do."""

    SINGLE_POINT = "single-point"
    RELAX = "relax"
    LOBSTER = "lobster"
    MATERIALS_PROJECT_RELAX = "materials-project-relax"
    MATERIALS_PROJECT_STATIC = "materials-project-static"


@dataclass(frozen=True)
class VaspInputs:
    """A set of inputs.

    Attributes:
        incar: INCAR tags.
        mesh: divisions of the k-point mesh.
        potcars: names of the POTCARs in the order of POSCAR, e.g. ("Ti_pv", "O").
        order: index of the structure's atom in every row of POSCAR.
        files: file name -> text; POTCAR is never among them.
    """

    incar: dict[str, Any]
    mesh: tuple[int, int, int]
    potcars: tuple[str, ...]
    order: tuple[int, ...]
    files: dict[str, str]


def vasp_inputs(atoms: Atoms, settings: DftSettings, task: VaspTask) -> VaspInputs:
    """Return the inputs of a VASP calculation.

    The energy tolerance is taken per atom, because the number of electrons is known to POTCAR only;
    that is stricter than asked. Occupations are Fermi-Dirac (ISMEAR = -1), as in the other engines,
    and for LOBSTER Gaussian (ISMEAR = 0), which it can read. LOBSTER also gets no symmetry, kept
    wave functions, and at least as many bands as its basis has functions.

    Args:
        atoms: structure with a cell (Å).
        settings: what is asked for; the Materials Project's own sets take their own values.
        task: what is to be done.

    Raises:
        InputError: no cell, no atoms, a functional other than PBE, or an element without a set.
    """
    if settings.functional != "PBE":
        raise InputError(
            f"VASP input sets are written for PBE, not {settings.functional}; ask for PBE."
        )
    if not len(atoms):
        raise InputError("there are no atoms to write VASP inputs for.")
    order = np.argsort(atoms.numbers, kind="stable")
    sorted_atoms = atoms[order]
    mesh_of(atoms, settings)  # says what is wrong with a cell in one line
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = _input_set(sorted_atoms, settings, task)
            written = made.get_input_set(potcar_spec=True)
            incar, kpoints = dict(written["INCAR"]), written["KPOINTS"]
            potcars = tuple(made.potcar_symbols)
            poscar = written["POSCAR"].get_str(significant_figures=16)
    except (KeyError, ValueError) as error:
        raise InputError(f"pymatgen has no VASP input set for this structure ({error}).") from error
    divisions = tuple(int(n) for n in kpoints.kpts[0])
    note = {
        "task": str(task),
        "order": [int(i) for i in order],
        "settings": settings_to_json(settings),
    }
    files = {
        "INCAR": str(written["INCAR"]),
        "KPOINTS": str(kpoints),
        "POSCAR": poscar,
        "POTCAR.spec": "\n".join(potcars) + "\n",
        NOTE: json.dumps(note, indent=1) + "\n",
    }
    return VaspInputs(
        incar=incar,
        mesh=(divisions[0], divisions[1], divisions[2]),
        potcars=potcars,
        order=tuple(int(i) for i in order),
        files=files,
    )


def write_vasp_inputs(
    atoms: Atoms, settings: DftSettings, task: VaspTask, folder: Path
) -> VaspInputs:
    """Write the inputs of a VASP calculation into a folder.

    POTCAR is written too when VASP_PP_PATH or PMG_VASP_PSP_DIR names the user's own library.

    Returns:
        What was written.

    Raises:
        InputError: as `vasp_inputs`, or the library lacks a POTCAR or holds another one under its
            name.
    """
    inputs = vasp_inputs(atoms, settings, task)
    library = potcar_library()
    potcar = assemble_potcar(inputs.potcars, library) if library is not None else None
    for name, text in inputs.files.items():
        write_text(folder / name, text)
    if potcar is not None:
        write_text(folder / "POTCAR", potcar)
    return inputs


def poscar_rows(folder: Path, count: int) -> NDArray[np.int64]:
    """Return the POSCAR row of every atom of the structure that the inputs were written for.

    Without the note of `write_vasp_inputs` the order of POSCAR is kept.

    Raises:
        InputError: the note belongs to another number of atoms.
    """
    try:
        order = json.loads((folder / NOTE).read_bytes())["order"]
    except (OSError, ValueError, KeyError, TypeError):
        return np.arange(count)
    if sorted(order) != list(range(count)):
        raise InputError(f"{folder / NOTE}: belongs to another structure; remove it.")
    return np.argsort(order)


def _input_set(atoms: Atoms, settings: DftSettings, task: VaspTask) -> Any:
    """Return pymatgen's input set with the settings on top."""
    from pymatgen.io.ase import AseAtomsAdaptor
    from pymatgen.io.lobster.sets import LobsterSet
    from pymatgen.io.vasp.inputs import Kpoints
    from pymatgen.io.vasp.sets import MPRelaxSet, MPStaticSet

    moments = initial_moments(atoms, settings.spin)
    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    structure = AseAtomsAdaptor.get_structure(bare)
    if task is VaspTask.MATERIALS_PROJECT_RELAX:
        return MPRelaxSet(structure, sort_structure=False)
    if task is VaspTask.MATERIALS_PROJECT_STATIC:
        return MPStaticSet(structure, sort_structure=False)
    if moments is not None:
        structure.add_site_property("magmom", [float(m) for m in moments])
    incar: dict[str, Any] = {
        "ENCUT": settings.cutoff_eV,
        "EDIFF": settings.energy_tolerance_eV_per_electron * len(atoms),
        "NELM": settings.max_scf_steps,
        "ISMEAR": 0 if task is VaspTask.LOBSTER else -1,
        "SIGMA": settings.smearing_eV,
        "ISPIN": 1 if moments is None else 2,
        "LREAL": False,
        "PREC": "Accurate",
        "LORBIT": 11,
        **_hubbard(atoms, settings),
    }
    kpoints = Kpoints.gamma_automatic(mesh_of(atoms, settings))
    common: dict[str, Any] = {"sort_structure": False, "user_kpoints_settings": kpoints}
    if task is VaspTask.LOBSTER:
        return LobsterSet(structure, isym=0, ismear=0, user_incar_settings=incar, **common)
    if task is VaspTask.RELAX:
        incar |= {
            "EDIFFG": -settings.force_tolerance_eV_per_A,
            "NSW": settings.max_relax_steps,
            "ISIF": 3,
            "IBRION": 2,
            "LWAVE": False,
        }
        return MPRelaxSet(structure, user_incar_settings=incar, **common)
    incar |= {"NSW": 0, "IBRION": -1, "LWAVE": False}
    return MPStaticSet(structure, user_incar_settings=incar, **common)


def _hubbard(atoms: Atoms, settings: DftSettings) -> dict[str, Any]:
    """Return U in pymatgen's form: by the anion of the compound, then by the metal."""
    present = set(atoms.get_chemical_symbols())
    values = {e: float(u) for e, u in settings.hubbard_u_eV.items() if u and e in present}
    if not values or not {"O", "F"} & present:
        return {"LDAU": False}
    return {
        "LDAU": True,
        "LDAUU": dict.fromkeys(("O", "F"), values),
        "LDAUJ": dict.fromkeys(("O", "F"), dict.fromkeys(values, 0)),
        "LDAUL": dict.fromkeys(("O", "F"), dict.fromkeys(values, 2)),
    }
