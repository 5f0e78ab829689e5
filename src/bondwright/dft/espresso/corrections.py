"""What is changed when an SCF of pw.x does not settle: few steps, in a fixed order, recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from bondwright.dft.calculation import Correction
from bondwright.dft.espresso.units import RYDBERG_EV
from bondwright.dft.settings import DftSettings

VACUUM_A = 6.0
"""An empty layer at least this thick (Å) makes a structure slab-like."""

_MIXING = ("scf-not-converged", "charge-wrong", "mixing-factorisation")
_DIAGONALISATION = ("bands-not-converged", "overlap-matrix", "diagonalisation")
_SAVED = ("saved-data-unreadable", "kpoint-file-missing")


def next_correction(
    reason: str, tried: Sequence[Correction], atoms: Atoms, settings: DftSettings
) -> Correction | None:
    """Return what to change next, or None when nothing is left to try.

    Args:
        reason: slug of the last judgement.
        tried: corrections so far.
        atoms: the structure.
        settings: what was asked for.
    """
    slugs = {c.slug for c in tried}
    if reason in _DIAGONALISATION:
        steps = [
            Correction(
                "other-diagonalisation",
                "The diagonalisation failed; conjugate gradients are used instead of Davidson's.",
                {"diagonalization": "cg"},
            )
        ]
    elif reason in _SAVED:
        steps = [
            Correction("fresh-start", "Files of an earlier run were not usable and were removed.")
        ]
    elif reason in _MIXING:
        steps = _softer(atoms, settings)
    else:
        return None
    return next((step for step in steps if step.slug not in slugs), None)


def slab_like(atoms: Atoms) -> bool:
    """Whether an empty layer runs through the cell along one of its faces."""
    places = np.sort(atoms.get_scaled_positions() % 1.0, axis=0)
    heights = 1.0 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    steps = np.diff(np.vstack([places, places[:1] + 1.0]), axis=0)
    return bool((steps.max(axis=0) * heights > VACUUM_A).any())


def _softer(atoms: Atoms, settings: DftSettings) -> list[Correction]:
    mode = {"mixing_mode": "local-TF"} if slab_like(atoms) else {}
    width = max(2 * settings.smearing_eV, 0.1)
    steps = [
        Correction(
            "softer-mixing",
            "The SCF did not settle; 0.3 of the new density is mixed in at each step.",
            {"mixing_beta": 0.3, **mode},
        ),
        Correction(
            "softest-mixing",
            "The SCF did not settle; 0.1 of the new density is mixed in, with a longer history.",
            {"mixing_beta": 0.1, "mixing_ndim": 12, **mode},
        ),
    ]
    if settings.smearing_eV > 0:
        steps.append(
            Correction(
                "more-smearing",
                f"The SCF did not settle; the occupations are smeared over {width:g} eV.",
                {"mixing_beta": 0.1, "mixing_ndim": 12, "degauss": width / RYDBERG_EV, **mode},
            )
        )
    return steps
