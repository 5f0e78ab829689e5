"""Eigenvalues as pw.x prints them, and the gap that they leave."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bondwright.dft.gaps import find_gap, occupied_bands

_NUMBER = re.compile(r"-?\d+\.\d{4}")  # F9.4 columns touch when a level lies below -99 eV
_HEAD = re.compile(r"^\s+k =.*bands \(ev\):\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Bands:
    """Eigenvalues on the k-points of a calculation.

    Attributes:
        eigenvalues_eV: (spins, k, bands), as printed, to 1e-4 eV.
        occupations: (spins, k, bands) between 0 and 1; None when not printed.
    """

    eigenvalues_eV: NDArray[np.float64]
    occupations: NDArray[np.float64] | None


class BandReader:
    """Collects the eigenvalues of one self-consistent or band calculation, line by line.

    Feed it every line; it knows which belong to eigenvalues. What is cut off or does not fit
    together is dropped as a whole rather than guessed.
    """

    def __init__(self) -> None:
        self._levels: list[list[list[float]]] = []
        self._filled: list[list[list[float]]] = []
        self._target: list[float] | None = None
        self._ended = False

    def feed(self, line: str) -> bool:
        """Take one line and return whether it belonged to the eigenvalues."""
        if " SPIN " in line and line.lstrip().startswith("------"):
            self._levels.append([])
            self._filled.append([])
            return True
        if _HEAD.match(line):
            if not self._levels:
                self._levels.append([])
                self._filled.append([])
            self._levels[-1].append([])
            self._target = self._levels[-1][-1]
            self._ended = False
            return True
        if self._target is None:
            return False
        if "occupation numbers" in line:
            self._filled[-1].append([])
            self._target = self._filled[-1][-1]
            self._ended = False
            return True
        text = line.strip()
        if not text:
            return True
        numbers = [float(n) for n in _NUMBER.findall(text)]
        if not numbers or _NUMBER.sub("", text).strip():
            # Only the Fermi level, or whatever comes next, shows that there are no more k-points.
            self._target, self._ended = None, True
            return False
        self._target.extend(numbers)
        return True

    def bands(self, count: int | None) -> Bands | None:
        """Return what was read, or None when it is incomplete.

        Args:
            count: number of bands that the output announced; None when unknown.
        """
        levels = _block(self._levels, count) if self._ended else None
        if levels is None:
            return None
        filled = _block(self._filled, levels.shape[2])
        if filled is not None and filled.shape != levels.shape:
            filled = None
        return Bands(levels, filled)


def gap_of(
    eigenvalues: NDArray[np.float64],
    *,
    fermi: float | None,
    electrons: float | None,
) -> float | None:
    """Return the smallest gap between filled and empty levels on the given k-points.

    A band that is below the Fermi level at one k-point and above at another makes a metal, and so
    do levels that the electrons fill in part. Without a Fermi level the lowest levels are filled.

    Args:
        eigenvalues: (spins, k, bands) in eV.
        fermi: Fermi level in eV on the same scale; None for fixed occupations.
        electrons: valence electrons of the cell; None when unknown.

    Returns:
        The gap in eV, 0 for metals; None when no empty level was computed.
    """
    spins, points, _ = eigenvalues.shape
    if fermi is not None:
        occupied = occupied_bands(eigenvalues, fermi)
    elif electrons is not None and spins == 1:
        occupied = (round(electrons / 2),)
    else:
        return None
    filled = sum(n for n in occupied if n is not None) * 2 / spins
    if None in occupied or (electrons is not None and abs(filled - electrons) > 0.01):
        return 0.0
    return find_gap(eigenvalues, np.zeros((points, 3)), occupied).gap_eV


def _block(
    lists: Sequence[Sequence[Sequence[float]]], count: int | None
) -> NDArray[np.float64] | None:
    """Return nested lists as an array (spins, k, bands), or None when they are ragged."""
    sizes = {len(row) for spin in lists for row in spin}
    if not lists or len(sizes) != 1 or len({len(spin) for spin in lists}) != 1 or 0 in sizes:
        return None
    if count is not None and sizes != {count}:
        return None
    return np.array(lists, dtype=np.float64)
