"""Input of pw.x: what is written is what was meant, and is read back the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from bondwright.dft.espresso.input import (
    PwJob,
    cutoffs_eV,
    read_pw_input,
    version_numbers,
    write_pw_input,
)
from bondwright.dft.espresso.output import read_pw_output
from bondwright.dft.espresso.pseudopotentials import Pseudopotential
from bondwright.dft.settings import DftSettings, preset
from bondwright.errors import InputError


def potential(
    element: str, valence: float = 8.0, kind: str = "NC", **more: float
) -> Pseudopotential:
    return Pseudopotential(
        path=Path("/pp") / f"{element}.UPF",
        element=element,
        functional="PBE",
        kind=kind,
        valence=valence,
        cutoff_eV=more.get("cutoff"),
        density_cutoff_eV=more.get("density"),
        spin_orbit=False,
        sha256="0" * 64,
    )


TABLE = {e: potential(e) for e in ("Si", "O", "Fe", "Ni", "C", "F")}


@pytest.mark.parametrize("seed", range(6))
def test_structure_comes_back_to_all_digits(seed: int) -> None:
    dice = np.random.default_rng(seed)
    cell = 6 * np.eye(3) + dice.uniform(-2, 2, (3, 3))
    symbols = dice.choice(["Si", "O", "Fe"], 7)
    places = dice.uniform(-1.5, 1.5, (7, 3)) @ cell  # outside the cell too
    atoms = Atoms(symbols, positions=places, cell=cell, pbc=True)
    moments = dice.choice([-1.0, 0.0, 2.0], 7)
    text = write_pw_input(atoms, DftSettings(), TABLE, version="7.2", moments=moments)
    back, lists = read_pw_input(text)
    assert back.get_chemical_symbols() == atoms.get_chemical_symbols()
    assert back.cell.array == pytest.approx(cell, abs=1e-13)
    assert back.positions == pytest.approx(places, abs=1e-12)
    assert lists["system"]["nat"] == 7


def test_settings_are_in_the_namelists() -> None:
    settings = DftSettings(cutoff_eV=400, kpoint_spacing_per_A=0.4, smearing_eV=0.1)
    atoms = bulk("Si", "diamond", a=5.43)
    job = PwJob(
        stress=True,
        max_seconds=100.0,
        old_density=True,
        symmetry=False,
        changes={"mixing_beta": 0.3, "mixing_mode": "local-TF", "degauss": 0.01},
    )
    text = write_pw_input(atoms, settings, TABLE, version="6.7MaX", job=job)
    _, lists = read_pw_input(text)
    assert lists["system"]["ecutwfc"] == pytest.approx(400 / 13.605693, rel=1e-6)
    assert lists["system"]["ecutrho"] == pytest.approx(4 * 400 / 13.605693, rel=1e-6)
    assert lists["system"]["smearing"] == "fd"
    assert lists["system"]["degauss"] == 0.01
    assert lists["system"]["nosym"] is True
    assert "nspin" not in lists["system"]
    assert lists["electrons"]["mixing_beta"] == 0.3
    assert lists["electrons"]["startingpot"] == "file"
    # 1e-5 eV per electron, 16 electrons, a hundred times finer because forces are asked for
    assert lists["electrons"]["conv_thr"] == pytest.approx(1e-5 * 16 / 13.605693 / 100, rel=1e-6)
    assert lists["control"]["max_seconds"] == 100.0
    assert lists["control"]["tstress"] is True
    assert text.count("6 6 6 0 0 0") == 1  # |b| is 2.004 / Å, a little more than five times 0.4


def test_spins_of_one_element_become_species() -> None:
    atoms = Atoms("FeFeO2", positions=np.eye(4, 3) * 2, cell=[4, 4, 4], pbc=True)
    text = write_pw_input(
        atoms, DftSettings(), TABLE, version="7.2", moments=np.array([4.0, -4.0, 0.0, 0.0])
    )
    assert "Fe1 " in text
    assert "Fe2 " in text
    _, lists = read_pw_input(text)
    system = lists["system"]
    assert system["nspin"] == 2
    assert system["ntyp"] == 3
    assert [system[f"starting_magnetization({n})"] for n in (1, 2, 3)] == [0.5, -0.5, 0.0]


def test_hubbard_u_follows_version_and_compound() -> None:
    settings = preset("materials-project")
    oxide = bulk("NiO", "rocksalt", a=4.17)
    new = write_pw_input(oxide, settings, TABLE, version="7.1")
    assert new.endswith("HUBBARD {atomic}\nU Ni-3d 6.2\n")
    assert "lda_plus_u" not in new
    old = write_pw_input(oxide, settings, TABLE, version="6.7MaX")
    _, lists = read_pw_input(old)
    assert lists["system"]["lda_plus_u"] is True
    assert lists["system"]["hubbard_u(1)"] == 6.2
    assert "HUBBARD" not in old
    metal = write_pw_input(bulk("Ni", "fcc", a=3.52), settings, TABLE, version="7.1")
    assert "HUBBARD" not in metal  # U is for oxides and fluorides only
    assert version_numbers("7.3.1") == (7, 3)
    assert version_numbers("6.7MaX") == (6, 7)


def test_cutoff_is_never_below_what_a_potential_needs() -> None:
    hard = {"O": potential("O", 6, "US", cutoff=900.0, density=9000.0), "Si": potential("Si", 4)}
    assert cutoffs_eV(DftSettings(cutoff_eV=500), hard) == (900.0, 9000.0)
    assert cutoffs_eV(DftSettings(cutoff_eV=1500), hard) == (1500.0, 12000.0)


def test_bad_requests_say_what_is_wrong() -> None:
    with pytest.raises(InputError, match="pseudopotential for Al"):
        write_pw_input(bulk("Al"), DftSettings(), TABLE, version="7.2")
    with pytest.raises(InputError, match="no volume"):
        write_pw_input(Atoms("Si"), DftSettings(), TABLE, version="7.2")
    with pytest.raises(InputError, match="no atoms"):
        write_pw_input(Atoms(), DftSettings(), TABLE, version="7.2")
    with pytest.raises(InputError, match="no input of pw"):
        read_pw_input("&CONTROL\n")


@pytest.mark.data
@pytest.mark.parametrize("number", [0, 5])
def test_published_input_is_the_structure_that_pw_printed(cells: Path, number: int) -> None:
    folder = cells / f"21-{number}"
    atoms, lists = read_pw_input((folder / "Zr49Cu49Al2.scf.in").read_text())
    printed = read_pw_output(folder / "Zr49Cu49Al2.scf.out").steps[0].atoms
    assert printed is not None
    assert printed.get_chemical_symbols() == atoms.get_chemical_symbols()
    assert printed.positions == pytest.approx(atoms.positions, abs=2e-5)
    assert lists["system"]["nbnd"] == 1086
