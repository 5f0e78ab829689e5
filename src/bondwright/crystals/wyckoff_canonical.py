"""The one description of a crystal's sites that is written, of the many that are equivalent.

Equivalent are the points of an orbit, and the choices of origin and axes of `moves`. Of all these
the description with the smallest letters is taken and, of those, the one with the smallest
parameters; along a polar axis an atom of the rarest kind is the origin. What is left open is the
choice of a cell where spglib's own rules leave it open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.crystal import ON_POSITION, letter_order
from bondwright.crystals.wyckoff import position
from bondwright.crystals.wyckoff_moves import Move, moves, polar_axes
from bondwright.crystals.wyckoff_vocabulary import LETTERS
from bondwright.structure.symmetry import symmetry_operations

UNIT = 10_000
"""Steps of a coordinate per cell edge."""

Floats = NDArray[np.float64]


class WrittenSite(NamedTuple):
    """An occupied orbit as it is written; the order of these is the order of the text.

    Attributes:
        element: place of the element in the order by electronegativity.
        letter: place of the Wyckoff letter, 0 for "a".
        parameters: the free coordinates in units of 0.0001.
    """

    element: int
    letter: int
    parameters: tuple[int, ...]


def canonical_sites(
    space_group: int, elements: Sequence[int], letters: Sequence[str], points: Floats
) -> list[WrittenSite]:
    """Return the sites in the description that is written.

    Args:
        space_group: International Tables number.
        elements: for each site, the place of its element in the order of the text.
        letters: Wyckoff letters.
        points: (n, 3) fractional coordinates of one atom of each site, on its position.
    """
    best = _smallest(space_group, elements, letters, points)
    while True:  # rounding can make another of the equivalent descriptions the smallest
        names = [LETTERS[site.letter] for site in best]
        again = _smallest(
            space_group,
            [site.element for site in best],
            names,
            np.array([_point(space_group, name, s) for name, s in zip(names, best, strict=True)]),
        )
        if again >= best:
            return best
        best = again


def _smallest(
    space_group: int, elements: Sequence[int], letters: Sequence[str], points: Floats
) -> list[WrittenSite]:
    """Return the smallest description, parameters rounded."""
    best: list[WrittenSite] = []
    for move in _moves_to_first_letters(space_group, elements, letters):
        names = [move.letters[letter] for letter in letters]
        moved = points @ move.rotation.T + move.shift
        for origin in _origins(space_group, elements, names, moved):
            parameters = _parameters(space_group, names, moved - origin)
            found = sorted(
                WrittenSite(element, letter_order(name), values)
                for element, name, values in zip(elements, names, parameters, strict=True)
            )
            if not best or found < best:
                best = found
    return best


def _moves_to_first_letters(
    space_group: int, elements: Sequence[int], letters: Sequence[str]
) -> list[Move]:
    """Return the moves after which the elements have the smallest letters."""
    labels = [
        sorted((e, letter_order(move.letters[k])) for e, k in zip(elements, letters, strict=True))
        for move in moves(space_group)
    ]
    return [m for m, label in zip(moves(space_group), labels, strict=True) if label == min(labels)]


def _origins(
    space_group: int, elements: Sequence[int], letters: Sequence[str], points: Floats
) -> Iterator[Floats]:
    """Yield the points that may be the origin as far as polar axes leave it open."""
    axes = list(polar_axes(space_group))
    if not axes:
        yield np.zeros(3)
        return
    labels = list(zip(elements, (letter_order(letter) for letter in letters), strict=True))
    count = Counter(labels)
    rarest = min(labels, key=lambda label: (count[label], label))
    rotations, translations = symmetry_operations(space_group)
    chosen = points[[label == rarest for label in labels]]
    images = np.einsum("oij,nj->noi", rotations, chosen) + translations
    heights = np.round(images[:, :, axes].reshape(-1, len(axes)) % 1.0, 6) % 1.0
    for height in np.unique(heights, axis=0):
        origin = np.zeros(3)
        origin[axes] = height
        yield origin


def _parameters(space_group: int, letters: Sequence[str], points: Floats) -> list[tuple[int, ...]]:
    """Return the smallest parameters of each point, in whole steps."""
    rotations, translations = symmetry_operations(space_group)
    found: list[tuple[int, ...]] = [()] * len(points)
    for letter in set(letters):
        place = position(space_group, letter)
        if not place.free:
            continue
        free = list(place.free)
        mine = [k for k, name in enumerate(letters) if name == letter]
        images = np.einsum("oij,nj->noi", rotations, points[mine]) + translations
        values = (images - place.translations[0])[:, :, free]
        missed = images - values @ place.rotations[0][:, free].T - place.translations[0]
        missed -= np.rint(missed)
        fits = (np.abs(missed) <= ON_POSITION).all(axis=2)
        steps = np.rint(values * UNIT).astype(np.int64) % UNIT
        # Compared in order: the first parameter counts most.
        rank = steps @ np.array([UNIT**k for k in reversed(range(len(free)))])
        best = np.where(fits, rank, UNIT**3).argmin(axis=1)
        for k, row, choice in zip(mine, steps, best, strict=True):
            found[k] = tuple(row[choice].tolist())
    return found


def _point(space_group: int, letter: str, site: WrittenSite) -> Floats:
    """Return the fractional coordinates of a written site's representative."""
    place = position(space_group, letter)
    values = np.zeros(3)
    values[list(place.free)] = np.array(site.parameters, dtype=float) / UNIT
    return np.asarray(place.rotations[0] @ values + place.translations[0])
