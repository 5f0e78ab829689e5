"""How bonds change over the frames of a trajectory, e.g. as a glass is compressed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bondwright.campaign.glass.analysis_frames import PredictedFrame

STRONG_SHARE = 0.1
"""A bond is strong where it would be among this share of its pair's strongest in frame 0."""


def evolution(
    frames: Sequence[PredictedFrame], group: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Follow a glass over its frames.

    Args:
        frames: the frames; the first is the reference.
        group: (atoms,) weak (1) and strong (2) atoms of the reference, followed where every frame
            has the same atoms.

    Returns:
        `axis` (0, 1 or 2: the cell vector that changes most); `strong_eV` {pair: -ICOHP from which
        a bond is strong}; `frames` [{`number`, `step`, `strain` (of that vector, relative; negative
        is compression), `cell_A`, `density_g_cm3`, `bonds_per_atom`, `total_eV_per_atom`,
        `mean_eV`, `mean_sigma_eV`, `flagged`, `strong_share`, `pairs` {pair: {`bonds`, `mean_eV`,
        `total_eV`, `mean_length_A`, `strong_share`}}, `weak_mean_eV`, `strong_mean_eV` (mean
        -ICOHP of the bonds of those atoms; null where it is not followed)}].
    """
    first = frames[0]
    cells = np.array([f.summary["cell_A"] for f in frames], dtype=float)
    start = np.where(cells[0] > 0, cells[0], 1.0)
    strains = cells / start - 1
    axis = int(np.abs(strains).max(axis=0).argmax())
    limits = strong_limits(first)
    rows = []
    for frame, strain in zip(frames, strains[:, axis].tolist(), strict=True):
        total = frame.summary["all"]
        atoms = frame.summary["atoms"]
        strong = _strong(frame, limits)
        mean = total["mean_minus_icohp_eV"]
        rows.append(
            {
                "number": frame.summary["number"],
                "step": frame.summary["step"],
                "strain": strain,
                "cell_A": frame.summary["cell_A"],
                "density_g_cm3": frame.summary["density_g_cm3"],
                "bonds_per_atom": 2 * total["bonds"] / atoms,
                "total_eV_per_atom": None if mean is None else mean * total["known_bonds"] / atoms,
                "mean_eV": mean,
                "mean_sigma_eV": total["mean_sigma_eV"],
                "flagged": total["share_flagged"],
                "strong_share": sum(strong.values()) / max(total["known_bonds"], 1),
                "pairs": {
                    pair: _of_pair(frame.pair_record(pair), strong[pair]) for pair in frame.pairs
                },
                **_of_groups(frame, group),
            }
        )
    return {"axis": axis, "strong_eV": limits, "frames": rows}


def strong_limits(frame: PredictedFrame) -> dict[str, float]:
    """Return pair -> -ICOHP of its strongest tenth's weakest bond, eV (`STRONG_SHARE`)."""
    values: dict[int, list[NDArray[np.float64]]] = {}
    for part in frame.bonds():
        for kind in np.unique(part.pair).tolist():
            values.setdefault(kind, []).append(part.strength_eV[part.pair == kind].astype("f4"))
    return {
        frame.pairs[kind]: float(np.quantile(np.concatenate(found), 1 - STRONG_SHARE))
        for kind, found in sorted(values.items())
    }


def evolution_table(found: dict[str, Any]) -> str:
    """Return the frames as CSV text, one row each and one column per pair and quantity."""
    import pandas as pd

    rows = []
    for frame in found["frames"]:
        row = {k: v for k, v in frame.items() if k not in ("pairs", "cell_A")}
        row.update({f"cell_{a}_A": x for a, x in zip("abc", frame["cell_A"], strict=True)})
        for pair, values in frame["pairs"].items():
            row.update({f"{pair} {name}": value for name, value in values.items()})
        rows.append(row)
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", float_format="%.6g")


def _strong(frame: PredictedFrame, limits: dict[str, float]) -> dict[str, int]:
    """Return pair -> number of strong bonds; a pair new to the glass has none."""
    limit = np.array([limits.get(pair, np.inf) for pair in frame.pairs])
    counts = np.zeros(len(frame.pairs), dtype=np.int64)
    for part in frame.bonds():
        strong = part.strength_eV >= limit[part.pair]
        counts += np.bincount(part.pair[strong], minlength=len(counts))
    return dict(zip(frame.pairs, counts.tolist(), strict=True))


def _of_pair(record: dict[str, Any], strong: int) -> dict[str, Any]:
    mean, known = record["mean_minus_icohp_eV"], record["known_bonds"]
    return {
        "bonds": record["bonds"],
        "mean_eV": mean,
        "total_eV": mean * known,
        "mean_length_A": record["mean_length_A"],
        "strong_share": strong / known,
    }


def _of_groups(frame: PredictedFrame, group: NDArray[np.int64] | None) -> dict[str, float | None]:
    if group is None or len(group) != frame.summary["atoms"]:
        return {"weak_mean_eV": None, "strong_mean_eV": None}
    atoms = frame.atoms()

    def mean(number: int) -> float | None:
        mine = (group == number) & (atoms.bonds > 0)
        return (
            float(atoms.strength_eV[mine].sum() / atoms.bonds[mine].sum()) if mine.any() else None
        )

    return {"weak_mean_eV": mean(1), "strong_mean_eV": mean(2)}
