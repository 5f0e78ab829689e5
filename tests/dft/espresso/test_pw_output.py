"""Reading output of pw.x: against the XML files that the same runs wrote, and against ASE."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from pathlib import Path

import ase.io
import numpy as np
import pytest
from scipy.special import expit

from bondwright.dft.calculation import Status
from bondwright.dft.espresso.geometry import element_of
from bondwright.dft.espresso.output import read_pw_output
from bondwright.dft.espresso.results import read_calculation
from bondwright.dft.espresso.status import judge
from bondwright.dft.espresso.step import zero_width
from bondwright.dft.espresso.units import BOHR_A, RYDBERG_EV

HARTREE_EV = 27.211386245988
FINISHED = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14]
WITH_XML = [
    "default",
    "default_xml_191206",
    "default_xml_200420",
    "default_xml_211101",
    "default_xml_220603",
    "default_xml_240411",
    "default_xml_241015",
    "relax_failed_not_converged_nstep",
    "scf_electric_field",
    "scf_success_rVV10",
    "vcrelax_failed_not_converged_nstep",
    "vcrelax_success",
]


def glass(cells: Path, number: int) -> Path:
    return cells / f"21-{number}" / "Zr49Cu49Al2.scf.out"


@pytest.mark.data
@pytest.mark.parametrize("name", WITH_XML)
def test_text_agrees_with_the_xml_of_the_same_run(samples: Path, name: str) -> None:
    """pw.x writes the XML with all digits; the text has 8 decimals of Ry and 4 of eV."""
    out = read_pw_output(samples / name / "aiida.out")
    root = ET.parse(samples / name / "data-file-schema.xml").getroot().find("output")
    assert root is not None
    step = out.steps[-1]
    assert step.free_energy_eV == pytest.approx(
        float(root.findtext("total_energy/etot", "")) * HARTREE_EV, abs=2e-7
    )
    for mine, tag in ((step.fermi_eV, "fermi_energy"), (step.homo_eV, "highestOccupiedLevel")):
        text = root.findtext(f"band_structure/{tag}")
        if mine is not None and text is not None:
            assert mine == pytest.approx(float(text) * HARTREE_EV, abs=1.01e-4)
    forces = root.findtext("forces")
    if step.forces_eV_per_A is not None and forces is not None:
        theirs = np.array(forces.split(), dtype=float).reshape(-1, 3) * HARTREE_EV / BOHR_A
        assert step.forces_eV_per_A == pytest.approx(theirs, abs=3e-7)  # half the last digit
    stress = root.findtext("stress")
    if step.stress_GPa is not None and stress is not None:
        theirs = np.array(stress.split(), dtype=float).reshape(3, 3) * 29421.02648438959
        assert step.stress_GPa == pytest.approx(-theirs, abs=1e-4)  # half the last digit
    levels = [text.text or "" for text in root.findall("band_structure/ks_energies/eigenvalues")]
    if step.bands is not None:
        theirs = np.array([row.split() for row in levels], dtype=float) * HARTREE_EV
        assert step.bands.eigenvalues_eV[0] == pytest.approx(theirs, abs=1.01e-4)
    else:
        assert name.startswith("default_xml_2") or name == "scf_electric_field"  # removed there


@pytest.mark.data
@pytest.mark.parametrize("name", ["default", "default_xml_240411", "vcrelax_success"])
def test_structures_agree_with_the_xml(samples: Path, name: str) -> None:
    out = read_pw_output(samples / name / "aiida.out")
    root = ET.parse(samples / name / "data-file-schema.xml").getroot()
    place = root.find("output/atomic_structure")
    assert place is not None
    assert out.final_atoms is not None
    rows = [place.findtext(f"cell/a{k}", "").split() for k in (1, 2, 3)]
    cell = np.array(rows, dtype=float) * BOHR_A
    spots = [(a.text or "").split() for a in place.findall("atomic_positions/atom")]
    # The text prints axes with 6 and positions with 7 decimals of alat, or 9 of Å in relaxations.
    assert out.final_atoms.cell.array == pytest.approx(cell, abs=5e-6)
    assert out.final_atoms.positions == pytest.approx(
        np.array(spots, dtype=float) * BOHR_A, abs=5e-6
    )


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "geometries"), [("default_xml_240411", 4), ("vcrelax_success", 3)]
)
def test_relaxations_give_every_geometry(samples: Path, name: str, geometries: int) -> None:
    """Every step of the relaxation, and the last SCF with the final cell's plane waves."""
    out = read_pw_output(samples / name / "aiida.out")
    assert (out.task, out.relaxed, len(out.steps)) == ("vc-relax", True, geometries)
    root = ET.parse(samples / name / "data-file-schema.xml").getroot()
    theirs = [*root.findall("step"), root.find("output")]
    for mine, step in zip(out.steps, theirs, strict=True):
        assert step is not None
        energy = float(step.findtext("total_energy/etot", "")) * HARTREE_EV
        assert mine.free_energy_eV == pytest.approx(energy, abs=2e-7)
        rows = [step.findtext(f"atomic_structure/cell/a{k}", "").split() for k in (1, 2, 3)]
        if mine.atoms is not None:  # the first header of one sample was removed
            cell = np.array(rows, dtype=float) * BOHR_A
            assert mine.atoms.cell.array == pytest.approx(cell, abs=5e-6)
    numbers = [i.number for i in out.steps[0].iterations]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(i.accuracy_eV is not None for i in out.steps[0].iterations)


@pytest.mark.data
@pytest.mark.parametrize("number", FINISHED)
def test_glass_cells_agree_with_ase_and_their_structures(cells: Path, number: int) -> None:
    path = glass(cells, number)
    out = read_pw_output(path)
    verdict = judge(out, forces=True, eigenvalues=True)
    assert verdict.status is Status.CONVERGED
    assert (out.atom_count, out.electrons, out.band_count, out.kpoint_count) == (100, 1525, 1086, 8)
    assert out.wall_seconds is not None
    assert 3600 < out.wall_seconds < 9000
    step = out.steps[-1]
    theirs = ase.io.read(path, format="espresso-out")
    # ASE has the constants of 2006, which differ by 2e-8; on 5e5 eV that is 0.02 eV.
    assert step.free_energy_eV == pytest.approx(theirs.get_potential_energy(), rel=1e-7)
    assert step.forces_eV_per_A == pytest.approx(theirs.get_forces(), abs=1e-5)
    known = ase.io.read(path.with_name("Zr49Cu49Al2.xyz"))
    assert step.atoms is not None
    assert step.atoms.get_chemical_symbols() == known.get_chemical_symbols()
    between = step.atoms.get_scaled_positions(wrap=False) - known.get_scaled_positions(wrap=False)
    # xyz files have 4 to 6 decimals of Å
    assert (between - np.rint(between)) @ step.atoms.cell.array == pytest.approx(0.0, abs=2e-3)


@pytest.mark.data
@pytest.mark.parametrize("number", [0, 14])
def test_eigenvalues_and_fermi_level_hold_all_electrons(cells: Path, number: int) -> None:
    """Fermi-Dirac occupations of the levels read, at the Fermi level read, sum to 1525."""
    out = read_pw_output(glass(cells, number))
    bands = out.steps[-1].bands
    assert bands is not None
    assert bands.occupations is not None
    assert out.smearing == "fermi-dirac"
    assert out.smearing_width_eV == pytest.approx(0.10885, 1e-3)
    occupations = expit((out.steps[-1].fermi_eV - bands.eigenvalues_eV) / out.smearing_width_eV)
    # levels are rounded to 1e-4 eV; 200 states per eV at the Fermi level make that 0.02 electrons
    assert 2 * occupations.sum() / 8 == pytest.approx(1525, abs=0.02)
    assert occupations == pytest.approx(bands.occupations, abs=6e-4)


@pytest.mark.data
def test_energy_is_extrapolated_to_zero_width(cells: Path) -> None:
    step = read_pw_output(glass(cells, 0)).steps[-1]
    assert step.smearing_eV is not None
    assert step.free_energy_eV is not None
    entropy = -step.smearing_eV  # TS
    inner = step.free_energy_eV + entropy  # E
    assert step.energy_eV == pytest.approx((step.free_energy_eV + inner) / 2, abs=1e-9)
    assert zero_width(-10.0, -0.2, "marzari-vanderbilt") == -10.0
    assert zero_width(-10.0, None, "") == -10.0


@pytest.mark.data
def test_scf_that_was_cut_off(cells: Path) -> None:
    """Cell 21-13 ends in iteration 80."""
    out = read_pw_output(glass(cells, 13))
    iterations = out.steps[-1].iterations
    assert len(iterations) == 80
    assert iterations[78].accuracy_eV == pytest.approx(0.00649693 * RYDBERG_EV)
    assert iterations[79].energy_eV is None
    assert out.steps[-1].energy_eV is None
    assert out.steps[-1].scf_converged is None
    verdict = judge(out)
    assert (verdict.status, verdict.reason) == (Status.INTERRUPTED, "interrupted")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "stress"),
    [("default", False), ("default_xml_240411", True), ("vcrelax_success_fractional", True)],
)
def test_cut_at_any_byte_is_never_converged(samples: Path, name: str, stress: bool) -> None:
    """Fault 47: an output that is not whole gives no result, and never an exception."""
    text = (samples / name / "aiida.out").read_text()
    end = text.index("JOB DONE.") + len("JOB DONE.")
    whole = read_pw_output(text)
    assert judge(whole, stress=stress).status is Status.CONVERGED
    cuts = [*range(0, end, max(1, end // 250)), *range(end - 40, end + 1)]
    for cut in cuts:
        out = read_pw_output(text[:cut])
        assert judge(out, stress=stress).status is Status.INTERRUPTED, cut
        for mine, full in zip(out.steps, whole.steps, strict=False):
            # whatever is there already is what it will be in the end
            assert mine.free_energy_eV in (None, full.free_energy_eV)
            assert mine.fermi_eV in (None, full.fermi_eV)
            if mine.forces_eV_per_A is not None and full.forces_eV_per_A is not None:
                assert np.array_equal(mine.forces_eV_per_A, full.forces_eV_per_A)
            if mine.stress_GPa is not None and full.stress_GPa is not None:
                assert np.array_equal(mine.stress_GPa, full.stress_GPa)
            if mine.bands is not None and full.bands is not None:
                assert np.array_equal(mine.bands.eigenvalues_eV, full.bands.eigenvalues_eV)


@pytest.mark.data
def test_large_output_cut_at_many_bytes(cells: Path) -> None:
    text = glass(cells, 10).read_text()
    for cut in range(1000, len(text) - 300, len(text) // 60):
        out = read_pw_output(text[:cut])
        assert judge(out, forces=True, eigenvalues=True).status is Status.INTERRUPTED, cut


@pytest.mark.data
def test_damaged_bytes_never_raise(samples: Path) -> None:
    text = (samples / "default_xml_240411" / "aiida.out").read_text()
    dice = random.Random(5)
    for _ in range(60):
        letters = list(text)
        for _ in range(200):
            letters[dice.randrange(len(letters))] = dice.choice("\0 *-9013\né")
        lines = "".join(letters).split("\n")
        for _ in range(20):
            lines.insert(dice.randrange(len(lines)), lines.pop(dice.randrange(len(lines))))
        damaged = read_pw_output("\n".join(lines))
        judge(damaged, forces=True, stress=True)
        for step in damaged.steps:
            if step.forces_eV_per_A is not None:
                assert np.isfinite(step.forces_eV_per_A).all()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    absent = read_pw_output(tmp_path / "absent.out")
    assert "absent.out" in absent.unreadable
    assert judge(absent).reason == "output-unreadable"
    assert judge(read_pw_output("")).reason == "no-output"
    binary = tmp_path / "binary.out"
    binary.write_bytes(bytes(range(256)) * 100)
    assert judge(read_pw_output(binary)).status is Status.FAILED


def test_labels_of_species() -> None:
    found = [element_of(label) for label in ("Fe1", "O_h", "SI", "Co", "C2", "Xx", "12", "Hf-a")]
    assert found == ["Fe", "O", "Si", "Co", "C", None, None, "Hf"]


@pytest.mark.data
def test_foreign_outputs_become_calculations(samples: Path, cells: Path) -> None:
    relaxed = read_calculation(samples / "vcrelax_success" / "aiida.out", stress=True)
    assert (relaxed.status, relaxed.engine) == (Status.CONVERGED, "espresso 6.6")
    assert relaxed.atoms.get_volume() == pytest.approx(2 * 2.806884226**3, rel=1e-6)
    assert relaxed.stress_GPa is not None
    # the last line of the pressure: P = -0.16 kbar
    assert -np.trace(relaxed.stress_GPa) / 3 == pytest.approx(-0.016, abs=6e-4)
    assert relaxed.seconds == pytest.approx(12.5)
    cut = read_calculation(glass(cells, 13), scheduler="DUE TO TIME LIMIT")
    assert (cut.status, cut.reason) == (Status.INTERRUPTED, "walltime")
    assert cut.energy_eV is None
    assert len(cut.atoms) == 100
    assert cut.notes["restart"] == "from-scratch"
    nothing = read_calculation(samples / "absent.out")
    assert (nothing.status, len(nothing.atoms)) == (Status.FAILED, 0)
