"""What an output of pw.x says, as plain data: every quantity is either complete or None."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.espresso.bands import Bands


@dataclass(frozen=True)
class ScfIteration:
    """One iteration towards self-consistency.

    Attributes:
        number: as printed, from 1.
        energy_eV: total energy after it; None when the output ends before.
        accuracy_eV: estimated distance from self-consistency; None when the output ends before.
    """

    number: int
    energy_eV: float | None
    accuracy_eV: float | None


@dataclass(frozen=True)
class PwStep:
    """One geometry of a run: its self-consistency and what was computed with it.

    Attributes:
        atoms: the geometry (Å); None when it was not printed.
        iterations: the SCF as far as it went.
        scf_converged: None when the output ends before that was decided.
        free_energy_eV: what pw.x marks with "!", F = E - TS with smearing; None unless converged.
        smearing_eV: the contribution -TS; None without smearing.
        energy_eV: extrapolated to zero smearing width (see `step.zero_width`; the free energy
            where the kind of smearing was not printed); None unless converged.
        forces_eV_per_A: (n, 3); None when absent or incomplete.
        stress_GPa: (3, 3), tension positive; None when absent or incomplete.
        fermi_eV: Fermi level (the higher of two when spins are held apart).
        homo_eV: highest occupied level, for fixed occupations.
        lumo_eV: lowest empty level, for fixed occupations where an empty band was computed.
        gap_eV: smallest gap on the printed k-points, 0 for metals; None when unknown.
        magnetic_moment: total, Bohr magnetons; None when not polarised.
        absolute_moment: integral of the absolute magnetisation, Bohr magnetons.
        magnetic_moments: (n,) of the atoms, Bohr magnetons.
        bands: eigenvalues where printed completely.
    """

    atoms: Atoms | None
    iterations: tuple[ScfIteration, ...]
    scf_converged: bool | None
    free_energy_eV: float | None
    smearing_eV: float | None
    energy_eV: float | None
    forces_eV_per_A: NDArray[np.float64] | None
    stress_GPa: NDArray[np.float64] | None
    fermi_eV: float | None
    homo_eV: float | None
    lumo_eV: float | None
    gap_eV: float | None
    magnetic_moment: float | None
    absolute_moment: float | None
    magnetic_moments: NDArray[np.float64] | None
    bands: Bands | None


@dataclass(frozen=True)
class PwError:
    """An error that pw.x reported.

    Attributes:
        routine: name of its routine; "" when the message stands alone.
        text: the message.
    """

    routine: str
    text: str


@dataclass(frozen=True)
class PwOutput:
    """What the output of one run of pw.x says.

    Attributes:
        unreadable: why the file could not be read; "" when it could.
        version: e.g. "6.7MaX"; "" when not printed.
        task: "scf", "relax", "vc-relax", "md", "bands" or "" when it cannot be told.
        atom_count: atoms in the cell.
        electrons: valence electrons in the cell.
        band_count: Kohn-Sham states.
        kpoint_count: k-points after reduction by symmetry.
        smearing: "fermi-dirac", "gaussian", "methfessel-paxton", "marzari-vanderbilt", or "" for
            none or unknown.
        smearing_width_eV: its width.
        steps: every geometry in order; the last may be incomplete.
        final_atoms: the end of a finished relaxation, else the last geometry with an energy.
        next_atoms: the last geometry printed, from which a relaxation is continued.
        relaxed: True when a relaxation reported convergence, False when it gave up, else None.
        errors: errors in the order printed.
        marks: what else was seen: a name of `output.MARKS`, or "no-density".
        stage: how far it came: "", "start", "scf", "after-scf", "forces", "stress", "saving".
        job_done: pw.x said goodbye.
        wall_seconds: wall-clock time; None unless it finished.
        cpu_seconds: the last CPU time that was reported.
    """

    unreadable: str
    version: str
    task: str
    atom_count: int | None
    electrons: float | None
    band_count: int | None
    kpoint_count: int | None
    smearing: str
    smearing_width_eV: float | None
    steps: tuple[PwStep, ...]
    final_atoms: Atoms | None
    next_atoms: Atoms | None
    relaxed: bool | None
    errors: tuple[PwError, ...]
    marks: frozenset[str]
    stage: str
    job_done: bool
    wall_seconds: float | None
    cpu_seconds: float | None
