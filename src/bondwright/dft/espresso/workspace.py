"""The folder in which pw.x works on one ground state, and what may be used of what lies there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.calculation import Correction, Status
from bondwright.dft.espresso.input import PREFIX
from bondwright.dft.espresso.status import Judgement, Restart, SavedState, inspect_save
from bondwright.errors import InputError
from bondwright.structure.records import atoms_from_json, atoms_to_json
from bondwright.structure.write import write_text

LARGEST_MOVE_A = 0.3
"""A density is a better start than free atoms while no atom has moved further than this (Å)."""
LARGEST_STRAIN = 0.1
"""And while no component of the strain is larger."""


class Workspace:
    """Input, output, saved data and state of the last ground state of a session.

    The state says for which request the saved data are, how the run ended and how to go on. It is
    set to "running" before pw.x starts, so that what a killed driver leaves is never trusted.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder when it is absent.

        Raises:
            InputError: it cannot be made.
        """
        self.folder = folder
        self.outdir = folder / "out"
        self.save = self.outdir / f"{PREFIX}.save"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be made ({error.strerror}); choose another folder."
            ) from error

    @property
    def state(self) -> dict[str, Any]:
        """What was noted last; nothing when there is no note or it is damaged."""
        try:
            state = json.loads((self.folder / "state.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def begin(self, digest: str) -> None:
        """Note that a run begins."""
        self._write({"digest": digest, "status": "running"})

    def end(
        self,
        digest: str,
        verdict: Judgement,
        corrections: list[Correction],
        *,
        seconds: float,
        atoms: Atoms,
        polarised: bool,
    ) -> None:
        """Note how a run ended."""
        self._write(
            {
                "digest": digest,
                "status": str(verdict.status),
                "restart": str(verdict.restart),
                "corrections": [vars(c) for c in corrections],
                "seconds": seconds,
                "atoms": atoms_to_json(atoms),
                "polarised": polarised,
            }
        )

    def holds(self, digest: str) -> bool:
        """Whether the saved density is the converged one of a request."""
        state = self.state
        converged = state.get("digest") == digest and state.get("status") == Status.CONVERGED
        return converged and inspect_save(self.save).complete

    def can_continue(self, digest: str) -> bool:
        """Whether a run for a request stopped such that it can be taken up."""
        state = self.state
        stopped = state.get("digest") == digest and state.get("restart") == Restart.CONTINUE
        return stopped and inspect_save(self.save).complete

    def saved_since(self, moment: float) -> SavedState:
        """Return the state of the saved data; what was there before a moment does not count.

        Args:
            moment: as `time.time` gives it.
        """
        found = inspect_save(self.save)
        xml = self.save / "data-file-schema.xml"
        if found.description and xml.stat().st_mtime < moment:
            return SavedState(False, found.density, (xml.name, *found.missing))
        return found

    def has_density_near(self, atoms: Atoms, moments: NDArray[np.float64] | None) -> bool:
        """Whether the saved density belongs to nearly this structure."""
        state = self.state
        if state.get("status") != Status.CONVERGED or not inspect_save(self.save).complete:
            return False
        before = atoms_from_json(state["atoms"])
        same = np.array_equal(before.numbers, atoms.numbers)
        if not same or state["polarised"] != (moments is not None):
            return False
        strain = np.linalg.solve(before.cell.array, atoms.cell.array) - np.eye(3)
        near = largest_move_A(before, atoms) < LARGEST_MOVE_A
        return near and bool(np.abs(strain).max() < LARGEST_STRAIN)

    def _write(self, state: Mapping[str, Any]) -> None:
        write_text(self.folder / "state.json", json.dumps(state))


def largest_move_A(before: Atoms, after: Atoms) -> float:  # noqa: N802 (a unit)
    """Return the longest way of an atom (Å) beyond what the change of the cell explains."""
    moved = after.get_scaled_positions(wrap=False) - before.get_scaled_positions(wrap=False)
    moved = (moved - np.rint(moved)) @ after.cell.array
    return float(np.linalg.norm(moved, axis=1).max())
