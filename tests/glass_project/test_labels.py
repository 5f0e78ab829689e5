"""Labels: computed with real GPAW on one aluminium atom, or imported; never twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from projects import add_labelled, alloy, aluminium, lobster_folder, project

from bondwright.campaign.glass.costs import read_costs
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.labelling import choose, label_cells, plan_labels
from bondwright.campaign.glass.labels import accepted, cells, methods, read_records
from bondwright.campaign.glass.lobster_import import import_lobster
from bondwright.errors import InputError
from bondwright.learn.cells import read_lobster_cells

CELL = CellName("Al100", "1")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> GlassFolder:
    """A project with one good cell and one that cannot be labelled, after one labelling."""
    pytest.importorskip("gpaw")
    folder, config = project(tmp_path_factory.mktemp("labelled"))
    folder.add(CELL, aluminium(), {})
    folder.add(CellName("Al100", "2"), Atoms("Al2", [[0, 0, 0], [0, 0, 0.4]], cell=[4] * 3), {})
    label_cells(folder, config, folder.names())
    return folder


def test_a_real_label_with_its_record_and_cost(labelled: GlassFolder) -> None:
    good = next(record for record in read_records(labelled) if record.accepted)
    assert (good.name, good.bonds, good.attempts) == ("Al100/1/0", 6, 1)
    assert good.method.startswith("bondwright-lcao/1 pbe ")
    assert 0 < good.charge_spilling < 0.05
    assert good.cpu_seconds > 0
    assert good.settings["gpaw"]
    (cell,) = cells(labelled)
    assert cell.bonds.method == good.method
    assert np.abs(cell.bonds.length_A - 4.05 / np.sqrt(2)).max() < 1e-6
    assert cell.bonds.icohp_eV.min() > 0.1
    assert {c.note for c in read_costs(labelled.costs)} == {"Al100/1/0", "Al100/2/0"}


def test_a_failure_is_a_record_with_its_reason(labelled: GlassFolder) -> None:
    bad = next(record for record in read_records(labelled) if not record.accepted)
    assert (bad.name, bad.status, bad.reason) == ("Al100/2/0", "failed", "not-possible")
    assert "0.40" in bad.message


def test_nothing_is_labelled_twice_unless_it_failed_and_is_asked_for(labelled: GlassFolder) -> None:
    _, config = project(labelled.root)
    names = labelled.names()
    again = label_cells(labelled, config, names)
    assert again.total == 0
    assert [r.name for r in plan_labels(labelled, config.label, names).failed] == ["Al100/2/0"]
    retry = plan_labels(labelled, config.label, names, retry_failed=True)
    assert [(t.record.name, t.record.attempts) for t in retry.missing] == [("Al100/2/0", 2)]


def test_another_setting_is_another_label(labelled: GlassFolder) -> None:
    _, config = project(labelled.root)
    finer = replace(config.label, bonds=replace(config.label.bonds, grid_spacing_A=0.3))
    names = labelled.names()
    # Cells that one method has labelled are left to it, unless asked for.
    assert plan_labels(labelled, finer, names).elsewhere == ["Al100/1/0", "Al100/2/0"]
    assert len(plan_labels(labelled, finer, names, every=True).missing) == 2


def test_a_wider_window_takes_the_density_that_is_there(labelled: GlassFolder) -> None:
    _, config = project(labelled.root)
    wide = replace(config.label, bonds=replace(config.label.bonds, max_length_A=4.1))
    began = {p.name for p in labelled.calculations.glob("*/potential-*.npz")}
    done = label_cells(labelled, replace(config, label=wide), [CELL])
    assert done.new == {"accepted": 1}
    assert {p.name for p in labelled.calculations.glob("*/potential-*.npz")} == began
    # Of two windows the one with more bonds is learned from.
    assert len(cells(labelled)[0].bonds) == done.records[0].bonds > 6


def test_a_label_over_its_time_limit_is_a_failure_that_can_be_tried_again(tmp_path: Path) -> None:
    pytest.importorskip("gpaw")
    folder, config = project(tmp_path)
    folder.add(CELL, aluminium(), {})
    hurried = replace(config, run=replace(config.run, time_limit_s=0.5))
    done = label_cells(folder, hurried, folder.names())
    assert [(r.status, r.reason) for r in done.records] == [("failed", "timeout")]
    assert len(plan_labels(folder, config.label, folder.names(), retry_failed=True).missing) == 1


def test_a_killed_driver_leaves_no_label_behind_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("gpaw")
    folder, config = project(tmp_path)
    folder.add(CELL, aluminium(), {})
    driver = subprocess.Popen(
        [sys.executable, "-m", "bondwright", "glass", "label", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        limit = time.monotonic() + 120
        while not list(folder.calculations.glob("*/scf.log")) and time.monotonic() < limit:
            time.sleep(0.02)
        assert driver.poll() is None
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()
    assert read_records(folder) == []
    assert len(plan_labels(folder, config.label, folder.names()).missing) == 1
    with folder.driver_lock():  # the dead driver's lock is gone
        pass


def test_methods_are_never_mixed_silently(tmp_path: Path) -> None:
    folder, _ = project(tmp_path)
    add_labelled(folder, "Zr50Cu50/1/0", alloy(1), "cheap/1")
    add_labelled(folder, "Zr50Cu50/2/0", alloy(2), "cheap/1")
    add_labelled(folder, "Zr50Cu50/1/0", alloy(1), "dear/1", 1.2)
    assert methods(folder) == {"cheap/1": 2, "dear/1": 1}
    with pytest.raises(InputError, match=r"cheap/1; dear/1.*--method.*--correct"):
        cells(folder)
    assert [cell.name for cell in cells(folder, "dear/1")] == ["Zr50Cu50/1/0"]
    with pytest.raises(InputError, match="Did you mean 'dear/1'"):
        cells(folder, "dear/2")


def test_a_record_that_names_another_label_is_damaged(tmp_path: Path) -> None:
    folder, _ = project(tmp_path)
    add_labelled(folder, "Zr50Cu50/1/0", alloy(1))
    (record,) = folder.labels.glob("*.json")
    record.write_text(record.read_text().replace(record.stem, "../../elsewhere"))
    with pytest.raises(InputError, match="damaged"):
        read_records(folder)


def test_cells_that_their_checks_refused_are_not_labelled_by_themselves(tmp_path: Path) -> None:
    folder, _ = project(tmp_path)
    for number in ("1", "2"):
        folder.add(CellName("Al100", number), aluminium(4.0 + int(number) / 10), {})
    verdict = {"stage": "density", "outcome": "rejected", "reason": "density"}
    record = {
        "composition": "Al100",
        "atoms": 0,
        "seed": 1,
        "seeds": {},
        "potential": {},
        "protocol": {},
        "versions": {},
        "verdicts": [verdict],
    }
    (folder.run_folder(CELL) / "cell.json").write_text(json.dumps(record))
    assert [str(n) for n in choose(folder)] == ["Al100/2/0"]
    assert [str(n) for n in choose(folder, ["Al100/1"])] == ["Al100/1/0"]
    with pytest.raises(InputError, match="Al100/3"):
        choose(folder, ["Al100/3"])


def test_lobster_folders_by_pattern_with_a_failed_run(tmp_path: Path) -> None:
    folder, config = project(tmp_path / "project")
    runs = tmp_path / "runs"
    for run in (7, 8):
        for sub in (0, 3):
            place = runs / "Zr50Cu50" / f"{run}" / "2000" / f"{sub}"
            lobster_folder(place, alloy(10 * run + sub), done=(run, sub) != (8, 3))
    pattern = "{composition}/{run}/2000/{variant}"
    found = import_lobster(folder, [runs], pattern=pattern)
    assert [(e.record.name, e.record.status, e.record.reason) for e in found] == [
        ("Zr50Cu50/7/0", "accepted", ""),
        ("Zr50Cu50/7/3", "accepted", ""),
        ("Zr50Cu50/8/0", "accepted", ""),
        ("Zr50Cu50/8/3", "failed", "no-icohp"),
    ]
    assert [e.new for e in import_lobster(folder, [runs], pattern=pattern)] == [False] * 4
    # What LOBSTER has labelled, or failed to, is not computed with GPAW unless asked for.
    assert plan_labels(folder, config.label, folder.names()).missing == []
    # The run is finished later: its label takes the place of the failure.
    lobster_folder(tmp_path / "late" / "Zr50Cu50" / "8" / "2000" / "3", alloy(83))
    import_lobster(folder, [tmp_path / "late"], pattern=pattern)
    assert len(accepted(folder)) == len(read_records(folder)) == 4


def test_a_pattern_that_does_not_tell_cells_apart_is_refused(tmp_path: Path) -> None:
    folder, _ = project(tmp_path / "project")
    for k in (1, 2):
        lobster_folder(tmp_path / f"set{k}" / "5-0", alloy(k))
    with pytest.raises(InputError, match="another structure as Zr50Cu50/5/0"):
        import_lobster(folder, [tmp_path / "set1", tmp_path / "set2"])
    with pytest.raises(InputError, match="--pattern"):
        import_lobster(folder, [tmp_path / "set1"], pattern="{run}/x/{variant}")
    with pytest.raises(InputError, match="nun"):
        import_lobster(folder, [tmp_path / "set1"], pattern="{nun}-{variant}")
    with pytest.raises(InputError, match="no folder with LOBSTER"):
        import_lobster(folder, [tmp_path / "project"])


@pytest.mark.data
def test_the_real_cells_are_imported_with_their_one_failure(data_dir: Path, tmp_path: Path) -> None:
    folder, _ = project(tmp_path)
    source = data_dir / "glass-zrcual" / "cells"
    found = import_lobster(folder, [source])
    assert sum(e.record.accepted for e in found) == 14
    (failed,) = [e.record for e in found if not e.record.accepted]
    assert failed.name == "Zr49Cu49Al2/21/13"
    assert failed.reason == "interrupted"
    direct = {cell.name: cell for cell in read_lobster_cells(source)}
    kept = cells(folder)
    assert [c.name for c in kept] == list(direct)
    for cell in kept:
        mine, theirs = cell.bonds.match(direct[cell.name].bonds)
        assert len(mine) == len(cell.bonds) == len(direct[cell.name].bonds)
        assert (cell.bonds.icohp_eV[mine] == direct[cell.name].bonds.icohp_eV[theirs]).all()
    assert {c.bonds.method for c in kept} == {"LOBSTER 3.0.0 Bunge"}
