"""Reading what pw.x printed: text only, and robust against a cut at any byte.

Nothing here judges; `espresso.status` does. Only lines that end with a line break are read, so
that half a number is never taken for a whole one, and a block counts only when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ase import Atoms

from bondwright.dft.espresso import lines
from bondwright.dft.espresso.facts import PwError, PwOutput, ScfIteration
from bondwright.dft.espresso.geometry import Geometry
from bondwright.dft.espresso.step import StepReader
from bondwright.dft.espresso.text import after_equals, integer

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
        rows = text.split("\n")
        rows.pop()  # what follows the last line break is cut off, or nothing
        self.lines = [row.rstrip("\r") for row in rows]
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
        if (version := lines.program_version(line)) is not None:
            self.version, self.stage = version, "start"

    def number_of_atoms(self, line: str) -> None:
        self.count = integer(line)

    def number_of_electrons(self, line: str) -> None:
        self.electrons = after_equals(line)

    def number_of_bands(self, line: str) -> None:
        self.band_count = integer(line)

    def kpoint_line(self, line: str) -> None:
        if (count := lines.kpoint_count(line)) is not None:
            self.kpoints = count
        if (smearing := lines.smearing(line)) is not None:
            self.smearing, self.width = smearing

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
        if (number := lines.iteration_number(line)) is not None:
            self.stage = "scf"
            self.step().iterations.append(ScfIteration(number, None, None))

    def energy(self, line: str) -> None:
        if (value := lines.total_energy_eV(line)) is None:
            return
        if line.startswith("!"):
            self.step().energy = value
            if self.stage in ("", "start", "scf"):
                self.stage = "after-scf"
        elif self.step().iterations:
            last = self.step().iterations[-1]
            self.step().iterations[-1] = ScfIteration(last.number, value, last.accuracy_eV)

    def accuracy(self, line: str) -> None:
        if (value := lines.accuracy_eV(line)) is not None and self.step().iterations:
            last = self.step().iterations[-1]
            energy = last.energy_eV if last.energy_eV is not None else self.step().energy
            self.step().iterations[-1] = ScfIteration(last.number, energy, value)

    def smeared(self, line: str) -> None:
        if (value := lines.minus_ts_eV(line)) is not None:
            self.step().smeared = value

    def converged(self, _: str) -> None:
        self.step().converged = True
        self.stage = "after-scf"

    def not_converged(self, _: str) -> None:
        self.step().converged = False
        self.stage = "after-scf"

    def fermi(self, line: str) -> None:
        if (value := lines.fermi_eV(line)) is not None:
            self.step().fermi = value

    def homo(self, line: str) -> None:
        if (edges := lines.edges_eV(line)) is not None:
            self.step().homo = edges[0]
            if edges[1] is not None:
                self.step().lumo = edges[1]

    def magnetisation(self, line: str) -> None:
        value = after_equals(line)
        if "absolute" in line:
            self.step().absolute = value
        elif line.count(".") == 1:  # three numbers stand there in non-collinear calculations
            self.step().moment = value

    def moments(self, _: str) -> None:
        moments = lines.magnetic_moments(self.take(self.count or 0))
        if moments is not None and len(moments) == self.count:
            self.step().moments = moments

    def forces(self, _: str) -> None:
        self.stage = "forces"
        start = next((k for k, text in enumerate(self.take(3)) if lines.is_force(text)), None)
        if start is None or self.count is None:
            return
        forces = lines.forces_eV_per_A(self.take(start + self.count)[start:])
        if forces is not None and len(forces) == self.count:
            self.step().forces = forces

    def stress(self, _: str) -> None:
        self.stage = "stress"

    def stress_tensor(self, _: str) -> None:
        if (stress := lines.stress_GPa(self.take(3))) is not None:
            self.step().stress = stress

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
        if (seconds := lines.wall_seconds(line)) is not None:
            self.wall = seconds

    def cpu_time(self, line: str) -> None:
        if (seconds := lines.cpu_seconds(line)) is not None:
            self.cpu = seconds

    def error(self, line: str) -> None:
        routine = lines.routine_of_error(line)
        if routine is None:
            return
        text = []
        for row in self.take(4):
            if "%%%%" in row:
                break
            text.append(row.strip())
        self.errors.append(PwError(routine, " ".join(t for t in text if t)))

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
