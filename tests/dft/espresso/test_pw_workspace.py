"""What may be used of an earlier run, what is changed when one fails, and gaps from levels."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111

from bondwright.dft.calculation import Correction, Status
from bondwright.dft.espresso.bands import gap_of
from bondwright.dft.espresso.corrections import next_correction, slab_like
from bondwright.dft.espresso.status import Judgement, Restart
from bondwright.dft.espresso.workspace import Workspace
from bondwright.dft.settings import DftSettings
from bondwright.errors import InputError

DONE = Judgement(Status.CONVERGED)


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    """A folder with whole saved data."""
    made = Workspace(tmp_path / "run")
    made.save.mkdir(parents=True)
    (made.save / "charge-density.dat").write_bytes(b"density")
    (made.save / "data-file-schema.xml").write_text("<qes:espresso>\n</qes:espresso>\n")
    return made


def note(work: Workspace, atoms: Atoms, verdict: Judgement = DONE) -> None:
    work.end("abc", verdict, [], seconds=1.0, atoms=atoms, polarised=False)


def test_density_is_used_for_nearly_the_same_structure_only(work: Workspace) -> None:
    silicon = bulk("Si")
    assert not work.has_density_near(silicon, None)  # nothing is known of the data
    note(work, silicon)
    near, far = silicon.copy(), silicon.copy()
    near.positions[1] += (0.2, 0, 0)
    far.positions[1] += (0.4, 0, 0)
    image = silicon.copy()
    image.positions[1] += silicon.cell[0]
    strained, torn = silicon.copy(), silicon.copy()
    strained.set_cell(silicon.cell * 1.05, scale_atoms=True)
    torn.set_cell(silicon.cell * 1.2, scale_atoms=True)
    alloy = bulk("SiC", "zincblende", a=5.43)
    found = [work.has_density_near(a, None) for a in (near, far, image, strained, torn, alloy)]
    assert found == [True, False, True, True, False, False]
    assert not work.has_density_near(near, np.ones(2))  # that density has no spin
    (work.save / "charge-density.dat").unlink()
    assert not work.has_density_near(near, None)


def test_killed_driver_leaves_nothing_to_trust(work: Workspace) -> None:
    """Faults 39 and 57: only a run that said how it ended is taken up."""
    stopped = Judgement(Status.INTERRUPTED, "walltime", "Stopped.", Restart.CONTINUE)
    note(work, bulk("Si"), stopped)
    assert work.can_continue("abc")
    assert not work.can_continue("another")
    work.begin("abc")
    assert not work.can_continue("abc")
    assert not work.holds("abc")
    note(work, bulk("Si"))
    assert work.holds("abc")
    (work.folder / "state.json").write_text('{"digest": "abc"')
    assert not work.holds("abc")


def test_data_of_an_earlier_run_do_not_count_for_this_one(work: Workspace) -> None:
    assert work.saved_since(time.time() - 60).complete
    xml = work.save / "data-file-schema.xml"
    os.utime(xml, (1e9, 1e9))
    assert not work.saved_since(time.time() - 60).complete
    assert xml.name in work.saved_since(time.time() - 60).missing


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        Workspace(tmp_path / "file" / "run")


def test_slabs_are_known_by_their_vacuum() -> None:
    slab = fcc111("Al", (1, 1, 3), vacuum=5.0)
    slab.pbc = True
    shifted = slab.copy()
    shifted.positions[:, 2] += 8.0
    shifted.wrap()
    thin = fcc111("Al", (1, 1, 3), vacuum=2.0)
    thin.pbc = True
    found = [slab_like(a) for a in (slab, shifted, thin, bulk("Al"), bulk("Al") * (4, 4, 4))]
    assert found == [True, True, False, False, False]


def test_corrections_are_bounded_and_fit_the_failure() -> None:
    settings = DftSettings(smearing_eV=0.1)
    tried: list[Correction] = []
    while (step := next_correction("scf-not-converged", tried, bulk("Al"), settings)) is not None:
        tried.append(step)
    betas = [c.changes["mixing_beta"] for c in tried]
    assert betas == [0.3, 0.1, 0.1]
    assert tried[-1].changes["degauss"] == pytest.approx(0.2 / 13.605693, rel=1e-6)
    slab = fcc111("Al", (1, 1, 3), vacuum=5.0)
    first = next_correction("charge-wrong", [], slab, settings)
    assert first is not None
    assert first.changes["mixing_mode"] == "local-TF"
    other = next_correction("overlap-matrix", [], slab, settings)
    assert other is not None
    assert other.changes == {"diagonalization": "cg"}
    assert next_correction("overlap-matrix", [other], slab, settings) is None
    assert next_correction("input-refused", [], slab, settings) is None
    # without smearing there is none to widen
    cold = DftSettings(smearing_eV=0.0)
    assert next_correction("scf-not-converged", tried[:2], bulk("Si"), cold) is None


def test_gap_from_levels() -> None:
    insulator = np.array([[[0.0, 1.0, 3.0], [0.2, 0.8, 2.5]]])
    assert gap_of(insulator, fermi=2.0, electrons=4) == pytest.approx(1.5)
    assert gap_of(insulator, fermi=None, electrons=4) == pytest.approx(1.5)
    assert gap_of(insulator, fermi=2.0, electrons=None) == pytest.approx(1.5)
    assert gap_of(insulator, fermi=0.9, electrons=3) == 0.0  # a band is cut
    assert gap_of(insulator, fermi=None, electrons=3) == 0.0  # a level is half full
    assert gap_of(insulator, fermi=2.0, electrons=3) == 0.0  # levels at the Fermi level, in part
    assert gap_of(insulator[:, :, :2], fermi=2.0, electrons=4) is None  # no empty level
    spins = np.array([[[0.0, 1.0, 4.0]], [[0.5, 3.0, 5.0]]])
    assert gap_of(spins, fermi=2.0, electrons=3) == pytest.approx(2.0)  # from 1.0 up to 3.0 down
