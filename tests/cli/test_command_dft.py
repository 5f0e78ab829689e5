"""`bondwright dft` with GPAW on cells of one and two atoms, at settings that cost seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from program import Program

from bondwright.structure.write import cif_text, write_extxyz

pytest.importorskip("gpaw")

SMALL = ("--preset", "quick", "--cutoff", "200", "--kpoints", "2", "2", "2")


@pytest.fixture
def program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    return Program(tmp_path, monkeypatch, capsys)


def test_single_point_answers_and_answers_again_from_its_folder(program: Program) -> None:
    write_extxyz(program.folder / "si.xyz", [bulk("Si", a=5.43)])
    first = program("dft", "si.xyz", *SMALL, "--json")
    assert first.code == 0, first.err
    answer = json.loads(first.out)
    found = answer["result"]
    assert (answer["status"], answer["atoms"], answer["formula"]) == ("converged", 2, "Si")
    assert found["energy_eV_per_atom"] == pytest.approx(found["energy_eV"] / 2, abs=1e-12)
    # By symmetry: no forces (noise of the grid below 0.01 eV/Å) and an isotropic stress.
    assert found["max_force_eV_per_A"] < 0.01
    stress = np.array(found["stress_GPa"])
    assert np.allclose(stress, stress[0, 0] * np.eye(3), atol=0.05)
    assert 0 < found["gap_eV"] < 1.5  # PBE: 0.6 eV; a mesh this coarse misses the edge
    result = json.loads((program.folder / "si-single-point/single-point-result.json").read_text())
    assert result["full"]["energy_eV"] == found["energy_eV"]
    log = (program.folder / "si-single-point" / "gpaw.log").read_text()
    second = program("dft", "si.xyz", *SMALL)
    assert second.code == 0
    assert f"{found['energy_eV']:.5f} eV" in second.out
    assert (program.folder / "si-single-point" / "gpaw.log").read_text() == log  # nothing computed

    write_extxyz(program.folder / "other.xyz", [bulk("Si", a=5.5)])
    line = program.refuse("dft", "other.xyz", *SMALL, "-o", "si-single-point")
    assert "another structure" in line
    assert "another settings" in program.refuse("dft", "si.xyz", *SMALL, "--smearing", "0.2")


def test_relaxation_that_runs_out_of_steps_says_so_and_goes_on(program: Program) -> None:
    write_extxyz(program.folder / "al.xyz", [bulk("Al", a=4.2)])
    words = ("dft", "al.xyz", "--task", "relax", *SMALL)
    short = program(*words, "--max-steps", "1")
    assert short.code == 4, short.err
    assert "Reason: steps-used-up." in short.out
    assert (program.folder / "al-relax" / "last-step.cif").exists()
    assert not (program.folder / "al-relax" / "relaxed.cif").exists()
    log = (program.folder / "al-relax" / "gpaw.log").read_text()

    done = program(*words, "--json")
    assert done.code == 0, done.err
    assert "step 0:" in done.err  # progress
    found = json.loads(done.out)["result"]
    more = (program.folder / "al-relax" / "gpaw.log").read_text()
    assert more.startswith(log)  # the first steps were not computed again, only added to
    assert len(more) > len(log)
    relaxed = ase.io.read(program.folder / "al-relax" / "relaxed.cif")
    ratio = relaxed.get_volume() / bulk("Al", a=4.2).get_volume()
    assert ratio == pytest.approx(found["volume_ratio"], abs=1e-6)
    assert ratio < 1
    assert found["energy_eV_per_atom"] < found["initial_energy_eV_per_atom"]
    assert found["max_stress_GPa"] < 1.0  # the preset's limit
    assert found["space_group"] == "Fm-3m (225)"


def test_interrupted_relaxation_continues(program: Program) -> None:
    atoms = bulk("Si", a=5.43)
    atoms.positions[1, 0] += 0.1
    write_extxyz(program.folder / "off.xyz", [atoms])
    words = ("dft", "off.xyz", "--task", "relax-positions", *SMALL)
    running = subprocess.Popen(
        [sys.executable, "-m", "bondwright", *words],
        cwd=program.folder,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1"},
        # A job in the background of a script is begun with SIGINT ignored, and so are its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stderr is not None
    first = next(line for line in running.stderr if line.startswith("step 0:"))
    running.send_signal(signal.SIGINT)
    rest = running.stderr.read()
    assert running.wait(timeout=60) == 130
    assert "Traceback" not in rest
    assert "the same command goes on from here" in rest
    folder = program.folder / "off-relax-positions"
    log = (folder / "gpaw.log").read_text()

    again = program(*words)
    assert again.code == 0, again.err
    assert again.err.startswith(first)  # the same first step, to the last digit
    assert (folder / "gpaw.log").read_text().startswith(log)
    bond = ase.io.read(folder / "relaxed.cif").get_distance(0, 1, mic=True)
    # Within the preset's 0.1 eV/Å the atom is back; a force constant near 10 eV/Å² leaves 0.02 Å.
    assert bond == pytest.approx(5.43 * 3**0.5 / 4, abs=0.02)


def test_equation_of_state_gives_curve_crystal_and_figure(program: Program) -> None:
    write_extxyz(program.folder / "al.xyz", [bulk("Al", a=4.05)])
    answer = program("dft", "al.xyz", "--task", "eos", *SMALL, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    minimum = ase.io.read(program.folder / "al-eos" / "minimum.cif")
    assert minimum.get_volume() == pytest.approx(found["result"]["volume_A3_per_atom"], rel=1e-6)
    a = found["result"]["lattice_A_deg"][0]
    assert a**3 / 4 == pytest.approx(minimum.get_volume(), rel=1e-4)
    # PBE: 77 GPa. The mesh of 2 x 2 x 2 is far from converged, so only the order is asked.
    assert 40 < found["result"]["bulk_modulus_GPa"] < 160
    svg, png = (program.folder / f"al-eos/equation-of-state.{e}" for e in ("svg", "png"))
    assert "<svg" in svg.read_text()
    assert png.read_bytes().startswith(b"\x89PNG")
    assert {str(Path("al-eos") / p.name) for p in (svg, png)} <= set(found["files"])


def test_calculation_that_cannot_be_done_is_told_with_its_reason(program: Program) -> None:
    write_extxyz(program.folder / "u.xyz", [bulk("Po", "sc", a=3.35)])
    answer = program("dft", "u.xyz", *SMALL, "--json")
    assert answer.code == 4
    found = json.loads(answer.out)
    assert (found["status"], found["reason"], found["result"]) == ("failed", "no-paw-set", {})
    assert "Po" in found["message"]


def test_bad_input_is_one_line(program: Program) -> None:
    write_extxyz(program.folder / "si.xyz", [bulk("Si")])
    write_extxyz(program.folder / "two.xyz", [bulk("Si"), bulk("Ge", "diamond", a=5.6)])
    whole = cif_text(bulk("Si"), symprec=0.01)
    (program.folder / "cut.cif").write_text(whole[: len(whole) // 2])
    refuse = program.refuse
    assert "Did you mean 'relax'?" in refuse("dft", "si.xyz", "--task", "relx")
    assert "Did you mean 'quick'?" in refuse("dft", "si.xyz", "--preset", "quik")
    assert "Did you mean 'gpaw'?" in refuse("dft", "si.xyz", "--engine", "gpaww")
    assert "polarised" in refuse("dft", "si.xyz", "--spin", "up")
    assert "--cutoff -1" in refuse("dft", "si.xyz", "--cutoff", "-1")
    assert "at least 1" in refuse("dft", "si.xyz", "--kpoints", "0", "1", "1")
    both = ("--kpoints", "2", "2", "2", "--kspacing", "0.3")
    assert "give one of them" in refuse("dft", "si.xyz", *both)
    assert "missing.cif" in refuse("dft", "missing.cif")
    assert "more than one structure" in refuse("dft", "two.xyz")
    assert "cut.cif" in refuse("dft", "cut.cif")
    (program.folder / "file").write_text("")
    assert "--out" in refuse("dft", "si.xyz", "--out", "file")
    assert sorted(p.name for p in program.folder.iterdir() if p.is_dir()) == []


def test_partly_occupied_sites_are_refused(program: Program) -> None:
    text = """data_alloy
_cell_length_a 3
_cell_length_b 3
_cell_length_c 3
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Cu1 Cu 0 0 0 0.5
Zr1 Zr 0.5 0.5 0.5 1
"""
    (program.folder / "alloy.cif").write_text(text)
    assert "partly occupied: Cu1 0.5" in program.refuse("dft", "alloy.cif")
