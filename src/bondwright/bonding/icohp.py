"""Bond strengths of a structure: -ICOHP of every atom pair, from one LCAO calculation.

What is computed, and how it compares with LOBSTER on real cells, stands in docs/icohp.md.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms

from bondwright.bonding.curves import CohpCurves
from bondwright.bonding.export import read_parquet, write_parquet
from bondwright.bonding.matrices import matrices
from bondwright.bonding.orbitals import ORBITALS
from bondwright.bonding.potential import (
    LcaoRequest,
    Potential,
    Progress,
    ScfError,
    converge_potential,
)
from bondwright.bonding.projection import Projection, cohp_curves, pair_icohp, project
from bondwright.bonding.table import BondTable
from bondwright.dft.gpaw_parameters import gpaw_version
from bondwright.dft.kpoints import mesh
from bondwright.dft.settings import Spin
from bondwright.dft.spin import initial_moments
from bondwright.dft.usable import unusable
from bondwright.errors import InputError, nearest
from bondwright.structure.neighbours import Pairs, neighbour_pairs

METHOD = "bondwright-lcao/1"


class IcohpError(Exception):
    """The calculation came to nothing; `reason` is a stable slug, the message a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class BondSettings:
    """How bond strengths are computed; the defaults are chosen in docs/icohp.md.

    Attributes:
        orbitals: free-atom orbitals of the projection: "pbe" (scalar-relativistic, like LOBSTER's
            pbeVaspFit2015) or "hartree-fock" (non-relativistic, like LOBSTER's Bunge).
        max_length_A: longest pair that is listed.
        min_length_A: shortest pair that is listed.
        kpoint_spacing_per_A: of the projection's Gamma-centred mesh, Å^-1, 2 pi included.
        kpoints: an explicit mesh for the projection; None lets the spacing choose.
        scf_kpoint_spacing_per_A: of the mesh on which the density converges.
        grid_spacing_A: of GPAW's real-space grid.
        smearing_eV: Fermi-Dirac width.
        density_tolerance_per_electron: change of the density below which it has converged. 2e-3
            takes a sixth less time for a glass and moves its bonds by 1 meV (docs/icohp.md).
        spin: "auto", "none" or "polarised".
    """

    orbitals: str = "pbe"
    max_length_A: float = 5.0
    min_length_A: float = 0.0
    kpoint_spacing_per_A: float = 0.35
    kpoints: tuple[int, int, int] | None = None
    scf_kpoint_spacing_per_A: float = 0.55
    grid_spacing_A: float = 0.22
    smearing_eV: float = 0.1
    density_tolerance_per_electron: float = 5e-4
    spin: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if self.orbitals not in ORBITALS:
            raise InputError(
                f"there are no {self.orbitals!r} orbitals; choose one of {', '.join(ORBITALS)}."
                + nearest(self.orbitals, ORBITALS)
            )
        if self.spin not in list(Spin):
            raise InputError(f"spin is {self.spin!r}; choose one of {', '.join(Spin)}.")
        if not 0.0 <= self.min_length_A < self.max_length_A:
            raise InputError(
                f"bonds from {self.min_length_A} to {self.max_length_A} Å: there are none; let the "
                "shortest be smaller than the longest."
            )
        if min(self.grid_spacing_A, self.smearing_eV, self.density_tolerance_per_electron) <= 0:
            raise InputError("grid spacing, smearing and density tolerance must be positive.")


def bond_strengths(
    atoms: Atoms,
    settings: BondSettings | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> BondTable:
    """Compute -ICOHP of every pair of atoms of a periodic structure.

    Args:
        atoms: the structure (Å), periodic in three directions; positions may lie outside the cell,
            images are counted from where they stand.
        settings: see the class.
        folder: where the calculation is kept; the same request is answered from there, another
            mesh or length takes the converged density from there. None keeps nothing.
        progress: called with one line per step.

    Returns:
        A bond table with `charge_spilling`; `details` tell settings, Fermi level and cost.

    Raises:
        InputError: GPAW or the PAW set of an element is missing, or the structure is unusable.
        IcohpError: the density did not converge, or GPAW could not take the structure.
    """
    chosen = settings or BondSettings()
    version = gpaw_version()
    _check(atoms)
    if folder is None:
        with TemporaryDirectory(prefix="bondwright-") as scratch:
            return bond_strengths(atoms, chosen, Path(scratch), progress)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"bonds-{_digest(atoms, chosen, version)}.parquet"
    if kept.is_file():
        return read_parquet(kept)
    begin = time.monotonic()
    wrapped, shifts = _inside_the_cell(atoms)
    potential, projection = _calculate(wrapped, chosen, folder, progress)
    pairs = _pairs(wrapped, chosen)
    by_spin = pair_icohp(projection, pairs)
    table = BondTable.build(
        atoms=atoms,
        i=pairs.i,
        j=pairs.j,
        image=pairs.image - shifts[pairs.j] + shifts[pairs.i],
        icohp_eV=by_spin.sum(axis=0),
        method=METHOD,
        icohp_by_spin_eV=by_spin if projection.spins == 2 else None,
        charge_spilling=projection.charge_spilling,
        details={
            "settings": asdict(chosen),
            "engine": f"gpaw {version}",
            "orbitals": len(projection.atom),
            "kpoints": len(projection.points) // projection.spins,
            "fermi_eV": projection.fermi_eV,
            "band_energy_eV": projection.band_energy_eV(),
            "magnetic_moment": potential.magnetic_moment,
            "scf_steps": potential.scf_steps,
            "mixing": potential.mixing,
            "seconds": time.monotonic() - begin,
        },
    )
    write_parquet(kept, table)
    return table


def bond_curves(
    atoms: Atoms,
    settings: BondSettings | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    *,
    low_eV: float = -15.0,  # noqa: N803 (a unit)
    high_eV: float = 5.0,  # noqa: N803
    step_eV: float = 0.05,  # noqa: N803
) -> CohpCurves:
    """Compute -COHP(E) of every pair of atoms; arguments and errors as `bond_strengths`.

    Args:
        atoms: the structure; positions must lie inside the cell.
        settings: see `BondSettings`.
        folder: as in `bond_strengths`; the density is taken from there.
        progress: as in `bond_strengths`.
        low_eV: first energy, relative to the Fermi level.
        high_eV: last energy.
        step_eV: between energies.
    """
    chosen = settings or BondSettings()
    _check(atoms)
    if folder is None:
        with TemporaryDirectory(prefix="bondwright-") as scratch:
            return bond_curves(
                atoms,
                chosen,
                Path(scratch),
                progress,
                low_eV=low_eV,
                high_eV=high_eV,
                step_eV=step_eV,
            )
    wrapped, _ = _inside_the_cell(atoms)
    _, projection = _calculate(wrapped, chosen, folder, progress)
    energies = np.arange(low_eV, high_eV + step_eV / 2, step_eV)
    return cohp_curves(projection, _pairs(wrapped, chosen), energies_eV=energies)


def _calculate(
    atoms: Atoms, settings: BondSettings, folder: Path, progress: Progress | None
) -> tuple[Potential, Projection]:
    moments = initial_moments(atoms, Spin(settings.spin))
    request = LcaoRequest(
        atoms=atoms,
        grid_spacing_A=settings.grid_spacing_A,
        smearing_eV=settings.smearing_eV,
        density_tolerance_per_electron=settings.density_tolerance_per_electron,
        scf_mesh=mesh(atoms, settings.scf_kpoint_spacing_per_A),
        moments=None if moments is None else tuple(float(m) for m in moments),
    )
    zone = settings.kpoints or mesh(atoms, settings.kpoint_spacing_per_A)
    try:
        potential = converge_potential(request, folder, progress)
        if progress is not None:
            progress(f"projecting on {zone[0]}x{zone[1]}x{zone[2]} k-points")
        functions, points = matrices(request, potential, settings.orbitals, zone, folder)
        return potential, project(functions, points, settings.smearing_eV)
    except ScfError as error:
        raise IcohpError(error.reason, str(error)) from None
    except MemoryError:
        raise IcohpError(
            "out-of-memory", "the calculation needs more memory than there is."
        ) from None
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise IcohpError(
            "projection-failed", f"GPAW could not take this structure: {error}"
        ) from None


def _check(atoms: Atoms) -> None:
    if len(atoms) == 0:
        raise InputError("the structure holds no atoms; bond strengths need at least one.")
    if not atoms.pbc.all():
        raise InputError(
            "bond strengths are computed for crystals; give the structure a cell that is periodic "
            "in all three directions (with vacuum around a molecule)."
        )
    if (refused := unusable(atoms)) is not None:
        raise InputError(refused[1])


def _inside_the_cell(atoms: Atoms) -> tuple[Atoms, np.ndarray]:
    """Return the structure with positions inside the cell, and (n, 3) cells they were outside."""
    fractional = atoms.get_scaled_positions(wrap=False)
    shifts = np.floor(fractional + 1e-9).astype(int)
    moved = Atoms(
        numbers=atoms.numbers,
        positions=np.maximum(fractional - shifts, 0.0) @ atoms.cell.array,
        cell=atoms.cell.array,
        pbc=True,
    )
    moved.set_initial_magnetic_moments(atoms.get_initial_magnetic_moments())
    return moved, shifts


def _pairs(atoms: Atoms, settings: BondSettings) -> Pairs:
    pairs = neighbour_pairs(atoms, settings.max_length_A)
    return pairs.select(pairs.distance >= settings.min_length_A)


def _digest(atoms: Atoms, settings: BondSettings, version: str) -> str:
    parts = {
        "numbers": atoms.numbers.tolist(),
        "positions": np.round(atoms.positions, 8).tolist(),
        "cell": np.round(atoms.cell.array, 8).tolist(),
        "moments": np.round(atoms.get_initial_magnetic_moments(), 6).tolist(),
        "settings": asdict(settings),
        "method": METHOD,
        "gpaw": version,
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
