"""Training sets: bonds drawn from labelled cells with a seed, recorded so that they can be redrawn.

A set names each cell, the hash of its labels and the rows drawn; models keep the set's own hash.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bondwright.errors import InputError, nearest
from bondwright.learn.cells import LabelledCell, labels_hash
from bondwright.structure.write import write_text

_FORMAT = "bondwright-training-set/1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Drawn:
    """What a set takes from one cell.

    Attributes:
        name: the cell.
        labels: `labels_hash` of its bond table.
        rows: rows of the table, ascending.
    """

    name: str
    labels: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class TrainingSet:
    """Bonds chosen for training.

    Attributes:
        method: the method of all labels.
        seed: of the draw.
        request: what was asked for: `per_pair` (pair -> number, or one number for each pair; None
            for all bonds), `weights` (composition -> weight), `window_A`.
        cells: what is taken from each cell; cells without any row are left out.
        counts: pair -> composition -> number of bonds.
    """

    method: str
    seed: int
    request: dict[str, Any]
    cells: tuple[Drawn, ...]
    counts: dict[str, dict[str, int]]

    def __len__(self) -> int:
        """Return the number of bonds."""
        return sum(len(drawn.rows) for drawn in self.cells)

    @property
    def sha256(self) -> str:
        """Hash of everything that determines the set."""
        content = [self.method, [asdict(drawn) for drawn in self.cells]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the set as JSON values."""
        return {"format": _FORMAT, "sha256": self.sha256, "bonds": len(self), **asdict(self)}


def draw(
    cells: Sequence[LabelledCell],
    per_pair: Mapping[str, int] | int | None = None,
    *,
    seed: int = 0,
    weights: Mapping[str, float] | None = None,
    window_A: tuple[float, float] | None = None,  # noqa: N803 (a unit)
) -> TrainingSet:
    """Draw a training set.

    Args:
        cells: labelled cells of one method, in any order; the result does not depend on it.
        per_pair: number of bonds of each pair of elements, or one number for every pair; None
            takes all. A pair that has fewer bonds gives all it has.
        seed: of the draw.
        weights: composition -> share of the bonds, relative; None shares alike. A composition that
            has too few bonds of a pair gives all it has, and the others are not asked for more.
        window_A: shortest and longest bond that is drawn; None draws from all.

    Raises:
        InputError: no cell, two methods, a pair or a composition that no cell has, or a number
            that makes no sense.
    """
    if not cells:
        raise InputError("a training set needs at least one labelled cell.")
    methods = sorted({cell.bonds.method for cell in cells})
    if len(methods) > 1:
        raise InputError(f"a training set has labels of one method, not of {'; '.join(methods)}.")
    ordered = sorted(cells, key=lambda cell: cell.name)
    available = _available(ordered, window_A)
    wanted = _wanted(per_pair, available)
    shares = _shares(weights, sorted({cell.composition for cell in ordered}))
    rows: dict[int, list[int]] = {k: [] for k in range(len(ordered))}
    counts: dict[str, dict[str, int]] = {}
    for pair, number in wanted.items():
        split = None if number is None else share_out(number, shares)
        for composition, bonds in available[pair].items():
            if composition not in shares:
                continue
            # A seed of its own for each pair and composition: more of one does not move another.
            rng = np.random.default_rng([seed, _number(pair), _number(composition)])
            n = len(bonds) if split is None else min(split[composition], len(bonds))
            for cell, row in bonds[np.sort(rng.permutation(len(bonds))[:n])]:
                rows[int(cell)].append(int(row))
            if n:
                counts.setdefault(pair, {})[composition] = int(n)
    return TrainingSet(
        method=methods[0],
        seed=seed,
        request={
            "per_pair": dict(per_pair) if isinstance(per_pair, Mapping) else per_pair,
            "weights": dict(weights) if weights else None,
            "window_A": list(window_A) if window_A else None,
        },
        cells=tuple(
            Drawn(cell.name, labels_hash(cell.bonds), tuple(sorted(rows[k])))
            for k, cell in enumerate(ordered)
            if rows[k]
        ),
        counts=counts,
    )


def select(training_set: TrainingSet, cells: Sequence[LabelledCell]) -> list[LabelledCell]:
    """Return the cells of a set with the bonds that it draws from them.

    Raises:
        InputError: a cell is missing, or its labels are not those that were drawn from.
    """
    there = {cell.name: cell for cell in cells}
    chosen = []
    for drawn in training_set.cells:
        cell = there.get(drawn.name)
        if cell is None:
            raise InputError(f"{drawn.name}: the training set needs this cell, it has no label.")
        if labels_hash(cell.bonds) != drawn.labels:
            raise InputError(
                f"{drawn.name}: its labels are not those that the training set was drawn from."
            )
        bonds = cell.bonds.select(np.array(drawn.rows, dtype=np.int64))
        chosen.append(replace(cell, bonds=bonds))
    return chosen


def save(path: Path, training_set: TrainingSet) -> None:
    """Write a set as JSON."""
    write_text(path, json.dumps(training_set.to_json()) + "\n")


def load(path: Path) -> TrainingSet:
    """Read a set that `save` wrote.

    Raises:
        InputError: there is no such file, or it is damaged or was changed.
    """
    try:
        data = json.loads(path.read_bytes())
        found = TrainingSet(
            method=data["method"],
            seed=data["seed"],
            request=data["request"],
            cells=tuple(Drawn(c["name"], c["labels"], tuple(c["rows"])) for c in data["cells"]),
            counts=data["counts"],
        )
        same = data["sha256"] == found.sha256
    except FileNotFoundError:
        there = [other.stem for other in path.parent.glob("*.json")]
        raise InputError(
            f"there is no training set {path.stem!r}.{nearest(path.stem, there)}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name}: the training set is damaged ({error!r}).") from None
    if not same:
        raise InputError(f"{path.name}: the training set was changed by hand; draw it again.")
    return found


def set_file(folder: Path, name: str) -> Path:
    """Return the file of the set `name` in `folder`.

    Raises:
        InputError: it cannot be a file's name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name a training set; use letters, digits and . _ + -.")
    return folder / f"{name}.json"


def share_out(number: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Split a number by shares, by the largest remainder; equal remainders in order of names."""
    total = sum(shares.values())
    exact = {name: number * share / total for name, share in shares.items()}
    parts = {name: int(value + 1e-9) for name, value in exact.items()}
    left = sorted(exact, key=lambda name: (parts[name] - exact[name], name))
    for name in left[: number - sum(parts.values())]:
        parts[name] += 1
    return parts


def _available(
    cells: Sequence[LabelledCell],
    window_A: tuple[float, float] | None,  # noqa: N803
) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Return pair -> composition -> (n, 2) rows [cell, row], in order."""
    found: dict[str, dict[str, list[NDArray[np.int64]]]] = {}
    for k, cell in enumerate(cells):
        for pair, rows in cell.bonds.pair_types().items():
            lengths = cell.bonds.length_A[rows]
            if window_A is not None:
                rows = rows[(lengths >= window_A[0]) & (lengths <= window_A[1])]
            if len(rows):
                both = np.column_stack([np.full(len(rows), k), rows])
                found.setdefault(pair, {}).setdefault(cell.composition, []).append(both)
    return {
        pair: {c: np.concatenate(parts) for c, parts in sorted(by_composition.items())}
        for pair, by_composition in sorted(found.items())
    }


def _wanted(
    per_pair: Mapping[str, int] | int | None, available: Mapping[str, Any]
) -> dict[str, int | None]:
    if isinstance(per_pair, Mapping):
        for pair, number in per_pair.items():
            if pair not in available:
                known = ", ".join(available)
                hint = nearest(pair, available) or f" There are: {known}."
                raise InputError(f"no labelled cell has {pair!r} bonds.{hint}")
            if number < 0:
                raise InputError(f"{pair}: {number} bonds cannot be drawn; give 0 or more.")
        return dict(per_pair)
    if per_pair is not None and per_pair < 1:
        raise InputError(f"{per_pair} bonds of each pair cannot be drawn; give 1 or more.")
    return dict.fromkeys(available, per_pair)


def _shares(weights: Mapping[str, float] | None, compositions: list[str]) -> dict[str, float]:
    if not weights:
        return dict.fromkeys(compositions, 1.0)
    for name, weight in weights.items():
        if name not in compositions:
            raise InputError(
                f"no labelled cell is of {name!r}.{nearest(name, compositions)} There are: "
                f"{', '.join(compositions)}."
            )
        if not weight >= 0:
            raise InputError(f"{name}: a weight must not be negative, found {weight}.")
    chosen = {name: float(weight) for name, weight in sorted(weights.items()) if weight > 0}
    if not chosen:
        raise InputError("every composition has weight 0; give one of them more.")
    return chosen


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
