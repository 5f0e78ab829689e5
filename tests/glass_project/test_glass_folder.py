"""The project's folder and its glass.toml."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from projects import COARSE, alloy, project

from bondwright.campaign.glass.config import parse_config
from bondwright.campaign.glass.config_text import default_config_text, make_project
from bondwright.campaign.glass.costs import Cost, add_cost, measured, read_costs, totals
from bondwright.campaign.glass.folder import CellName
from bondwright.errors import BusyError, InputError


@pytest.mark.parametrize(
    "name", ["../../etc/passwd/0", "Zr50Cu50/../x", "Zr50Cu50/1/..", "a/b/c/d", "Zr50Cu50", "a//0"]
)
def test_a_name_never_leaves_the_project(name: str) -> None:
    with pytest.raises(InputError):
        CellName.parse(name)


def test_cells_are_found_and_ordered_by_number(tmp_path: Path) -> None:
    folder, _ = project(tmp_path)
    for name in ("Zr50Cu50/10/0", "Zr50Cu50/2/10", "Zr50Cu50/2/9", "Zr50Cu50/2/0", "Zr50Cu50/2/d1"):
        folder.add(CellName.parse(name), alloy(1), {})
    assert [str(n) for n in folder.names()] == [
        "Zr50Cu50/2/0",
        "Zr50Cu50/2/9",
        "Zr50Cu50/2/10",
        "Zr50Cu50/2/d1",
        "Zr50Cu50/10/0",
    ]
    assert [n.run for n in folder.runs("Zr50Cu50")] == ["Zr50Cu50/2", "Zr50Cu50/10"]


def test_a_structure_is_kept_as_it_was_and_never_overwritten(tmp_path: Path) -> None:
    folder, _ = project(tmp_path)
    name, atoms = CellName("Zr50Cu50", "1"), alloy(1)
    atoms.positions[0] -= 11.0  # unwrapped positions stay so: images count from there
    folder.add(name, atoms, {"made": "here"})
    folder.add(name, alloy(2), {"made": "elsewhere"})
    kept = folder.read(name)
    assert np.abs(kept.positions - atoms.positions).max() < 1e-7
    assert "here" in (folder.run_folder(name) / "provenance.json").read_text()


def test_one_driver_at_a_time(tmp_path: Path) -> None:
    folder, _ = project(tmp_path)
    with folder.driver_lock(), pytest.raises(BusyError), folder.driver_lock():
        pass


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("compsitions = ['Al100']", "compositions"),
        ("[label]\norbital = 'pbe'", "orbitals"),
        ("[label]\norbitals = 'hartre-fock'", "hartree-fock"),
        ("[protocol]\nmelt_temprature_K = 1800.0", "melt_temperature_K"),
        ("[model]\nmax_lenght_A = 4.0", "max_length_A"),
        ("[improve]\ncells_per_round = 0", "cells_per_round"),
        ("[run]\nworker = 2", "workers"),
        ("[predict]\nfiles = ['absent.xyz']", "absent.xyz"),
        ("rate = 'fast'", "fast"),
        ("variants = ['15']", "15"),
    ],
)
def test_a_wrong_word_is_refused_and_the_right_one_named(
    tmp_path: Path, said: str, word: str
) -> None:
    text = f"name = 'x'\ncompositions = ['Cu50Zr50']\n{said}\n"
    if said.startswith("compsitions"):
        text = f"name = 'x'\n{said}\n"
    with pytest.raises(InputError, match=word) as told:
        parse_config(text, tmp_path)
    assert "glass.toml" in str(told.value)
    assert "\n" not in str(told.value)


def test_compositions_get_their_canonical_name(tmp_path: Path) -> None:
    text = "name = 'x'\ncompositions = ['Zr 49 Cu 49 Al 2', 'Al0.02Cu0.49Zr0.49']\n"
    assert parse_config(text, tmp_path).compositions == ("Zr49Cu49Al2",)


def test_settings_that_change_numbers_stand_in_the_name_of_the_method(tmp_path: Path) -> None:
    text = "name = 'x'\ncompositions = ['Al100']\n[label]\n"
    plain = parse_config(text, tmp_path).label
    longer = parse_config(f"{text}max_length_A = 6.0\n", tmp_path).label
    coarse = parse_config(f"{text}grid_spacing_A = 0.3\nkpoints = [1, 1, 1]\n", tmp_path).label
    assert plain.method_name == "bondwright-lcao/1 hartree-fock"
    assert longer.method_name == plain.method_name
    assert coarse.method_name == f"{plain.method_name} kpoints=1x1x1 grid_spacing_A=0.3"
    assert plain.bonds.max_length_A == 4.5
    assert coarse.bonds.orbitals == "hartree-fock"


def test_the_written_file_says_what_the_defaults_are(tmp_path: Path) -> None:
    written = parse_config(default_config_text("x", ["Cu50Zr50"]), tmp_path)
    plain = parse_config("name = 'x'\ncompositions = ['Cu50Zr50']\n", tmp_path)
    assert written.label == plain.label
    assert written.improve == plain.improve
    assert written.run == plain.run
    assert (written.atoms, written.cells, written.protocol) == (
        plain.atoms,
        plain.cells,
        plain.protocol,
    )


def test_a_project_is_not_made_twice(tmp_path: Path) -> None:
    make_project(tmp_path / "new", ["Cu50Zr50"])
    with pytest.raises(InputError, match="already"):
        make_project(tmp_path / "new", ["Cu50Zr50"])
    with pytest.raises(InputError):
        make_project(tmp_path / "other", ["Xx50Zr50"])
    assert not (tmp_path / "other" / "glass.toml").exists()


def test_costs_add_up_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "cost.jsonl"
    add_cost(path, Cost("label", 1, 2.0, 1.5, "Zr50Cu50/1/0"))
    add_cost(path, Cost("label", 1, 3.0, 2.5))
    with measured(path, "train") as cost:
        cost.count = 1
    with measured(path, "evaluate"):
        pass  # nothing was done: no line
    with path.open("a") as file:
        file.write('{"what": "label", "cou')
    sums = totals(read_costs(path))
    assert list(sums) == ["label", "train"]
    assert (sums["label"].count, sums["label"].seconds, sums["label"].cpu_seconds) == (2, 5.0, 4.0)


def test_the_tests_own_project_is_valid(tmp_path: Path) -> None:
    _, config = project(tmp_path, COARSE)
    assert config.compositions == ("Al100",)
