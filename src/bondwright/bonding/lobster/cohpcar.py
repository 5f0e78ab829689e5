"""COHPCAR, COOPCAR and COBICAR of LOBSTER 2 to 5.

Line 2 holds the number of curves (with the average), spins, energies, the ends of the energies and
the Fermi level. Then one line names each curve, and each further line holds an energy and, spin
after spin, a value and an integral for every curve. Energies are relative to the Fermi level.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bondwright.bonding.curves import CohpCurves
from bondwright.bonding.lobster.icohplist import Quantity
from bondwright.bonding.lobster.text import MAX_BYTES, Line, read_text, split_atom
from bondwright.errors import InputError

_NAME = re.compile(r"No\.(\d{1,9}):(.+?)(?:\((\d+\.?\d*(?:[eE][+-]?\d+)?)\))?\s*", re.ASCII)
_PART = re.compile(r"([^\[\]]+)(?:\[(-?\d+ -?\d+ -?\d+)\])?(?:\[([^\[\]]+)\])?", re.ASCII)


@dataclass(frozen=True)
class _Curve:
    """A curve's name: atoms, and length, cells and orbitals where they are told."""

    atoms: tuple[int, int]
    length: float | None
    image: tuple[int, int, int] | None
    orbitals: tuple[str, str] | None


def read_cohpcar(path: Path, *, most: int = MAX_BYTES) -> CohpCurves:
    """Read a COHPCAR, COOPCAR or COBICAR of LOBSTER 2 to 5, plain or gzipped.

    The average over the bonds and curves of more than two centres are left out.

    Args:
        path: the file.
        most: longest text that is read, bytes.

    Returns:
        The curves, positive for bonding; of a COOPCAR or COBICAR, COOP or COBI and its integral.

    Raises:
        InputError: not such a file, damaged or cut off; the message names the line.
    """
    lines = read_text(path, most).splitlines()
    if len(lines) < 3:
        raise InputError(f"{path} has {len(lines)} lines; it is no COHPCAR, or was cut off.")
    title, head = lines[0], Line(path, 2, lines[1])
    count = head.integer(0, "the number of curves")
    spins = head.integer(1, "the number of spins")
    steps = head.integer(2, "the number of energies")
    fermi = head.real(5, "the Fermi level")
    if not (0 < count < 10_000_000 and spins in (1, 2) and steps > 0):
        raise head.error("not the second line of a COHPCAR: curves, spins, energies, ...")
    averaged = lines[2].strip() == "Average"
    begin = 3 if averaged else 2
    names = lines[begin : begin + count - averaged]
    curves = [_curve(Line(path, begin + 1 + k, name)) for k, name in enumerate(names)]
    table = _numbers(path, lines, begin + len(names), steps, 1 + 2 * count * spins)
    pairs = np.array([k for k, curve in enumerate(curves) if curve], dtype=np.int64)
    kept = [curve for curve in curves if curve]
    # columns: energy, then for each spin (average, curves...) x (value, integral)
    data = table[:, 1:].reshape(steps, spins, count, 2)[:, :, pairs + averaged, :]
    sign = _quantity(title, path).sign
    lengths = [c.length for c in kept if c.length is not None]
    images = [c.image for c in kept if c.image is not None]
    atoms = np.array([c.atoms for c in kept], dtype=np.int64).reshape(-1, 2)
    return CohpCurves(
        energies_eV=table[:, 0],
        fermi_eV=fermi,
        i=atoms[:, 0],
        j=atoms[:, 1],
        length_A=np.array(lengths) if len(lengths) == len(kept) else None,
        minus_cohp=sign * data[..., 0].transpose(1, 2, 0) + 0.0,
        minus_icohp_eV=sign * data[..., 1].transpose(1, 2, 0) + 0.0,
        image=np.array(images, dtype=np.int64) if kept and len(images) == len(kept) else None,
        orbitals=tuple(c.orbitals for c in kept) if any(c.orbitals for c in kept) else (),
    )


def _quantity(title: str, path: Path) -> Quantity:
    """Tell from the title what the curves are; files of other programs go by their name."""
    for text in (title, path.name):
        for quantity in Quantity:
            if quantity.upper() in text.upper():
                return quantity
    raise InputError(f"{path}, line 1: no COHP, COOP or COBI file of LOBSTER.")


def _curve(line: Line) -> _Curve | None:
    """Read the name of a curve; None where it has more than two centres.

    Raises:
        InputError: it is not such a name.
    """
    match = _NAME.fullmatch(line.text.strip())
    parts = [_PART.fullmatch(part) for part in match[2].split("->")] if match else []
    found = [(part, split_atom(part[1])) for part in parts if part]
    if not match or len(found) != len(parts) or len(parts) < 2:
        raise line.error(f"{line.text.strip()[:40]!r} does not name a bond; the file is damaged.")
    if len(found) > 2:
        return None
    (a, first), (b, second) = found
    if first is None or second is None:
        raise line.error("fragments (LCFO) instead of atoms; read the file without LCFO.")
    cells = [[int(c) for c in part[2].split()] for part in (a, b) if part[2]]
    image = np.subtract(cells[1], cells[0]).tolist() if len(cells) == 2 else None
    return _Curve(
        atoms=(first[1], second[1]),
        length=float(match[3]) if match[3] else None,
        image=(image[0], image[1], image[2]) if image else None,
        orbitals=(a[3], b[3]) if a[3] and b[3] else None,
    )


def _numbers(
    path: Path, lines: list[str], begin: int, steps: int, columns: int
) -> NDArray[np.float64]:
    """Read the table of energies and values, (steps, columns)."""
    rows = [(k, line) for k, line in enumerate(lines[begin:], start=begin + 1) if line.strip()]
    if len(rows) != steps:
        raise InputError(
            f"{path}, line {len(lines)}: {len(rows)} energies where line 2 says {steps}; "
            "the file is cut off or damaged."
        )
    values: list[NDArray[np.float64]] = []
    for number, text in rows:
        words = text.split()
        try:
            row = np.array(words, dtype=float)
        except ValueError:
            row = np.full(len(words), np.nan)
        if len(row) != columns or not np.isfinite(row).all():
            raise InputError(
                f"{path}, line {number}: {columns} numbers are expected and {len(words)} words "
                "found, or some are no numbers; the file is cut off or damaged."
            )
        values.append(row)
    table = np.stack(values)
    if (np.diff(table[:, 0]) <= 0).any():
        raise InputError(f"{path}: the energies do not rise; the file is damaged.")
    return table
