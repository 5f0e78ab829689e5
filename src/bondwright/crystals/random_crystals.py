"""Random symmetric crystals: the least that a generator has to beat.

A space group is drawn among those that can close the composition, then Wyckoff positions, the shape
of the cell and free coordinates. The only chemistry in it is the size of atoms: the cell has the
volume that its atoms usually take, and no two of them stand nearer than the strict validity test
allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from bondwright.crystals.closure import closing_groups, next_positions
from bondwright.crystals.contacts import allowed_contacts
from bondwright.crystals.crystal import (
    Crystal,
    Site,
    electronegativity_order,
    from_atoms,
    ordered,
    to_atoms,
)
from bondwright.crystals.dialect import Request
from bondwright.crystals.usual_volume import usual_volume
from bondwright.crystals.wyckoff import WyckoffPosition, positions
from bondwright.crystals.wyckoff_canonical import UNIT
from bondwright.crystals.wyckoff_cell import SixParameters, cell_of, free_parameters, volume_factor
from bondwright.crystals.wyckoff_places import Places
from bondwright.errors import InputError
from bondwright.screen.validity import ValiditySettings
from bondwright.screen.validity_geometry import check_contacts
from bondwright.structure.expand import lattice_from_parameters
from bondwright.structure.parsed import Unreadable

NO_ARRANGEMENT = "no-arrangement"


@dataclass(frozen=True)
class RandomSettings:
    """What random crystals are like.

    Attributes:
        usual_atoms: most atoms in the conventional cell where the number of formula units is
            free; one formula unit is always possible.
        volume_spread: standard deviation of ln(volume / usual volume); the fit's own error.
        axis_spread: standard deviation of the logarithm of free axis ratios.
        tries: arrangements tried before the crystal is given up.
        tries_per_group: arrangements tried before another space group is drawn.
        symprec: tolerance (Å) at which the crystal has to have the group that was drawn.
    """

    usual_atoms: int = 40
    volume_spread: float = 0.09
    axis_spread: float = 0.35
    tries: int = 120
    tries_per_group: int = 12
    symprec: float = 0.1


@dataclass(frozen=True)
class RandomCrystal:
    """One random crystal, and how it was found.

    Attributes:
        index: its number; with the seed it decides everything.
        crystal: as spglib standardises it; None when no arrangement was found.
        problem: "" or "no-arrangement".
        tries: arrangements tried.
        groups: space groups drawn until it was found.
    """

    index: int
    crystal: Crystal | None
    problem: str
    tries: int
    groups: int


def check(request: Request, settings: RandomSettings | None = None) -> None:
    """Refuse a request that no random crystal can meet.

    Raises:
        InputError: neither formula nor elements, an element that is not known, or no Wyckoff
            positions that give the composition.
    """
    if request.formula is None and request.elements is None:
        raise InputError("a random crystal needs a formula or a chemical system; name one.")
    for element in request.formula or request.elements or ():
        if element not in atomic_numbers:
            raise InputError(f"there is no element {element!r}.")
    if request.formula is not None and not _choices(_asked(request), settings or RandomSettings()):
        raise InputError(
            "no Wyckoff positions give this composition in the space group and cell that are "
            "asked for; leave one of them free."
        )


def random_crystals(
    requests: Sequence[Request],
    seed: int,
    settings: RandomSettings | None = None,
    *,
    first: int = 0,
) -> Iterator[RandomCrystal]:
    """Yield one random crystal for each request, in order.

    Args:
        requests: what each has to be: a formula, or a chemical system (then up to four atoms of
            each element form the formula).
        seed: decides, with the index of a request, its crystal.
        settings: the defaults when None.
        first: index of the first request, for a part of a larger set.

    Raises:
        InputError: a request that cannot be met, before its crystal is drawn.
    """
    for index, request in enumerate(requests, start=first):
        yield random_crystal(request, seed, index, settings)


def random_crystal(
    request: Request, seed: int, index: int, settings: RandomSettings | None = None
) -> RandomCrystal:
    """Return one random crystal.

    Raises:
        InputError: as `check`.
    """
    settings = settings or RandomSettings()
    check(request, settings)
    random = np.random.Generator(np.random.PCG64([seed, index]))
    tries = groups = 0
    while tries < settings.tries:
        groups += 1
        choices = _choices(_asked(request, random), settings)
        if not choices:  # elements whose drawn counts close nowhere
            tries += 1
            continue
        counts, open_groups = choices[random.integers(len(choices))]
        group = int(open_groups[random.integers(len(open_groups))])
        for _ in range(min(settings.tries_per_group, settings.tries - tries)):
            tries += 1
            crystal = _arrange(group, counts, random, settings)
            if crystal is not None:
                return RandomCrystal(index, crystal, "", tries, groups)
    return RandomCrystal(index, None, NO_ARRANGEMENT, tries, groups)


def _asked(request: Request, random: np.random.Generator | None = None) -> Request:
    """Return the request with a formula: its own, or one drawn for its elements."""
    if request.formula is not None or random is None:
        return request
    formula = {element: int(random.integers(1, 5)) for element in request.elements or ()}
    divisor = math.gcd(*formula.values())
    return Request(
        formula={element: n // divisor for element, n in formula.items()},
        space_group=request.space_group,
        max_atoms=request.max_atoms,
    )


def _choices(
    request: Request, settings: RandomSettings
) -> list[tuple[dict[str, int], tuple[int, ...]]]:
    """Return what can be drawn: atoms of the cell, and the space groups that close them."""
    formula = dict(request.formula or {})
    atoms = sum(formula.values())
    most = min(request.max_atoms, max(settings.usual_atoms, atoms)) // max(atoms, 1)
    units = [request.formula_units] if request.formula_units else range(1, most + 1)
    found = []
    for unit in units:
        counts = {element: n * unit for element, n in formula.items()}
        groups = closing_groups(tuple(sorted(counts.values())))
        if request.space_group is not None:
            groups = tuple(group for group in groups if group == request.space_group)
        if groups and sum(counts.values()) <= request.max_atoms:
            found.append((counts, groups))
    return found


def _arrange(
    group: int, counts: Mapping[str, int], random: np.random.Generator, settings: RandomSettings
) -> Crystal | None:
    """Draw cell, positions and coordinates once; None where they make no such crystal."""
    cell = _random_cell(group, usual_volume(counts), random, settings)
    try:
        places = Places(group, lattice_from_parameters(cell[:3], cell[3:]), allowed_contacts())
    except Unreadable:
        return None
    sites = []
    for element, place in _random_positions(group, counts, random):
        number, values = atomic_numbers[element], list[int]()
        for _ in place.free:
            open_values = np.flatnonzero(places.open_values(number, place, values))
            values.append(int(open_values[random.integers(len(open_values))]))
        places.add(number, place, values)
        sites.append(Site(element, place.multiplicity, place.letter, _first(place, values)))
    drawn = Crystal(group, cell[:3], cell[3:], ordered(sites))
    try:
        atoms = to_atoms(drawn)
        contacts = check_contacts(atoms, ValiditySettings().contacts)
        crystal = from_atoms(atoms, settings.symprec) if contacts["passed"] else None
    except InputError:
        return None
    # Special positions alone may have a higher symmetry than the one that was drawn.
    return crystal if crystal is not None and crystal.space_group == group else None


def _random_cell(
    group: int, volume: float, random: np.random.Generator, settings: RandomSettings
) -> SixParameters:
    """Draw a cell of the group's lattice system: axis ratios, angles, then the volume (Å³)."""
    free = free_parameters(group)
    while True:
        shape = [
            math.exp(random.normal(0, settings.axis_spread)) if k < 3 else random.uniform(60, 120)
            for k in free
        ]
        unscaled = cell_of(group, shape)
        factor = volume_factor(*unscaled[3:])
        if factor > 0.3:  # flatter cells are skewed descriptions of others
            break
    wanted = volume * math.exp(random.normal(0, settings.volume_spread))
    scale = (wanted / (math.prod(unscaled[:3]) * factor)) ** (1 / 3)
    return cell_of(group, [x * scale if k < 3 else x for k, x in zip(free, shape, strict=True)])


def _random_positions(
    group: int, counts: Mapping[str, int], random: np.random.Generator
) -> list[tuple[str, WyckoffPosition]]:
    """Draw orbit after orbit among those that leave a composition that can be closed."""
    places = positions(group)
    elements = sorted(counts, key=electronegativity_order().__getitem__)
    drawn, used = [], 0
    for number, element in enumerate(elements):
        later = tuple(sorted(counts[other] for other in elements[number + 1 :]))
        count = counts[element]
        while count:
            possible = next_positions(group, used, 0, count, later)
            place = possible[random.integers(len(possible))]
            if not places[place].free:
                used |= 1 << place
            count -= places[place].multiplicity
            drawn.append((element, places[place]))
    return drawn


def _first(place: WyckoffPosition, values: Sequence[int]) -> tuple[float, float, float]:
    """Return the first point of an orbit (fractional) with these whole coordinates."""
    parameters = np.zeros(3)
    parameters[list(place.free)] = np.array(values, dtype=float) / UNIT
    x, y, z = ((place.rotations[0] @ parameters + place.translations[0]) % 1.0).tolist()
    return x, y, z
