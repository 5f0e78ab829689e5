"""Where a melt begins: atoms at random, none on top of another."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii, reference_states
from scipy.spatial import cKDTree

from bondwright.errors import InputError
from bondwright.glasses.composition import Composition

FEWEST, MOST = 50, 100_000
_CLOSEST = 0.65  # of the nearest-neighbour distance of close packing at the same density


def atomic_volume(element: str) -> float:
    """Return the volume of one atom in the element's crystal, Å³ (tables of ASE).

    For structures that the table does not spell out, close-packed spheres of the covalent radius.
    """
    state = reference_states[atomic_numbers[element]] or {}
    a, ratio = state.get("a"), state.get("c/a")
    if state.get("symmetry") == "fcc" and a:
        return float(a**3 / 4)
    if state.get("symmetry") == "bcc" and a:
        return float(a**3 / 2)
    if state.get("symmetry") == "diamond" and a:
        return float(a**3 / 8)
    if state.get("symmetry") == "hcp" and a and ratio:
        return float(np.sqrt(3) / 4 * a**3 * ratio)
    return float(4 * np.sqrt(2) * covalent_radii[atomic_numbers[element]] ** 3)


def vegard_volume_A3(counts: dict[str, int]) -> float:  # noqa: N802
    """Return the volume of a mixture whose atoms keep the volumes of their elements, Å³."""
    return sum(count * atomic_volume(element) for element, count in counts.items())


def random_start(composition: Composition, atoms: int, seed: int) -> Atoms:
    """Return atoms at random places of a cube, at the density of their elements.

    No two are closer than 0.65 of the nearest-neighbour distance of close packing at that density.

    Args:
        composition: shared out over the atoms by the largest remainder.
        atoms: number of atoms, 50 to 100,000.
        seed: of the places.

    Raises:
        InputError: too few or too many atoms.
    """
    if not FEWEST <= atoms <= MOST:
        raise InputError(f"a glass cell has {FEWEST} to {MOST:,} atoms, not {atoms:,}.")
    counts = composition.counts(atoms)
    volume = vegard_volume_A3(counts)
    edge = volume ** (1 / 3)
    apart = _CLOSEST * (np.sqrt(2) * volume / atoms) ** (1 / 3)
    random = np.random.default_rng(seed)
    places = np.empty((0, 3))
    while len(places) < atoms:
        drawn = np.vstack([places, random.random((2 * atoms, 3)) * edge])
        close = cKDTree(drawn, boxsize=edge).query_pairs(apart, output_type="ndarray")
        keep = np.ones(len(drawn), dtype=bool)
        keep[close.max(axis=1)] = False  # of two that are too close the later one goes
        places = drawn[keep][:atoms]
    symbols = [element for element, count in counts.items() for _ in range(count)]
    return Atoms(symbols, positions=places, cell=[edge] * 3, pbc=True)
