"""Splits keep what is alike on one side, and refuse what leaks by naming it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_glass import made_cell, stretch

from bondwright.errors import InputError
from bondwright.learn.cells import LabelledCell, read_lobster_cells
from bondwright.learn.splits import (
    Fold,
    Split,
    check_split,
    split_by_cell,
    split_by_composition,
    split_by_run,
    split_by_variant_class,
    split_named,
    split_single_cell,
    variant_classes,
)


def shear(amount: float) -> np.ndarray:
    matrix = np.eye(3)
    matrix[0, 1] = amount
    return matrix


@pytest.fixture(scope="module")
def cells() -> list[LabelledCell]:
    """Three runs of two compositions with variants 0 and 1."""
    first = [made_cell(run, v, strain=s) for run in (1, 2) for v, s in variants()]
    return first + [made_cell(3, v, composition="Zr60Cu40", strain=s) for v, s in variants()]


def variants() -> list[tuple[str, np.ndarray | None]]:
    return [("0", None), ("1", shear(0.5))]


def names(cells: list[LabelledCell], places: tuple[int, ...]) -> set[str]:
    return {cells[k].name for k in places}


def test_each_run_is_held_out_whole(cells: list[LabelledCell]) -> None:
    split = split_by_run(cells)

    assert [fold.name for fold in split.folds] == ["Zr50Cu50/1", "Zr50Cu50/2", "Zr60Cu40/3"]
    assert names(cells, split.folds[1].test) == {"Zr50Cu50/2/0", "Zr50Cu50/2/1"}
    assert len(split.folds[1].train) == 4
    assert split.name == "run"


def test_groups_of_runs_are_dealt_by_the_seed(cells: list[LabelledCell]) -> None:
    one, again = split_by_run(cells, 2, seed=1), split_by_run(cells, 2, seed=1)

    assert one == again
    assert any(split_by_run(cells, 2, seed=s) != one for s in range(2, 8))
    assert sorted(k for fold in one.folds for k in fold.test) == list(range(6))
    with pytest.raises(InputError, match="3 runs cannot be dealt to 4 folds"):
        split_by_run(cells, 4)


def test_compositions_are_held_out(cells: list[LabelledCell]) -> None:
    split = split_by_composition(cells)

    assert names(cells, split.folds[1].test) == {"Zr60Cu40/3/0", "Zr60Cu40/3/1"}
    with pytest.raises(InputError, match=r"two of them, but there is only Zr50Cu50;"):
        split_by_composition(cells[:4])


def test_split_inside_a_run_needs_its_name(cells: list[LabelledCell]) -> None:
    with pytest.raises(InputError, match="run Zr50Cu50/1 is on both sides"):
        split_by_variant_class(cells)
    with pytest.raises(InputError, match="run Zr50Cu50/1 is on both sides"):
        split_by_cell(cells)

    split = split_by_variant_class(cells, within_run=True)

    assert [fold.name for fold in split.folds] == ["mild", "shear"]
    assert split.name == "variant class, within run"


def test_single_cell_is_tested_without_its_run(cells: list[LabelledCell]) -> None:
    fold = split_single_cell(cells, "Zr50Cu50/1/0").folds[0]
    assert names(cells, fold.train).isdisjoint({"Zr50Cu50/1/0", "Zr50Cu50/1/1"})

    fold = split_single_cell(cells, "Zr50Cu50/1/0", within_run=True).folds[0]
    assert len(fold.train) == 5
    with pytest.raises(InputError, match="no labelled cell 'Zr50Cu50/9/0'"):
        split_single_cell(cells, "Zr50Cu50/9/0")
    with pytest.raises(InputError, match="no training cell"):
        split_single_cell(cells[:2], "Zr50Cu50/1/0")


def test_equal_structure_under_another_name_leaks(cells: list[LabelledCell]) -> None:
    copy = replace(cells[0], name="Zr50Cu50/8/0", run="Zr50Cu50/8")

    with pytest.raises(InputError, match=r"Zr50Cu50/8/0 .* same structure"):
        split_by_run([*cells, copy])
    with pytest.raises(InputError, match="same structure"):  # not even within one run
        split_named([*cells, copy], [cells[0].name], [copy.name], within_run=True)


@pytest.mark.parametrize("strain", [stretch(1.02), stretch(0.9, 0.9, 0.9), shear(0.01)])
def test_strained_copy_under_another_run_leaks(
    cells: list[LabelledCell], strain: np.ndarray
) -> None:
    copy = replace(made_cell(1, strain=strain), name="Zr50Cu50/8/0", run="Zr50Cu50/8")

    with pytest.raises(InputError, match="two runs' names but their atoms have the same"):
        split_named([*cells, copy], ["Zr50Cu50/1/0"], ["Zr50Cu50/8/0"])
    assert split_named([*cells, copy], ["Zr50Cu50/1/0"], [copy.name], within_run=True).within_run


def test_other_names_for_a_leak_are_not_believed(cells: list[LabelledCell]) -> None:
    with pytest.raises(InputError, match="leak in fold 'mine'"):
        check_split(cells, Split("mine", (Fold("mine", (0,), (1,)),)))
    with pytest.raises(InputError, match="same structure"):
        check_split(cells, Split("mine", (Fold("mine", (0,), (0,)),), within_run=True))


def test_unpublished_variants_are_classed_by_their_strain() -> None:
    strains = {
        "0": None,
        "d1": stretch(1.03),
        "d2": stretch(y=0.8),
        "d3": shear(0.3),
        "m-1": stretch(1.1, 1.1, 1.0),
        "14": stretch(0.9, 0.9, 0.9),
    }
    made = [made_cell(1, variant, strain=strain) for variant, strain in strains.items()]

    expected = ["mild", "mild", "compression", "shear", "tension", "compression"]
    assert variant_classes(made) == expected
    assert variant_classes(made[1:2]) == ["other"]


@pytest.mark.data
def test_real_copies_are_found_and_real_independent_glass_is_not(data_dir: Path) -> None:
    folder = data_dir / "glass-zrcual" / "cells"
    cells = read_lobster_cells(folder, ["0", "1", "7"])
    cells = [replace(cell, run=f"Zr49Cu49Al2/{k}") for k, cell in enumerate(cells)]

    # 7 is 0 under 2 % tension; 1 is 0 sheared by half, which moves every neighbour.
    with pytest.raises(InputError, match="21/7 and Zr49Cu49Al2/21/0"):
        split_named(cells, ["Zr49Cu49Al2/21/0"], ["Zr49Cu49Al2/21/7"])
    split_named(cells, ["Zr49Cu49Al2/21/0"], ["Zr49Cu49Al2/21/1"])
