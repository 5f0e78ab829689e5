"""A crystal as a complete CIF file: its space group, all operations, the asymmetric unit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bondwright.crystals.crystal import Crystal, electronegativity_order, to_atoms
from bondwright.structure.cif_layout import CellText, lay_out_cif, operation_text
from bondwright.structure.symmetry import parse_space_group, symmetry_operations


def crystal_cif(crystal: Crystal, name: str) -> str:
    """Return the CIF text of a crystal in its conventional cell, as it declares itself.

    Nothing is symmetrised anew: whether the atoms have the declared symmetry, or a higher one, is
    a question for a check.

    Args:
        crystal: the crystal.
        name: of the data block; characters that CIF does not allow there become "_".

    Raises:
        InputError: the cell is no crystal's, or a site is not on the position of its letter.
    """
    atoms = to_atoms(crystal)
    places = atoms.get_scaled_positions(wrap=False) % 1.0
    firsts = np.cumsum([0, *(site.multiplicity for site in crystal.sites)])
    group = parse_space_group(crystal.space_group)
    operations = zip(*symmetry_operations(crystal.space_group), strict=True)
    return lay_out_cif(
        name,
        (group.symbol if group else "", crystal.space_group),
        CellText(crystal.lengths, crystal.angles, atoms.cell.volume, decimals=6),
        dict(_ordered(crystal.counts)),
        (operation_text(rotation, translation) for rotation, translation in operations),
        (
            (site.element, site.multiplicity, places[firsts[index]])
            for index, site in enumerate(crystal.sites)
        ),
    )


def plain_formula(counts: Mapping[str, int]) -> str:
    """Return a formula such as "TiO2", elements by electronegativity, nothing reduced."""
    return "".join(f"{element}{n if n > 1 else ''}" for element, n in _ordered(counts))


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    place = electronegativity_order()
    return sorted(counts.items(), key=lambda item: place[item[0]])
