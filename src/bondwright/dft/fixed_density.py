"""The ground state of a crystal, and eigenvalues at its density, kept as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.calculation import Calculation
from bondwright.dft.engine import Engine, Session
from bondwright.dft.settings import DftSettings
from bondwright.dft.task_state import ProgressCallback, TaskProgress, TaskState

_CHUNK = 48  # k-points of one engine call: what a stopped task loses at most
_DIGITS = 6  # of an eV; more is below the tolerance of any SCF


class FixedDensity:
    """A converged density that eigenvalues are asked of; a context that closes its session.

    Attributes:
        ground: the self-consistent calculation.
    """

    def __init__(
        self,
        primitive: Atoms,
        engine: Engine,
        settings: DftSettings,
        folder: Path,
        state: TaskState,
        progress: ProgressCallback,
    ) -> None:
        """Find the ground state in `folder/scf`, or take it from there.

        Raises:
            InputError: the engine is missing.
        """
        self._state, self._progress = state, progress
        self._done, self._total = 0, 1
        self._session: Session = engine.open(settings, folder / "scf")
        try:
            self.ground: Calculation = self._session.solve(primitive, forces=False)
        except BaseException:
            self._session.close()
            raise
        self._tell("ground state", 1)

    def __enter__(self) -> FixedDensity:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def expect(self, kpoints: int) -> None:
        """Say how many k-points will be asked for, for the sake of the progress."""
        self._total += kpoints

    def eigenvalues(self, name: str, kpoints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (spins, k, bands) in eV, from the task's state where they are there.

        Raises:
            InputError: the engine cannot give eigenvalues at a fixed density.
        """
        parts = []
        for start in range(0, len(kpoints), _CHUNK):
            key = f"{name}-{start}"
            chunk = kpoints[start : start + _CHUNK]
            where = np.round(chunk, 9).tolist()
            if self._state.points.get(key, {}).get("kpoints") != where:
                values = np.round(self._session.eigenvalues(chunk), _DIGITS).tolist()
                self._state.keep(key, {"kpoints": where, "eigenvalues_eV": values})
            parts.append(np.array(self._state.points[key]["eigenvalues_eV"], dtype=float))
            self._tell(f"{name}: {start + len(chunk)} of {len(kpoints)} k-points", len(chunk))
        bands = min(part.shape[2] for part in parts)
        return np.concatenate([part[:, :, :bands] for part in parts], axis=1)

    def _tell(self, message: str, steps: int) -> None:
        self._done += steps
        self._progress(TaskProgress(self._state.task, self._done, self._total, message))
