"""A crystal as a complete CIF file: its space group, all operations, the asymmetric unit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import gemmi
import numpy as np

from bondwright.crystals.crystal import Crystal, electronegativity_order, to_atoms
from bondwright.structure.symmetry import parse_space_group, symmetry_operations


def crystal_cif(crystal: Crystal, name: str) -> str:
    """Return the CIF text of a crystal in its conventional cell, as it declares itself.

    All operations are listed and every site tells its multiplicity, so that readers with and
    without tables of space groups expand it alike. Nothing is symmetrised anew: whether the atoms
    have the declared symmetry, or a higher one, is a question for a check.

    Args:
        crystal: the crystal.
        name: of the data block; characters that CIF does not allow there become "_".

    Raises:
        InputError: the cell is no crystal's, or a site is not on the position of its letter.
    """
    atoms = to_atoms(crystal)
    places = atoms.get_scaled_positions(wrap=False) % 1.0
    places = np.where(np.abs(places - 1) < 5e-11, 0.0, places)  # would be printed as 1
    firsts = np.cumsum([0, *(site.multiplicity for site in crystal.sites)])
    group = parse_space_group(crystal.space_group)
    units = math.gcd(*crystal.counts.values())
    formula = plain_formula({element: n // units for element, n in crystal.counts.items()})
    whole = " ".join(f"{e}{n}" for e, n in _ordered(crystal.counts))
    axes = zip(("a", "b", "c"), crystal.lengths, strict=True)
    angles = zip(("alpha", "beta", "gamma"), crystal.angles, strict=True)
    operations = enumerate(_triplets(crystal.space_group), start=1)
    sites = (
        f"  {site.element}  {site.element}{index}  {site.multiplicity}  "
        f"{'  '.join(f'{x:.10f}' for x in places[firsts[index]])}  1"
        for index, site in enumerate(crystal.sites)
    )
    lines = [
        f"data_{re.sub(r'[^!-~]', '_', name)}",
        f"_symmetry_space_group_name_H-M   '{group.symbol if group else ''}'",
        *(f"_cell_length_{axis}   {value:.6f}" for axis, value in axes),
        *(f"_cell_angle_{angle}   {value:.6f}" for angle, value in angles),
        f"_symmetry_Int_Tables_number   {crystal.space_group}",
        f"_chemical_formula_structural   {formula}",
        f"_chemical_formula_sum   '{whole}'",
        f"_cell_volume   {atoms.cell.volume:.6f}",
        f"_cell_formula_units_Z   {units}",
        "loop_",
        " _symmetry_equiv_pos_site_id",
        " _symmetry_equiv_pos_as_xyz",
        *(f"  {index}  '{text}'" for index, text in operations),
        "loop_",
        " _atom_site_type_symbol",
        " _atom_site_label",
        " _atom_site_symmetry_multiplicity",
        " _atom_site_fract_x",
        " _atom_site_fract_y",
        " _atom_site_fract_z",
        " _atom_site_occupancy",
        *sites,
    ]
    return "\n".join(lines) + "\n"


def plain_formula(counts: Mapping[str, int]) -> str:
    """Return a formula such as "TiO2", elements by electronegativity, nothing reduced."""
    return "".join(f"{element}{n if n > 1 else ''}" for element, n in _ordered(counts))


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    place = electronegativity_order()
    return sorted(counts.items(), key=lambda item: place[item[0]])


def _triplets(space_group: int) -> list[str]:
    """Return the operations of a space group as "x, y, z" texts."""
    texts = []
    for rotation, translation in zip(*symmetry_operations(space_group), strict=True):
        operation = gemmi.Op()
        operation.rot = (rotation * gemmi.Op.DEN).tolist()
        operation.tran = np.rint(translation * gemmi.Op.DEN).astype(int).tolist()
        texts.append(operation.triplet().replace(",", ", "))
    return texts
