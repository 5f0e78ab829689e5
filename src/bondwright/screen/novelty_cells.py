"""The primitive reduced cell of a crystal: what is compared when novelty is asked.

Reduction is most of the cost of comparing two structures, and it depends on one structure only.
It is done once, by the steps StructureMatcher takes: the Niggli cell, then the smallest cell that
maps the crystal onto itself within 0.25 Å. One step is added before the second: repetitions that
are exact are removed. What StructureMatcher finds within 0.25 Å can depend on whether it starts
from the primitive cell or a larger one, so that it may answer differently for two descriptions of
one crystal; here every description starts from the same cell.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import reduce
from math import gcd

import numpy as np
import spglib
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from bondwright.structure.identity import reduced_formula

_EXACT_A = 1e-5
_REPETITION_A = 0.25
# What no crystal has, and what would make reduction or comparison endless.
_SMALLEST_VOLUME_A3 = 0.5
_SHORTEST_A = 0.5
_LARGEST_ELONGATION = 1e5


@dataclass(frozen=True, eq=False)
class ReducedCell:
    """A primitive Niggli cell, scaled to a volume of 1 per atom.

    Attributes:
        formula: reduced formula, "TiO2".
        numbers: atomic numbers in ascending order, shape (n,).
        fractional: fractional positions in [0, 1), shape (n, 3).
        matrix: lattice vectors as rows, volume n, shape (3, 3).
    """

    formula: str
    numbers: NDArray[np.uint8]
    fractional: NDArray[np.float64]
    matrix: NDArray[np.float64]
    lengths: NDArray[np.float64] = field(init=False)
    angles: NDArray[np.float64] = field(init=False)
    anchor: int = field(init=False)
    _grid: list[tuple[float, NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = field(
        init=False, default_factory=list
    )

    def __post_init__(self) -> None:
        lattice = Lattice(self.matrix)
        values, counts = np.unique(self.numbers, return_counts=True)
        # The first atom of the rarest element: fewest translations to try.
        anchor = int(np.flatnonzero(self.numbers == values[counts.argmin()])[0])
        object.__setattr__(self, "lengths", np.array(lattice.abc))
        object.__setattr__(self, "angles", np.array(lattice.angles))
        object.__setattr__(self, "anchor", anchor)

    def __len__(self) -> int:
        return len(self.numbers)

    def vectors_within(
        self, radius: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the lattice vectors up to a length, the null vector excluded.

        Args:
            radius: largest length, scaled units.

        Returns:
            Integer coefficients (n, 3), vectors (n, 3) and lengths (n,); possibly some vectors
            beyond the radius, kept from an earlier call.
        """
        if not self._grid or self._grid[0][0] < radius:
            planes = np.linalg.norm(np.linalg.inv(self.matrix), axis=0)
            reach = [np.arange(-n, n + 1) for n in np.floor(radius * planes + 1e-9).astype(int)]
            integers = np.stack(np.meshgrid(*reach, indexing="ij"), axis=-1).reshape(-1, 3)
            vectors = integers @ self.matrix
            norms = np.linalg.norm(vectors, axis=1)
            keep = (norms <= radius) & (norms > 0)
            self._grid[:] = [(radius, integers[keep], vectors[keep], norms[keep])]
        return self._grid[0][1:]


def reduce_cell(atoms: Atoms) -> ReducedCell:
    """Return the primitive Niggli cell of a crystal, scaled to a volume of 1 per atom.

    Args:
        atoms: a periodic cell (Å) of any shape.

    Raises:
        ValueError: a value is not finite, the cell is flat or no crystal's, or it resists
            reduction.
    """
    if len(atoms) == 0 or not np.isfinite(atoms.positions).all():
        raise ValueError("a crystal needs atoms and finite positions")
    if not atoms.cell.volume >= _SMALLEST_VOLUME_A3 * len(atoms):
        raise ValueError(f"the cell has a volume of only {atoms.cell.volume:.3g} Å³")
    try:
        return _reduce(atoms)
    except (ArithmeticError, RuntimeError, IndexError) as error:
        raise ValueError(f"the cell resists reduction ({error})") from error


def _reduce(atoms: Atoms) -> ReducedCell:
    order = np.argsort(atoms.numbers, kind="stable")
    structure = Structure(
        Lattice(atoms.cell[:]), atoms.numbers[order], atoms.get_scaled_positions()[order]
    )
    short = sorted(structure.lattice.get_lll_reduced_lattice().abc)
    if short[0] < _SHORTEST_A or short[2] ** 3 > _LARGEST_ELONGATION * structure.volume:
        raise ValueError(f"the reduced cell is {short[0]:.3g} Å short and {short[2]:.3g} Å long")
    if max(structure.lattice.abc) > 2 * short[2]:
        # The Niggli step looks through all lattice points as far as the longest edge.
        structure = structure.get_reduced_structure("LLL")
    structure = structure.get_reduced_structure("niggli")
    if _may_repeat(structure):
        structure = _without_exact_repetition(structure)
        if _may_repeat(structure):
            structure = structure.get_primitive_structure(tolerance=_REPETITION_A)
    found = np.array(structure.atomic_numbers, dtype=np.uint8)
    order = np.argsort(found, kind="stable")
    wrapped = structure.frac_coords[order] % 1.0
    return ReducedCell(
        formula=reduced_formula(atoms),
        numbers=found[order],
        fractional=np.where(wrapped >= 1.0, 0.0, wrapped),
        matrix=structure.lattice.matrix * (len(structure) / structure.volume) ** (1 / 3),
    )


def _may_repeat(structure: Structure) -> bool:
    """Tell whether some translation inside the cell may map the crystal onto itself.

    A necessary condition, with twice the tolerance of the search it saves: where this is False
    the search finds nothing.
    """
    numbers, positions = np.array(structure.atomic_numbers), structure.frac_coords
    groups = sorted((positions[numbers == number] for number in np.unique(numbers)), key=len)
    if reduce(gcd, (len(group) for group in groups)) == 1:  # no smaller cell holds whole atoms
        return False
    reach = 2 * _REPETITION_A / np.array(structure.lattice.abc)
    steps = groups[0] - groups[0][0]
    steps -= np.round(steps)
    steps = steps[(np.abs(steps) > reach / 2).any(axis=1)]
    for group in groups:
        kept = [step for step in steps if _maps_onto_itself(group, step, reach)]
        if not kept:
            return False
        steps = np.array(kept)
    return True


def _maps_onto_itself(
    positions: NDArray[np.float64], step: NDArray[np.float64], reach: NDArray[np.float64]
) -> bool:
    offset = positions[:, None] + step - positions[None, :]
    offset -= np.round(offset)
    near: NDArray[np.bool_] = np.all(np.abs(offset) <= reach, axis=2)
    return bool(near.any(axis=1).all())


def _without_exact_repetition(structure: Structure) -> Structure:
    """Return the Niggli cell without the repetitions that are exact (0.00001 Å).

    Supercells are common and slow to reduce by search; spglib finds the same primitive cell
    directly.
    """
    cell = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = spglib.find_primitive(cell, symprec=_EXACT_A)
    if found is None or len(found[2]) >= len(structure) or len(structure) % len(found[2]):
        return structure
    order = np.argsort(found[2], kind="stable")
    primitive = Structure(Lattice(found[0]), found[2][order], found[1][order])
    return primitive.get_reduced_structure("niggli")
