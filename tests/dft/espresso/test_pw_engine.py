"""pw.x at work: energies, forces, stress, bands, interruptions and corrections, all for real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from ase import Atoms
from ase.build import bulk
from ase.eos import EquationOfState

from bondwright.dft.calculation import Status
from bondwright.dft.espresso.engine import EspressoEngine, EspressoSession
from bondwright.dft.espresso.output import read_pw_output
from bondwright.dft.espresso.run import run_pw
from bondwright.dft.espresso.status import judge
from bondwright.dft.settings import DftSettings, Spin
from bondwright.errors import InputError

pytestmark = pytest.mark.espresso

GPA_A3 = 1 / 160.2176634  # eV
SILICON = DftSettings(cutoff_eV=300, kpoints=(2, 2, 2), smearing_eV=0.1)


def silicon(moved: float = 0.0) -> Atoms:
    atoms = bulk("Si", "diamond", a=5.43)
    atoms.positions[1] += moved * np.array([0.1, 0.05, -0.02])
    return atoms


def session(potentials: Path, folder: Path, settings: DftSettings = SILICON) -> EspressoSession:
    return EspressoEngine(pseudo_folder=potentials).open(settings, folder)


@pytest.mark.parametrize(
    ("element", "lattice", "kpoints", "published", "modulus"),
    [
        # PBE: Haas, Tran and Blaha, Phys. Rev. B 79, 085104 (2009) for the lattice constants;
        # bulk moduli as rounded all-electron values
        ("Si", "diamond", 5, 5.469, 89.0),
        ("Al", "fcc", 9, 4.040, 77.0),
    ],
)
def test_generated_potentials_give_published_lattice_constants(
    potentials: Path,
    tmp_path: Path,
    element: str,
    lattice: str,
    kpoints: int,
    published: float,
    modulus: float,
) -> None:
    """Within 1 %, and 8 % for the modulus: cut-off and mesh are small, cores are frozen."""
    settings = DftSettings(cutoff_eV=300, kpoints=(kpoints,) * 3, smearing_eV=0.1)
    engine = session(potentials, tmp_path, settings)
    volumes, energies = [], []
    for scale in (0.97, 0.985, 1.0, 1.015, 1.03):
        atoms = bulk(element, lattice, a=published * scale)
        found = engine.solve(atoms, forces=False)
        assert found.status is Status.CONVERGED
        assert found.energy_eV is not None
        volumes.append(atoms.get_volume())
        energies.append(found.energy_eV)
    volume, _, bulk_modulus = EquationOfState(volumes, energies, "birchmurnaghan").fit()
    assert (4 * volume) ** (1 / 3) == pytest.approx(published, rel=0.01)
    assert bulk_modulus / GPA_A3 == pytest.approx(modulus, rel=0.08)


def test_forces_and_stress_are_derivatives_of_the_energy(potentials: Path, tmp_path: Path) -> None:
    """Central differences; with smearing it is the free energy that forces derive from."""
    settings = DftSettings(
        cutoff_eV=300, kpoints=(2, 2, 2), smearing_eV=0.1, energy_tolerance_eV_per_electron=1e-8
    )
    engine = session(potentials, tmp_path, settings)

    def free_energy(atoms: Atoms) -> float:
        return float(engine.solve(atoms, forces=False).notes["free_energy_eV"])

    atoms = silicon(1.0)
    found = engine.solve(atoms, stress=True)
    assert found.forces_eV_per_A is not None
    assert found.stress_GPa is not None
    assert abs(found.forces_eV_per_A[1, 0]) > 0.3
    step = 0.01
    ends = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[1, 0] += sign * step
        ends.append(free_energy(moved))
    assert found.forces_eV_per_A[1, 0] == pytest.approx(-(ends[0] - ends[1]) / 2 / step, abs=5e-3)
    ends = []
    for sign in (1, -1):
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ np.diag([1 + sign * step, 1, 1]), scale_atoms=True)
        ends.append(free_energy(strained))
    stress = (ends[0] - ends[1]) / 2 / step / atoms.get_volume() / GPA_A3
    # tension is positive; at a fixed cut-off the plane waves change with the cell (Pulay stress)
    assert found.stress_GPa[0, 0] == pytest.approx(stress, abs=1.0)
    assert abs(stress) > 2.5


def test_records_and_densities_are_used_again(potentials: Path, tmp_path: Path) -> None:
    engine = session(potentials, tmp_path)
    first = engine.solve(silicon(1.0))
    assert first.status is Status.CONVERGED
    written = (tmp_path / "run" / "pw.out").stat().st_mtime_ns
    again = session(potentials, tmp_path).solve(silicon(1.0))
    assert (tmp_path / "run" / "pw.out").stat().st_mtime_ns == written  # nothing was run
    assert again.energy_eV == first.energy_eV
    assert np.array_equal(again.forces_eV_per_A, first.forces_eV_per_A)
    near = engine.solve(silicon(1.05))
    assert "startingpot" in (tmp_path / "run" / "pw.in").read_text()
    fresh = session(potentials, tmp_path / "fresh").solve(silicon(1.05))
    assert near.scf_steps < fresh.scf_steps
    assert near.energy_eV == pytest.approx(fresh.energy_eV, abs=1e-5)
    # another question about the same structure is not answered by half a record
    assert engine.solve(silicon(1.0), stress=True).stress_GPa is not None


def test_eigenvalues_along_other_kpoints(potentials: Path, tmp_path: Path) -> None:
    engine = session(potentials, tmp_path)
    with pytest.raises(InputError, match="solve first"):
        engine.eigenvalues(np.zeros((1, 3)))
    found = engine.solve(silicon())
    levels = engine.eigenvalues(np.array([[0, 0, 0], [0.5, 0, 0.5], [0, 0, 0]]))
    assert levels.shape[:2] == (1, 3)
    own = read_pw_output(tmp_path / "run" / "pw.out").steps[-1].bands
    assert own is not None
    # bands of the mesh: Gamma is its first point. They agree to the SCF's own accuracy.
    assert levels[0, 0] == pytest.approx(own.eigenvalues_eV[0, 0], abs=2e-3)
    assert levels[0, 2] == pytest.approx(levels[0, 0], abs=2e-4)
    # PBE: Gamma 25' to Gamma 15 2.56 eV, Gamma 25' to X1c about 0.7 eV; the mesh is coarse
    assert levels[0, 0, 4] - levels[0, 0, 3] == pytest.approx(2.56, abs=0.1)
    assert levels[0, 1, 4] - levels[0, 0, 3] == pytest.approx(0.69, abs=0.15)
    assert found.gap_eV == pytest.approx(levels[0, 1, 4] - levels[0, 0, 3], abs=0.01)
    assert found.fermi_eV is not None
    assert levels[0, 0, 3] < found.fermi_eV
    other = engine.solve(silicon(1.0))
    engine.solve(silicon())  # from its record: the density in the folder is the other one's
    again = engine.eigenvalues(np.zeros((1, 3)))[0, 0]
    assert again[:6] == pytest.approx(levels[0, 0, :6], abs=2e-3)  # the highest settle last
    assert other.energy_eV != found.energy_eV


def test_spin_that_is_not_there(potentials: Path, tmp_path: Path) -> None:
    """Silicon asked for with spins finds none, and the energy of a calculation without them."""
    settings = DftSettings(cutoff_eV=300, kpoints=(2, 2, 2), smearing_eV=0.1, spin=Spin.POLARISED)
    engine = session(potentials, tmp_path, settings)
    found = engine.solve(silicon())
    assert found.status is Status.CONVERGED
    assert found.magnetic_moment == pytest.approx(0.0, abs=0.01)
    assert found.magnetic_moments == pytest.approx([0.0, 0.0], abs=0.01)
    plain = session(potentials, tmp_path / "plain").solve(silicon())
    assert found.energy_eV == pytest.approx(plain.energy_eV, abs=1e-4)
    assert plain.magnetic_moment is None
    levels = engine.eigenvalues(np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.5]]))
    assert levels.shape[:2] == (2, 2)
    assert levels[0] == pytest.approx(levels[1], abs=5e-3)


def test_scf_that_does_not_settle(potentials: Path, tmp_path: Path) -> None:
    """Fault 43: corrections are bounded and recorded, and there is no number in the end."""
    settings = DftSettings(cutoff_eV=200, kpoints=(1, 1, 1), smearing_eV=0.1, max_scf_steps=2)
    found = session(potentials, tmp_path, settings).solve(silicon())
    assert (found.status, found.reason) == (Status.NOT_CONVERGED, "scf-not-converged")
    assert found.energy_eV is None
    assert found.forces_eV_per_A is None
    slugs = [c.slug for c in found.corrections]
    assert slugs == ["softer-mixing", "softest-mixing", "more-smearing"]
    assert found.corrections[0].changes == {"mixing_beta": 0.3}
    assert "mixing_beta = 0.1" in (tmp_path / "run" / "pw.in").read_text()
    written = (tmp_path / "run" / "pw.out").stat().st_mtime_ns
    again = session(potentials, tmp_path, settings)
    assert again.solve(silicon()).reason == "scf-not-converged"
    assert (tmp_path / "run" / "pw.out").stat().st_mtime_ns == written  # known from its record
    with pytest.raises(InputError, match="solve first"):
        again.eigenvalues(np.zeros((1, 3)))


def test_time_limit_and_going_on(potentials: Path, tmp_path: Path) -> None:
    """Fault 42: runs that stop at their time limit add up to the result of one long run."""
    atoms = bulk("Si", "diamond", a=5.43)
    atoms.rattle(0.05, seed=1)
    settings = DftSettings(cutoff_eV=300, kpoints=(3, 3, 3), smearing_eV=0.1)
    limit, reasons, modes = 0.3, [], []
    for _ in range(30):
        engine = EspressoEngine(pseudo_folder=potentials, time_limit_s=limit)
        found = engine.open(settings, tmp_path).solve(atoms)
        modes.append("'restart'" in (tmp_path / "run" / "pw.in").read_text())
        reasons.append(found.reason)
        if found.status is Status.CONVERGED:
            break
        assert found.energy_eV is None
        assert found.reason in ("walltime", "no-progress")
        assert (found.status is Status.INTERRUPTED) == (found.reason == "walltime")
        limit *= 1.3  # how far it comes in a given time depends on what else the machine does
    assert found.status is Status.CONVERGED
    assert reasons[0] == "walltime"
    assert any(modes)
    whole = session(potentials, tmp_path / "whole", settings).solve(atoms)
    assert found.energy_eV == pytest.approx(whole.energy_eV, abs=1e-5)


def test_killed_driver_leaves_no_rival(potentials: Path, tmp_path: Path) -> None:
    """Fault 57: pw.x goes on when its driver is killed; the next driver ends it first."""
    code = (
        "import sys; from pathlib import Path; from ase.build import bulk\n"
        "from bondwright.dft.espresso.engine import EspressoEngine\n"
        "from bondwright.dft.settings import DftSettings\n"
        "s = DftSettings(cutoff_eV=900, kpoints=(9, 9, 9))\n"
        "e = EspressoEngine(pseudo_folder=Path(sys.argv[1])).open(s, Path(sys.argv[2]))\n"
        "e.solve(bulk('Si', 'diamond', a=5.43, cubic=True))\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(potentials), str(tmp_path)])
    note = tmp_path / "run" / "pw.process.json"
    for _ in range(600):
        if note.is_file():
            break
        time.sleep(0.05)
    left = psutil.Process(json.loads(note.read_text())["pid"])
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert left.is_running()
    found = session(potentials, tmp_path).solve(silicon())
    assert found.status is Status.CONVERGED
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE


def test_broken_save_is_not_built_upon(potentials: Path, tmp_path: Path) -> None:
    """Fault 39: pw.x itself falls over a cut XML file."""
    engine = session(potentials, tmp_path)
    engine.solve(silicon())
    xml = tmp_path / "run" / "out" / "pw.save" / "data-file-schema.xml"
    xml.write_bytes(xml.read_bytes()[:500])
    found = engine.solve(silicon(1.0))
    assert found.status is Status.CONVERGED
    assert not found.corrections
    xml.write_bytes(xml.read_bytes()[:500])
    assert engine.eigenvalues(np.zeros((1, 3))).shape[1] == 1


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Si.UPF", "Nowhere.UPF", "pseudopotential-missing"),
        ("mixing_beta", "mixing_beat", "input-refused"),
        ("ibrav = 0", "ibrav = 0, nbnd = 2", "too-few-bands"),
        ("calculation = 'scf'", "calculation = 'bands'", "saved-data-unreadable"),
    ],
)
def test_real_errors_are_named(
    potentials: Path, tmp_path: Path, old: str, new: str, reason: str
) -> None:
    """Fault 43."""
    engine = session(potentials, tmp_path)
    settings_text = tmp_path / "run" / "pw.in"
    engine.solve(silicon(), forces=False)
    text = settings_text.read_text()
    assert old in text
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "pw.in").write_text(text.replace(old, new))
    program = shutil.which("pw.x")
    assert program is not None
    run_pw([program], tmp_path / "bad")
    verdict = judge(read_pw_output(tmp_path / "bad" / "pw.out"))
    assert (verdict.status, verdict.reason) == (Status.FAILED, reason)


@pytest.mark.parametrize(
    ("lost", "mode", "status", "reason"),
    [
        # pw.x itself ends in peace here, with the bands of free atoms
        ("charge-density.dat", "calculation = 'bands'", Status.FAILED, "saved-data-unreadable"),
        ("wfc1.dat", "restart_mode = 'restart'", Status.FAILED, "kpoint-file-missing"),
    ],
)
def test_lost_files_of_an_earlier_run(
    potentials: Path, tmp_path: Path, lost: str, mode: str, status: Status, reason: str
) -> None:
    """Fault 43."""
    session(potentials, tmp_path).solve(silicon(), forces=False)
    folder = tmp_path / "run"
    (folder / "out" / "pw.save" / lost).unlink()
    keyword = mode.split(" = ")[0]
    lines = (folder / "pw.in").read_text().splitlines()
    lines = [f"  {mode}" if keyword in line else line for line in lines]
    (folder / "pw.in").write_text("\n".join(lines) + "\n")
    program = shutil.which("pw.x")
    assert program is not None
    run_pw([program], folder)
    verdict = judge(read_pw_output(folder / "pw.out"))
    assert (verdict.status, verdict.reason) == (status, reason)


def test_restart_takes_its_geometry_from_the_saved_data(potentials: Path, tmp_path: Path) -> None:
    """The header shows the input's positions, which pw.x then discards: they are unknown."""
    engine = EspressoEngine(pseudo_folder=potentials, symmetry=False)
    engine.open(SILICON, tmp_path).solve(silicon(), forces=False)
    folder = tmp_path / "run"
    text = (folder / "pw.in").read_text().replace("'from_scratch'", "'restart'")
    assert "1.35750000000000" in text
    (folder / "pw.in").write_text(text.replace("1.35750000000000", "1.40000000000000"))
    program = shutil.which("pw.x")
    assert program is not None
    run_pw([program], folder)
    output = read_pw_output(folder / "pw.out")
    assert judge(output).status is Status.CONVERGED
    assert output.steps[-1].atoms is None
    assert output.atom_count == 2


def test_run_that_is_killed_from_outside(potentials: Path, tmp_path: Path) -> None:
    """Fault 41: charged to the machine, and begun again from scratch."""
    settings = DftSettings(cutoff_eV=900, kpoints=(9, 9, 9))
    found = []

    def work() -> None:
        engine = session(potentials, tmp_path, settings)
        found.append(engine.solve(bulk("Si", cubic=True)))

    thread = threading.Thread(target=work)
    thread.start()
    note = tmp_path / "run" / "pw.process.json"
    while not note.is_file():
        time.sleep(0.05)
    os.kill(json.loads(note.read_text())["pid"], signal.SIGKILL)
    thread.join(30)
    assert (found[0].status, found[0].reason) == (Status.INTERRUPTED, "killed")
    assert found[0].energy_eV is None
    assert found[0].notes["restart"] == "from-scratch"


def test_what_is_missing_is_said_in_one_line(potentials: Path, tmp_path: Path) -> None:
    engine = EspressoEngine(program="no-such-pw.x", pseudo_folder=potentials)
    with pytest.raises(InputError, match="is not installed"):
        engine.version()
    with pytest.raises(InputError, match="prints no version"):
        EspressoEngine(program="true").version()
    found = session(potentials, tmp_path).solve(bulk("Cu"))
    assert (found.status, found.reason) == (Status.FAILED, "pseudopotential-missing")
    assert "no PBE pseudopotential for Cu" in found.message
    with pytest.raises(InputError, match="no such folder"):
        EspressoEngine(pseudo_folder=tmp_path / "absent").open(SILICON, tmp_path)


def test_structures_that_are_none(potentials: Path, tmp_path: Path) -> None:
    """Fault 13: a status, not an exception, and pw.x is not even started."""
    engine = session(potentials, tmp_path)
    close = silicon()
    close.positions[1] = close.positions[0] + 0.1
    broken = silicon()
    broken.positions[0, 0] = np.nan
    for atoms, reason in (
        (close, "atoms-too-close"),
        (broken, "bad-structure"),
        (Atoms("Si", pbc=True), "bad-structure"),
        (Atoms(), "bad-structure"),
    ):
        found = engine.solve(atoms)
        assert (found.status, found.reason) == (Status.FAILED, reason)
        assert found.energy_eV is None
    assert not (tmp_path / "run" / "pw.in").exists()


def test_mpi_prefix(potentials: Path, tmp_path: Path) -> None:
    if shutil.which("mpirun") is None:
        pytest.skip("MPI ABSENT: no mpirun on the PATH")
    prefix = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "2"]
    engine = EspressoEngine(pseudo_folder=potentials, prefix=prefix)
    seen: list[tuple[int, float | None]] = []
    found = engine.open(
        SILICON, tmp_path / "two", progress=lambda n, change: seen.append((n, change))
    ).solve(silicon(), forces=False)
    assert found.status is Status.CONVERGED, found.message
    assert "2 processors" in (tmp_path / "two" / "run" / "pw.out").read_text()
    assert [n for n, _ in seen] == list(range(1, found.scf_steps + 1))
    assert seen[0][1] is None
    assert seen[-1][1] is not None
    one = session(potentials, tmp_path / "one").solve(silicon(), forces=False)
    assert found.energy_eV == pytest.approx(one.energy_eV, abs=8e-5)  # the SCF's tolerance
