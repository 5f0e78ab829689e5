"""What is tried, in order, when GPAW's SCF does not converge.

Each rung stands on those before it and is recorded with the result. The second one changes the
physics a little and says so; the last one returns to the width that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bondwright.dft.calculation import Correction
from bondwright.dft.settings import DftSettings

_SOFT_MIXER = {"name": "pulay", "beta": 0.02, "nmaxold": 16, "weight": 100.0}
_WIDEST_EV = 0.4
_MORE_BANDS = 1.3


def corrections(settings: DftSettings, bands: int | None) -> tuple[Correction, ...]:
    """Return the rungs of the ladder.

    Args:
        settings: what was asked for.
        bands: number of bands of the attempt that failed; None when it is not known.
    """
    steps = f"after {settings.max_scf_steps} SCF steps"
    wider = min(max(2 * settings.smearing_eV, 0.2), max(_WIDEST_EV, settings.smearing_eV))
    fresh: dict[str, Any] = {
        "random": True,
        "eigensolver": {"name": "davidson", "niter": 3},
        "occupations": _width(settings.smearing_eV),
    }
    if bands is not None:
        fresh["nbands"] = int(bands * _MORE_BANDS) + 1
    return (
        Correction(
            "softer-mixing",
            f"Not converged {steps}; mixed a fiftieth of the new density, damped long waves more.",
            {"mixer": _SOFT_MIXER},
        ),
        Correction(
            "wider-smearing",
            f"Still not converged {steps}; widened the occupations from {settings.smearing_eV:g} "
            f"to {wider:g} eV, which moves the energy (it is extrapolated to zero width).",
            {"occupations": _width(wider)},
        ),
        Correction(
            "fresh-start",
            f"Still not converged {steps}; started again from atoms and random orbitals with more "
            f"bands, three Davidson steps each and occupations of {settings.smearing_eV:g} eV.",
            fresh,
        ),
    )


def continues(correction: Correction) -> bool:
    """Return whether a rung goes on from the density of the one before."""
    return correction.slug != "fresh-start"


def smearing_after(tried: Mapping[str, Any]) -> float:
    """Return the width in eV that GPAW's keywords ask for."""
    return float(tried["occupations"]["width"])


def _width(electronvolts: float) -> dict[str, Any]:
    return {"name": "fermi-dirac", "width": electronvolts}
