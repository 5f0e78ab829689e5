"""Which structures are calculated spin-polarised, and with which moments they start.

The rule of `Spin.AUTO` counts electrons in open shells, because a spin-polarised calculation costs
twice as much and finds nothing where shells are empty or full:

1. Moments that the structure brings along (`initial_magmoms`) are always used.
2. In compounds with anions (halides, chalcogenides, nitrides, ...) formal charges give every d or f
   element its count of electrons: group number minus charge for d, as many as are left above the
   noble-gas core for f. An empty or full shell (TiO2, ZnO, Cu2O, ZrO2, La2O3) is not polarised;
   anything between (Fe2O3, NiO, CuO, MnO, VO2) is, in high spin.
3. Where formal charges cannot be had, each d or f element of rule 4 counts as open.
4. Without anions (elements, alloys, glasses) Cr, Mn, Fe, Co, Ni and the lanthanides with open 4f
   shells are polarised; all other elements are not.

The start is ferromagnetic. An antiferromagnet is asked for by giving the moments with the
structure.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from bondwright.dft.settings import Spin
from bondwright.structure.identity import composition, reduced_formula

_ANIONS = frozenset({"F", "Cl", "Br", "I", "O", "S", "Se", "Te", "N", "P"})
_ALLOY_MOMENTS = {"Cr": 2.0, "Mn": 3.0, "Fe": 3.0, "Co": 2.0, "Ni": 1.0}
_SMALLEST_OPEN = 0.1  # electrons; formal charges of one element may be averages such as +2.67
_ASKED_FOR = 0.6  # Bohr magnetons where polarisation is asked for and no rule gives a moment


def initial_moments(atoms: Atoms, spin: Spin) -> NDArray[np.float64] | None:
    """Return the magnetic moments that a calculation starts from.

    Args:
        atoms: the structure; moments that it brings along are used as they are.
        spin: what the settings ask for.

    Returns:
        (n,) moments in Bohr magnetons, or None for a calculation that is not polarised.
    """
    if spin is Spin.NONE:
        return None
    given = np.asarray(atoms.get_initial_magnetic_moments(), dtype=float)
    if given.any():
        return given
    by_element = element_moments(atoms)
    moments = np.array([by_element.get(chemical_symbols[z], 0.0) for z in atoms.numbers])
    if moments.any():
        return moments
    return np.full(len(atoms), _ASKED_FOR) if spin is Spin.POLARISED else None


def element_moments(atoms: Atoms) -> dict[str, float]:
    """Return element -> initial moment in Bohr magnetons, for the elements with open shells."""
    elements = list(composition(atoms))
    with_anions = bool(_ANIONS.intersection(elements)) and len(elements) > 1
    charges = _formal_charges(atoms) if with_anions else None
    found = {}
    for element in elements:
        if charges is not None:
            moment = _moment_of_ion(element, charges[element])
        else:
            moment = _moment_in_alloy(element)
        if moment > _SMALLEST_OPEN:
            found[element] = moment
    return found


def _formal_charges(atoms: Atoms) -> Mapping[str, float] | None:
    """Return element -> most likely formal charge, averaged over its sites; None when unknown."""
    from pymatgen.core import Composition

    guesses = Composition(reduced_formula(atoms)).oxi_state_guesses(max_sites=-1)
    return {str(e): float(charge) for e, charge in guesses[0].items()} if guesses else None


def _moment_of_ion(element: str, charge: float) -> float:
    """Return the high-spin moment of an ion's d or f shell, in Bohr magnetons."""
    number = atomic_numbers[element]
    if 57 <= number <= 71:
        return _unpaired(number - 54 - charge, 14)
    if 89 <= number <= 103:
        return _unpaired(number - 86 - charge, 14)
    for first in (21, 39, 72):  # Sc, Y, Hf: groups 3, 3 and 4
        group = number - first + (4 if first == 72 else 3)
        if first <= number <= first + 9 and group <= 12:
            return _unpaired(group - charge, 10)
    return 0.0


def _moment_in_alloy(element: str) -> float:
    number = atomic_numbers[element]
    if 57 <= number <= 71:  # three electrons in bands, two for the divalent Eu and Yb
        return _unpaired(number - 54 - (2 if element in ("Eu", "Yb") else 3), 14)
    return _ALLOY_MOMENTS.get(element, 0.0)


def _unpaired(electrons: float, places: int) -> float:
    """Return the unpaired electrons of a shell by Hund's first rule."""
    held = min(max(electrons, 0.0), float(places))
    return min(held, places - held)
