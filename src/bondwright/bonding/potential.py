"""The effective potential of a crystal, from GPAW's LCAO mode with compact confined functions.

It is converged once and kept. The larger set of functions that bond strengths need meets it
afterwards (`matrices.py`): in the SCF that set would cost an hour for 100 atoms.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Hartree
from numpy.typing import NDArray

from bondwright.bonding.orbitals import COMPACT, write_basis
from bondwright.bonding.paw_data import ensure_data, generated_folder, search_path, setup_name
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
        dft = _build(request, mixing, folder)
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


def lcao_parameters(request: LcaoRequest, basis: str, mesh: tuple[int, int, int]) -> dict[str, Any]:
    """Return GPAW's parameters of a calculation in one of our bases.

    Args:
        request: structure and numerical settings.
        basis: name of the functions.
        mesh: k-points, Gamma-centred: a shifted mesh needs fewer points, but breaks the symmetry of
            fcc, bcc and hexagonal cells.
    """
    return {
        "mode": "lcao",
        "basis": basis,
        "setups": {e: setup_name(e) for e in set(request.atoms.get_chemical_symbols())},
        "h": request.grid_spacing_A,
        "xc": "PBE",
        "kpts": {"size": list(mesh), "gamma": True},
        "symmetry": {"point_group": False},
        "occupations": {"name": "fermi-dirac", "width": request.smearing_eV},
        "magmoms": request.moments,
        "spinpol": request.moments is not None,
    }


@contextmanager
def functions_at_hand(request: LcaoRequest, basis: str, folder: Path) -> Iterator[None]:
    """Let GPAW find the PAW data and one of our bases of each element, while inside.

    Raises:
        InputError: an element has no PAW data.
    """
    bases = folder / "bases"
    for element in sorted(set(request.atoms.get_chemical_symbols())):
        ensure_data(element)
        write_basis(element, basis, bases)
    with search_path(bases, generated_folder()):
        yield


def _build(request: LcaoRequest, mixing: dict[str, float], folder: Path) -> Any:
    """Return GPAW's calculation object, nothing converged yet."""
    from gpaw.new.calculation import DFT

    with functions_at_hand(request, COMPACT, folder):
        return DFT(
            request.atoms,
            **lcao_parameters(request, COMPACT, request.scf_mesh),
            mixer={"backend": "pulay", **mixing},
            convergence={
                "density": request.density_tolerance_per_electron,
                "eigenstates": 1e10,
                "energy": 1e-4,
            },
            txt=str(folder / "scf.log"),
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
