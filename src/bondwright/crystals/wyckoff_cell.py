"""Cell parameters: which ones a space group leaves free, and how lengths are written.

Settings are those that spglib standardises to. Lengths are written in units of the edge of a cube
with the usual volume of the cell's atoms, and on a logarithmic scale. So equal structures of
different elements have nearly equal texts, and a possible volume is one whose numbers have about a
given sum, which is easier to learn than a product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bondwright.crystals.usual_volume import usual_volume
from bondwright.crystals.wyckoff_vocabulary import FINE, SMALLEST
from bondwright.structure.symmetry import lattice_system

SixParameters = tuple[float, float, float, float, float, float]
"""a, b, c in Å and alpha, beta, gamma in degrees."""

_FREE = {
    "triclinic": (0, 1, 2, 3, 4, 5),
    "monoclinic": (0, 1, 2, 4),
    "orthorhombic": (0, 1, 2),
    "tetragonal": (0, 2),
    "rhombohedral": (0, 2),  # in hexagonal axes
    "hexagonal": (0, 2),
    "cubic": (0,),
}


def free_parameters(space_group: int) -> tuple[int, ...]:
    """Return which of a, b, c, alpha, beta, gamma (0 to 5) are free, ascending."""
    return _FREE[lattice_system(space_group)]


def cell_of(space_group: int, free: Sequence[float]) -> SixParameters:
    """Return all cell parameters (Å, degrees) from the free ones.

    Args:
        space_group: International Tables number.
        free: values of `free_parameters(space_group)`.
    """
    system = lattice_system(space_group)
    given = dict(zip(_FREE[system], free, strict=True))
    a = given[0]
    c = given.get(2, a)
    gamma = 120.0 if system in ("hexagonal", "rhombohedral") else 90.0
    return (a, given.get(1, a), c, given.get(3, 90.0), given.get(4, 90.0), given.get(5, gamma))


def volume_factor(alpha: float, beta: float, gamma: float) -> float:
    """Return the volume of a cell with edges of 1 and these angles (°); 0 where none closes."""
    x, y, z = (math.cos(math.radians(angle)) for angle in (alpha, beta, gamma))
    return math.sqrt(max(1 + 2 * x * y * z - x * x - y * y - z * z, 0.0))


def usual_length(atoms: Mapping[str, int]) -> float:
    """Return the unit of length of a cell with these atoms, Å."""
    return math.cbrt(usual_volume(atoms))


def length_number(length: float, unit: float) -> float:
    """Return the number that a length (Å) is written as, before it is rounded."""
    return math.log(length / unit / SMALLEST) / FINE


def length_of(number: int, unit: float) -> float:
    """Return the length (Å) of a number."""
    return SMALLEST * math.exp(FINE * number) * unit
