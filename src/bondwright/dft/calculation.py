"""What one engine run gave: a status with its reason, and numbers only where there are any."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray


class Status(StrEnum):
    """How a calculation ended.

    `INTERRUPTED` speaks of the machine (walltime, a kill, a node lost): run it again.
    `NOT_CONVERGED` and `FAILED` speak of the calculation. Only `CONVERGED` carries numbers to be
    used.
    """

    CONVERGED = "converged"
    NOT_CONVERGED = "not-converged"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True)
class Correction:
    """One change of numerical settings that was tried because the SCF did not converge.

    Attributes:
        slug: stable name, e.g. "softer-mixing".
        message: one sentence with what was seen and what was changed.
        changes: the engine's own keywords that were changed; JSON values only.
    """

    slug: str
    message: str
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Calculation:
    """One structure's electronic ground state as an engine found it.

    Attributes:
        status: how it ended.
        atoms: the structure, as given (positions and cell in Å).
        engine: name and version of the engine, e.g. "gpaw 26.7.0".
        settings: what was asked for; JSON values only.
        reason: stable slug when not converged ("scf-not-converged", "walltime"); empty otherwise.
        message: one sentence for people; empty when converged.
        energy_eV: total energy of the cell extrapolated to zero smearing; None unless converged.
        forces_eV_per_A: (n, 3); None when not computed.
        stress_GPa: (3, 3), positive when the cell would like to shrink (ASE's sign: tension is
            positive); None when not computed.
        fermi_eV: Fermi level on the engine's own energy scale.
        gap_eV: smallest gap on the mesh of the SCF, 0 for metals; None when unknown.
        magnetic_moment: total, in Bohr magnetons; None when not polarised.
        magnetic_moments: per atom, in Bohr magnetons; None when not polarised.
        scf_steps: SCF steps of the last attempt.
        corrections: what was changed before it converged or was given up.
        notes: further sub-results; JSON values only, units in the keys.
        seconds: wall-clock seconds, all attempts.
    """

    status: Status
    atoms: Atoms
    engine: str
    settings: dict[str, Any]
    reason: str = ""
    message: str = ""
    energy_eV: float | None = None
    forces_eV_per_A: NDArray[np.float64] | None = None
    stress_GPa: NDArray[np.float64] | None = None
    fermi_eV: float | None = None
    gap_eV: float | None = None
    magnetic_moment: float | None = None
    magnetic_moments: NDArray[np.float64] | None = None
    scf_steps: int = 0
    corrections: tuple[Correction, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
