"""CIF text from an asymmetric unit: what the example's crystals and candidates are written with.

A generator writes *text*, and may write one that contradicts itself. So this writer takes what is
to be declared separately from the sites, and checks nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np
import spglib
from frameworks import Site
from numpy.typing import NDArray

Cell = tuple[float, float, float, float, float, float]
Array = NDArray[np.float64]

SAME_SITE = 1e-3  # fractional; two images nearer than this are one atom on a special position
P1_HALL = 1


def cell_vectors(cell: Cell) -> Array:
    """Return the rows a, b, c (Å) of a cell given by lengths in Å and angles in degrees."""
    a, b, c = cell[:3]
    alpha, beta, gamma = np.radians(cell[3:])
    bx, by = b * math.cos(gamma), b * math.sin(gamma)
    cx = c * math.cos(beta)
    cy = c * (math.cos(alpha) - math.cos(beta) * math.cos(gamma)) / math.sin(gamma)
    return np.array([[a, 0, 0], [bx, by, 0], [cx, cy, math.sqrt(c * c - cx * cx - cy * cy)]])


@cache
def operations(hall: int) -> tuple[Array, Array]:
    """Return rotations (n, 3, 3) and translations (n, 3) of a space-group setting."""
    symmetry = spglib.get_symmetry_from_database(hall)
    return np.asarray(symmetry["rotations"], float), np.asarray(symmetry["translations"], float)


def orbit(position: Sequence[float], hall: int) -> Array:
    """Return the distinct images (m, 3), in [0, 1), of a fractional position."""
    rotations, translations = operations(hall)
    images: Array = (rotations @ np.asarray(position, float) + translations) % 1.0
    gaps = images[:, None] - images[None]
    same = np.abs(gaps - np.round(gaps)).max(axis=2) < SAME_SITE
    # An image is kept unless an earlier one is the same.
    return images[same.argmax(axis=1) == np.arange(len(images))]


def expand(sites: Sequence[Site], hall: int) -> tuple[list[str], Array]:
    """Return elements (n) and fractional positions (n, 3) of the full cell."""
    symbols: list[str] = []
    positions: list[Array] = []
    for symbol, *position in sites:
        images = orbit(position, hall)
        symbols += [symbol] * len(images)
        positions.append(images)
    return symbols, np.concatenate(positions)


def formula(counts: Counter[str]) -> tuple[str, str, int]:
    """Return formula of the cell ("Ti2 O4"), of one unit ("TiO2"), and the number of units."""
    units = math.gcd(*counts.values())
    whole = " ".join(f"{symbol}{n}" for symbol, n in counts.items())
    one = "".join(f"{symbol}{n // units if n > units else ''}" for symbol, n in counts.items())
    return whole, one, units


def _operation_rows(hall: int) -> list[str]:
    """Return the rows `1 'x, y, z'` of the setting's operations."""
    rows = []
    twelfths = {0: "", 2: "1/6", 3: "1/4", 4: "1/3", 6: "1/2", 8: "2/3", 9: "3/4", 10: "5/6"}
    for number, (rotation, shift) in enumerate(zip(*operations(hall), strict=True), start=1):
        parts = []
        for row, translation in zip(rotation, shift, strict=True):
            letters = "".join(
                ("+" if n > 0 else "-") + axis for n, axis in zip(row, "xyz", strict=True) if n
            ).removeprefix("+")
            fraction = twelfths[round(translation * 12) % 12]
            parts.append(letters + (f"+{fraction}" if fraction else ""))
        rows.append(f"  {number}  '{', '.join(parts)}'")
    return rows


def cif_text(
    cell: Cell,
    sites: Sequence[Site],
    hall: int = P1_HALL,
    *,
    declared: Counter[str] | None = None,
    symbol: str | None = None,
    number: int | None = None,
    occupancy: float = 1.0,
    source: str = "",
) -> str:
    """Return a CIF in the layout that crystal language models write.

    Args:
        cell: lengths in Å and angles in degrees.
        sites: the asymmetric unit, fractional.
        hall: Hall number whose operations are listed and give the multiplicities.
        declared: atoms of the cell as stated; by default those that the expansion gives.
        symbol: Hermann-Mauguin symbol as stated; by default that of `hall`.
        number: space-group number as stated; by default that of `hall`.
        occupancy: written for every site.
        source: a comment line on where the numbers are from.
    """
    kind = spglib.get_spacegroup_type(hall)
    atoms = Counter(expand(sites, hall)[0])
    whole, one, units = formula(declared or atoms)
    lines = [f"# {source}"] if source else []
    lines += [
        f"data_{whole.replace(' ', '')}",
        f"_symmetry_space_group_name_H-M   '{symbol or kind.international_short}'",
        *(f"_cell_length_{axis}   {x:.4f}" for axis, x in zip("abc", cell[:3], strict=True)),
        *(
            f"_cell_angle_{name}   {x:.4f}"
            for name, x in zip(("alpha", "beta", "gamma"), cell[3:], strict=True)
        ),
        f"_symmetry_Int_Tables_number   {number or kind.number}",
        f"_chemical_formula_structural   {one}",
        f"_chemical_formula_sum   '{whole}'",
        f"_cell_volume   {np.linalg.det(cell_vectors(cell)):.4f}",
        f"_cell_formula_units_Z   {units}",
        "loop_",
        " _symmetry_equiv_pos_site_id",
        " _symmetry_equiv_pos_as_xyz",
        *_operation_rows(hall),
        "loop_",
        " _atom_site_type_symbol",
        " _atom_site_label",
        " _atom_site_symmetry_multiplicity",
        " _atom_site_fract_x",
        " _atom_site_fract_y",
        " _atom_site_fract_z",
        " _atom_site_occupancy",
    ]
    for index, (element, *position) in enumerate(sites):
        # Adding 0.0 turns the -0.0 that rounding may leave into 0.0.
        place = "  ".join(f"{round(x % 1.0, 5) % 1.0 + 0.0:.5f}" for x in position)
        copies = len(orbit(position, hall))
        lines.append(f"  {element}  {element}{index}  {copies}  {place}  {occupancy:.1f}")
    return "\n".join(lines) + "\n"
