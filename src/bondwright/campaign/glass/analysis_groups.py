"""Weakly and strongly bonded atoms: which they are, and what surrounds them.

The mean -ICOHP of an atom's first-shell bonds is compared with a threshold, element by element, as
in 10.1103/PhysRevMaterials.4.113603.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bondwright.bonding.analysis import split_atoms
from bondwright.bonding.pairs import pair_label, split_pair
from bondwright.campaign.glass.analysis_frames import PredictedAtoms, PredictedFrame
from bondwright.structure.write import write_text

NAMES = {1: "weak", 2: "strong"}
_IDS_PER_LINE = 20


@dataclass(frozen=True)
class Groups:
    """Atoms by the strength of their bonds.

    Attributes:
        group: (atoms,) 1 weak, 2 strong, 0 neither (no bond in the shell).
        mean_eV: (atoms,) mean -ICOHP of the bonds in the shell, eV; NaN without one.
        neighbours: (atoms,) how many bonds that are.
        elements: elements of the glass.
        shells: (3, elements, elements) neighbours in the shell: of atoms of a group and an element,
            those of each element.
        alike: (3, 3) bonds in the shell between atoms of two groups, from either end.
        ends_A: pair -> length at which the shell ends, Å.
    """

    group: NDArray[np.int64]
    mean_eV: NDArray[np.float64]  # noqa: N815
    neighbours: NDArray[np.int64]
    elements: list[str]
    shells: NDArray[np.int64]
    alike: NDArray[np.int64]
    ends_A: dict[str, float]  # noqa: N815


def find_groups(
    frame: PredictedFrame,
    atoms: PredictedAtoms,
    ends_A: Mapping[str, float],  # noqa: N803
    *,
    threshold_eV: Mapping[str, float] | float | None = None,  # noqa: N803
    quantile: float | None = None,
) -> Groups:
    """Split the atoms of a frame into weakly and strongly bonded ones.

    Args:
        frame: the frame.
        atoms: its atoms.
        ends_A: pair -> length at which the first shell ends, Å (see `shell_ends`).
        threshold_eV: mean -ICOHP from which an atom is strong, eV, or one per element.
        quantile: or the share of each element's atoms that is weak, 0..1.

    Raises:
        InputError: not exactly one of threshold and quantile is given.
    """
    sums, counts = np.zeros(len(atoms)), np.zeros(len(atoms), dtype=np.int64)
    for i, j, strength in _shell_bonds(frame, ends_A):
        for side in (i, j):
            sums += np.bincount(side, strength, len(atoms))
            counts += np.bincount(side, minlength=len(atoms))
    mean = np.divide(sums, counts, out=np.full(len(atoms), np.nan), where=counts > 0)
    group = split_atoms(mean, atoms.element, threshold_eV=threshold_eV, quantile=quantile)
    elements, kind = np.unique(atoms.element, return_inverse=True)
    size = len(elements)
    shells = np.zeros((3, size, size), dtype=np.int64)
    alike = np.zeros((3, 3), dtype=np.int64)
    for i, j, _ in _shell_bonds(frame, ends_A):
        for here, there in ((i, j), (j, i)):
            np.add.at(shells, (group[here], kind[here], kind[there]), 1)
            np.add.at(alike, (group[here], group[there]), 1)
    return Groups(group, mean, counts, elements.tolist(), shells, alike, dict(ends_A))


def groups_as_json(groups: Groups, atoms: PredictedAtoms) -> dict[str, Any]:
    """Return what the groups are made of, as JSON values.

    Returns:
        `shell_A` {pair: Å}; `groups` [{`name`, `atoms`, `elements` {element: {`atoms`, `percent`
        (of the group), `limit_eV`, `mean_eV`, `coordination`, `shell_percent` {element: %}}},
        `own_kind_percent` (of the neighbours, those of the same group), `own_kind_by_chance`}].
    """
    told = []
    ends = groups.alike.sum()
    for number, name in NAMES.items():
        mine = groups.group == number
        size = int(mine.sum())
        elements = {}
        for k, element in enumerate(groups.elements):
            own = mine & (atoms.element == element)
            around = groups.shells[number, k]
            elements[element] = {
                "atoms": int(own.sum()),
                "percent": _percent(own.sum(), size),
                "weakest_eV": _rounded(groups.mean_eV[own].min()) if own.any() else None,
                "mean_eV": _rounded(groups.mean_eV[own].mean()) if own.any() else None,
                "coordination": _rounded(around.sum() / own.sum()) if own.any() else None,
                "shell_percent": {
                    other: _percent(around[m], around.sum())
                    for m, other in enumerate(groups.elements)
                },
            }
        neighbours = groups.alike[number].sum()
        told.append(
            {
                "name": name,
                "atoms": size,
                "elements": elements,
                "own_kind_percent": _percent(groups.alike[number, number], neighbours),
                "own_kind_by_chance": _percent(neighbours, ends),
            }
        )
    return {"shell_A": groups.ends_A, "groups": told}


def write_groups(folder: Path, groups: Groups, atoms: PredictedAtoms) -> list[Path]:
    """Write groups.csv (one row per atom), and weak.grp and strong.grp for LAMMPS.

    A .grp file holds `group` commands: `include weak.grp` in a LAMMPS input defines the group.

    Returns:
        The files.
    """
    import pandas as pd

    table = pd.DataFrame(
        {
            "id": atoms.id,
            "element": atoms.element.astype(object),
            "mean_minus_icohp_eV": groups.mean_eV,
            "neighbours": groups.neighbours,
            "group": [NAMES.get(g, "") for g in groups.group.tolist()],
        }
    )
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6f")
    write_text(folder / "groups.csv", text)
    paths = [folder / "groups.csv"]
    for number, name in NAMES.items():
        ids = [str(k) for k in atoms.id[groups.group == number].tolist()]
        lines = [
            f"group {name} id {' '.join(ids[start : start + _IDS_PER_LINE])}\n"
            for start in range(0, len(ids), _IDS_PER_LINE)
        ]
        write_text(folder / f"{name}.grp", "".join(lines))
        paths.append(folder / f"{name}.grp")
    return paths


def _shell_bonds(
    frame: PredictedFrame,
    ends_A: Mapping[str, float],  # noqa: N803
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Yield first atoms, second atoms and -ICOHP of the bonds in first shells, part by part."""
    ends = {pair_label(*split_pair(pair)): end for pair, end in ends_A.items()}
    limit = np.array([ends.get(pair, 0.0) for pair in frame.pairs])
    for part in frame.bonds():
        keep = part.length_A <= limit[part.pair]
        yield part.i[keep], part.j[keep], part.strength_eV[keep]


def _percent(part: float, whole: float) -> float:
    return round(100 * float(part) / float(whole), 2) if whole else 0.0


def _rounded(value: float) -> float:
    return round(float(value), 5)
