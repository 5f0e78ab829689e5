"""A crystal as space group, cell and occupied Wyckoff positions.

The cell is the conventional one that spglib standardises to: origin choice 1, hexagonal axes for
rhombohedral groups, unique axis b for monoclinic ones.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.crystals.wyckoff import locate, orbit, parameters_of
from bondwright.errors import InputError
from bondwright.structure import expand
from bondwright.structure.parsed import Unreadable
from bondwright.structure.symmetry import symmetry_dataset, symmetry_operations

ON_POSITION = 2e-3
"""Fraction of a cell edge by which a written coordinate may miss its Wyckoff position."""

_EXACT = 1e-6
"""Fraction of a cell edge; spglib's standardised positions are symmetric to 1e-13."""


@dataclass(frozen=True)
class Site:
    """One occupied orbit.

    Attributes:
        element: chemical symbol.
        multiplicity: atoms of the orbit in the conventional cell.
        letter: Wyckoff letter ("a" to "z", "A"); "" where it is not known.
        position: fractional coordinates of one atom of the orbit, in [0, 1).
    """

    element: str
    multiplicity: int
    letter: str
    position: tuple[float, float, float]


@dataclass(frozen=True)
class Crystal:
    """A crystal in the conventional cell of its space group.

    Attributes:
        space_group: International Tables number, 1 to 230.
        lengths: a, b, c in Å.
        angles: alpha, beta, gamma in degrees.
        sites: the occupied orbits.
    """

    space_group: int
    lengths: tuple[float, float, float]
    angles: tuple[float, float, float]
    sites: tuple[Site, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Atoms of each element in the conventional cell."""
        total: Counter[str] = Counter()
        for site in self.sites:
            total[site.element] += site.multiplicity
        return dict(total)


def from_atoms(atoms: Atoms, symprec: float = 0.1) -> Crystal:
    """Describe a structure by its symmetry, in the cell that spglib standardises it to.

    Args:
        atoms: periodic structure (Å).
        symprec: how far (Å) an atom may be from its symmetric place.

    Returns:
        The crystal. Its sites are ordered by electronegativity of the element, then Wyckoff
        letter, then position; a position is the orbit's point on the position's representative
        with the smallest parameters.

    Raises:
        InputError: spglib finds no symmetry (no atoms, coincident atoms, a degenerate cell).
    """
    dataset = symmetry_dataset(atoms, symprec)
    if dataset is None:
        raise InputError(
            f"no symmetry found in {atoms.get_chemical_formula() or 'a structure without atoms'}: "
            f"atoms coincide within {symprec:g} Å or the cell is flat."
        )
    group = int(dataset.number)
    symbols = Atoms(numbers=dataset.std_types).get_chemical_symbols()
    points, numbers = dataset.std_positions, dataset.std_types
    left = np.ones(len(points), dtype=bool)
    sites = []
    while left.any():
        first = int(left.argmax())
        letter, parameters = locate(group, points[first], _EXACT)
        images = orbit(group, letter, parameters)
        apart = points[:, None] - images[None]
        apart -= np.rint(apart)
        mine = (np.abs(apart).max(axis=2) < 2 * _EXACT).any(axis=1) & (numbers == numbers[first])
        if int((mine & left).sum()) != len(images):
            raise InputError(
                f"the symmetry found in {atoms.get_chemical_formula()} does not hold for its "
                f"{symbols[first]} atoms; try another tolerance than {symprec:g} Å."
            )
        left &= ~mine
        sites.append(Site(symbols[first], len(images), letter, _triple(images[0])))
    cell = Atoms(cell=dataset.std_lattice).cell.cellpar()
    return Crystal(group, _triple(cell[:3]), _triple(cell[3:]), ordered(sites))


def to_atoms(crystal: Crystal) -> Atoms:
    """Return all atoms of the conventional cell, orbit by orbit.

    A site whose letter is known is put exactly on its Wyckoff position; one without is expanded by
    the operations, images closer than `expand.MERGE_TOLERANCE` being one atom.

    Raises:
        InputError: the cell is no crystal's, a site is not on the position of its letter, or its
            orbit has another multiplicity than it says.
    """
    try:
        lattice = expand.lattice_from_parameters(crystal.lengths, crystal.angles)
    except Unreadable as problem:
        raise InputError(str(problem)) from None
    points = [_points(crystal.space_group, site, lattice) for site in crystal.sites]
    return Atoms(
        symbols=[site.element for site in crystal.sites for _ in range(site.multiplicity)],
        scaled_positions=np.concatenate(points) if points else np.zeros((0, 3)),
        cell=lattice,
        pbc=True,
    )


def ordered(sites: Iterable[Site]) -> tuple[Site, ...]:
    """Return sites by electronegativity of the element, then Wyckoff letter, then position."""
    place = electronegativity_order()
    return tuple(
        sorted(
            sites,
            key=lambda site: (place[site.element], letter_order(site.letter), site.position),
        )
    )


def letter_order(letter: str) -> int:
    """Return the place of a Wyckoff letter: "a" to "z" are 0 to 25, "A" is 26; "" is -1."""
    if not letter:
        return -1
    return 26 if letter == "A" else ord(letter) - ord("a")


@cache
def electronegativity_order() -> dict[str, int]:
    """Return the elements by Pauling electronegativity, then symbol, each with its place.

    Elements without a value (He, Ne, Ar and the heaviest) come last.
    """
    from pymatgen.core.periodic_table import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns of every element without a value
        values = {element.symbol: element.X for element in Element if element.Z <= 103}
    # A value is not equal to itself where it is NaN.
    keys = {name: (value if value == value else np.inf, name) for name, value in values.items()}
    return {name: place for place, name in enumerate(sorted(keys, key=keys.__getitem__))}


def _points(group: int, site: Site, lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fractional coordinates (multiplicity, 3) of a site's orbit."""
    if site.letter:
        parameters = parameters_of(group, site.letter, site.position, ON_POSITION)
        if not len(parameters):
            raise InputError(
                f"{site.element} at {_shown(site)} is not on Wyckoff position {site.letter} of "
                f"space group {group}."
            )
        points = orbit(group, site.letter, parameters[0])
    else:
        operations = expand.Operations(*symmetry_operations(group))
        points = expand.orbit(np.array(site.position), operations, lattice)
    if len(points) != site.multiplicity:
        raise InputError(
            f"{site.element} at {_shown(site)} has {len(points)} images in space group {group}, "
            f"not {site.multiplicity}."
        )
    return points


def _shown(site: Site) -> str:
    return "({:.4f}, {:.4f}, {:.4f})".format(*site.position)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
