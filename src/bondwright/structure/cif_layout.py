"""The layout of a CIF text: one data block with cell, formula, operations and sites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import gcd

import gemmi
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CellText:
    """What is told of a cell.

    Attributes:
        lengths: a, b, c in Å.
        angles: alpha, beta, gamma in degrees.
        volume: Å³.
        decimals: how many are written of each of these.
    """

    lengths: Iterable[float]
    angles: Iterable[float]
    volume: float
    decimals: int


def lay_out_cif(
    name: str,
    group: tuple[str, int],
    cell: CellText,
    counts: Mapping[str, int],
    operations: Iterable[str],
    sites: Iterable[tuple[str, int, NDArray[np.float64]]],
) -> str:
    """Return the CIF text of a structure whose sites are fully occupied.

    All operations are listed and every site tells its multiplicity, so that readers with and
    without tables of space groups expand it alike.

    Args:
        name: of the data block; characters that CIF does not allow there become "_".
        group: symbol and number of the space group.
        cell: the cell.
        counts: atoms of each element in the cell, in the order of the formulas.
        operations: of the space group, as `operation_text` writes them.
        sites: element, multiplicity and fractional coordinates (3) in [0, 1] of each orbit.

    Returns:
        The text, fractional coordinates with 10 decimals.
    """
    exact = f".{cell.decimals}f"
    axes = zip(("a", "b", "c"), cell.lengths, strict=True)
    angles = zip(("alpha", "beta", "gamma"), cell.angles, strict=True)
    units = gcd(*counts.values())
    formula = "".join(f"{e}{n // units if n > units else ''}" for e, n in counts.items())
    lines = [
        f"data_{re.sub(r'[^!-~]', '_', name)}",
        f"_symmetry_space_group_name_H-M   '{group[0]}'",
        *(f"_cell_length_{axis}   {value:{exact}}" for axis, value in axes),
        *(f"_cell_angle_{angle}   {value:{exact}}" for angle, value in angles),
        f"_symmetry_Int_Tables_number   {group[1]}",
        f"_chemical_formula_structural   {formula}",
        f"_chemical_formula_sum   '{' '.join(f'{e}{n}' for e, n in counts.items())}'",
        f"_cell_volume   {cell.volume:{exact}}",
        f"_cell_formula_units_Z   {units}",
        "loop_",
        " _symmetry_equiv_pos_site_id",
        " _symmetry_equiv_pos_as_xyz",
        *(f"  {index}  '{text}'" for index, text in enumerate(operations, start=1)),
        "loop_",
        " _atom_site_type_symbol",
        " _atom_site_label",
        " _atom_site_symmetry_multiplicity",
        " _atom_site_fract_x",
        " _atom_site_fract_y",
        " _atom_site_fract_z",
        " _atom_site_occupancy",
        *(
            f"  {element}  {element}{index}  {multiplicity}  {_coordinates(place)}  1"
            for index, (element, multiplicity, place) in enumerate(sites)
        ),
    ]
    return "\n".join(lines) + "\n"


def operation_text(rotation: NDArray[np.int64], translation: NDArray[np.float64]) -> str:
    """Return an operation on fractional coordinates as text such as "-x+1/2, y, z".

    Args:
        rotation: (3, 3) integers.
        translation: (3), multiples of 1/24.
    """
    operation = gemmi.Op()
    operation.rot = (rotation * gemmi.Op.DEN).tolist()
    operation.tran = np.rint(translation * gemmi.Op.DEN).astype(int).tolist()
    return operation.triplet().replace(",", ", ")


def _coordinates(place: NDArray[np.float64]) -> str:
    # Within the last decimal of 1, it would be printed as 1.
    return "  ".join(f"{0.0 if abs(x - 1) < 5e-11 else x:.10f}" for x in place.tolist())
