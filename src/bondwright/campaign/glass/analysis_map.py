"""Where in the glass bonds are strong: a grid of means over the bonds' midpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bondwright.campaign.glass.analysis_frames import PredictedAtoms, PredictedFrame

SPACING_A = 4.0
"""Å; a cube of this edge holds about 25 bonds of a metallic glass."""
_MOST_CELLS = 4_000_000


@dataclass(frozen=True)
class StrengthMap:
    """Means over the boxes of a grid in fractional coordinates.

    Attributes:
        edges_A: (3,) edges of a box, Å.
        bonds: (a, b, c) bonds whose midpoint lies in each box.
        mean_eV: (a, b, c) their mean -ICOHP, eV; NaN without a bond.
        excess_eV: (a, b, c) mean of -ICOHP less that of the pair of elements, eV: strength that
            does not come from which elements are there; NaN without a bond.
    """

    edges_A: NDArray[np.float64]  # noqa: N815
    bonds: NDArray[np.int64]
    mean_eV: NDArray[np.float64]  # noqa: N815
    excess_eV: NDArray[np.float64]  # noqa: N815


def strength_map(
    frame: PredictedFrame,
    atoms: PredictedAtoms,
    spacing_A: float = SPACING_A,  # noqa: N803
) -> StrengthMap | None:
    """Average the bonds of a frame over a grid; None where the glass is not periodic all round.

    Args:
        frame: the frame.
        atoms: its atoms.
        spacing_A: about the edge of a box, Å.
    """
    if not atoms.pbc.all():
        return None
    edges = np.linalg.norm(atoms.cell, axis=1)
    shape = np.maximum(1, np.rint(edges / spacing_A).astype(np.int64))
    if int(np.prod(shape)) > _MOST_CELLS:
        shape = np.maximum(
            1, np.rint(shape * (_MOST_CELLS / np.prod(shape)) ** (1 / 3)).astype(int)
        )
    usual = np.array([frame.pair_record(p)["mean_minus_icohp_eV"] for p in frame.pairs])
    sums = np.zeros((3, int(np.prod(shape))))
    inverse = np.linalg.inv(atoms.cell)
    for part in frame.bonds():
        second = atoms.positions[part.j] + part.image @ atoms.cell
        middle = (atoms.positions[part.i] + second) / 2 @ inverse
        place = np.minimum(((middle - np.floor(middle)) * shape).astype(np.int64), shape - 1)
        flat = np.ravel_multi_index(tuple(place.T), tuple(shape.tolist()))
        excess = part.strength_eV - usual[part.pair]
        for k, values in enumerate((np.ones(len(part)), part.strength_eV, excess)):
            sums[k] += np.bincount(flat, values, sums.shape[1])
    count = sums[0].reshape(shape)
    with np.errstate(invalid="ignore"):
        mean, excess = (sums[k].reshape(shape) / np.where(count > 0, count, np.nan) for k in (1, 2))
    return StrengthMap(edges / shape, count.astype(np.int64), mean, excess)


def write_map(path: Path, found: StrengthMap) -> None:
    """Write a map as CSV: the box's indices, its bonds, and both means (empty without a bond)."""
    import pandas as pd

    from bondwright.structure.write import write_text

    a, b, c = np.indices(found.bonds.shape).reshape(3, -1)
    table = pd.DataFrame(
        {
            "box_a": a,
            "box_b": b,
            "box_c": c,
            "bonds": found.bonds.ravel(),
            "mean_minus_icohp_eV": found.mean_eV.ravel(),
            "excess_eV": found.excess_eV.ravel(),
        }
    )
    write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.5f"))
