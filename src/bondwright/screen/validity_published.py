"""The validity test of the CrystaLLM papers, for comparison with published figures.

Antunes, Butler, Grau-Crespo, Nat. Commun. 15, 10570 (2024), doi:10.1038/s41467-024-54639-7. Its
peculiarities are kept, since the figures it gave were made with them: multiplicities are compared
with the formula as text and never with the expanded crystal; bonds to a periodic image of the
same site are skipped, and the length of any other bond is that of the nearest image; a crystal
without bonds, or with an element that has no tabulated radius, is invalid; space groups are
compared as strings, so that a declared "P 1" is not the "P1" that is found.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from pymatgen.core import Element, Structure
from pymatgen.core.local_env import CrystalNN
from pymatgen.io.ase import AseAtomsAdaptor

from bondwright.screen.validity_composition import parse_formula
from bondwright.structure.candidate import Candidate, Declared

BOND_TOLERANCE = 0.32
"""A bond is reasonable within 1 ± this times the expected length."""
HYDROGEN_FACTOR = 2.5
"""A bond with hydrogen is reasonable below this times the expected length."""
IONIC_DIFFERENCE = 1.7
"""From this difference in Pauling electronegativity on, ionic radii give the expected length."""
SYMPREC_A = 0.1
LENGTHS_A = (0.5, 1000.0)
ANGLES_DEG = (10.0, 170.0)
DENSEST_A3 = 1.0
"""Å³ per atom; the neighbours in a denser cell are without number."""
_EQUIVALENCE_A = 1e-4


def published_validity(candidate: Candidate, *, max_sites: int) -> dict[str, Any] | None:
    """Run the published test on a CIF that could be read.

    Args:
        candidate: a candidate with atoms and a declaration.
        max_sites: cells with more atoms are not tested for bonds, which takes up to a second per
            distinct site.

    Returns:
        {sensible, formula, multiplicity, bonds, bond_score, space_group, valid}: booleans and the
        fraction of reasonable bonds; `bonds`, `bond_score` and `valid` are None, with a reason
        under `skipped`, when the cell is too large or too dense. None for a candidate without
        CIF text.
    """
    declared, atoms = candidate.declared, candidate.atoms
    if declared is None or atoms is None:
        return None
    result: dict[str, Any] = {
        "sensible": _is_sensible(declared),
        "formula": _formula_consistent(declared),
        "multiplicity": _multiplicity_consistent(declared),
        "space_group": _space_group_consistent(atoms, declared),
    }
    others = all(result.values())
    skipped = ""
    if len(atoms) > max_sites:
        skipped = f"{len(atoms)} sites, more than {max_sites}"
    elif atoms.cell.volume < DENSEST_A3 * len(atoms):
        skipped = f"{atoms.cell.volume:.3g} Å³ for {len(atoms)} atoms"
    if skipped:
        valid = None if others else False
        return {**result, "bonds": None, "bond_score": None, "valid": valid, "skipped": skipped}
    score = bond_score(atoms)
    bonds = score is not None and score >= 1.0
    return {**result, "bonds": bonds, "bond_score": score, "valid": others and bonds}


def bond_score(atoms: Atoms) -> float | None:
    """Return the fraction of bonds with a reasonable length.

    Neighbours come from CrystalNN with its default settings. Sites that symmetry (at 0.0001 Å)
    makes equal have equal bonds, so that one of them is computed and counted for all.

    Args:
        atoms: the expanded cell.

    Returns:
        A fraction from 0 to 1; None when there is no bond or a radius is not tabulated.
    """
    structure: Structure = AseAtomsAdaptor.get_structure(atoms)
    finder = CrystalNN()
    reasonable = total = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for site, weight in _distinct_sites(atoms).items():
            try:
                neighbours = finder.get_nn_info(structure, site)
                judged = [
                    _is_reasonable(structure, site, n)
                    for n in neighbours
                    if n["site_index"] != site
                ]
            except (ValueError, TypeError, RuntimeError, IndexError, ZeroDivisionError):
                # CrystalNN finds no Voronoi cell, or a radius is missing: invalid, as published.
                return None
            reasonable += weight * sum(judged)
            total += weight * len(judged)
    return reasonable / total if total else None


def _is_reasonable(structure: Structure, site: int, neighbour: dict[str, Any]) -> bool:
    first: Element = structure[site].specie
    second: Element = structure[neighbour["site_index"]].specie
    length = structure[site].distance(neighbour["site"])
    if abs(first.X - second.X) >= IONIC_DIFFERENCE:
        cation, anion = sorted((first, second), key=lambda element: element.X)
        expected = cation.average_cationic_radius + anion.average_anionic_radius
    else:
        expected = first.atomic_radius + second.atomic_radius
    ratio = length / expected
    if "H" in (first.symbol, second.symbol):
        return bool(ratio < HYDROGEN_FACTOR)
    return bool(1 - BOND_TOLERANCE < ratio < 1 + BOND_TOLERANCE)


def _distinct_sites(atoms: Atoms) -> dict[int, int]:
    """Return one site of each set that symmetry makes equal, with the size of the set."""
    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=_EQUIVALENCE_A)
    if dataset is None:
        return dict.fromkeys(range(len(atoms)), 1)
    sites, sizes = np.unique(dataset.equivalent_atoms, return_counts=True)
    return {int(site): int(size) for site, size in zip(sites, sizes, strict=True)}


def _is_sensible(declared: Declared) -> bool:
    if declared.lengths is None or declared.angles is None:
        return False
    return all(LENGTHS_A[0] <= x <= LENGTHS_A[1] for x in declared.lengths) and all(
        ANGLES_DEG[0] <= x <= ANGLES_DEG[1] for x in declared.angles
    )


def _formula_consistent(declared: Declared) -> bool:
    name = re.match(r"[A-Za-z0-9]+$", declared.block)
    formulas = [
        parse_formula(name.group() if name else None),
        parse_formula(declared.formula_sum),
        parse_formula(declared.formula_structural),
    ]
    reduced = set()
    for formula in formulas:
        if formula is None:
            return False
        divisor = math.gcd(*formula.values())
        reduced.add(tuple(sorted((symbol, n // divisor) for symbol, n in formula.items())))
    return len(reduced) == 1


def _multiplicity_consistent(declared: Declared) -> bool:
    if any(row.multiplicity is None for row in declared.sites):
        return False
    counts: Counter[str] = Counter()
    for row in declared.sites:
        counts[row.symbol] += row.multiplicity or 0
    return parse_formula(declared.formula_sum) == dict(counts)


def _space_group_consistent(atoms: Atoms, declared: Declared) -> bool:
    if declared.space_group_symbol is None:
        return False
    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    # The angle tolerance of 5 degrees is pymatgen's default, which the published test used.
    dataset = spglib.get_symmetry_dataset(cell, symprec=SYMPREC_A, angle_tolerance=5.0)
    return dataset is not None and bool(
        dataset.international == declared.space_group_symbol.strip()
    )
