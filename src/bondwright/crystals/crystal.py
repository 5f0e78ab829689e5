"""A crystal as space group, cell and occupied Wyckoff positions.

The cell is the conventional one that spglib standardises to: origin choice 1, hexagonal axes for
rhombohedral groups, unique axis b for monoclinic ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


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
