"""Settings in GPAW's own words."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.kpoints import mesh_of
from bondwright.dft.settings import DftSettings
from bondwright.errors import InputError
from bondwright.structure.identity import composition

INSTALL = (
    "GPAW is not installed; run 'python -m bondwright.dft.gpaw_build', which builds it with gcc "
    "and pip."
)
_BUILT_IN = ("LDA", "PBE", "revPBE", "RPBE", "PW91")
_SYMMETRY_TOLERANCES_A = (1e-3, 1e-5)
_U_APPLIES_WITH = frozenset({"O", "F"})


def gpaw_version() -> str:
    """Return the version of the installed GPAW.

    Raises:
        InputError: GPAW is not installed, or its compiled part is not.
    """
    try:
        import gpaw
        import gpaw.cgpaw
    except ImportError as error:
        raise InputError(f"{INSTALL} ({error})") from None
    return str(gpaw.__version__)


def check_functional(functional: str) -> None:
    """Raise when GPAW, as it is built here, does not have a functional.

    Raises:
        InputError: as said.
    """
    from gpaw import get_libraries

    if functional not in _BUILT_IN and not get_libraries()["libxc"]:
        raise InputError(
            f"GPAW is built without libxc here and knows only {', '.join(_BUILT_IN)}, not "
            f"{functional!r}; install libxc and run 'python -m bondwright.dft.gpaw_build'."
        )
    from gpaw.xc import XC

    try:
        XC(functional)
    except (NameError, ValueError, KeyError, AssertionError):
        raise InputError(
            f"GPAW knows no functional {functional!r}; use its own or a libxc name, such as PBE."
        ) from None


def elements_without_data(atoms: Atoms, functional: str) -> list[str]:
    """Return the elements of a structure for which GPAW has no PAW data set."""
    from gpaw.setup_data import search_for_file
    from gpaw.xc import XC

    kind = XC(functional).get_setup_name()
    missing = []
    for element in composition(atoms):
        try:
            search_for_file(f"{element}.{kind}")
        except (FileNotFoundError, RuntimeError):
            missing.append(element)
    return missing


def hubbard_setups(atoms: Atoms, settings: DftSettings) -> dict[str, str]:
    """Return GPAW's PAW set with U for each element that has one here; oxides and fluorides only.

    The occupations are not scaled by the part of the orbital inside the augmentation sphere, as in
    VASP, for which the usual values of U were fitted.
    """
    elements = composition(atoms)
    if not _U_APPLIES_WITH.intersection(elements):
        return {}
    return {e: f":d,{u},0" for e, u in settings.hubbard_u_eV.items() if e in elements and u}


def scf_parameters(
    atoms: Atoms, settings: DftSettings, moments: NDArray[np.float64] | None
) -> dict[str, Any]:
    """Return the keywords of GPAW's calculator for a ground state; JSON values only.

    Args:
        atoms: the structure, Å.
        settings: what is asked for.
        moments: initial magnetic moments, Bohr magnetons; None when not polarised.

    Raises:
        InputError: the k-points cannot be used.
    """
    return {
        "mode": {"name": "pw", "ecut": settings.cutoff_eV},
        "xc": settings.functional,
        "kpts": {"size": list(mesh_of(atoms, settings)), "gamma": True},
        "occupations": {"name": "fermi-dirac", "width": settings.smearing_eV},
        "convergence": {
            "energy": settings.energy_tolerance_eV_per_electron,
            "density": settings.density_tolerance_per_electron,
        },
        "symmetry": usable_symmetry(atoms),
        "spinpol": moments is not None,
        "maxiter": settings.max_scf_steps,
        "setups": hubbard_setups(atoms, settings),
    }


def usable_symmetry(atoms: Atoms) -> dict[str, Any]:
    """Return GPAW's keywords for the symmetry that it can use of a structure.

    Atoms may be off their symmetric places by 1e-3 Å, which is what text files with four decimals
    lose. Where the operations found so loosely are not a group (one crystal in twenty, in cells
    that are not quite standard) GPAW would stop, so a tighter search follows, and then none.

    Screws and glides save a quarter of rutile's k-points. Their translations must be simple
    fractions: GPAW makes its grid divisible by the denominators, and with an inversion centre at
    0.1234 it would search for such a grid for ever.
    """
    from gpaw.new.symmetry import Symmetries, SymmetryAnalysisBug

    for tolerance in _SYMMETRY_TOLERANCES_A:
        try:
            found = Symmetries.from_atoms(atoms, symmorphic=False, tolerance=tolerance)
            twelfths = 12 * found.translation_sc
            if np.allclose(twelfths, np.rint(twelfths), atol=1e-6):
                return {"tolerance": tolerance, "symmorphic": False}
            Symmetries.from_atoms(atoms, symmorphic=True, tolerance=tolerance)
        except SymmetryAnalysisBug:
            continue
        return {"tolerance": tolerance, "symmorphic": True}
    return {"point_group": False}
