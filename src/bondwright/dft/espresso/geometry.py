"""The geometry that an output of pw.x has printed last, in header or relaxation."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from bondwright.dft.espresso.text import FLOAT, TRIPLE, real
from bondwright.dft.espresso.units import BOHR_A

_ALAT = re.compile(rf"celldm\(1\)=\s*({FLOAT})")
_AXIS = re.compile(rf"a\([123]\) = \(\s*{TRIPLE}\s*\)")
_SITE = re.compile(rf"^\s+\d+\s+(\S+)\s+tau\(\s*\d+\s*\) = \(\s*{TRIPLE}\s*\)")
_SAME_A = 2e-5  # headers have 6 digits of alat; what was printed with 9 of Å before is kept


class Geometry:
    """Cell and atoms as far as they are known.

    Each method takes the line that announces a block and the lines behind it. A block that is not
    whole changes nothing.
    """

    def __init__(self) -> None:
        self._alat: float | None = None
        self._cell: NDArray[np.float64] | None = None
        self._symbols: list[str] = []
        self._positions: NDArray[np.float64] | None = None

    def atoms(self) -> Atoms | None:
        """Return the geometry; None while something is missing."""
        if self._cell is None or self._positions is None:
            return None
        return Atoms(self._symbols, positions=self._positions, cell=self._cell, pbc=True)

    def forget_positions(self) -> None:
        """Take the positions for unknown until a later block gives them."""
        self._positions, self._symbols = None, []

    def lattice_constant(self, line: str) -> None:
        """Take `celldm(1)`, in bohr."""
        if found := _ALAT.search(line):
            self._alat = real(found[1]) * BOHR_A

    def header_axes(self, rows: Sequence[str]) -> None:
        """Take the crystal axes of a header, in alat."""
        found = [_AXIS.search(row) for row in rows]
        if not self._alat or len(found) < 3 or not all(found):
            return
        cell = self._alat * np.array([[real(x) for x in row.groups()] for row in found if row])
        if not _same(cell, self._cell):
            self._cell = cell

    def header_sites(self, line: str, rows: Sequence[str], count: int) -> None:
        """Take the sites of a header, in alat; those in crystal axes are left aside."""
        found = [_SITE.match(row) for row in rows]
        if "alat units" not in line or not self._alat or len(found) < count or not all(found):
            return
        places = [[real(x) for x in row.groups()[1:]] for row in found if row]
        labels = [row[1] for row in found if row]
        self._take(labels, self._alat * np.array(places).reshape(-1, 3))

    def cell_block(self, line: str, rows: Sequence[str]) -> None:
        """Take a block CELL_PARAMETERS."""
        found = [re.findall(FLOAT, row) for row in rows]
        if len(found) < 3 or any(len(row) != 3 for row in found):
            return
        alat = re.search(rf"alat\s*=\s*({FLOAT})", line)
        if alat:
            unit = real(alat[1]) * BOHR_A
        elif "alat" in line:
            unit = self._alat or np.nan
        else:
            unit = BOHR_A if "bohr" in line else 1.0
        cell = unit * np.array([[real(x) for x in row] for row in found])
        if np.isfinite(cell).all():
            self._cell = cell

    def position_block(self, line: str, rows: Sequence[str], count: int) -> None:
        """Take a block ATOMIC_POSITIONS; behind the numbers flags of fixed atoms may stand."""
        words = [row.split() for row in rows]
        if len(words) < count or any(len(row) < 4 for row in words) or self._cell is None:
            return
        try:
            places = np.array([[float(x) for x in row[1:4]] for row in words]).reshape(-1, 3)
        except ValueError:
            return
        if "crystal" in line:
            places = places @ self._cell
        elif "bohr" in line:
            places = places * BOHR_A
        elif "alat" in line:
            places = places * (self._alat or np.nan)
        self._take([row[0] for row in words], places)

    def _take(self, labels: Sequence[str], places: NDArray[np.float64]) -> None:
        symbols = [s for label in labels if (s := element_of(label))]
        if len(symbols) == len(places) and np.isfinite(places).all():
            if symbols != self._symbols or not _same(places, self._positions):
                self._positions = places
            self._symbols = symbols


def element_of(label: str) -> str | None:
    """Return the element that a label such as "Fe1", "O_h" or "SI" stands for; None if none."""
    letters = re.match(r"[A-Za-z]{1,2}", label)
    if not letters:
        return None
    for length in (len(letters[0]), 1):
        symbol = letters[0][:length].capitalize()
        if atomic_numbers.get(symbol, 0) > 0:
            return symbol
    return None


def _same(new: NDArray[np.float64], old: NDArray[np.float64] | None) -> bool:
    return old is not None and new.shape == old.shape and bool(np.allclose(new, old, atol=_SAME_A))
