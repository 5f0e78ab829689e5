"""lobsterout: which version ran, what the projection lost, and whether it finished."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bondwright.bonding.lobster.text import read_text
from bondwright.errors import InputError

_LONGEST = 32 * 2**20
_VERSION = re.compile(r"LOBSTER v(\S*) ")
_PROGRAM = re.compile(r"detecting used PAW program\.\.\. (.+)")
_FOUND = re.compile(r"setting up CO interactions\.\.\. found (\d{1,9}) interaction")
_SPILLING = re.compile(r"\b(total|charge)\s+spilling:\s*(\d+\.?\d*)\s*%")
_BASIS = re.compile(r"\s*([A-Z][a-z]?)\s+\(([^)]+)\)\s+(\S.*)")
_SMEARING = re.compile(r"sigma=\s*(\d+\.?\d*)\s*eV")
_TIME = re.compile(r"finished in\s+(\d+) h\s+(\d+) min\s+(\d+) s\s+(\d+) ms")


@dataclass(frozen=True)
class LobsterOutput:
    """What lobsterout says about a run.

    Attributes:
        version: e.g. "3.0.0"; None where the program was built without one.
        program: the DFT program whose wave functions were projected; None when they came from a
            file of an earlier run.
        finished: whether the run came to its end.
        charge_spilling: share of the occupied charge that was lost, 0..1, one for each spin.
        total_spilling: the same over all bands; empty where the version does not tell it.
        interactions: number of bonds set up, times the number of spins; None before that.
        basis: element -> orbitals, e.g. {"Al": ("3s", "3p_y", "3p_z", "3p_x")}.
        basis_set: name of the local basis, e.g. "pbeVaspFit2015"; None when not told.
        smearing_eV: width of the Gaussian smearing; None with the tetrahedron method.
        too_few_bands: whether LOBSTER says that the DFT run had too few bands.
        warnings: LOBSTER's warnings, each on one line.
        wall_seconds: wall-clock time; None unless finished.
    """

    version: str | None
    program: str | None
    finished: bool
    charge_spilling: tuple[float, ...]
    total_spilling: tuple[float, ...]
    interactions: int | None
    basis: dict[str, tuple[str, ...]]
    basis_set: str | None
    smearing_eV: float | None
    too_few_bands: bool
    warnings: tuple[str, ...]
    wall_seconds: float | None

    @property
    def method(self) -> str:
        """Return the name of the method for a bond table, e.g. "LOBSTER 3.0.0"."""
        return f"LOBSTER {self.version}" if self.version else "LOBSTER"

    def details(self) -> dict[str, Any]:
        """Return what a bond table keeps of the run, as JSON values."""
        return {
            "program": self.program,
            "finished": self.finished,
            "charge_spilling_by_spin": list(self.charge_spilling),
            "total_spilling_by_spin": list(self.total_spilling),
            "basis": {element: list(orbitals) for element, orbitals in self.basis.items()},
            "basis_set": self.basis_set,
            "smearing_eV": self.smearing_eV,
            "too_few_bands": self.too_few_bands,
            "warnings": list(self.warnings),
        }


def read_lobsterout(path: Path) -> LobsterOutput:
    """Read a lobsterout of LOBSTER 2 to 5, finished or not, plain or gzipped.

    Raises:
        InputError: it cannot be read, or is not a lobsterout.
    """
    text = read_text(path, _LONGEST)
    title = _VERSION.search(text[:1000])
    if not title:
        raise InputError(f"{path}, line 1: not a lobsterout; it should begin with 'LOBSTER v'.")
    lines = text.splitlines()
    spilling: dict[str, list[float]] = {"total": [], "charge": []}
    for kind, percent in _SPILLING.findall(text):
        spilling[kind].append(round(float(percent) / 100, 10))
    basis_set, basis = _basis(lines)
    time = _TIME.search(text)
    program, found, smearing = _PROGRAM.search(text), _FOUND.search(text), _SMEARING.search(text)
    return LobsterOutput(
        version=title[1] or None,
        program=program[1].strip() if program else None,
        finished="finished in" in text,
        charge_spilling=tuple(spilling["charge"]),
        total_spilling=tuple(spilling["total"]),
        interactions=int(found[1]) if found else None,
        basis=basis,
        basis_set=basis_set,
        smearing_eV=float(smearing[1]) if smearing else None,
        too_few_bands="too few bands" in text.casefold(),
        warnings=_warnings(lines),
        wall_seconds=_seconds(time) if time else None,
    )


def _basis(lines: list[str]) -> tuple[str | None, dict[str, tuple[str, ...]]]:
    """Return the name of the basis and the orbitals of each element."""
    name: str | None = None
    basis: dict[str, tuple[str, ...]] = {}
    begin = next((k for k, line in enumerate(lines) if "setting up local basis" in line), None)
    for line in lines[begin + 1 :] if begin is not None else []:
        match = _BASIS.fullmatch(line)
        if not match:
            break
        name = name or match[2]
        basis[match[1]] = tuple(match[3].split())
    return name, basis


def _warnings(lines: list[str]) -> tuple[str, ...]:
    """Return the warnings; one that goes over several lines is joined."""
    found: list[str] = []
    last = -2
    for number, line in enumerate(lines):
        _, mark, said = line.partition("WARNING:")
        if not mark:
            continue
        if number == last + 1 and line.startswith("WARNING:"):
            found[-1] += f" {said.strip()}"
        else:
            found.append(said.strip())
        last = number
    return tuple(found)


def _seconds(time: re.Match[str]) -> float:
    hours, minutes, seconds, milliseconds = (int(part) for part in time.groups())
    return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000
