"""What single lines and short blocks of pw.x's output say, in eV and ASE's units and signs.

A function returns None where the text does not say what it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bondwright.dft.espresso.text import FLOAT, TRIPLE, real
from bondwright.dft.espresso.units import (
    RY_PER_BOHR3_TO_GPA,
    RY_PER_BOHR_TO_EV_PER_A,
    RYDBERG_EV,
)

_PROGRAM = re.compile(r"Program PWSCF v\.?\s*(\S+)")
_KPOINTS = re.compile(
    rf"number of k points=\s*(\d+)(?:\s+(\S+) smearing, width \(Ry\)=\s*({FLOAT}))?"
)
_ITERATION = re.compile(r"^\s+iteration #\s*(\d+)")
_ENERGY = re.compile(rf"total energy\s+=\s*({FLOAT})\s*Ry")
_ACCURACY = re.compile(rf"estimated scf accuracy\s+<\s*({FLOAT})\s*Ry")
_SMEARED = re.compile(rf"smearing contrib\. \(-TS\)\s+=\s*({FLOAT})\s*Ry")
_FERMI = re.compile(rf"the Fermi energy is\s+({FLOAT})\s+ev")
_TWO_FERMI = re.compile(rf"spin up/dw Fermi energies are\s+({FLOAT})\s+({FLOAT})\s+ev")
_HOMO = re.compile(rf"highest occupied level \(ev\):\s+({FLOAT})")
_HOMO_LUMO = re.compile(
    rf"highest occupied, lowest unoccupied level \(ev\):\s+({FLOAT})\s+({FLOAT})"
)
_FORCE = re.compile(rf"^\s+atom\s+(\d+) type\s+\d+\s+force =\s*{TRIPLE}\s*$")
_MOMENT = re.compile(rf"^\s+atom[:\s]\s*\d+.*charge[:=]\s*{FLOAT}\s+magn[:=]\s*({FLOAT})")
_ERROR = re.compile(r"^\s*Error in routine\s+(\S+) \(")
_OLD_ERROR = re.compile(r"^\s*from (\S+)\s*: error #")
_CLOCK = re.compile(r"^\s+PWSCF\s+:.*CPU\s+(.*)WALL")
_PARTS = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])")
_CPU = re.compile(rf"total cpu time spent up to now is\s+({FLOAT})\s+secs")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SMEARINGS = frozenset(("fermi-dirac", "gaussian", "methfessel-paxton", "marzari-vanderbilt"))


def program_version(line: str) -> str | None:
    """Return the version that the banner names."""
    return found[1] if (found := _PROGRAM.search(line)) else None


def kpoint_count(line: str) -> int | None:
    """Return the number of k-points."""
    return int(found[1]) if (found := _KPOINTS.search(line)) else None


def smearing(line: str) -> tuple[str, float] | None:
    """Return kind ("" for an unknown one) and width in eV from the line of the k-points."""
    found = _KPOINTS.search(line)
    if not found or not found[2]:
        return None
    kind = found[2].lower()
    return kind if kind in _SMEARINGS else "", real(found[3]) * RYDBERG_EV


def iteration_number(line: str) -> int | None:
    """Return the number of an SCF iteration that begins."""
    return int(found[1]) if (found := _ITERATION.match(line)) else None


def total_energy_eV(line: str) -> float | None:  # noqa: N802 (a unit)
    """Return a total energy (with -TS)."""
    return _energy(_ENERGY, line)


def accuracy_eV(line: str) -> float | None:  # noqa: N802
    """Return the estimated error of an iteration's energy."""
    return _energy(_ACCURACY, line)


def minus_ts_eV(line: str) -> float | None:  # noqa: N802
    """Return -TS of the smearing."""
    return _energy(_SMEARED, line)


def fermi_eV(line: str) -> float | None:  # noqa: N802
    """Return the Fermi energy, of two the higher one."""
    if found := _TWO_FERMI.search(line):
        return max(real(found[1]), real(found[2]))
    return real(found[1]) if (found := _FERMI.search(line)) else None


def edges_eV(line: str) -> tuple[float, float | None] | None:  # noqa: N802
    """Return the highest occupied level and, where it is printed, the lowest empty one."""
    if found := _HOMO_LUMO.search(line):
        return real(found[1]), real(found[2])
    return (real(found[1]), None) if (found := _HOMO.search(line)) else None


def magnetic_moments(lines: Sequence[str]) -> NDArray[np.float64] | None:
    """Return (atoms,) moments (Bohr magnetons) from one line for each atom."""
    found = [_MOMENT.match(line) for line in lines]
    if not found or not all(found):
        return None
    return np.array([real(row[1]) for row in found if row])


def is_force(line: str) -> bool:
    """Return whether a line tells the force on an atom."""
    return _FORCE.match(line) is not None


def forces_eV_per_A(lines: Sequence[str]) -> NDArray[np.float64] | None:  # noqa: N802
    """Return (atoms, 3) forces from one line for each atom."""
    found = [_FORCE.match(line) for line in lines]
    if not found or not all(found):
        return None
    values = [[real(x) for x in row.groups()[1:]] for row in found if row]
    return RY_PER_BOHR_TO_EV_PER_A * np.array(values)


def stress_GPa(lines: Sequence[str]) -> NDArray[np.float64] | None:  # noqa: N802
    """Return the (3, 3) stress from its three lines.

    pw.x prints it with the sign of a pressure (positive when the cell would like to grow); it is
    turned to ASE's sign here.
    """
    rows = [re.findall(FLOAT, line) for line in lines]
    if len(rows) != 3 or any(len(row) != 6 for row in rows):
        return None
    return -RY_PER_BOHR3_TO_GPA * np.array([[real(x) for x in row[:3]] for row in rows])


def wall_seconds(line: str) -> float | None:
    """Return the wall time of the whole run."""
    if not (found := _CLOCK.match(line)):
        return None
    return sum(float(value) * _SECONDS[unit] for value, unit in _PARTS.findall(found[1]))


def cpu_seconds(line: str) -> float | None:
    """Return the CPU time spent so far."""
    return real(found[1]) if (found := _CPU.search(line)) else None


def routine_of_error(line: str) -> str | None:
    """Return the routine in which an error was found."""
    found = _ERROR.match(line) or _OLD_ERROR.match(line)
    return found[1] if found else None


def _energy(pattern: re.Pattern[str], line: str) -> float | None:
    return real(found[1]) * RYDBERG_EV if (found := pattern.search(line)) else None
