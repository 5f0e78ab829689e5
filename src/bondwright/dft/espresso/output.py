"""Reading what pw.x printed: text only, and robust against a cut at any byte.

Nothing here judges; `espresso.status` does. Only lines that end with a line break are read, so
that half a number is never taken for a whole one, and a block counts only when it is complete.

Signs: pw.x prints the stress with the sign of a pressure (positive when the cell would like to
grow); it is turned to ASE's sign here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms

from bondwright.dft.espresso.facts import PwError, PwOutput, ScfIteration
from bondwright.dft.espresso.geometry import Geometry
from bondwright.dft.espresso.step import StepReader
from bondwright.dft.espresso.text import FLOAT, TRIPLE, after_equals, integer, real
from bondwright.dft.espresso.units import (
    RY_PER_BOHR3_TO_GPA,
    RY_PER_BOHR_TO_EV_PER_A,
    RYDBERG_EV,
)

LARGEST_OUTPUT = 500_000_000
"""Bytes; a longer file is not the output of one calculation."""

FOREIGN = 2000
"""Characters after which a text without one word of pw.x is somebody else's."""

MARKS = {
    "max-seconds": "Maximum CPU time exceeded",
    "user-stop": "Program stopped by user request",
    "relax-steps": "The maximum number of steps has been reached",
    "bfgs-history": "history already reset at previous step: stopping",
    "bfgs-failed": "bfgs failed after",
    "qr-failed": "[Q, R] = qr(X, 0) failed",
    "g-par": "G_par is NOT a reciprocal lattice vector",
}
"""Remarks without an error block, by name."""

_PROGRAM = re.compile(r"Program PWSCF v\.?\s*(\S+)")
_ENERGY = re.compile(rf"total energy\s+=\s*({FLOAT})\s*Ry")
_ACCURACY = re.compile(rf"estimated scf accuracy\s+<\s*({FLOAT})\s*Ry")
_SMEARED = re.compile(rf"smearing contrib\. \(-TS\)\s+=\s*({FLOAT})\s*Ry")
_ITERATION = re.compile(r"^\s+iteration #\s*(\d+)")
_FERMI = re.compile(rf"the Fermi energy is\s+({FLOAT})\s+ev")
_TWO_FERMI = re.compile(rf"spin up/dw Fermi energies are\s+({FLOAT})\s+({FLOAT})\s+ev")
_HOMO = re.compile(rf"highest occupied level \(ev\):\s+({FLOAT})")
_HOMO_LUMO = re.compile(
    rf"highest occupied, lowest unoccupied level \(ev\):\s+({FLOAT})\s+({FLOAT})"
)
_FORCE = re.compile(rf"^\s+atom\s+(\d+) type\s+\d+\s+force =\s*{TRIPLE}\s*$")
_SMEARING = re.compile(
    rf"number of k points=\s*(\d+)(?:\s+(\S+) smearing, width \(Ry\)=\s*({FLOAT}))?"
)
_MOMENT = re.compile(rf"^\s+atom[:\s]\s*\d+.*charge[:=]\s*{FLOAT}\s+magn[:=]\s*({FLOAT})")
_ERROR = re.compile(r"^\s*Error in routine\s+(\S+) \(")
_OLD_ERROR = re.compile(r"^\s*from (\S+)\s*: error #")
_CLOCK = re.compile(r"^\s+PWSCF\s+:.*CPU\s+(.*)WALL")
_PARTS = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])")
_CPU = re.compile(rf"total cpu time spent up to now is\s+({FLOAT})\s+secs")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SMEARINGS = {
    "fermi-dirac": "fermi-dirac",
    "gaussian": "gaussian",
    "methfessel-paxton": "methfessel-paxton",
    "marzari-vanderbilt": "marzari-vanderbilt",
}


def read_pw_output(source: Path | str) -> PwOutput:
    """Read the output of one run of pw.x, whole or cut off anywhere.

    Args:
        source: a file, or its text. A `str` is always text.

    Returns:
        What it says. A file that cannot be read says so in `unreadable`; nothing is raised for
        what a file contains.
    """
    if isinstance(source, str):
        return _Scanner(source).scan("")
    try:
        size = source.stat().st_size
        if size > LARGEST_OUTPUT:
            return _Scanner("").scan(f"{source} has {size} bytes, more than any output of pw.x")
        text = source.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        return _Scanner("").scan(f"{source} cannot be read ({error.strerror})")
    return _Scanner(text).scan("")


class _Scanner:
    """Goes through the lines of an output once."""

    def __init__(self, text: str) -> None:
        lines = text.split("\n")
        lines.pop()  # what follows the last line break is cut off, or nothing
        self.lines = [line.rstrip("\r") for line in lines]
        self.at = 0
        self.version = ""
        self.task = ""
        self.count: int | None = None
        self.electrons: float | None = None
        self.band_count: int | None = None
        self.kpoints: int | None = None
        self.smearing = ""
        self.width: float | None = None
        self.geometry = Geometry()
        self.from_free_atoms = False
        self.steps: list[StepReader] = []
        self.final: Atoms | None = None
        self.relaxed: bool | None = None
        self.errors: list[PwError] = []
        self.marks: set[str] = set()
        self.stage = ""
        self.done = False
        self.wall: float | None = None
        self.cpu: float | None = None

    # -- what is at hand ---------------------------------------------------------------------

    def step(self) -> StepReader:
        """Return the step that is being read, beginning one when there is none."""
        if not self.steps:
            self.begin()
        return self.steps[-1]

    def begin(self) -> None:
        """Begin a step at the geometry printed last, unless the current one is untouched."""
        if self.steps and self.steps[-1].empty:
            self.steps[-1].atoms = self.geometry.atoms()
            return
        self.steps.append(StepReader(self.geometry.atoms()))

    # -- the walk ----------------------------------------------------------------------------

    def scan(self, unreadable: str) -> PwOutput:
        """Read all lines and return what they say."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if self.steps and self.steps[-1].bands.feed(line):
                continue
            for sign, act in _ACTS:
                if sign in line:
                    act(self, line)
            self.marks.update(mark for mark, text in MARKS.items() if text in line)
        known = self.version or self.errors or self.marks or self.steps or self.done
        if not known and sum(map(len, self.lines)) > FOREIGN:
            unreadable = unreadable or "this is no output of pw.x"
        steps = [s.finished(self.smearing, self.electrons, self.band_count) for s in self.steps]
        with_energy = [s.atoms for s in steps if s.energy_eV is not None]
        return PwOutput(
            unreadable=unreadable,
            version=self.version,
            task=self.task,
            atom_count=self.count,
            electrons=self.electrons,
            band_count=self.band_count,
            kpoint_count=self.kpoints,
            smearing=self.smearing,
            smearing_width_eV=self.width,
            steps=tuple(steps),
            final_atoms=self.final or (with_energy[-1] if with_energy else None),
            next_atoms=self.geometry.atoms(),
            relaxed=self.relaxed,
            errors=tuple(self.errors),
            marks=frozenset(self.marks),
            stage=self.stage,
            job_done=self.done,
            wall_seconds=self.wall,
            cpu_seconds=self.cpu,
        )

    def take(self, count: int) -> list[str]:
        """Return the next lines, fewer where the text ends, without moving on."""
        return self.lines[self.at : self.at + count]

    # -- the header --------------------------------------------------------------------------

    def program(self, line: str) -> None:
        if found := _PROGRAM.search(line):
            self.version, self.stage = found[1], "start"

    def number_of_atoms(self, line: str) -> None:
        self.count = integer(line)

    def number_of_electrons(self, line: str) -> None:
        self.electrons = after_equals(line)

    def number_of_bands(self, line: str) -> None:
        self.band_count = integer(line)

    def kpoint_line(self, line: str) -> None:
        if found := _SMEARING.search(line):
            self.kpoints = int(found[1])
            if found[2]:
                self.smearing = _SMEARINGS.get(found[2].lower(), "")
                self.width = real(found[3]) * RYDBERG_EV

    def thresholds(self, line: str) -> None:
        if self.task in ("", "relax"):
            self.task = "vc-relax" if "press" in line else "relax"

    def lattice_constant(self, line: str) -> None:
        self.geometry.lattice_constant(line)

    def axes(self, _: str) -> None:
        self.geometry.header_axes(self.take(3))

    def sites(self, line: str) -> None:
        if self.count:
            self.geometry.header_sites(line, self.take(self.count), self.count)

    # -- one geometry ------------------------------------------------------------------------

    def scf(self, _: str) -> None:
        self.task = self.task or "scf"
        self.begin()
        self.stage = "scf"

    def band_structure(self, _: str) -> None:
        self.task = "bands"
        if self.from_free_atoms:
            # Bands need a density; without its file pw.x goes on with that of free atoms, silently.
            self.marks.add("no-density")
        self.begin()
        self.stage = "scf"

    def last_scf(self, _: str) -> None:
        self.begin()

    def iteration(self, line: str) -> None:
        if found := _ITERATION.match(line):
            self.stage = "scf"
            self.step().iterations.append(ScfIteration(int(found[1]), None, None))

    def energy(self, line: str) -> None:
        if not (found := _ENERGY.search(line)):
            return
        value = real(found[1]) * RYDBERG_EV
        if line.startswith("!"):
            self.step().energy = value
            if self.stage in ("", "start", "scf"):
                self.stage = "after-scf"
        elif self.step().iterations:
            last = self.step().iterations[-1]
            self.step().iterations[-1] = ScfIteration(last.number, value, last.accuracy_eV)

    def accuracy(self, line: str) -> None:
        if (found := _ACCURACY.search(line)) and self.step().iterations:
            last = self.step().iterations[-1]
            value = real(found[1]) * RYDBERG_EV
            energy = last.energy_eV if last.energy_eV is not None else self.step().energy
            self.step().iterations[-1] = ScfIteration(last.number, energy, value)

    def smeared(self, line: str) -> None:
        if found := _SMEARED.search(line):
            self.step().smeared = real(found[1]) * RYDBERG_EV

    def converged(self, _: str) -> None:
        self.step().converged = True
        self.stage = "after-scf"

    def not_converged(self, _: str) -> None:
        self.step().converged = False
        self.stage = "after-scf"

    def fermi(self, line: str) -> None:
        if found := _TWO_FERMI.search(line):
            self.step().fermi = max(real(found[1]), real(found[2]))
        elif found := _FERMI.search(line):
            self.step().fermi = real(found[1])

    def homo(self, line: str) -> None:
        if found := _HOMO_LUMO.search(line):
            self.step().homo, self.step().lumo = real(found[1]), real(found[2])
        elif found := _HOMO.search(line):
            self.step().homo = real(found[1])

    def magnetisation(self, line: str) -> None:
        value = after_equals(line)
        if "absolute" in line:
            self.step().absolute = value
        elif line.count(".") == 1:  # three numbers stand there in non-collinear calculations
            self.step().moment = value

    def moments(self, _: str) -> None:
        found = [_MOMENT.match(text) for text in self.take(self.count or 0)]
        if found and all(found) and len(found) == self.count:
            self.step().moments = np.array([real(row[1]) for row in found if row])

    def forces(self, _: str) -> None:
        self.stage = "forces"
        rows = [_FORCE.match(text) for text in self.lines[self.at : self.at + 3]]
        start = next((k for k, row in enumerate(rows) if row), None)
        if start is None or self.count is None:
            return
        begin = self.at + start
        found = [_FORCE.match(text) for text in self.lines[begin : begin + self.count]]
        if len(found) == self.count and all(found):
            values = [[real(x) for x in row.groups()[1:]] for row in found if row]
            self.step().forces = RY_PER_BOHR_TO_EV_PER_A * np.array(values)

    def stress(self, _: str) -> None:
        self.stage = "stress"

    def stress_tensor(self, _: str) -> None:
        rows = [re.findall(FLOAT, text) for text in self.take(3)]
        if len(rows) == 3 and all(len(row) == 6 for row in rows):
            pressure = np.array([[real(x) for x in row[:3]] for row in rows])
            self.step().stress = -RY_PER_BOHR3_TO_GPA * pressure

    # -- moving on ---------------------------------------------------------------------------

    def new_cell(self, line: str) -> None:
        self.geometry.cell_block(line, self.take(3))

    def new_positions(self, line: str) -> None:
        if self.count:
            self.geometry.position_block(line, self.take(self.count), self.count)

    def geometry_step(self, line: str) -> None:
        # Versions before 6.8 print no thresholds in the header.
        if self.task != "md":
            self.task = "vc-relax" if "cell" in line or self.task == "vc-relax" else "relax"

    def other_geometry(self, _: str) -> None:
        # A restart goes on from the saved geometry and does not print it.
        self.geometry.forget_positions()

    def free_atoms(self, _: str) -> None:
        self.from_free_atoms = True

    def dynamics(self, _: str) -> None:
        self.task = "md"

    def relaxation(self, line: str) -> None:
        self.relaxed = "bfgs converged" in line

    def end_of_coordinates(self, _: str) -> None:
        self.final = self.geometry.atoms()

    # -- the end -----------------------------------------------------------------------------

    def saving(self, _: str) -> None:
        # After a geometry step the configuration is saved too; only the last one matters.
        if self.at >= len(self.lines) - 3:
            self.stage = "saving"

    def clock(self, line: str) -> None:
        if found := _CLOCK.match(line):
            parts = _PARTS.findall(found[1])
            self.wall = sum(float(value) * _SECONDS[unit] for value, unit in parts)

    def cpu_time(self, line: str) -> None:
        if found := _CPU.search(line):
            self.cpu = real(found[1])

    def error(self, line: str) -> None:
        found = _ERROR.match(line) or _OLD_ERROR.match(line)
        if not found:
            return
        text = []
        for row in self.take(4):
            if "%%%%" in row:
                break
            text.append(row.strip())
        self.errors.append(PwError(found[1], " ".join(t for t in text if t)))

    def goodbye(self, _: str) -> None:
        self.done = True


_ACTS: tuple[tuple[str, Callable[[_Scanner, str], None]], ...] = (
    ("Program PWSCF", _Scanner.program),
    ("number of atoms/cell", _Scanner.number_of_atoms),
    ("number of electrons", _Scanner.number_of_electrons),
    ("number of Kohn-Sham states", _Scanner.number_of_bands),
    ("number of k points=", _Scanner.kpoint_line),
    ("force convergence thresh.", _Scanner.thresholds),
    ("press convergence thresh.", _Scanner.thresholds),
    ("celldm(1)=", _Scanner.lattice_constant),
    ("crystal axes:", _Scanner.axes),
    ("site n.", _Scanner.sites),
    ("     Self-consistent Calculation", _Scanner.scf),
    ("     Band Structure Calculation", _Scanner.band_structure),
    ("inal scf calculation at the relaxed structure", _Scanner.last_scf),
    ("iteration #", _Scanner.iteration),
    ("total energy  ", _Scanner.energy),
    ("estimated scf accuracy", _Scanner.accuracy),
    ("smearing contrib. (-TS)", _Scanner.smeared),
    ("convergence has been achieved", _Scanner.converged),
    ("convergence NOT achieved", _Scanner.not_converged),
    ("Fermi energ", _Scanner.fermi),
    ("highest occupied", _Scanner.homo),
    (" magnetization  ", _Scanner.magnetisation),
    ("Magnetic moment per site", _Scanner.moments),
    ("Forces acting on atoms", _Scanner.forces),
    ("Computing stress", _Scanner.stress),
    ("total   stress", _Scanner.stress_tensor),
    ("CELL_PARAMETERS", _Scanner.new_cell),
    ("ATOMIC_POSITIONS", _Scanner.new_positions),
    ("BFGS Geometry Optimization", _Scanner.geometry_step),
    ("new unit-cell volume", _Scanner.geometry_step),
    ("Atomic positions from file used", _Scanner.other_geometry),
    ("Initial potential from superposition of free atoms", _Scanner.free_atoms),
    ("Entering Dynamics:", _Scanner.dynamics),
    ("bfgs converged in", _Scanner.relaxation),
    ("bfgs failed after", _Scanner.relaxation),
    ("maximum number of steps has been reached", _Scanner.relaxation),
    ("history already reset at previous step", _Scanner.relaxation),
    ("End final coordinates", _Scanner.end_of_coordinates),
    ("     Writing ", _Scanner.saving),
    ("     PWSCF        :", _Scanner.clock),
    ("total cpu time spent", _Scanner.cpu_time),
    ("Error in routine", _Scanner.error),
    (": error #", _Scanner.error),
    ("   JOB DONE.", _Scanner.goodbye),
)
