"""The input of pw.x, written from a structure and settings, and read back."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from bondwright.dft.espresso.pseudopotentials import Pseudopotential
from bondwright.dft.espresso.units import RY_PER_BOHR_TO_EV_PER_A, RYDBERG_EV
from bondwright.dft.kpoints import mesh_of
from bondwright.dft.settings import DftSettings
from bondwright.errors import InputError

PREFIX = "pw"
"""Name of the `.save` folder inside the folder of results."""

_FINER_FOR_FORCES = 0.01  # forces are of first order in the density's error, energies of second
_DUAL = {"NC": 4.0, "US": 8.0, "PAW": 8.0}
_SHELLS = ((21, 30, "3d"), (39, 48, "4d"), (72, 80, "5d"))


@dataclass(frozen=True)
class PwJob:
    """What one run of pw.x is to do, beside the physics.

    Attributes:
        calculation: "scf", "relax", "vc-relax" or "bands".
        outdir: folder of results, as pw.x finds it from its working folder.
        forces: compute forces.
        stress: compute the stress.
        symmetry: use symmetry; without it k-points are reduced by time reversal only.
        restart: go on from a clean stop.
        old_density: start from the charge density in `outdir`.
        max_seconds: pw.x stops cleanly after this time; None for no limit.
        kpoints: (k, 3) explicit points in units of the reciprocal lattice vectors, for "bands".
        changes: keywords of pw.x that take another value than the settings give them; their
            namelist is found by `NAMELISTS`.
    """

    calculation: str = "scf"
    outdir: str = "out"
    forces: bool = True
    stress: bool = False
    symmetry: bool = True
    restart: bool = False
    old_density: bool = False
    max_seconds: float | None = None
    kpoints: NDArray[np.float64] | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


NAMELISTS = {
    "mixing_beta": "electrons",
    "mixing_mode": "electrons",
    "mixing_ndim": "electrons",
    "diagonalization": "electrons",
    "startingwfc": "electrons",
    "degauss": "system",
    "nbnd": "system",
}
"""Keywords that `PwJob.changes` may hold, and where they belong."""


def write_pw_input(
    atoms: Atoms,
    settings: DftSettings,
    potentials: Mapping[str, Pseudopotential],
    *,
    version: str,
    moments: NDArray[np.float64] | None = None,
    job: PwJob | None = None,
) -> str:
    """Return the input of pw.x.

    Cell and positions are written with all digits. Atoms of one element that start with different
    moments become species of their own (`Fe1`, `Fe2`). The cut-off is raised to the one that the
    pseudopotentials ask for where the settings give less.

    Args:
        atoms: structure with a cell (Å).
        settings: what is asked for.
        potentials: element -> pseudopotential.
        version: of pw.x, e.g. "6.7MaX"; U is written in the form that it understands.
        moments: (n,) initial moments, Bohr magnetons; None for a calculation without spin.
        job: what this run is to do.

    Raises:
        InputError: an element without pseudopotential, no cell, or no atoms.
    """
    job = job or PwJob()
    if not len(atoms):
        raise InputError("there are no atoms to write an input of pw.x for.")
    mesh = mesh_of(atoms, settings)
    labels, species = _species(atoms, moments)
    for element, _ in species.values():
        if element not in potentials:
            raise InputError(f"there is no pseudopotential for {element}; add one.")
    lists = _namelists(atoms, settings, potentials, job)
    if moments is not None:
        lists["system"]["nspin"] = 2
        for number, (element, moment) in enumerate(species.values(), start=1):
            share = float(np.clip(moment / potentials[element].valence, -1.0, 1.0))
            lists["system"][f"starting_magnetization({number})"] = round(share, 6)
    lists["system"].update(nat=len(atoms), ntyp=len(species))
    hubbard = _hubbard(atoms, settings, species)
    card = ""
    if hubbard and version_numbers(version) >= (7, 1):
        lines = [f"U {label}-{shell} {u}" for label, (shell, u) in hubbard.items()]
        card = "\n".join(["HUBBARD {atomic}", *lines]) + "\n"
    elif hubbard:
        lists["system"]["lda_plus_u"] = True
        for number, label in enumerate(species, start=1):
            if label in hubbard:
                lists["system"][f"Hubbard_U({number})"] = hubbard[label][1]
    parts = [_namelist(name, values) for name, values in lists.items()]
    parts.append("ATOMIC_SPECIES")
    for label, (element, _) in species.items():
        mass = atomic_masses[atomic_numbers[element]]
        parts.append(f"{label} {mass:.6f} {potentials[element].path.name}")
    parts.append("CELL_PARAMETERS angstrom")
    parts.extend(_row(vector) for vector in atoms.cell.array)
    parts.append("ATOMIC_POSITIONS angstrom")
    parts.extend(f"{label} {_row(p)}" for label, p in zip(labels, atoms.positions, strict=True))
    parts.append(_kpoints(mesh, job.kpoints))
    return "\n".join(parts) + "\n" + card


def read_pw_input(text: str) -> tuple[Atoms, dict[str, dict[str, Any]]]:
    """Read the structure and the namelists of an input of pw.x.

    Returns:
        The structure (Å), and namelist -> keyword -> value, names in lower case.

    Raises:
        InputError: the text cannot be understood.
    """
    from ase.io.espresso import read_espresso_in, read_fortran_namelist

    try:
        lists, _ = read_fortran_namelist(io.StringIO(text))
        atoms = read_espresso_in(io.StringIO(text))
    except Exception as error:
        raise InputError(f"this is no input of pw.x that can be read ({error}).") from error
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True), {
        name.lower(): dict(values) for name, values in lists.items()
    }


def cutoffs_eV(  # noqa: N802 (a unit)
    settings: DftSettings, potentials: Mapping[str, Pseudopotential]
) -> tuple[float, float]:
    """Return the cut-offs of wave functions and density in eV.

    The first is the larger of what the settings and the pseudopotentials ask for: below its
    pseudopotentials' own cut-off a calculation is wrong, not coarse. The second is 4 times the
    first for norm-conserving sets and 8 times for others, and no less than they ask for.
    """
    wave = max([settings.cutoff_eV, *(p.cutoff_eV or 0.0 for p in potentials.values())])
    dual = max(_DUAL[p.kind] for p in potentials.values())
    density = max([dual * wave, *(p.density_cutoff_eV or 0.0 for p in potentials.values())])
    return wave, density


def version_numbers(version: str) -> tuple[int, int]:
    """Return major and minor number of a version such as "6.7MaX"; (0, 0) when there is none."""
    found = re.match(r"v?\.?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _species(
    atoms: Atoms, moments: NDArray[np.float64] | None
) -> tuple[list[str], dict[str, tuple[str, float]]]:
    """Return each atom's label, and label -> (element, initial moment)."""
    symbols = atoms.get_chemical_symbols()
    starts = [0.0] * len(symbols) if moments is None else [round(float(m), 3) for m in moments]
    kinds: dict[str, list[float]] = {}
    for symbol, start in zip(symbols, starts, strict=True):
        if start not in kinds.setdefault(symbol, []):
            kinds[symbol].append(start)
    labels = [
        symbol if len(kinds[symbol]) == 1 else f"{symbol}{kinds[symbol].index(start) + 1}"
        for symbol, start in zip(symbols, starts, strict=True)
    ]
    species = dict(zip(labels, zip(symbols, starts, strict=True), strict=True))
    return labels, species


def _namelists(
    atoms: Atoms,
    settings: DftSettings,
    potentials: Mapping[str, Pseudopotential],
    job: PwJob,
) -> dict[str, dict[str, Any]]:
    symbols = atoms.get_chemical_symbols()
    used = {s: potentials[s] for s in set(symbols)}
    electrons = sum(used[s].valence for s in symbols)
    wave, density = cutoffs_eV(settings, used)
    folder = next(iter(used.values())).path.parent.resolve()
    if len({p.path.parent.resolve() for p in used.values()}) > 1:
        raise InputError(f"{folder}: all pseudopotentials must lie in one folder; copy them there.")
    precise = job.forces or job.stress
    tolerance = settings.energy_tolerance_eV_per_electron * electrons / RYDBERG_EV
    lists: dict[str, dict[str, Any]] = {
        "control": {
            "calculation": job.calculation,
            "restart_mode": "restart" if job.restart else "from_scratch",
            "prefix": PREFIX,
            "outdir": job.outdir,
            "pseudo_dir": str(folder),
            "verbosity": "high",
            "tprnfor": job.forces and job.calculation != "bands",
            "tstress": job.stress and job.calculation != "bands",
        },
        "system": {
            "ibrav": 0,
            "ecutwfc": wave / RYDBERG_EV,
            "ecutrho": density / RYDBERG_EV,
            "nosym": not job.symmetry,
        },
        "electrons": {
            "conv_thr": tolerance * (_FINER_FOR_FORCES if precise else 1.0),
            "electron_maxstep": settings.max_scf_steps,
            "mixing_beta": 0.7,
        },
    }
    if settings.smearing_eV > 0:
        lists["system"].update(
            occupations="smearing", smearing="fd", degauss=settings.smearing_eV / RYDBERG_EV
        )
    else:
        # Some empty bands, so that a gap can be told.
        lists["system"].update(occupations="fixed", nbnd=int(electrons / 2 * 1.2) + 4)
    if job.max_seconds is not None:
        lists["control"]["max_seconds"] = job.max_seconds
    if job.old_density:
        lists["electrons"]["startingpot"] = "file"
    if job.calculation in ("relax", "vc-relax"):
        force = settings.force_tolerance_eV_per_A / RY_PER_BOHR_TO_EV_PER_A
        lists["control"].update(forc_conv_thr=force, nstep=settings.max_relax_steps)
        lists["ions"] = {}
    if job.calculation == "vc-relax":
        lists["cell"] = {"press_conv_thr": settings.stress_tolerance_GPa * 10}
    for keyword, value in job.changes.items():
        lists[NAMELISTS[keyword]][keyword] = value
    return lists


def _hubbard(
    atoms: Atoms, settings: DftSettings, species: Mapping[str, tuple[str, float]]
) -> dict[str, tuple[str, float]]:
    """Return label -> (shell, U in eV); none outside oxides and fluorides."""
    if not {"O", "F"} & set(atoms.get_chemical_symbols()):
        return {}
    found = {}
    for label, (element, _) in species.items():
        u = settings.hubbard_u_eV.get(element, 0.0)
        number = atomic_numbers[element]
        shell = next((s for first, last, s in _SHELLS if first <= number <= last), None)
        if u and shell:
            found[label] = (shell, float(u))
    return found


def _namelist(name: str, values: Mapping[str, Any]) -> str:
    lines = [f"  {keyword} = {_value(value)}" for keyword, value in values.items()]
    return "\n".join([f"&{name.upper()}", *lines, "/"])


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return ".true." if value else ".false."
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(float(value)) if isinstance(value, float) else str(value)


def _row(vector: NDArray[np.float64]) -> str:
    return " ".join(f"{float(x):.14f}" for x in vector)


def _kpoints(mesh: tuple[int, int, int], points: NDArray[np.float64] | None) -> str:
    if points is None:
        return f"K_POINTS automatic\n{mesh[0]} {mesh[1]} {mesh[2]} 0 0 0"
    rows = [f"{_row(point)} 1.0" for point in points]
    return "\n".join(["K_POINTS crystal", str(len(rows)), *rows])
