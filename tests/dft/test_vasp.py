"""VASP: input sets, POTCAR assembly, and results read through pymatgen."""

from __future__ import annotations

import gzip
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from ase.units import GPa
from pymatgen.io.vasp import Incar, Kpoints, Outcar, Poscar

from bondwright.dft.calculation import Status
from bondwright.dft.settings import DftSettings, preset
from bondwright.dft.vasp.inputs import VaspTask, vasp_inputs, write_vasp_inputs
from bondwright.dft.vasp.output import read_vasp
from bondwright.dft.vasp.potcar import VARIABLES, assemble_potcar
from bondwright.errors import InputError

RESULTS = Path(ase.__file__).parent / "test" / "testdata" / "vasp"


@pytest.fixture(autouse=True)
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def rutile() -> Atoms:
    atoms = crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    )
    return atoms[[2, 0, 3, 1, 4, 5]]  # titanium and oxygen mixed


def put_potcar(library: Path, symbol: str, title: str = "") -> None:
    folder = library / "potpaw_PBE.54" / symbol
    folder.mkdir(parents=True)
    text = (
        f"  PAW_PBE {symbol}\n   4.0\n   TITEL  = {title or f'PAW_PBE {symbol} 08Apr2002'}\nend\n"
    )
    (folder / "POTCAR").write_text(text)


def test_files_hold_the_structure_and_the_settings(tmp_path: Path) -> None:
    settings = DftSettings(cutoff_eV=450, kpoint_spacing_per_A=0.3, smearing_eV=0.07)
    made = write_vasp_inputs(rutile(), settings, VaspTask.RELAX, tmp_path)
    structure = Poscar.from_file(tmp_path / "POSCAR").structure
    back = rutile()[list(made.order)]
    assert [s.specie.symbol for s in structure] == back.get_chemical_symbols()
    away = structure.frac_coords - back.get_scaled_positions(wrap=False)
    assert away - np.rint(away) == pytest.approx(0.0, abs=1e-14)
    incar = Incar.from_file(tmp_path / "INCAR")
    assert (incar["ENCUT"], incar["ISMEAR"], incar["SIGMA"]) == (450, -1, 0.07)
    assert (incar["EDIFFG"], incar["ISIF"], incar["NSW"]) == (-0.03, 3, 60)
    assert incar["EDIFF"] == pytest.approx(6e-5)
    assert incar["LDAU"] is False
    kpoints = Kpoints.from_file(tmp_path / "KPOINTS")
    assert tuple(kpoints.kpts[0]) == made.mesh == (5, 5, 8)
    assert str(kpoints.style) == "Gamma"
    # species in POSCAR's order, which is the order of POTCAR
    assert (tmp_path / "POTCAR.spec").read_text().split() == ["O", "Ti_pv"]
    assert not (tmp_path / "POTCAR").exists()


def test_lobster_can_read_what_is_asked_of_vasp() -> None:
    """LOBSTER needs all wave functions, no symmetry, and a band for every basis function."""
    made = vasp_inputs(rutile(), preset("standard"), VaspTask.LOBSTER)
    assert made.incar["ISYM"] in (-1, 0)
    assert made.incar["LWAVE"] is True
    assert made.incar["NSW"] == 0
    # 3p 3d 4s of 2 Ti and 2s 2p of 4 O: 9 functions each, and 4 each
    assert made.incar["NBANDS"] >= 2 * 9 + 4 * 4


def test_spin_and_u_follow_the_structure() -> None:
    oxide = bulk("NiO", "rocksalt", a=4.17)
    made = vasp_inputs(oxide, preset("materials-project"), VaspTask.SINGLE_POINT)
    assert made.order == (1, 0)
    assert made.incar["ISPIN"] == 2
    assert made.incar["MAGMOM"] == [0.0, 2.0]  # nickel has two unpaired electrons
    assert made.incar["LDAUU"] == [0, 6.2]
    assert made.incar["LDAUL"] == [0, 2]
    metal = vasp_inputs(bulk("Ni"), preset("materials-project"), VaspTask.SINGLE_POINT)
    assert metal.incar["LDAU"] is False


def test_materials_project_set_is_left_alone() -> None:
    """Its own values, whatever the settings say: MP's energies are comparable with no others."""
    from pymatgen.io.ase import AseAtomsAdaptor
    from pymatgen.io.vasp.sets import MPRelaxSet

    oxide = bulk("NiO", "rocksalt", a=4.17)
    made = vasp_inputs(oxide, DftSettings(cutoff_eV=999), VaspTask.MATERIALS_PROJECT_RELAX)
    theirs = MPRelaxSet(AseAtomsAdaptor.get_structure(oxide[[1, 0]]), sort_structure=False)
    assert made.incar == dict(theirs.incar)
    assert made.incar["ENCUT"] == 520


def test_potcar_is_put_together_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    put_potcar(library, "O")
    put_potcar(library, "Ti_pv")
    monkeypatch.setenv("VASP_PP_PATH", str(library))
    write_vasp_inputs(rutile(), preset("quick"), VaspTask.SINGLE_POINT, tmp_path / "run")
    text = (tmp_path / "run" / "POTCAR").read_text()
    assert text.index("PAW_PBE O ") < text.index("PAW_PBE Ti_pv ")
    put_potcar(library, "Zr_sv", title="PAW_PBE Zr 08Apr2002")
    with pytest.raises(InputError, match="holds PAW_PBE Zr, not PAW_PBE Zr_sv"):
        assemble_potcar(["Zr_sv"], library)
    put_potcar(library, "Cu", title="PAW Cu 08Apr2002")
    with pytest.raises(InputError, match="holds PAW Cu"):
        assemble_potcar(["Cu"], library)
    with pytest.raises(InputError, match="no PBE POTCAR Al"):
        assemble_potcar(["Al"], library)
    packed = library / "POT_GGA_PAW_PBE_54" / "POTCAR.Al.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(b"TITEL = PAW_PBE Al 04Jan2001\n"))
    assert "Al" in assemble_potcar(["Al"], library)
    monkeypatch.setenv("VASP_PP_PATH", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="VASP_PP_PATH"):
        write_vasp_inputs(rutile(), preset("quick"), VaspTask.RELAX, tmp_path / "other")


def test_bad_requests_say_what_is_wrong() -> None:
    with pytest.raises(InputError, match="PBE"):
        vasp_inputs(rutile(), DftSettings(functional="LDA"), VaspTask.RELAX)
    with pytest.raises(InputError, match="no volume"):
        vasp_inputs(Atoms("Si"), DftSettings(), VaspTask.RELAX)
    with pytest.raises(InputError, match="no atoms"):
        vasp_inputs(Atoms(), DftSettings(), VaspTask.RELAX)


@pytest.mark.parametrize("name", ["vasprun_pstress.xml", "vasprun_dfpt.xml"])
def test_results_agree_with_ase(name: str) -> None:
    path = RESULTS / name
    if not path.is_file():
        pytest.skip(f"VASP RESULTS ABSENT: this ASE comes without {name}")
    found = read_vasp(path)
    theirs = ase.io.read(path, index=-1)
    assert found.status is Status.CONVERGED
    # one of them was computed under pressure, whose p V is no part of the energy
    assert found.energy_eV == pytest.approx(theirs.get_potential_energy(), abs=1e-7)
    assert found.forces_eV_per_A == pytest.approx(theirs.get_forces(), abs=1e-8)
    assert found.stress_GPa == pytest.approx(theirs.get_stress(voigt=False) / GPa, abs=1e-6)
    assert found.atoms.positions == pytest.approx(theirs.positions, abs=1e-8)
    assert found.gap_eV is not None
    assert found.gap_eV > 3  # diamond and rock salt


def test_results_that_are_cut_off_or_foreign(tmp_path: Path) -> None:
    path = RESULTS / "vasprun_pstress.xml"
    if not path.is_file():
        pytest.skip("VASP RESULTS ABSENT: this ASE comes without vasprun_pstress.xml")
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.9, 0.999):
        (tmp_path / "vasprun.xml").write_bytes(whole[: int(len(whole) * share)])
        found = read_vasp(tmp_path)
        assert (found.status, found.energy_eV) == (Status.INTERRUPTED, None), share
    (tmp_path / "vasprun.xml").write_text("<a></a>")
    with pytest.raises(InputError, match="pymatgen"):
        read_vasp(tmp_path)
    with pytest.raises(InputError, match="no OUTCAR"):
        read_vasp(tmp_path / "absent")


def test_atoms_come_back_in_the_order_that_they_were_given(tmp_path: Path) -> None:
    path = RESULTS / "vasprun_dfpt.xml"
    if not path.is_file():
        pytest.skip("VASP RESULTS ABSENT: this ASE comes without vasprun_dfpt.xml")
    plain = read_vasp(path)
    assert plain.atoms.get_chemical_symbols() == ["Na", "Cl"]
    given = plain.atoms[[1, 0]]  # chlorine first; VASP is given sodium first
    made = write_vasp_inputs(given, preset("quick"), VaspTask.SINGLE_POINT, tmp_path)
    assert made.order == (1, 0)
    (tmp_path / "vasprun.xml").write_bytes(path.read_bytes())
    found = read_vasp(tmp_path)
    assert found.atoms.get_chemical_symbols() == ["Cl", "Na"]
    assert found.atoms.positions == pytest.approx(given.positions)


def test_outcar_agrees_with_pymatgen(tmp_path: Path) -> None:
    """A spin-polarised cluster of 18 nickel atoms by VASP 5.3."""
    path = RESULTS / "OUTCAR_example_1"
    if not path.is_file():
        pytest.skip("VASP RESULTS ABSENT: this ASE comes without OUTCAR_example_1")
    found = read_vasp(path)
    theirs = Outcar(str(path))
    assert (found.status, found.engine, found.scf_steps) == (Status.CONVERGED, "vasp 5.3.3", 63)
    assert found.energy_eV == pytest.approx(theirs.final_energy, abs=1e-8)
    assert found.fermi_eV == pytest.approx(theirs.efermi)
    assert found.magnetic_moment == pytest.approx(theirs.total_mag)
    text = path.read_text("latin-1")
    block = text[text.index("TOTAL-FORCE") :].splitlines()[2:20]
    rows = np.array([line.split() for line in block], dtype=float)
    assert found.forces_eV_per_A == pytest.approx(rows[:, 3:])
    assert found.atoms.positions == pytest.approx(rows[:, :3], abs=1e-4)
    pressure = float(text.split("external pressure =")[1].split()[0])  # kbar, the other sign
    assert found.stress_GPa is not None
    assert -np.trace(found.stress_GPa) / 3 == pytest.approx(pressure / 10, abs=2e-3)
    cut = tmp_path / "OUTCAR"
    for share in (0.1, 0.5, 0.9):
        cut.write_text(text[: int(share * len(text))], "latin-1")
        assert read_vasp(tmp_path).status is Status.INTERRUPTED
    cut.write_text(text.replace("aborting loop because EDIFF is reached", ""), "latin-1")
    assert read_vasp(tmp_path).reason == "scf-not-converged"
    cut.write_text("hello")
    with pytest.raises(InputError, match="does not begin"):
        read_vasp(tmp_path)
