"""Splits of labelled cells into training and test sides that do not know each other.

Bonds of one cell, and of the strained copies of one melt-quench, are so alike that a split between
them measures memory. A run (one melt-quench with all its variants) therefore stands on one side of
every split; where only one run exists, a split inside it must be asked for by name
(`within_run=True`), and every evaluation made with it carries the word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bondwright.errors import InputError
from bondwright.learn.cells import LabelledCell
from bondwright.structure.identity import content_hash
from bondwright.structure.neighbours import neighbour_pairs

PUBLISHED_CLASSES = {
    **dict.fromkeys(["0", "7", "9", "11", "13"], "mild"),
    **dict.fromkeys(["1", "2", "3", "4", "5", "6"], "shear"),
    **dict.fromkeys(["8", "10", "12", "14"], "compression"),
}
"""Class of strain of each published variant."""
MILD_STRAIN = 0.05
"""Largest principal Green-Lagrange strain of a variant that still counts as mild."""

# A glass cell and its copy strained by 2 % share 89 to 97 % of their environments at this
# tolerance, two 100-atom cells of other strains none, and 7 % of a cell's atoms find one by chance
# among 10,000 of another run (docs/bond-evaluation.md).
_NEIGHBOURS = 12
_REACH_A = 5.5
_TYPICAL_A = 2.6
_TOLERANCE_A = 0.04
_TWIN_SHARE = 0.25


@dataclass(frozen=True)
class Fold:
    """One training and one test side.

    Attributes:
        name: what is held out.
        train: places of the training cells in the list of cells.
        test: places of the test cells.
    """

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """The folds of an evaluation.

    Attributes:
        kind: what is held out: "run", "composition", "variant class", "cell", ...
        folds: the folds, in a fixed order.
        within_run: a run may stand on both sides; the errors are then those of interpolation
            between copies of one melt-quench, not of a new glass.
    """

    kind: str
    folds: tuple[Fold, ...]
    within_run: bool = False

    @property
    def name(self) -> str:
        """The kind of split, with the word that its figures must carry."""
        return f"{self.kind}, within run" if self.within_run else self.kind


def split_by_run(cells: Sequence[LabelledCell], folds: int | None = None, seed: int = 0) -> Split:
    """Hold out one run after another, or groups of runs.

    Args:
        cells: the labelled cells.
        folds: number of groups of whole runs; each run by itself when None.
        seed: of the order in which runs are dealt to the groups.

    Raises:
        InputError: fewer runs than folds, a single run, or a leak (`check_split`).
    """
    runs = list(dict.fromkeys(cell.run for cell in cells))
    if folds is None:
        return _hold_out(cells, "run", [(run, [run]) for run in runs], lambda cell: cell.run)
    if not 2 <= folds <= len(runs):
        raise InputError(
            f"{len(runs)} runs cannot be dealt to {folds} folds; choose 2 to {len(runs)}."
        )
    dealt = np.random.default_rng(seed).permutation(len(runs))
    groups = [
        (f"group {k + 1} of {folds}", [runs[r] for r in sorted(dealt[k::folds])])
        for k in range(folds)
    ]
    return _hold_out(cells, f"run, {folds} groups", groups, lambda cell: cell.run)


def split_by_composition(cells: Sequence[LabelledCell]) -> Split:
    """Hold out one composition after another.

    Raises:
        InputError: a single composition, or a leak (`check_split`).
    """
    names = list(dict.fromkeys(cell.composition for cell in cells))
    groups = [(name, [name]) for name in names]
    return _hold_out(cells, "composition", groups, lambda cell: cell.composition)


def split_by_variant_class(
    cells: Sequence[LabelledCell],
    *,
    within_run: bool = False,
    class_of: Callable[[LabelledCell], str] | None = None,
) -> Split:
    """Hold out one class of strain after another.

    Args:
        cells: the labelled cells.
        within_run: must be true where classes of one run stand on both sides.
        class_of: names the class of a cell; `variant_classes` when None.

    Raises:
        InputError: a single class, or a leak (`check_split`).
    """
    classes = [class_of(cell) for cell in cells] if class_of else variant_classes(cells)
    by_name = {cell.name: kind for cell, kind in zip(cells, classes, strict=True)}
    groups = [(kind, [kind]) for kind in dict.fromkeys(classes)]
    return _hold_out(cells, "variant class", groups, lambda cell: by_name[cell.name], within_run)


def split_by_cell(cells: Sequence[LabelledCell], *, within_run: bool = False) -> Split:
    """Hold out one cell after another.

    Raises:
        InputError: a single cell, or a leak (`check_split`): cells of one run need `within_run`.
    """
    groups = [(cell.name, [cell.name]) for cell in cells]
    return _hold_out(cells, "cell", groups, lambda cell: cell.name, within_run)


def split_single_cell(
    cells: Sequence[LabelledCell], name: str, *, within_run: bool = False
) -> Split:
    """Test one cell with a model of all the others.

    Without `within_run`, the other cells of the tested cell's run are left out of the training.

    Args:
        cells: the labelled cells.
        name: the tested cell, e.g. "Zr49Cu49Al2/21/0".
        within_run: train on the other cells of its run too.

    Raises:
        InputError: no such cell, nothing left to train on, or a leak (`check_split`).
    """
    places = {cell.name: k for k, cell in enumerate(cells)}
    if name not in places:
        raise InputError(f"there is no labelled cell {name!r}; choose one of {_some(places)}.")
    run = cells[places[name]].run
    train = [c.name for c in cells if c.name != name and (within_run or c.run != run)]
    return split_named(cells, train, [name], kind="single cell", within_run=within_run)


def split_named(
    cells: Sequence[LabelledCell],
    train: Sequence[str],
    test: Sequence[str],
    *,
    kind: str = "named cells",
    within_run: bool = False,
) -> Split:
    """Train on some cells and test on others, all given by name.

    Raises:
        InputError: an unknown name, an empty side, or a leak (`check_split`).
    """
    places = {cell.name: k for k, cell in enumerate(cells)}
    if unknown := [name for name in [*train, *test] if name not in places]:
        raise InputError(f"there is no labelled cell {unknown[0]!r}; choose from {_some(places)}.")
    title = test[0] if len(test) == 1 else f"{len(test)} cells"
    fold = Fold(title, tuple(places[name] for name in train), tuple(places[name] for name in test))
    split = Split(kind, (fold,), within_run)
    check_split(cells, split)
    return split


def variant_classes(cells: Sequence[LabelledCell]) -> list[str]:
    """Return the class of strain of each cell.

    Published variants ("0" to "14") are classed by name. Others by their strain against variant
    "0" of their run: "mild" up to `MILD_STRAIN`, else "compression" or "tension" where the volume
    changed by more than 5 %, else "shear"; "other" where variant "0" is not among the cells.
    """
    reference = {cell.run: cell.atoms.cell.array for cell in cells if cell.variant == "0"}
    classes = []
    for cell in cells:
        if cell.variant in PUBLISHED_CLASSES:
            classes.append(PUBLISHED_CLASSES[cell.variant])
        elif cell.run in reference:
            deform = np.linalg.solve(reference[cell.run], cell.atoms.cell.array)
            classes.append(_strain_class(deform))
        else:
            classes.append("other")
    return classes


def check_split(cells: Sequence[LabelledCell], split: Split) -> None:
    """Refuse a split whose two sides know each other.

    Refused are an empty side, a cell or an equal structure on both sides, and, unless
    `split.within_run`, a run on both sides, or cells of two runs that are copies of each other:
    more than a quarter of the atoms have an environment (distances to 12 neighbours, scaled to
    equal density) that coincides within 0.04 Å with one of the same element.

    Raises:
        InputError: naming the fold and what leaks.
    """
    hashes = [content_hash(cell.atoms) for cell in cells]
    twins = set() if split.within_run else _twins(cells)
    for fold in split.folds:
        if not fold.train or not fold.test:
            side = "training" if not fold.train else "test"
            raise InputError(f"the fold {fold.name!r} has no {side} cell; add cells or runs.")
        for a, b in product(fold.test, fold.train):
            one, other = cells[a].name, cells[b].name
            if a == b or hashes[a] == hashes[b]:
                raise InputError(
                    f"leak in fold {fold.name!r}: test cell {one} and training cell {other} have "
                    "the same structure; keep one of them."
                )
            if split.within_run:
                continue
            if cells[a].run == cells[b].run:
                raise InputError(
                    f"leak in fold {fold.name!r}: run {cells[a].run} is on both sides ({one} in "
                    f"the test, {other} in the training); split by run, or say within_run=True."
                )
            if (min(a, b), max(a, b)) in twins:
                raise InputError(
                    f"leak in fold {fold.name!r}: {one} and {other} carry two runs' names but "
                    "their atoms have the same environments; give copies one run, or say "
                    "within_run=True."
                )


def _hold_out(
    cells: Sequence[LabelledCell],
    kind: str,
    groups: Sequence[tuple[str, Sequence[str]]],
    group_of: Callable[[LabelledCell], str],
    within_run: bool = False,
) -> Split:
    """Return a checked split that holds out each group of names in turn."""
    if len(groups) < 2:
        raise InputError(
            f"a split by {kind} needs two of them, but there is only {_some(dict(groups))}; label "
            "more cells, or use another split."
        )
    names = [group_of(cell) for cell in cells]
    folds = tuple(
        Fold(
            title,
            tuple(k for k, name in enumerate(names) if name not in held),
            tuple(k for k, name in enumerate(names) if name in held),
        )
        for title, held in groups
    )
    split = Split(kind, folds, within_run)
    check_split(cells, split)
    return split


def _twins(cells: Sequence[LabelledCell]) -> set[tuple[int, int]]:
    """Return places (a < b) of cells of different runs whose environments coincide."""
    environment = np.concatenate([_environments(cell) for cell in cells])
    number = np.concatenate([cell.atoms.numbers for cell in cells])
    size = np.array([len(cell.atoms) for cell in cells])
    owner = np.repeat(np.arange(len(cells)), size)
    runs = np.unique([cell.run for cell in cells], return_inverse=True)[1]
    shared: dict[tuple[int, int], set[int]] = {}
    for element in np.unique(number):
        mine = np.flatnonzero(number == element)
        tree = cKDTree(environment[mine])
        found = mine[tree.query_pairs(_TOLERANCE_A, p=np.inf, output_type="ndarray")]
        apart = runs[owner[found[:, 0]]] != runs[owner[found[:, 1]]]
        for p, q in found[apart].tolist():
            for here, there in ((p, q), (q, p)):
                shared.setdefault((int(owner[here]), int(owner[there])), set()).add(here)
    return {
        (min(a, b), max(a, b))
        for (a, b), atoms in shared.items()
        if len(atoms) > _TWIN_SHARE * size[a]
    }


def _environments(cell: LabelledCell) -> NDArray[np.float64]:
    """Return (atoms, 12) sorted distances to neighbours, Å, scaled to a common density."""
    atoms = cell.atoms
    pairs = neighbour_pairs(atoms, _REACH_A, full=True)
    order = np.lexsort((pairs.distance, pairs.i))
    centre, distance = pairs.i[order], pairs.distance[order]
    rank = np.arange(len(centre)) - np.searchsorted(centre, np.arange(len(atoms)))[centre]
    near = rank < _NEIGHBOURS
    result = np.full((len(atoms), _NEIGHBOURS), _REACH_A)
    result[centre[near], rank[near]] = distance[near]
    scale = (atoms.get_volume() / len(atoms)) ** (1 / 3) if atoms.pbc.all() else _TYPICAL_A
    return result * _TYPICAL_A / scale


def _strain_class(deform: NDArray[np.float64]) -> str:
    """Return the class of a deformation gradient (new cell = old cell @ deform)."""
    strain = (deform @ deform.T - np.eye(3)) / 2
    if np.abs(np.linalg.eigvalsh(strain)).max() <= MILD_STRAIN:
        return "mild"
    volume = abs(float(np.linalg.det(deform)))
    return "compression" if volume < 0.95 else "tension" if volume > 1.05 else "shear"


def _some(names: Iterable[str], most: int = 3) -> str:
    """Return the first few of the names."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
