"""Can these atoms stand this close, and does the cell agree with what is declared of it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from bondwright.errors import InputError
from bondwright.structure.candidate import Declared
from bondwright.structure.neighbours import Pairs, neighbour_pairs
from bondwright.structure.symmetry import find_space_group, lattice_system, parse_space_group

Numbers = NDArray[np.integer[Any]]

_RHOMBOHEDRAL_NUMBERS = frozenset({146, 148, 155, 160, 161, 166, 167})
_LARGEST_CUTOFF_A = 60.0
_CONTACT_KEYS = ("ratio", "ratio_pair", "ratio_distance_A", "shortest_A", "shortest_pair")
# A fixed 5 degrees, the default elsewhere, would find right angles in a cell of 93 degrees.
_ANGLES_FROM_SYMPREC = -1.0


@dataclass(frozen=True)
class ContactLimits:
    """How close two atoms may stand.

    Attributes:
        factor: smallest distance over the sum of the covalent radii (Cordero et al., Dalton Trans.
            2008, 2832, doi:10.1039/b801115j).
        f_block_factor: the same for pairs with a lanthanide or actinide.
        floor_A: smallest distance of two atoms that are not hydrogen, Å.
        hydrogen_floor_A: smallest distance to a hydrogen atom, Å.
    """

    factor: float
    f_block_factor: float
    floor_A: float  # noqa: N815
    hydrogen_floor_A: float  # noqa: N815

    def factors(self, first: Numbers, second: Numbers) -> NDArray[np.float64]:
        """Return the factor of pairs of atomic numbers, broadcast against each other."""
        return np.where(_is_f_block(first) | _is_f_block(second), self.f_block_factor, self.factor)

    def distances(self, first: Numbers, second: Numbers) -> NDArray[np.float64]:
        """Return the smallest distance (Å) of pairs of atomic numbers, broadcast likewise."""
        radii = covalent_radii[first] + covalent_radii[second]
        floor = np.where((first == 1) | (second == 1), self.hydrogen_floor_A, self.floor_A)
        return np.asarray(np.maximum(self.factors(first, second) * radii, floor))


def check_contacts(atoms: Atoms, limits: ContactLimits) -> dict[str, Any]:
    """Find atoms that stand closer than matter allows.

    Args:
        atoms: the periodic cell.
        limits: smallest distances.

    Returns:
        {passed, ratio, ratio_pair, ratio_distance_A, shortest_A, shortest_pair}: the contact with
        the smallest distance over radii, and the shortest one; None where no neighbour exists
        within 60 Å, or where the cell is too flat to look for one (`problem` says so). Periodic
        images of the same atom count.
    """
    found: dict[str, Any] = dict.fromkeys(_CONTACT_KEYS)
    try:
        pairs = _contacts(atoms)
    except InputError as error:  # a flat cell: images of an atom lie upon it
        return {"passed": False, **found, "problem": str(error)}
    if len(pairs) == 0:
        return {"passed": True, **found}
    numbers = atoms.numbers
    first, second = numbers[pairs.i], numbers[pairs.j]
    ratio = pairs.distance / (covalent_radii[first] + covalent_radii[second])
    bad = pairs.distance < limits.distances(first, second)
    worst = int((ratio / limits.factors(first, second)).argmin())
    shortest = int(pairs.distance.argmin())
    symbols = atoms.get_chemical_symbols()

    def name(k: int) -> str:
        return "-".join(sorted((symbols[pairs.i[k]], symbols[pairs.j[k]])))

    return {
        "passed": not bool(bad.any()),
        "ratio": float(ratio[worst]),
        "ratio_pair": name(worst),
        "ratio_distance_A": float(pairs.distance[worst]),
        "shortest_A": float(pairs.distance[shortest]),
        "shortest_pair": name(shortest),
    }


def check_volume(
    atoms: Atoms,
    declared: Declared | None,
    *,
    smallest_A3: float,  # noqa: N803
    largest_A3: float,  # noqa: N803
    tolerance: float,
) -> dict[str, Any]:
    """Check the volume per atom, and the declared volume against the cell.

    Args:
        atoms: the periodic cell.
        declared: what the text says; None when there is no text.
        smallest_A3: smallest volume per atom, Å³.
        largest_A3: largest volume per atom, Å³.
        tolerance: relative difference allowed between declared and real cell volume.

    Returns:
        {passed, per_atom_A3, declared_A3, cell_A3}.
    """
    volume = float(atoms.cell.volume)
    stated = None if declared is None else declared.volume
    window = smallest_A3 <= volume / len(atoms) <= largest_A3
    agrees = stated is None or abs(stated - volume) <= tolerance * volume
    return {
        "passed": bool(window and agrees),
        "per_atom_A3": volume / len(atoms),
        "declared_A3": stated,
        "cell_A3": volume,
    }


def check_space_group(
    atoms: Atoms, declared: Declared | None, *, symprecs: tuple[float, ...]
) -> dict[str, Any]:
    """Compare the declared space group with the ones found at several tolerances.

    Passed when the declared number is found at one of the tolerances: real coordinates are
    rounded, so that the group they obey at 0.01 Å may be lower and the one at 0.1 Å higher.
    A declared P 1 and a missing declaration contradict nothing. A crystal that has another group
    at every tolerance does not pass, even when the declared one is a subgroup: its text describes
    another crystal than its atoms make; `relation` says so.

    Args:
        atoms: the periodic cell.
        declared: what the text says; None when there is no text.
        symprecs: distance tolerances of the symmetry search, Å.

    Returns:
        {passed, declared, found, relation}: `found` maps each tolerance to a number (None when
        the search gave no answer); `relation` is "equal", "nothing declared", "declared P1",
        "symbol and number disagree", "unreadable", "undetermined", "higher" or "other". Passed is
        None when the search gave no answer at any tolerance.
    """
    groups = {
        symprec: find_space_group(atoms, symprec, _ANGLES_FROM_SYMPREC) for symprec in symprecs
    }
    found = {f"{s:g}": None if g is None else g.number for s, g in groups.items()}
    number, relation = _declared_number(declared)
    numbers = {n for n in found.values() if n is not None}
    passed: bool | None = True
    if not relation:
        if number in numbers:
            relation = "equal"
        elif number == 1:
            relation = "declared P1"
        elif not numbers:
            relation, passed = "undetermined", None
        else:
            # The atoms obey the declared operations when these made the cell; then what is found
            # can only be a supergroup.
            expanded = declared is not None and declared.expanded_from != "none"
            relation = "higher" if expanded and min(numbers) > (number or 0) else "other"
            passed = False
    elif relation != "nothing declared":
        passed = False
    return {"passed": passed, "declared": number, "found": found, "relation": relation}


def check_metric(
    declared: Declared | None, *, length_tolerance: float, angle_tolerance_deg: float
) -> dict[str, Any]:
    """Check the declared cell lengths and angles against the declared lattice system.

    A rhombohedral group may be given with hexagonal or rhombohedral axes, a monoclinic one with
    any unique axis.

    Args:
        declared: what the text says; None when there is no text.
        length_tolerance: allowed relative difference of lengths that should be equal.
        angle_tolerance_deg: allowed deviation of angles, degrees.

    Returns:
        {passed, system, lengths_A, angles_deg}; passed is None when the text declares no space
        group or no cell.
    """
    number, _ = _declared_number(declared)
    if declared is None or number is None or declared.lengths is None or declared.angles is None:
        return {"passed": None, "system": None, "lengths_A": None, "angles_deg": None}
    lengths, angles = np.array(declared.lengths), np.array(declared.angles)

    def equal(*axes: int) -> bool:
        chosen = lengths[list(axes)]
        return bool(np.ptp(chosen) <= length_tolerance * chosen.max())

    def angle(axis: int, value: float) -> bool:
        return bool(abs(angles[axis] - value) <= angle_tolerance_deg)

    right = [angle(axis, 90.0) for axis in range(3)]
    hexagonal = equal(0, 1) and right[0] and right[1] and angle(2, 120.0)
    rhombohedral = equal(0, 1, 2) and bool(np.ptp(angles) <= angle_tolerance_deg)
    system = lattice_system(number)
    if number in _RHOMBOHEDRAL_NUMBERS:
        passed = hexagonal or rhombohedral
    else:
        passed = {
            "triclinic": True,
            "monoclinic": sum(right) >= 2,
            "orthorhombic": all(right),
            "tetragonal": equal(0, 1) and all(right),
            "hexagonal": hexagonal,
            "cubic": equal(0, 1, 2) and all(right),
        }[system]
    return {
        "passed": bool(passed),
        "system": system,
        "lengths_A": list(declared.lengths),
        "angles_deg": list(declared.angles),
    }


def _contacts(atoms: Atoms) -> Pairs:
    """Return all pairs out to a distance at which every cell has some, at most 60 Å."""
    # In a cell denser than matter 4 Å would reach images without number.
    cutoff = 4.0 * min(1.0, (atoms.cell.volume / len(atoms)) ** (1 / 3)) if atoms.pbc.all() else 4.0
    pairs = neighbour_pairs(atoms, cutoff)
    while len(pairs) == 0 and cutoff < _LARGEST_CUTOFF_A:
        cutoff = min(2 * cutoff, _LARGEST_CUTOFF_A)
        pairs = neighbour_pairs(atoms, cutoff)
    return pairs


def _is_f_block(numbers: Numbers) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = ((numbers >= 57) & (numbers <= 71)) | (
        (numbers >= 89) & (numbers <= 103)
    )
    return found


def _declared_number(declared: Declared | None) -> tuple[int | None, str]:
    """Return the declared space-group number and what is wrong with the declaration, if any."""
    if declared is None:
        return None, "nothing declared"
    symbol, number = declared.space_group_symbol, declared.space_group_number
    if symbol is None:
        if number is None:
            return None, "nothing declared"
        return (number, "") if 1 <= number <= 230 else (None, "unreadable")
    group = parse_space_group(symbol)
    if group is None:
        # A spelling that nobody knows says nothing; the number beside it still may.
        return (number, "") if number and 1 <= number <= 230 else (None, "unreadable")
    if number is not None and number != group.number:
        return group.number, "symbol and number disagree"
    return group.number, ""
