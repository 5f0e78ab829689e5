"""How strong, how long and how certain the bonds of a frame are, pair by pair of elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bondwright.campaign.glass.analysis_frames import PredictedFrame

LENGTH_STEP_A = 0.05
"""Å; width of the bins of length."""
_STRENGTH_BINS = 120
_SIGMA_BINS = 100
_SHELL_BONDS = 200
"""Fewer bonds of a pair do not show where its first shell ends."""


@dataclass(frozen=True)
class Axis:
    """Equal bins from `low` on.

    Attributes:
        low: lower end of the first bin.
        step: width of a bin.
        bins: how many; what lies beyond counts in the outer ones.
    """

    low: float
    step: float
    bins: int

    @classmethod
    def spanning(cls, low: float, high: float, wanted: int) -> Axis:
        """Return round bins (1, 2 or 5 times a power of ten), about `wanted` of them."""
        raw = max(high - low, 1e-6) / wanted
        power = 10.0 ** np.floor(np.log10(raw))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
        first = np.floor(low / step)
        return cls(float(first * step), float(step), int(np.floor(high / step) - first) + 1)

    @property
    def centres(self) -> NDArray[np.float64]:
        """(bins,) middles of the bins."""
        return np.asarray(self.low + self.step * (np.arange(self.bins) + 0.5), dtype=float)

    def place(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return (n,) the bin of each value."""
        raw = np.floor((values - self.low) / self.step).astype(np.int64)
        return np.clip(raw, 0, self.bins - 1)

    def as_json(self) -> dict[str, Any]:
        """Return {"low", "step", "bins"}, rounded against binary noise."""
        return {"low": round(self.low, 9), "step": round(self.step, 9), "bins": self.bins}


@dataclass(frozen=True)
class Distributions:
    """Histograms of one frame, (pairs, bins), pairs as in `PredictedFrame.pairs`.

    Attributes:
        pairs: names of the pairs of elements.
        strength: bins of -ICOHP, eV.
        strengths: bonds per pair and bin of -ICOHP.
        length: bins of length, Å.
        lengths: bonds per pair and bin of length.
        mean_eV: mean -ICOHP per pair and bin of length, eV; 0 where there is no bond.
        std_eV: standard deviation of it, eV.
        sigma: bins of sigma, eV.
        sigmas: bonds per pair and bin of sigma.
    """

    pairs: list[str]
    strength: Axis
    strengths: NDArray[np.int64]
    length: Axis
    lengths: NDArray[np.int64]
    mean_eV: NDArray[np.float64]  # noqa: N815
    std_eV: NDArray[np.float64]  # noqa: N815
    sigma: Axis
    sigmas: NDArray[np.int64]

    def as_json(self) -> dict[str, Any]:
        """Return JSON values; of lengths only bins that hold bonds."""
        rows = []
        for k, pair in enumerate(self.pairs):
            used = np.flatnonzero(self.lengths[k])
            rows.append(
                {
                    "pair": pair,
                    "strengths": self.strengths[k].tolist(),
                    "sigmas": self.sigmas[k].tolist(),
                    "length_A": np.round(self.length.centres[used], 4).tolist(),
                    "bonds": self.lengths[k, used].tolist(),
                    "mean_eV": np.round(self.mean_eV[k, used], 5).tolist(),
                    "std_eV": np.round(self.std_eV[k, used], 5).tolist(),
                }
            )
        return {
            "strength_axis": self.strength.as_json(),
            "sigma_axis": self.sigma.as_json(),
            "pairs": rows,
        }


def strength_axis(frames: list[PredictedFrame]) -> Axis:
    """Return bins of -ICOHP that hold every bond of some frames."""
    known = [f.summary["all"] for f in frames if f.summary["all"]["known_bonds"]]
    low = min((r["weakest_minus_icohp_eV"] for r in known), default=0.0)
    high = max((r["strongest_minus_icohp_eV"] for r in known), default=1.0)
    return Axis.spanning(min(low, 0.0), high, _STRENGTH_BINS)


def distributions(frame: PredictedFrame, strength: Axis | None = None) -> Distributions:
    """Count the bonds of a frame, part by part.

    Args:
        frame: the frame.
        strength: bins of -ICOHP; None takes bins that hold them all.
    """
    pairs = frame.pairs
    strength = strength or strength_axis([frame])
    length = Axis(0.0, LENGTH_STEP_A, round(10 / LENGTH_STEP_A))
    typical = frame.summary["all"]["mean_sigma_eV"] or 1.0
    sigma = Axis.spanning(0.0, 6 * typical, _SIGMA_BINS)
    kinds = len(pairs)
    strengths, sigmas = (np.zeros((kinds, a.bins), dtype=np.int64) for a in (strength, sigma))
    moments = np.zeros((3, kinds, length.bins))
    for part in frame.bonds():
        np.add.at(strengths, (part.pair, strength.place(part.strength_eV)), 1)
        np.add.at(sigmas, (part.pair, sigma.place(part.sigma_eV)), 1)
        place = length.place(part.length_A)
        for power in range(3):
            np.add.at(moments[power], (part.pair, place), part.strength_eV**power)
    count = np.maximum(moments[0], 1)
    mean = moments[1] / count
    return Distributions(
        pairs,
        strength,
        strengths,
        length,
        moments[0].astype(np.int64),
        mean,
        np.sqrt(np.maximum(moments[2] / count - mean**2, 0.0)),
        sigma,
        sigmas,
    )


def shell_ends(found: Distributions) -> dict[str, float]:
    """Return pair -> length at which the first shell ends, Å.

    That is the first minimum of the partial radial distribution after its highest peak, within the
    lengths that are listed; the longest listed length where there is none, or where a pair has too
    few bonds to show it.
    """
    ends = {}
    volume = found.length.centres**2
    for k, pair in enumerate(found.pairs):
        used = np.flatnonzero(found.lengths[k])
        last = int(used[-1])
        end = last
        if found.lengths[k].sum() >= _SHELL_BONDS:
            density = np.convolve(found.lengths[k] / volume, [0.25, 0.5, 0.25], mode="same")
            peak = int(density[: last + 1].argmax())
            # The outermost bins are no minimum: the list is cut off there.
            lowest = peak + int(density[peak : last - 1].argmin()) if last - 1 > peak else last
            end = lowest if lowest < last - 2 else last
        ends[pair] = round(found.length.low + (end + 1) * found.length.step, 6)
    return ends
