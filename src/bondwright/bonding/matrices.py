"""H(k) and S(k) of a crystal in atomic orbitals, from GPAW's LCAO mode.

The density is converged once, with compact confined functions. H and S are then built at that
potential in the larger set that bond strengths need, for any k-points: the potential's matrix
elements between cells are computed once, a k-point costs one sum with phases. That is what makes
100 atoms cost minutes (the larger set in the SCF would cost an hour).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Hartree
from numpy.typing import NDArray

from bondwright.bonding.orbitals import COMPACT, basis_name, write_basis
from bondwright.bonding.paw_data import (
    ensure_data,
    generated_folder,
    search_path,
    setup_name,
)
from bondwright.dft.gpaw_parameters import gpaw_version
from bondwright.structure.write import write_bytes

Progress = Callable[[str], None]
_MAX_SCF_STEPS = 120
_MIXING = (
    {"beta": 0.1, "nmaxold": 8, "weight": 50.0},
    {"beta": 0.03, "nmaxold": 12, "weight": 100.0},
)


class ScfError(Exception):
    """The density did not converge; `reason` is a stable slug."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class LcaoRequest:
    """What determines the density of a calculation.

    Attributes:
        atoms: the structure, positions inside the cell (Å).
        grid_spacing_A: spacing of the real-space grid.
        smearing_eV: Fermi-Dirac width.
        density_tolerance_per_electron: change of the density at which the SCF ends.
        scf_mesh: Gamma-centred k-points of the SCF.
        moments: initial magnetic moments (Bohr magnetons); None when not polarised.
    """

    atoms: Atoms
    grid_spacing_A: float  # noqa: N815 (a unit)
    smearing_eV: float  # noqa: N815
    density_tolerance_per_electron: float
    scf_mesh: tuple[int, int, int]
    moments: tuple[float, ...] | None = None

    def digest(self) -> str:
        """Return a short name of everything the potential depends on."""
        parts = {
            "numbers": self.atoms.numbers.tolist(),
            "positions": np.round(self.atoms.positions, 8).tolist(),
            "cell": np.round(self.atoms.cell.array, 8).tolist(),
            "pbc": self.atoms.pbc.tolist(),
            "h": self.grid_spacing_A,
            "width": self.smearing_eV,
            "tolerance": self.density_tolerance_per_electron,
            "mesh": list(self.scf_mesh),
            "moments": self.moments,
            "gpaw": gpaw_version(),
            "version": 1,
        }
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Potential:
    """A converged effective potential.

    Attributes:
        smooth: (spins, x, y, z) on GPAW's grid, Hartree.
        atomic: the PAW correction of each atom: (spins, i, i), Hartree.
        energy_eV: total energy, extrapolated to zero width.
        fermi_eV: Fermi level.
        scf_steps: steps until convergence.
        mixing: which mixing made it converge; 0 is the first choice.
        magnetic_moment: total, Bohr magnetons; None when not polarised.
    """

    smooth: NDArray[np.float64]
    atomic: tuple[NDArray[np.float64], ...]
    energy_eV: float  # noqa: N815
    fermi_eV: float  # noqa: N815
    scf_steps: int
    mixing: int
    magnetic_moment: float | None


@dataclass(frozen=True)
class KPoint:
    """H and S of one spin channel at one k-point.

    Attributes:
        spin: 0, or 1 in a polarised calculation.
        fractional: (3,) in reciprocal lattice vectors.
        weight: share of the Brillouin zone, its time-reversed partner included; they add to 1.
        hamiltonian_eV: (n, n).
        overlap: (n, n).
    """

    spin: int
    fractional: NDArray[np.float64]
    weight: float
    hamiltonian_eV: NDArray[Any]  # noqa: N815
    overlap: NDArray[Any]


@dataclass(frozen=True)
class Functions:
    """The functions that H and S are in.

    Attributes:
        atom: (n,) the atom a function sits on.
        projection: (n,) True for the projection set.
        electrons: valence electrons of the cell.
        spins: 1 or 2.
    """

    atom: NDArray[np.int64]
    projection: NDArray[np.bool_]
    electrons: float
    spins: int


def converge_potential(
    request: LcaoRequest, folder: Path, progress: Progress | None = None
) -> Potential:
    """Return the potential of a structure, from the folder when it is there.

    Args:
        request: structure and numerical settings.
        folder: where the potential is kept and GPAW's log goes; made when absent.
        progress: called with one line per SCF step.

    Raises:
        ScfError: the density did not converge with any mixing, or GPAW refused.
        InputError: an element has no PAW data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"potential-{request.digest()}.npz"
    if (found := _read_potential(kept)) is not None:
        return found
    for attempt, mixing in enumerate(_MIXING):
        dft = _build(
            request,
            COMPACT,
            {"size": list(request.scf_mesh), "gamma": True},
            folder,
            mixer={"backend": "pulay", **mixing},
            log=folder / "scf.log",
        )
        steps = _iterate(dft, progress)
        if steps is not None:
            potential = _potential_of(dft, steps, attempt)
            _write_potential(kept, potential)
            return potential
    raise ScfError(
        "scf-not-converged",
        f"the density did not converge in {_MAX_SCF_STEPS} steps with two ways of mixing; "
        f"see {folder / 'scf.log'}.",
    )


def matrices(
    request: LcaoRequest,
    potential: Potential,
    orbitals: str,
    mesh: tuple[int, int, int],
    folder: Path,
) -> tuple[Functions, Iterator[KPoint]]:
    """Return the functions, and H and S for each spin and k-point in turn.

    Args:
        request: what the potential was converged for.
        potential: from `converge_potential`.
        orbitals: whose free-atom orbitals the projection set takes ("hartree-fock", "pbe").
        mesh: Gamma-centred k-points.
        folder: for the basis files.
    """
    # A shifted mesh needs fewer points, but breaks the symmetry of fcc, bcc and hexagonal cells.
    dft = _build(request, basis_name(orbitals), {"size": list(mesh), "gamma": True}, folder)
    dft.potential.vt_sR.data[:] = potential.smooth
    for a, block in enumerate(potential.atomic):
        dft.potential.dH_asii[a][:] = block
    labels = [
        (a, function.type.endswith(orbitals))
        for a, setup in enumerate(dft.setups)
        for function in setup.basis.bf_j
        for _ in range(2 * function.l + 1)
    ]
    functions = Functions(
        atom=np.array([a for a, _ in labels]),
        projection=np.array([kind for _, kind in labels]),
        electrons=float(dft.setups.nvalence),
        spins=1 if request.moments is None else 2,
    )
    return functions, _kpoints(dft)


def _kpoints(dft: Any) -> Iterator[KPoint]:
    calculator = dft.scf_loop.hamiltonian.create_hamiltonian_matrix_calculator(dft.potential)
    for wave in dft.ibzwfs:
        yield KPoint(
            spin=int(wave.spin),
            fractional=np.array(wave.kpt_c, dtype=float),
            weight=float(wave.weight),
            hamiltonian_eV=calculator.calculate_matrix(wave).data * Hartree,
            overlap=wave.S_MM.data.copy(),
        )


def _build(
    request: LcaoRequest,
    basis: str,
    kpoints: Any,
    folder: Path,
    *,
    mixer: dict[str, Any] | None = None,
    log: Path | None = None,
) -> Any:
    """Return GPAW's calculation object, nothing converged yet."""
    from gpaw.new.calculation import DFT

    elements = sorted(set(request.atoms.get_chemical_symbols()))
    bases = folder / "bases"
    for element in elements:
        ensure_data(element)
        write_basis(element, basis, bases)
    with search_path(bases, generated_folder()):
        return DFT(
            request.atoms,
            mode="lcao",
            basis=basis,
            setups={e: setup_name(e) for e in elements},
            h=request.grid_spacing_A,
            xc="PBE",
            kpts=kpoints,
            symmetry={"point_group": False},
            occupations={"name": "fermi-dirac", "width": request.smearing_eV},
            magmoms=request.moments,
            spinpol=request.moments is not None,
            mixer=mixer,
            convergence={
                "density": request.density_tolerance_per_electron,
                "eigenstates": 1e10,
                "energy": 1e-4,
            },
            txt=None if log is None else str(log),
            converge=False,
        )


def _iterate(dft: Any, progress: Progress | None) -> int | None:
    """Run the SCF; return its steps, or None when it did not converge."""
    from gpaw import KohnShamConvergenceError

    step = 0
    try:
        for step, context in enumerate(dft.iconverge(maxiter=_MAX_SCF_STEPS), start=1):
            if progress is not None:
                change = float(context.dens.error) / max(dft.setups.nvalence, 1)
                progress(f"SCF step {step}, density change {change:.1e} electrons per electron")
    except KohnShamConvergenceError:
        return None
    return step


def _potential_of(dft: Any, steps: int, attempt: int) -> Potential:
    atoms = range(len(dft.setups))
    polarised = len(dft.potential.vt_sR.data) == 2
    return Potential(
        smooth=np.array(dft.potential.vt_sR.data),
        atomic=tuple(np.array(dft.potential.dH_asii[a]) for a in atoms),
        energy_eV=float(dft.calculate_energy()),
        fermi_eV=float(dft.ibzwfs.fermi_level) * Hartree,
        scf_steps=steps,
        mixing=attempt,
        magnetic_moment=float(dft.magmoms()[0][2]) if polarised else None,
    )


def _write_potential(path: Path, potential: Potential) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        smooth=potential.smooth,
        numbers=np.array(
            [
                potential.energy_eV,
                potential.fermi_eV,
                potential.scf_steps,
                potential.mixing,
                np.nan if potential.magnetic_moment is None else potential.magnetic_moment,
            ]
        ),
        allow_pickle=False,
        **{f"atom{a}": block for a, block in enumerate(potential.atomic)},
    )
    write_bytes(path, buffer.getvalue())


def _read_potential(path: Path) -> Potential | None:
    """Return a kept potential; None when there is none or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            energy, fermi, steps, mixing, moment = data["numbers"].tolist()
            count = sum(name.startswith("atom") for name in data.files)
            return Potential(
                smooth=data["smooth"],
                atomic=tuple(data[f"atom{a}"] for a in range(count)),
                energy_eV=energy,
                fermi_eV=fermi,
                scf_steps=int(steps),
                mixing=int(mixing),
                magnetic_moment=None if np.isnan(moment) else moment,
            )
    except (OSError, ValueError, KeyError, EOFError):
        return None
