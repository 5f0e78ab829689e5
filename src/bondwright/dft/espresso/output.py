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
from ase.data import atomic_numbers
from numpy.typing import NDArray

from bondwright.dft.espresso.bands import BandReader, Bands, gap_of
from bondwright.dft.espresso.facts import PwError, PwOutput, PwStep, ScfIteration
from bondwright.dft.espresso.units import (
    BOHR_A,
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

_FLOAT = r"[-+]?\d+\.\d*(?:[EeDd][-+]?\d+)?"
_TRIPLE = rf"({_FLOAT})\s*({_FLOAT})\s*({_FLOAT})"
_PROGRAM = re.compile(r"Program PWSCF v\.?\s*(\S+)")
_ENERGY = re.compile(rf"total energy\s+=\s*({_FLOAT})\s*Ry")
_ACCURACY = re.compile(rf"estimated scf accuracy\s+<\s*({_FLOAT})\s*Ry")
_SMEARED = re.compile(rf"smearing contrib\. \(-TS\)\s+=\s*({_FLOAT})\s*Ry")
_ITERATION = re.compile(r"^\s+iteration #\s*(\d+)")
_FERMI = re.compile(rf"the Fermi energy is\s+({_FLOAT})\s+ev")
_TWO_FERMI = re.compile(rf"spin up/dw Fermi energies are\s+({_FLOAT})\s+({_FLOAT})\s+ev")
_HOMO = re.compile(rf"highest occupied level \(ev\):\s+({_FLOAT})")
_HOMO_LUMO = re.compile(
    rf"highest occupied, lowest unoccupied level \(ev\):\s+({_FLOAT})\s+({_FLOAT})"
)
_FORCE = re.compile(rf"^\s+atom\s+(\d+) type\s+\d+\s+force =\s*{_TRIPLE}\s*$")
_AXIS = re.compile(rf"a\(([123])\) = \(\s*{_TRIPLE}\s*\)")
_TAU = re.compile(rf"^\s+\d+\s+(\S+)\s+tau\(\s*\d+\s*\) = \(\s*{_TRIPLE}\s*\)")
_ALAT = re.compile(rf"celldm\(1\)=\s*({_FLOAT})")
_SMEARING = re.compile(
    rf"number of k points=\s*(\d+)(?:\s+(\S+) smearing, width \(Ry\)=\s*({_FLOAT}))?"
)
_MOMENT = re.compile(rf"^\s+atom[:\s]\s*\d+.*charge[:=]\s*{_FLOAT}\s+magn[:=]\s*({_FLOAT})")
_ERROR = re.compile(r"^\s*Error in routine\s+(\S+) \(")
_OLD_ERROR = re.compile(r"^\s*from (\S+)\s*: error #")
_CLOCK = re.compile(r"^\s+PWSCF\s+:.*CPU\s+(.*)WALL")
_PARTS = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])")
_CPU = re.compile(rf"total cpu time spent up to now is\s+({_FLOAT})\s+secs")
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


def zero_width(free_energy: float, minus_ts: float | None, smearing: str) -> float:
    """Extrapolate a total energy to zero smearing width.

    For Fermi-Dirac and Gaussian smearing F and E leave the limit by the same amount in opposite
    directions at lowest order, so that their mean is right: E0 = F + TS/2 (M. J. Gillan, J. Phys.:
    Condens. Matter 1, 689 (1989)). Methfessel-Paxton and cold smearing are made such that F
    itself is already right to that order (Phys. Rev. B 40, 3616; Phys. Rev. Lett. 82, 3296).

    Args:
        free_energy: F = E - TS.
        minus_ts: -TS; None without smearing.
        smearing: as in `PwOutput.smearing`; for an unknown kind F is returned.
    """
    if minus_ts is None or smearing not in ("fermi-dirac", "gaussian"):
        return free_energy
    return free_energy - minus_ts / 2


class _Step:
    """A geometry that is being read."""

    def __init__(self, atoms: Atoms | None) -> None:
        self.atoms = atoms
        self.iterations: list[ScfIteration] = []
        self.converged: bool | None = None
        self.energy: float | None = None
        self.smeared: float | None = None
        self.forces: NDArray[np.float64] | None = None
        self.stress: NDArray[np.float64] | None = None
        self.fermi: float | None = None
        self.homo: float | None = None
        self.lumo: float | None = None
        self.moment: float | None = None
        self.absolute: float | None = None
        self.moments: NDArray[np.float64] | None = None
        self.bands = BandReader()

    @property
    def empty(self) -> bool:
        return not self.iterations and self.energy is None and self.fermi is None

    def finished(self, smearing: str, electrons: float | None, count: int | None) -> PwStep:
        """Return what is known of the step."""
        bands = self.bands.bands(count)
        decided = self.energy is not None and self.converged is not False
        return PwStep(
            atoms=self.atoms,
            iterations=tuple(self.iterations),
            scf_converged=self.converged,
            free_energy_eV=self.energy,
            smearing_eV=self.smeared,
            energy_eV=zero_width(self.energy, self.smeared, smearing)
            if self.energy is not None
            else None,
            forces_eV_per_A=self.forces if decided else None,
            stress_GPa=self.stress if decided else None,
            fermi_eV=self.fermi,
            homo_eV=self.homo,
            lumo_eV=self.lumo,
            gap_eV=self._gap(bands, electrons),
            magnetic_moment=self.moment,
            absolute_moment=self.absolute,
            magnetic_moments=self.moments,
            bands=bands,
        )

    def _gap(self, bands: Bands | None, electrons: float | None) -> float | None:
        if self.homo is not None and self.lumo is not None:
            return max(0.0, self.lumo - self.homo)
        if bands is None:
            return None
        return gap_of(bands.eigenvalues_eV, fermi=self.fermi, electrons=electrons)


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
        self.alat: float | None = None
        self.cell: NDArray[np.float64] | None = None
        self.symbols: list[str] | None = None
        self.positions: NDArray[np.float64] | None = None
        self.steps: list[_Step] = []
        self.final: Atoms | None = None
        self.relaxed: bool | None = None
        self.errors: list[PwError] = []
        self.marks: set[str] = set()
        self.stage = ""
        self.done = False
        self.wall: float | None = None
        self.cpu: float | None = None

    # -- what is at hand ---------------------------------------------------------------------

    def step(self) -> _Step:
        """Return the step that is being read, beginning one when there is none."""
        if not self.steps:
            self.begin()
        return self.steps[-1]

    def begin(self) -> None:
        """Begin a step at the geometry printed last, unless the current one is untouched."""
        if self.steps and self.steps[-1].empty:
            self.steps[-1].atoms = self.geometry()
            return
        self.steps.append(_Step(self.geometry()))

    def geometry(self) -> Atoms | None:
        """Return the geometry printed last."""
        if self.cell is None or self.symbols is None or self.positions is None:
            return None
        return Atoms(self.symbols, positions=self.positions, cell=self.cell, pbc=True)

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
            next_atoms=self.geometry(),
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
        self.count = _integer(line)

    def number_of_electrons(self, line: str) -> None:
        self.electrons = _after_equals(line)

    def number_of_bands(self, line: str) -> None:
        self.band_count = _integer(line)

    def kpoint_line(self, line: str) -> None:
        if found := _SMEARING.search(line):
            self.kpoints = int(found[1])
            if found[2]:
                self.smearing = _SMEARINGS.get(found[2].lower(), "")
                self.width = _real(found[3]) * RYDBERG_EV

    def thresholds(self, line: str) -> None:
        if self.task in ("", "relax"):
            self.task = "vc-relax" if "press" in line else "relax"

    def lattice_constant(self, line: str) -> None:
        if found := _ALAT.search(line):
            self.alat = _real(found[1]) * BOHR_A

    def axes(self, _: str) -> None:
        rows = [_AXIS.search(text) for text in self.take(3)]
        if self.alat and len(rows) == 3 and all(rows):
            cell = self.alat * np.array([[_real(x) for x in r.groups()[1:]] for r in rows if r])
            # Printed to 6 digits; a cell printed before with 9 digits is kept where they agree.
            if self.cell is None or not np.allclose(cell, self.cell, atol=2e-5):
                self.cell = cell

    def sites(self, line: str) -> None:
        if "alat units" not in line or self.count is None or not self.alat:
            return
        found = [_TAU.match(text) for text in self.take(self.count)]
        if len(found) < self.count or not all(found):
            return
        symbols = [element_of(row[1]) for row in found if row]
        places = self.alat * np.array([[_real(x) for x in r.groups()[1:]] for r in found if r])
        if None in symbols:
            return
        if self.positions is None or not np.allclose(places, self.positions, atol=2e-5):
            self.positions = places
        self.symbols = [s for s in symbols if s]

    # -- one geometry ------------------------------------------------------------------------

    def scf(self, _: str) -> None:
        self.task = self.task or "scf"
        self.begin()
        self.stage = "scf"

    def band_structure(self, _: str) -> None:
        self.task = "bands"
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
        value = _real(found[1]) * RYDBERG_EV
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
            value = _real(found[1]) * RYDBERG_EV
            energy = last.energy_eV if last.energy_eV is not None else self.step().energy
            self.step().iterations[-1] = ScfIteration(last.number, energy, value)

    def smeared(self, line: str) -> None:
        if found := _SMEARED.search(line):
            self.step().smeared = _real(found[1]) * RYDBERG_EV

    def converged(self, _: str) -> None:
        self.step().converged = True
        self.stage = "after-scf"

    def not_converged(self, _: str) -> None:
        self.step().converged = False
        self.stage = "after-scf"

    def fermi(self, line: str) -> None:
        if found := _TWO_FERMI.search(line):
            self.step().fermi = max(_real(found[1]), _real(found[2]))
        elif found := _FERMI.search(line):
            self.step().fermi = _real(found[1])

    def homo(self, line: str) -> None:
        if found := _HOMO_LUMO.search(line):
            self.step().homo, self.step().lumo = _real(found[1]), _real(found[2])
        elif found := _HOMO.search(line):
            self.step().homo = _real(found[1])

    def magnetisation(self, line: str) -> None:
        value = _after_equals(line)
        if "absolute" in line:
            self.step().absolute = value
        elif line.count(".") == 1:  # three numbers stand there in non-collinear calculations
            self.step().moment = value

    def moments(self, _: str) -> None:
        found = [_MOMENT.match(text) for text in self.take(self.count or 0)]
        if found and all(found) and len(found) == self.count:
            self.step().moments = np.array([_real(row[1]) for row in found if row])

    def forces(self, _: str) -> None:
        self.stage = "forces"
        rows = [_FORCE.match(text) for text in self.lines[self.at : self.at + 3]]
        start = next((k for k, row in enumerate(rows) if row), None)
        if start is None or self.count is None:
            return
        begin = self.at + start
        found = [_FORCE.match(text) for text in self.lines[begin : begin + self.count]]
        if len(found) == self.count and all(found):
            values = [[_real(x) for x in row.groups()[1:]] for row in found if row]
            self.step().forces = RY_PER_BOHR_TO_EV_PER_A * np.array(values)

    def stress(self, _: str) -> None:
        self.stage = "stress"

    def stress_tensor(self, _: str) -> None:
        rows = [re.findall(_FLOAT, text) for text in self.take(3)]
        if len(rows) == 3 and all(len(row) == 6 for row in rows):
            pressure = np.array([[_real(x) for x in row[:3]] for row in rows])
            self.step().stress = -RY_PER_BOHR3_TO_GPA * pressure

    # -- moving on ---------------------------------------------------------------------------

    def new_cell(self, line: str) -> None:
        found = [re.findall(_FLOAT, text) for text in self.take(3)]
        if len(found) < 3 or any(len(row) != 3 for row in found):
            return
        cell = np.array([[_real(x) for x in row] for row in found])
        if "alat" in line:
            alat = re.search(rf"alat\s*=\s*({_FLOAT})", line)
            unit = _real(alat[1]) * BOHR_A if alat else self.alat
        else:
            unit = BOHR_A if "bohr" in line else 1.0
        if unit:
            self.cell = unit * cell

    def new_positions(self, line: str) -> None:
        rows = [text.split() for text in self.take(self.count or 0)]
        if self.count is None or len(rows) < self.count or any(len(row) < 4 for row in rows):
            return
        symbols = [element_of(row[0]) for row in rows]
        try:
            places = np.array([[float(x) for x in row[1:4]] for row in rows])
        except ValueError:
            return
        if None in symbols or self.cell is None:
            return
        if "crystal" in line:
            places = places @ self.cell
        elif "bohr" in line:
            places = places * BOHR_A
        elif "alat" in line:
            places = places * (self.alat or np.nan)
        if np.isfinite(places).all():
            self.symbols, self.positions = [s for s in symbols if s], places

    def geometry_step(self, line: str) -> None:
        # Versions before 6.8 print no thresholds in the header.
        if self.task != "md":
            self.task = "vc-relax" if "cell" in line or self.task == "vc-relax" else "relax"

    def dynamics(self, _: str) -> None:
        self.task = "md"

    def relaxation(self, line: str) -> None:
        self.relaxed = "bfgs converged" in line

    def end_of_coordinates(self, _: str) -> None:
        self.final = self.geometry()

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
            self.cpu = _real(found[1])

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


def _real(text: str) -> float:
    return float(text.replace("D", "E").replace("d", "e"))


def _after_equals(line: str) -> float | None:
    found = re.search(rf"=\s*({_FLOAT})", line)
    return _real(found[1]) if found else None


def _integer(line: str) -> int | None:
    found = re.search(r"=\s*(\d+)", line)
    return int(found[1]) if found else None
