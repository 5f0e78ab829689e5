"""What a DFT calculation is asked for, in words that every engine understands."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from bondwright.errors import InputError, nearest


class Spin(StrEnum):
    """Whether a calculation is spin-polarised.

    `AUTO` polarises where d or f elements with open shells ask for it (see `dft.spin`).
    """

    AUTO = "auto"
    NONE = "none"
    POLARISED = "polarised"


@dataclass(frozen=True)
class DftSettings:
    """Numerical and physical settings of a calculation, the same for every engine.

    Attributes:
        preset: name of the preset that these settings started from; "" for none.
        functional: exchange-correlation functional, e.g. "PBE".
        cutoff_eV: plane-wave cut-off of the wave functions, eV.
        kpoint_spacing_per_A: largest distance between neighbouring k-points, Å^-1, with
            reciprocal vectors that include 2 pi. The mesh is Gamma-centred.
        kpoints: an explicit Gamma-centred mesh; None lets `kpoint_spacing_per_A` choose.
        smearing_eV: width of the Fermi-Dirac occupations, eV.
        spin: whether to polarise.
        hubbard_u_eV: element -> U on its d shell, eV, applied in oxides and fluorides only.
        energy_tolerance_eV_per_electron: the SCF has converged when the energy changes less.
        density_tolerance_per_electron: and the density, electrons per valence electron.
        max_scf_steps: SCF steps before a correction is tried.
        force_tolerance_eV_per_A: largest force at the end of a relaxation, eV/Å.
        stress_tolerance_GPa: largest stress component at the end of a cell relaxation, GPa.
        max_relax_steps: steps after which a relaxation counts as not converged.
    """

    preset: str = ""
    functional: str = "PBE"
    cutoff_eV: float = 600.0
    kpoint_spacing_per_A: float = 0.25
    kpoints: tuple[int, int, int] | None = None
    smearing_eV: float = 0.05
    spin: Spin = Spin.AUTO
    hubbard_u_eV: Mapping[str, float] = field(default_factory=dict)
    energy_tolerance_eV_per_electron: float = 1e-5
    density_tolerance_per_electron: float = 1e-4
    max_scf_steps: int = 100
    force_tolerance_eV_per_A: float = 0.03
    stress_tolerance_GPa: float = 0.1
    max_relax_steps: int = 60


MATERIALS_PROJECT_U_EV: Mapping[str, float] = {
    "Co": 3.32,
    "Cr": 3.7,
    "Fe": 5.3,
    "Mn": 3.9,
    "Mo": 4.38,
    "Ni": 6.2,
    "V": 3.25,
    "W": 6.2,
}
"""U on the d shell, eV, fitted to formation enthalpies of oxides (Wang, Maxisch and Ceder, Phys.
Rev. B 73, 195107, 2006, doi:10.1103/PhysRevB.73.195107; Jain et al., Phys. Rev. B 84, 045115, 2011,
doi:10.1103/PhysRevB.84.045115)."""

PRESETS: Mapping[str, DftSettings] = {
    "quick": DftSettings(
        preset="quick",
        cutoff_eV=450.0,
        kpoint_spacing_per_A=0.5,
        smearing_eV=0.1,
        force_tolerance_eV_per_A=0.1,
        stress_tolerance_GPa=1.0,
        max_relax_steps=20,
    ),
    "standard": DftSettings(preset="standard"),
    "tight": DftSettings(
        preset="tight",
        cutoff_eV=800.0,
        kpoint_spacing_per_A=0.15,
        smearing_eV=0.02,
        energy_tolerance_eV_per_electron=1e-7,
        density_tolerance_per_electron=1e-5,
        force_tolerance_eV_per_A=0.01,
        stress_tolerance_GPa=0.05,
        max_relax_steps=150,
    ),
    "materials-project": DftSettings(
        preset="materials-project",
        cutoff_eV=520.0,
        kpoint_spacing_per_A=0.25,
        hubbard_u_eV=MATERIALS_PROJECT_U_EV,
    ),
}
"""Settings by name.

"materials-project" follows the Materials Project's PBE and PBE+U calculations: 520 eV, 64 k-points
per Å^-3 of reciprocal space (a spacing of 0.25 Å^-1), 0.05 eV of smearing, U in oxides and
fluorides. The PAW sets are GPAW's, not VASP's: total energies differ by a constant per element, so
only formation energies relative to elements computed in the same way can be compared, never an
energy of one program with a hull of the other.
"""


def preset(name: str, **changes: Any) -> DftSettings:
    """Return the settings of a preset with some of them changed.

    Raises:
        InputError: no such preset, or no such setting.
    """
    if name not in PRESETS:
        raise InputError(
            f"there is no DFT preset {name!r}; choose one of {', '.join(PRESETS)}."
            + nearest(name, PRESETS)
        )
    known = [f.name for f in fields(DftSettings)]
    for key in changes:
        if key not in known:
            raise InputError(f"there is no DFT setting {key!r}." + nearest(key, known))
    return replace(PRESETS[name], **changes)
