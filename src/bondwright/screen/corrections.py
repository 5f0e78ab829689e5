"""MP2020 energy corrections, and which energies may share a hull.

PBE misplaces anions, and the Materials Project computes oxides and fluorides of V, Cr, Mn, Fe, Co,
Ni, Mo and W with a Hubbard U. Its MP2020 scheme (Wang et al., Sci. Rep. 11, 15496 (2021),
doi:10.1038/s41598-021-94550-5) makes all of them comparable by one constant per atom of certain
elements. A raw energy placed on a corrected hull would be wrong by up to several tenths of an eV
per atom, so the two are never mixed.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np
from ase import Atoms
from pymatgen.core import Element
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.ase import AseAtomsAdaptor

from bondwright.screen.potentials import EnergyKind


@lru_cache(maxsize=1)
def _scheme() -> MaterialsProject2020Compatibility:
    return MaterialsProject2020Compatibility(check_potcar=False)


def hubbard_u(atoms: Atoms) -> dict[str, float]:
    """Return the U (eV) that the Materials Project uses for each element of this compound.

    U is applied in oxides and fluorides only: where O or F is the most electronegative element.
    """
    symbols = set(atoms.get_chemical_symbols())
    # Elements without an electronegativity (He, Ne, Ar) take no part in the choice.
    anion = max(symbols, key=lambda s: np.nan_to_num(Element(s).X, nan=-1.0))
    values = _scheme().u_settings.get(anion, {}) if len(symbols) > 1 else {}
    return {s: float(values[s]) for s in sorted(symbols) if values.get(s)}


def mp2020_correction(atoms: Atoms) -> float:
    """Return the MP2020 correction of a compound in eV per atom (to be added to a raw energy).

    The kind of oxide (oxide, peroxide, superoxide, ozonide) is found from the structure.

    Args:
        atoms: periodic structure (positions in Å).

    Raises:
        ValueError: the structure has an element that the scheme does not know.
    """
    plain = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    hubbards = hubbard_u(plain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about oxidation states that could not be guessed
        entry = ComputedStructureEntry(
            AseAtomsAdaptor.get_structure(plain),
            0.0,
            parameters={
                "run_type": "GGA+U" if hubbards else "GGA",
                "hubbards": hubbards,
                "is_hubbard": bool(hubbards),
                "software": "other",  # there are no VASP potential files to check
            },
        )
        adjustments = _scheme().get_adjustments(entry)
    return float(sum(a.value for a in adjustments)) / len(plain)


def correction_between(potential: EnergyKind, hull: EnergyKind) -> str:
    """Return which correction brings a potential's energies onto a hull's scale.

    Args:
        potential: what the potential's energies are.
        hull: what the hull's energies are.

    Returns:
        "none" or "mp2020" (to be added to the potential's energies).

    Raises:
        ValueError: no correction does it.
    """
    if potential is EnergyKind.RAW and hull is EnergyKind.CORRECTED:
        return "mp2020"
    if potential is hull:
        return "none"
    raise ValueError(f"{potential} energies cannot be placed on a hull of {hull} energies")
