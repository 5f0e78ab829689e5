"""The ground state of one structure as it stands."""

from __future__ import annotations

from pathlib import Path

from ase import Atoms

from bondwright.dft.calculation import Calculation
from bondwright.dft.engine import Engine, ScfProgress
from bondwright.dft.settings import DftSettings


def single_point(
    atoms: Atoms,
    engine: Engine,
    settings: DftSettings,
    folder: Path,
    *,
    forces: bool = True,
    stress: bool = True,
    progress: ScfProgress | None = None,
) -> Calculation:
    """Find the ground state of a structure; a folder that holds the answer gives it at once.

    Args:
        atoms: fully periodic structure (positions and cell in Å).
        engine: the program that solves it.
        settings: what is asked for.
        folder: where log, density and record are kept; made when absent.
        forces: compute the forces too.
        stress: compute the stress too.
        progress: called after every SCF step.

    Returns:
        The calculation; its status says how it ended.

    Raises:
        InputError: the program is not installed.
    """
    session = engine.open(settings, folder, progress=progress)
    try:
        return session.solve(atoms, forces=forces, stress=stress)
    finally:
        session.close()
