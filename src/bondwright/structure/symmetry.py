"""Space groups: finding them in a structure, understanding their names, listing their operations.

spglib decides the symmetry of a structure; gemmi's tables, completed by spglib's, give the meaning
of a written symbol. Where a symbol leaves a choice open, the choice is the one that spglib and
pymatgen write: origin choice 1 and, for rhombohedral groups, hexagonal axes.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from dataclasses import dataclass
from functools import cache, lru_cache

import gemmi
import numpy as np
import spglib
from ase import Atoms
from numpy.typing import NDArray

DEFAULT_CHOICE = "1H"
_RHOMBOHEDRAL = frozenset({146, 148, 155, 160, 161, 166, 167})
# Suffixes by which databases name a setting (ICSD: S and Z are the origins, H and R the axes).
_SUFFIXES = {"s": "1", "z": "2", "h": "H", "hr": "H", "r": "R", "rs": "R", "1": "1", "2": "2"}


@dataclass(frozen=True)
class SpaceGroup:
    """A space-group type: its International Tables number and short symbol ("P4_2/mnm")."""

    number: int
    symbol: str


@dataclass(frozen=True)
class Setting:
    """A space group in one choice of axes and origin.

    Attributes:
        group: the space-group type.
        name: extended Hermann-Mauguin symbol of the setting, e.g. "F d -3 m:1".
        ambiguous: True when the spelling left the origin or the axes open.
        rotations: (n, 3, 3) integers acting on fractional coordinates.
        translations: (n, 3) fractional, in [0, 1).
    """

    group: SpaceGroup
    name: str
    ambiguous: bool
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]


def symmetry_dataset(
    atoms: Atoms, symprec: float = 0.1, angle_tolerance: float = 5.0
) -> spglib.SpglibDataset | None:
    """Return everything spglib says about the symmetry of a structure.

    Args:
        atoms: periodic structure (Å).
        symprec: how far (Å) an atom may be from its symmetric place.
        angle_tolerance: tolerance of lattice angles in degrees. 5 is what pymatgen's analyser,
            and so the published validity test, uses; negative lets spglib derive it from symprec.

    Returns:
        spglib's data set, or None where it finds no symmetry (coincident atoms, a degenerate
        cell, no atoms).
    """
    if not len(atoms) or not abs(float(np.linalg.det(atoms.cell.array))) > 0:
        return None
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    if not all(np.isfinite(part).all() for part in cell):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return spglib.get_symmetry_dataset(
                cell, symprec=symprec, angle_tolerance=angle_tolerance
            )
    except (spglib.SpglibError, ValueError, ArithmeticError):
        return None


def find_space_group(
    atoms: Atoms, symprec: float = 0.1, angle_tolerance: float = 5.0
) -> SpaceGroup | None:
    """Find the space group of a structure with spglib; arguments as in `symmetry_dataset`.

    Returns:
        The space group, or None where spglib finds none.
    """
    found = symmetry_dataset(atoms, symprec, angle_tolerance)
    return None if found is None else SpaceGroup(int(found.number), str(found.international))


def parse_space_group(spelling: str | int) -> SpaceGroup | None:
    """Understand a space-group number or symbol in any spelling.

    Numbers, short, full and extended Hermann-Mauguin symbols, alternative axes ("P21/n"), old
    names ("Cmca", "Fd3m"), origin and axes suffixes and Hall symbols are known; blanks,
    underscores, quotes, brackets and letter case do not matter.

    Returns:
        The space-group type, or None when the spelling is not known.
    """
    setting = find_setting(spelling)
    return setting.group if setting else None


@lru_cache(maxsize=4096)
def find_setting(spelling: str | int, rhombohedral_axes: bool = False) -> Setting | None:
    """Return the setting that a number or symbol means.

    Args:
        spelling: see `parse_space_group`.
        rhombohedral_axes: whether the cell that goes with it has rhombohedral axes; decides for
            a rhombohedral group whose symbol does not say.

    Returns:
        The setting with its operations, or None when the spelling is not known.
    """
    choice = DEFAULT_CHOICE.replace("H", "R") if rhombohedral_axes else DEFAULT_CHOICE
    if isinstance(spelling, int) or spelling.strip().isdigit():
        number = int(spelling)
        if not 1 <= number <= 230:
            return None
        name = _standard_types()[number][1]
    else:
        name = _plain(spelling)
    found, stated = _lookup(name, choice)
    if found is None:
        return _setting_of_hall(spelling) if isinstance(spelling, str) else None
    ambiguous = not stated and found.ext in ("1", "2", "H", "R")
    return _setting(found, ambiguous)


def symmetry_operations(
    spelling: str | int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the operations of a space group given by number or symbol.

    Returns:
        Rotations (n, 3, 3) and translations (n, 3), fractional, centring included.

    Raises:
        ValueError: the space group is not known.
    """
    setting = find_setting(spelling)
    if setting is None:
        raise ValueError(f"unknown space group {spelling!r}")
    return setting.rotations, setting.translations


def lattice_system(number: int) -> str:
    """Return the lattice system of a space-group number.

    One of triclinic, monoclinic, orthorhombic, tetragonal, rhombohedral, hexagonal, cubic. The
    seven rhombohedral groups may also be written in hexagonal axes.

    Raises:
        ValueError: the number is not in 1..230.
    """
    if not 1 <= number <= 230:
        raise ValueError(f"space-group numbers are 1 to 230, not {number}")
    if number in _RHOMBOHEDRAL:
        return "rhombohedral"
    last = {2: "triclinic", 15: "monoclinic", 74: "orthorhombic", 142: "tetragonal"}
    last |= {194: "hexagonal", 230: "cubic"}
    return next(name for end, name in last.items() if number <= end)


@cache
def _standard_types() -> dict[int, tuple[str, str]]:
    """Map number -> (symbol that spglib prints, the same as a lookup name)."""
    types: dict[int, tuple[str, str]] = {}
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        # The first Hall number of a type is the setting that spglib standardises to.
        types.setdefault(kind.number, (kind.international_short, _plain(kind.international_short)))
    return types


@cache
def _full_symbols() -> dict[str, str]:
    """Map full symbols that gemmi does not list ("I 4/m 2/m 2/m") to Hall symbols."""
    table: dict[str, str] = {}
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        for part in f"{kind.international_full} = {kind.international}".split("="):
            table.setdefault(_plain(part), kind.hall_symbol)
    return table


def _plain(spelling: str) -> str:
    """Reduce a spelling to lower-case letters, digits, - and / (and a :suffix)."""
    text = unicodedata.normalize("NFKC", spelling).translate({0x2212: "-", 0x2013: "-"})
    text = re.sub(r"\(\s*(no|nr|#)[^)]*\)", "", text, flags=re.IGNORECASE)
    return re.sub(r"[\s_'\"()\[\]{}]", "", text).casefold()


def _lookup(name: str, choice: str) -> tuple[gemmi.SpaceGroup | None, bool]:
    """Look a plain name up; the flag says whether it states its own origin or axes."""
    base, _, suffix = name.partition(":")
    stated = _SUFFIXES.get(suffix, suffix)
    if suffix and (found := gemmi.find_spacegroup_by_name(f"{base}:{stated}")):
        return found, True
    if not suffix and (found := gemmi.find_spacegroup_by_name(base, prefer=choice)):
        return found, base[-1:] in ("h", "r")  # gemmi understands "R-3mH" itself
    if not suffix and base in _full_symbols():
        return gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(_full_symbols()[base])), False
    for ending in ("hr", "rs", "h", "r", "s", "z"):
        bare = base.removesuffix(ending)
        if not suffix and bare != base:
            found = gemmi.find_spacegroup_by_name(f"{bare}:{_SUFFIXES[ending]}")
            if found:
                return found, True
    return None, False


def _setting_of_hall(symbol: str) -> Setting | None:
    """Return the setting of a Hall symbol, None when it is not one of a tabulated setting."""
    try:
        found = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(symbol.replace("_", " ")))
    except (RuntimeError, ValueError):
        return None
    return _setting(found, ambiguous=False) if found else None


def _setting(found: gemmi.SpaceGroup, ambiguous: bool) -> Setting:
    """Turn gemmi's entry into a setting; gemmi stores operations in units of 1/24."""
    operations = list(found.operations())
    rotations = np.array([o.rot for o in operations], dtype=np.int64) // gemmi.Op.DEN
    translations = np.array([o.tran for o in operations], dtype=float) / gemmi.Op.DEN % 1.0
    group = SpaceGroup(int(found.number), _standard_types()[int(found.number)][0])
    return Setting(group, str(found.xhm()), ambiguous, rotations, translations)
