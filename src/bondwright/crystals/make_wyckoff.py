"""Derives the Wyckoff positions of all space groups and writes tables/wyckoff.json.gz.

Run as `python -m bondwright.crystals.make_wyckoff`. The operations decide everything but the
letters: a Wyckoff position is a class of points whose site-symmetry groups are conjugate, so its
points form the orbit of a point, line, plane or the whole space that some operations fix. In the
settings used here every such set passes through points whose coordinates are multiples of 1/24,
which makes the search finite and exact in integers. The letters are asked of spglib, with a
crystal that occupies all positions at once.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import spglib
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bondwright.structure.symmetry import symmetry_operations

Integers = NDArray[np.int64]

GRID = 24
"""Denominator of all constant parts of coordinates."""

POSITIONS_IN_ALL = 1731
"""Wyckoff positions of the 230 space-group types (International Tables for Crystallography, A)."""

TABLE = Path(__file__).parent / "tables" / "wyckoff.json.gz"

_GENERIC = np.array([0.1234567, 0.3719283, 0.2837465])  # no special relation between coordinates


@dataclass(frozen=True)
class Template:
    """A set of points matrix @ (x, y, z) + constants / 24, one point per (x, y, z).

    Attributes:
        matrix: (3, 3) integers; the columns of parameters that do not occur are 0.
        constants: (3,) multiples of 1/24 in 0..23.
        multiplicity: points of the orbit in the conventional cell.
    """

    matrix: Integers
    constants: Integers
    multiplicity: int

    @property
    def free(self) -> tuple[int, ...]:
        """Which of x, y, z occur."""
        return tuple(int(column) for column in np.flatnonzero(self.matrix.any(axis=0)))

    def point(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fractional coordinates for parameters (3,)."""
        return np.asarray(self.matrix @ parameters + self.constants / GRID)

    def text(self) -> str:
        """Return it as in the tables of crystallography: "x,2x,1/4"."""
        return ",".join(
            _coordinate(row, int(constant))
            for row, constant in zip(self.matrix, self.constants, strict=True)
        )


def derive(space_group: int) -> list[Template]:
    """Return one template per Wyckoff position, from the operations alone, in no special order."""
    rotations, shifts = _integer_operations(space_group)
    found = []
    for basis in _one_of_each_class(_fixed_spaces(rotations), rotations):
        found += _templates_along(basis, rotations, shifts)
    return found


def lettered(space_group: int) -> dict[str, Template]:
    """Return the templates by the letters that spglib gives them.

    Raises:
        RuntimeError: spglib does not see the space group, or its letters are no one-to-one naming.
    """
    templates = derive(space_group)
    rotations, translations = symmetry_operations(space_group)
    points: list[NDArray[np.float64]] = []
    types: list[int] = []
    first: list[int] = []
    # Two elements on the general position: one alone could be more symmetric than the group.
    general = max(templates, key=lambda template: len(template.free))
    for element, template in enumerate([*templates, general], start=1):
        parameters = (_GENERIC * element * np.array([1.0, 1.7, 2.3])) % 1.0
        orbit = np.unique(
            np.round((rotations @ template.point(parameters) + translations) % 1.0, 9) % 1.0, axis=0
        )
        first.append(len(points))
        points.extend(orbit)
        types.extend([element] * len(orbit))
    dataset = spglib.get_symmetry_dataset((_lattice(space_group), points, types), symprec=1e-4)
    if dataset is None or dataset.number != space_group:
        raise RuntimeError(f"spglib does not find space group {space_group} in its own crystal")
    letters: dict[str, Template] = {}
    # spglib may have moved the origin within the normaliser: name what the atoms are afterwards.
    moved = points @ dataset.transformation_matrix.T + dataset.origin_shift
    for atom in first[:-1]:
        template = next(t for t in templates if _fits(t, moved[atom], rotations, translations))
        letters[dataset.wyckoffs[atom]] = template
    if len(letters) != len(templates) or len({t.text() for t in letters.values()}) != len(letters):
        raise RuntimeError(f"spglib's letters of space group {space_group} are not one-to-one")
    return dict(sorted(letters.items(), key=lambda item: (item[0].isupper(), item[0])))


def _integer_operations(space_group: int) -> tuple[Integers, Integers]:
    """Return rotations (n, 3, 3) and translations (n, 3) in units of 1/24."""
    rotations, translations = symmetry_operations(space_group)
    return rotations, np.rint(translations * GRID).astype(np.int64)


def _fixed_spaces(rotations: Integers) -> list[Integers]:
    """Return the linear spaces that subgroups of the point group fix, as bases (3, dimension).

    Bases are those of `_integer_null_space`, so that equal spaces have equal bases.
    """
    whole = np.eye(3, dtype=np.int64)
    unique = np.unique(rotations, axis=0)
    single = [_integer_null_space((rotation - whole).astype(float)) for rotation in unique]
    spaces = {_key(whole): whole}
    frontier = [whole]
    while frontier:
        space = frontier.pop()
        for other in single:
            both = _intersection(space, other)
            if _key(both) not in spaces:
                spaces[_key(both)] = both
                frontier.append(both)
    return list(spaces.values())


def _one_of_each_class(spaces: list[Integers], rotations: Integers) -> Iterator[Integers]:
    """Yield one space per class of spaces that the point group maps on one another.

    The simplest basis is taken: (x, 2x, z) rather than (x, x/2, z), (x, x, z) before (x, -x, z).
    """
    unique = np.unique(rotations, axis=0)
    seen: set[bytes] = set()
    for space in sorted(spaces, key=_complexity):
        if _key(space) in seen:
            continue
        seen.update(_key(_column_echelon(rotation @ space)) for rotation in unique)
        yield space


def _templates_along(basis: Integers, rotations: Integers, shifts: Integers) -> list[Template]:
    """Return the templates of the positions whose points move freely along a space."""
    dimension = basis.shape[1]
    matrix, pivots = _matrix(basis)
    # A corner stands for all points of corner + space: the one whose pivot coordinates are 0.
    choices = [range(1 if axis in pivots else GRID) for axis in range(3)]
    grid = np.array(list(itertools.product(*choices)), dtype=np.int64)
    # An operation fixes a generic point of corner + space if it fixes the basis and the corner.
    keeps = np.array([(rotation @ basis == basis).all() for rotation in rotations])
    order = np.zeros(len(grid), dtype=np.int64)
    trace = np.zeros(len(grid), dtype=np.int64)
    for rotation, shift in zip(rotations[keeps], shifts[keeps], strict=True):
        moved = grid @ (rotation - np.eye(3, dtype=np.int64)).T + shift
        fixed = (moved % GRID == 0).all(axis=1)
        order += fixed
        trace += fixed * np.trace(rotation)
    # The mean of the site-symmetry rotations projects on what they fix: its trace is the dimension.
    (found,) = np.nonzero(trace == dimension * order)
    number = {tuple(grid[corner]): i for i, corner in enumerate(found)}
    links = []
    for rotation, shift in zip(rotations, shifts, strict=True):
        if _key(_column_echelon(rotation @ basis)) == _key(basis):
            images = grid[found] @ rotation.T + shift
            images = (images - images[:, pivots] @ basis.T) % GRID
            links += [(i, number[tuple(image)]) for i, image in enumerate(images)]
    graph = coo_array(
        (np.ones(len(links)), np.array(links).reshape(-1, 2).T), shape=(len(found),) * 2
    )
    classes, label = connected_components(graph, directed=False)
    templates = []
    for member in range(classes):
        corners = found[label == member]
        corner = min((grid[i] for i in corners), key=lambda c: [_size(v) for v in c])
        templates.append(Template(matrix, corner, len(rotations) // int(order[corners[0]])))
    return templates


def _matrix(basis: Integers) -> tuple[Integers, tuple[int, ...]]:
    """Return the (3, 3) matrix from (x, y, z) along a basis, and which of x, y, z it uses."""
    matrix = np.zeros((3, 3), dtype=np.int64)
    pivots = tuple(int(np.flatnonzero(column)[0]) for column in basis.T)
    matrix[:, pivots] = basis
    return matrix, pivots


def _size(constant: int) -> tuple[int, int]:
    """Order constants by how simple they are: 0, 1/2, 1/4, 3/4, 1/3, ..."""
    denominator = GRID // int(np.gcd(constant, GRID))
    rank = {1: 0, 2: 1, 4: 2, 3: 3, 8: 4}.get(denominator, denominator)
    return rank, int(constant)


def _complexity(basis: Integers) -> tuple[object, ...]:
    """Order bases of equal spaces up to symmetry: whole pivots of 1, small, positive, early."""
    pivots = [int(np.flatnonzero(column)[0]) for column in basis.T]
    leading = [int(basis[pivot, i]) for i, pivot in enumerate(pivots)]
    return (
        basis.shape[1],
        leading != [1] * len(leading),
        int(np.abs(basis).sum()),
        int((basis < 0).sum()),
        tuple(pivots),
        basis.tobytes(),
    )


def _integer_null_space(matrix: NDArray[np.float64]) -> Integers:
    """Return the echelon basis (3, dimension) of the integer vectors that a matrix maps to 0."""
    # The entries of such vectors are 0, 1 or 2 in all settings of International Tables.
    small = np.array(list(itertools.product(range(-2, 3), repeat=3)), dtype=np.int64)
    return _column_echelon(small[(small @ np.asarray(matrix).T == 0).all(axis=1)].T)


def _intersection(first: Integers, second: Integers) -> Integers:
    """Return the echelon basis of the common part of two spaces given by bases."""
    constraints = [_orthogonal(first), _orthogonal(second)]
    return _integer_null_space(np.concatenate(constraints).astype(float))


def _orthogonal(basis: Integers) -> Integers:
    """Return integer rows whose null space is the space of a basis."""
    return _integer_null_space(basis.T.astype(float)).T


def _column_echelon(vectors: Integers) -> Integers:
    """Return the reduced echelon basis (3, dimension) of the lattice that columns span."""
    rows = [[int(value) for value in row] for row in vectors.T]
    basis: list[list[int]] = []
    for column in range(3):
        while True:
            live = [row for row in rows if row[column]]
            if len(live) <= 1:
                break
            pivot = min(live, key=lambda row: abs(row[column]))
            rows = [
                row
                if row is pivot
                else [a - row[column] // pivot[column] * b for a, b in zip(row, pivot, strict=True)]
                for row in rows
            ]
        if live:
            pivot = live[0]
            rows.remove(pivot)
            sign = 1 if pivot[column] > 0 else -1
            pivot = [sign * value for value in pivot]
            basis = [
                [a - row[column] // pivot[column] * b for a, b in zip(row, pivot, strict=True)]
                for row in basis
            ]
            basis.append(pivot)
    return np.array(basis, dtype=np.int64).reshape(-1, 3).T


def _key(basis: Integers) -> bytes:
    return np.ascontiguousarray(basis).tobytes() + bytes([basis.shape[1]])


def _fits(
    template: Template,
    point: NDArray[np.float64],
    rotations: Integers,
    translations: NDArray[np.float64],
) -> bool:
    """Tell whether a point lies on the orbit of a template and on no more special one."""
    images = rotations @ point + translations
    same = np.abs(images - point - np.rint(images - point)).max(axis=1) < 1e-6
    if int(same.sum()) * template.multiplicity != len(rotations):
        return False
    parameters = np.zeros_like(images)
    free = list(template.free)
    parameters[:, free] = (images - template.constants / GRID)[:, free]
    apart = parameters @ template.matrix.T + template.constants / GRID - images
    return bool((np.abs(apart - np.rint(apart)).max(axis=1) < 1e-6).any())


def _lattice(space_group: int) -> NDArray[np.float64]:
    """Return a cell (rows in Å) of the group's lattice system and of no higher one."""
    a, b, c = 40.0, 47.0, 53.0
    if space_group >= 195:
        return np.diag([a, a, a])
    if space_group >= 143:
        return np.array([[a, 0, 0], [-a / 2, a * 3**0.5 / 2, 0], [0, 0, c]])
    if space_group >= 75:
        return np.diag([a, a, c])
    if space_group >= 16:
        return np.diag([a, b, c])
    if space_group >= 3:
        return np.array([[a, 0, 0], [0, b, 0], [-9.0, 0, c]])
    return np.array([[a, 0, 0], [-5.0, b, 0], [-7.0, -9.0, c]])


def _coordinate(row: Integers, constant: int) -> str:
    """Return one coordinate as text: "-x+1/4"."""
    text = ""
    for factor, name in zip(row, "xyz", strict=True):
        if factor:
            size = "" if abs(factor) == 1 else str(abs(factor))
            text += ("-" if factor < 0 else "+" if text else "") + size + name
    if constant or not text:
        divisor = int(np.gcd(constant, GRID))
        number = "0" if not constant else f"{constant // divisor}/{GRID // divisor}"
        text += ("+" if text else "") + number
    return text


def main() -> None:
    """Write the table."""
    table = {
        str(number): {letter: template.text() for letter, template in lettered(number).items()}
        for number in range(1, 231)
    }
    total = sum(len(group) for group in table.values())
    if total != POSITIONS_IN_ALL:
        raise RuntimeError(f"found {total} Wyckoff positions, not {POSITIONS_IN_ALL}")
    TABLE.parent.mkdir(exist_ok=True)
    text = json.dumps(table, separators=(",", ":"))
    TABLE.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
