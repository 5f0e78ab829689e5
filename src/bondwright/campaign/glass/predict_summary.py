"""What a prediction says of a structure as a whole: per pair of elements, and how much is flagged.

The summary of a frame holds `atoms`, `composition` (element: atoms), `density_g_cm3` and
`atoms_per_A3` (null where the cell is not periodic in all directions), `cell_A` (lengths of the
cell vectors), `bonds`, `pairs`, `all` (as one of the pairs) and `flags`. Shares are of all bonds of
a pair; means of -ICOHP and sigma are over the bonds whose pair of elements is known. A tenth of a
pair's bonds are shorter than its `short_length_A`, which tells strain better than the mean does:
as a glass is compressed, long bonds come into the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from bondwright.campaign.glass.predict_output import PairCodes
from bondwright.learn.model_types import DRIFT, OUTSIDE_LENGTH, UNKNOWN_PAIR
from bondwright.structure.identity import composition

SHORT = 0.1
"""Share of a pair's bonds that count as short: their longest is `short_length_A`."""
_BIN_A, _BINS = 0.01, 1000
FLAGS = {"unknown_pair": UNKNOWN_PAIR, "outside_length": OUTSIDE_LENGTH, "drift": DRIFT}
_G_PER_CM3 = 1e24 / units._Nav  # from g/mol per Å³


def summarise(atoms: Atoms, parts: Iterable[NDArray[np.void]]) -> dict[str, Any]:
    """Return the summary of a frame; JSON values only.

    Args:
        atoms: the structure (Å).
        parts: its bonds, dtype `predict_output.ROW`, a part at a time.
    """
    pairs = PairCodes(atoms)
    sums = _Sums(len(pairs.labels))
    for rows in parts:
        sums.add(pairs.of(rows), rows)
    volume = abs(float(atoms.cell.volume)) if atoms.pbc.all() else 0.0
    told = [sums.tell(label, [k]) for k, label in enumerate(pairs.labels)]
    everything = sums.tell("all", list(range(len(pairs.labels))))
    return {
        "atoms": len(atoms),
        "composition": composition(atoms),
        "density_g_cm3": float(atoms.get_masses().sum()) * _G_PER_CM3 / volume if volume else None,
        "atoms_per_A3": len(atoms) / volume if volume else None,
        "cell_A": [float(x) for x in atoms.cell.lengths()],
        "bonds": everything["bonds"],
        "pairs": sorted((t for t in told if t["bonds"]), key=lambda t: -int(t["bonds"])),
        "all": everything,
        "flags": {name: everything[f"share_{name}"] for name in FLAGS},
    }


class _Sums:
    """Sums over bonds, by pair of elements; in float64, in the order of the bonds."""

    def __init__(self, kinds: int) -> None:
        self.kinds = kinds
        self.count = np.zeros(kinds, dtype=np.int64)
        self.known = np.zeros(kinds, dtype=np.int64)
        self.flagged = {name: np.zeros(kinds, dtype=np.int64) for name in FLAGS}
        self.any_flag = np.zeros(kinds, dtype=np.int64)
        self.length = np.zeros((2, kinds))
        self.mean = np.zeros((2, kinds))
        self.sigma = np.zeros(kinds)
        self.lengths = np.zeros((kinds, _BINS), dtype=np.int64)
        self.least, self.most = np.full(kinds, np.inf), np.full(kinds, -np.inf)

    def add(self, kind: NDArray[np.int32], rows: NDArray[np.void]) -> None:
        known = (rows["flag"] & UNKNOWN_PAIR) == 0
        self.count += np.bincount(kind, minlength=self.kinds)
        self.known += np.bincount(kind[known], minlength=self.kinds)
        self.any_flag += np.bincount(kind[rows["flag"] != 0], minlength=self.kinds)
        for name, bit in FLAGS.items():
            raised = (rows["flag"] & bit) != 0
            self.flagged[name] += np.bincount(kind[raised], minlength=self.kinds)
        length, mean = rows["length"].astype(float), rows["mean"][known].astype(float)
        for power in (1, 2):
            self.length[power - 1] += np.bincount(kind, length**power, self.kinds)
            self.mean[power - 1] += np.bincount(kind[known], mean**power, self.kinds)
        place = np.minimum((length / _BIN_A).astype(np.int64), _BINS - 1)
        flat = np.bincount(kind * _BINS + place, minlength=self.lengths.size)
        self.lengths += flat.reshape(self.lengths.shape)
        self.sigma += np.bincount(kind[known], rows["sigma"][known], self.kinds)
        np.minimum.at(self.least, kind[known], mean)
        np.maximum.at(self.most, kind[known], mean)

    def tell(self, label: str, kinds: list[int]) -> dict[str, Any]:
        """Return the record of some pairs together; null where there is no bond to tell of."""
        count, known = int(self.count[kinds].sum()), int(self.known[kinds].sum())
        share = {name: int(n[kinds].sum()) / count if count else 0.0 for name, n in self._shares()}
        return {
            "pair": label,
            "bonds": count,
            "known_bonds": known,
            **_moments("length_A", count, self.length[:, kinds].sum(axis=1)),
            "short_length_A": _quantile(self.lengths[kinds].sum(axis=0)) if count else None,
            **_moments("minus_icohp_eV", known, self.mean[:, kinds].sum(axis=1)),
            "weakest_minus_icohp_eV": float(self.least[kinds].min()) if known else None,
            "strongest_minus_icohp_eV": float(self.most[kinds].max()) if known else None,
            "mean_sigma_eV": float(self.sigma[kinds].sum()) / known if known else None,
            **{f"share_{name}": value for name, value in share.items()},
        }

    def _shares(self) -> Iterable[tuple[str, NDArray[np.int64]]]:
        yield from self.flagged.items()
        yield "flagged", self.any_flag


def _moments(name: str, count: int, sums: NDArray[np.float64]) -> dict[str, float | None]:
    """Return mean and standard deviation from the sums of first and second powers."""
    if not count:
        return {f"mean_{name}": None, f"std_{name}": None}
    mean = float(sums[0]) / count
    return {
        f"mean_{name}": mean,
        f"std_{name}": max(float(sums[1]) / count - mean**2, 0.0) ** 0.5,
    }


def _quantile(counts: NDArray[np.int64]) -> float:
    """Return the length below which the share `SHORT` of a histogram's bonds lies, Å."""
    below = np.concatenate([[0], np.cumsum(counts)])
    return float(np.interp(SHORT * below[-1], below, _BIN_A * np.arange(_BINS + 1)))
