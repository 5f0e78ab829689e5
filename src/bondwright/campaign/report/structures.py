"""Structures for the page: what the 3D view draws, and how relaxation changed a structure."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from ase.geometry import find_mic
from numpy.typing import NDArray

from bondwright.campaign.report.formula import subscript
from bondwright.errors import InputError
from bondwright.structure.neighbours import Pairs, neighbour_pairs
from bondwright.structure.symmetry import find_space_group

MAX_DRAWN_ATOMS = 400
"""A larger cell is not drawn: it would be neither readable nor smooth."""

# Elements that take electrons from metals. In a compound, lines between two metals would only
# hide the coordination that people look for, so they are drawn in pure metals and alloys alone.
_NONMETALS = frozenset(
    {
        "H",
        "He",
        "B",
        "C",
        "N",
        "O",
        "F",
        "Ne",
        "Si",
        "P",
        "S",
        "Cl",
        "Ar",
        "Ge",
        "As",
        "Se",
        "Br",
        "Kr",
        "Sb",
        "Te",
        "I",
        "Xe",
        "At",
        "Rn",
    }
)
_BOND_FACTOR = 1.2  # times the sum of covalent radii: Ti-O 1.95 of 2.26 Å, Zr-Zr 3.2 of 3.5 Å
_ANION_FACTOR = 1.15  # between two non-metals: O-O of a peroxide (1.49 Å), not of an oxide (2.5 Å)

_AMU_PER_A3_IN_G_CM3 = 1.66053906660  # CODATA 2018 atomic mass constant in 1e-24 g


def drawing(atoms: Atoms) -> dict[str, Any] | None:
    """Return what the 3D view needs of a cell, compactly; None for a cell that is not drawn.

    Returns:
        `cell`: nine numbers in Å, the cell vectors one after the other; `elements`: the distinct
        symbols; `kinds`: index into `elements` per atom; `xyz`: fractional coordinates within
        [0, 1), three per atom; `bonds`: five integers per bond (i, j and the image of j);
        `centres`: elements whose neighbours are all drawn, also those beyond the cell.
    """
    if not drawable(atoms):
        return None
    symbols = atoms.get_chemical_symbols()
    elements = sorted(set(symbols), key=symbols.index)
    # The wrapping moves atoms to other images, so bonds are found on the wrapped copy.
    wrapped = atoms.copy()
    wrapped.pbc = True
    wrapped.wrap(eps=1e-6)
    try:
        pairs = neighbour_pairs(wrapped, _cutoffs(set(symbols)))
    except InputError:  # a degenerate cell
        return None
    table = np.column_stack([pairs.i, pairs.j, pairs.image])
    return {
        "cell": [round(float(x), 5) for x in atoms.cell.array.ravel()],
        "elements": elements,
        "kinds": [elements.index(s) for s in symbols],
        "xyz": [round(float(x), 5) for x in _fractional(wrapped).ravel()],
        "bonds": [int(x) for x in table.ravel()],
        "centres": _centres(elements, symbols, pairs),
    }


def drawable(atoms: Atoms | None) -> bool:
    """Return whether a cell can be drawn: some atoms, not too many, a cell with a volume."""
    if atoms is None or not 0 < len(atoms) <= MAX_DRAWN_ATOMS:
        return False
    finite = np.isfinite(atoms.cell.array).all() and np.isfinite(atoms.positions).all()
    return bool(finite) and abs(float(np.linalg.det(atoms.cell.array))) > 0.1 * len(atoms)


def _centres(elements: list[str], symbols: list[str], pairs: Pairs) -> list[int]:
    """Return which elements are drawn with all their neighbours, also those beyond the cell.

    The metals of a compound, else the element with the most neighbours per atom; none where all
    atoms are alike or all are metals.
    """
    metals = [k for k, e in enumerate(elements) if e not in _NONMETALS]
    if len(elements) < 2 or len(metals) == len(elements):
        return []
    if metals:
        return metals
    bonds = np.bincount(np.concatenate([pairs.i, pairs.j]), minlength=len(symbols))
    mean = [float(bonds[[s == e for s in symbols]].mean()) for e in elements]
    return [int(np.argmax(mean))]


def _cutoffs(symbols: set[str]) -> dict[tuple[str, str], float]:
    """Return the longest distance in Å that is drawn as a bond, per pair of elements."""
    compound = bool(symbols & _NONMETALS) and bool(symbols - _NONMETALS)
    cutoffs = {}
    ordered = sorted(symbols)
    for k, a in enumerate(ordered):
        for b in ordered[k:]:
            nonmetals = (a in _NONMETALS) + (b in _NONMETALS)
            if compound and nonmetals == 0:
                continue
            factor = _ANION_FACTOR if nonmetals == 2 else _BOND_FACTOR
            radii = [covalent_radii[chemical_symbols.index(x)] for x in (a, b)]
            cutoffs[a, b] = factor * float(sum(radii))
    return cutoffs


def element_table(symbols: set[str]) -> dict[str, dict[str, Any]]:
    """Return per element the colour (Jmol's) and the radius in Å with which it is drawn."""
    table = {}
    for symbol in sorted(symbols):
        number = chemical_symbols.index(symbol)
        red, green, blue = (round(255 * float(c)) for c in jmol_colors[number])
        table[symbol] = {
            "color": f"#{red:02x}{green:02x}{blue:02x}",
            "radius": round(0.14 + 0.17 * float(covalent_radii[number]), 3),
        }
    return table


def measures(atoms: Atoms) -> dict[str, Any]:
    """Return cell lengths (Å), angles (degrees), volume per atom (Å³), density and group."""
    volume = abs(float(np.linalg.det(atoms.cell.array)))
    group = space_group(atoms)
    return {
        "lengths": [round(float(x), 4) for x in atoms.cell.lengths()],
        "angles": [round(float(x), 3) for x in atoms.cell.angles()],
        "volume": round(volume, 3),
        "volume_per_atom": round(volume / len(atoms), 4) if len(atoms) else None,
        "density": density(atoms),
        "group": group,
    }


def density(atoms: Atoms) -> float | None:
    """Return the mass density in g/cm³, or None for a cell without a volume or atoms."""
    volume = abs(float(np.linalg.det(atoms.cell.array)))
    if not len(atoms) or not np.isfinite(volume) or volume < 1e-3:
        return None
    mass = float(sum(atomic_masses[n] for n in atoms.numbers))
    return round(mass * _AMU_PER_A3_IN_G_CM3 / volume, 4)


def space_group(atoms: Atoms) -> str | None:
    """Return symbol and number of the space group found, or None where none was found."""
    if not drawable(atoms):
        return None
    found = find_space_group(atoms, symprec=0.1)
    if found is None:
        return None
    # "P4_2/mnm" has a screw axis 4₂: an underscore stands before a subscript.
    symbol = re.sub(r"_(\d)", lambda m: subscript(m[1]), found.symbol)
    return f"{symbol} ({found.number})"


def largest_displacement(before: Atoms, after: Atoms) -> float | None:
    """Return how far the atom that moved most went, in Å, or None where it cannot be said.

    The change of the cell is taken out by comparing fractional coordinates, and the common drift
    by removing the mean; the remainder is measured in the relaxed cell over all images.
    """
    if len(before) == 0 or list(before.numbers) != list(after.numbers):
        return None
    if not (drawable(before) and drawable(after)):
        return None
    step = _fractional(after) - _fractional(before)
    step -= np.round(step)  # an atom that crossed a face of the cell did not move a whole cell
    step -= step.mean(axis=0)
    _, lengths = find_mic(step @ after.cell.array, after.cell.array, pbc=True)
    return round(float(lengths.max()), 4)


def _fractional(atoms: Atoms) -> NDArray[np.float64]:
    """Return fractional coordinates, shape (n, 3), not wrapped."""
    return np.asarray(atoms.get_scaled_positions(wrap=False), dtype=np.float64)
