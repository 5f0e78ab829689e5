"""Crystals are told from glasses; each check can reject."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from bondwright.glasses.cell import GlassCell, read_cell
from bondwright.glasses.checks import check_cell
from bondwright.glasses.contacts import check_close_pairs
from bondwright.glasses.crystalline_order import crystalline_order
from bondwright.glasses.lammps_files import read_data
from bondwright.glasses.rdf import partial_rdf, rdf_distance
from bondwright.glasses.reference import reference_glasses
from bondwright.screen.verdict import Outcome
from bondwright.structure.neighbours import neighbour_pairs

PUBLISHED = reference_glasses()[0]
EXAMPLE = Path(__file__).parents[2] / "examples" / "glass"


def _crystal(kind: str, rattle: float) -> Atoms:
    if kind == "b2":
        atoms = bulk("CuZr", "cesiumchloride", a=3.26).repeat(4)
    else:
        atoms = bulk("Cu", "fcc", a=4.1, cubic=True).repeat(3)
        atoms.symbols[:] = np.random.default_rng(0).choice(["Zr", "Cu"], len(atoms))
    atoms.rattle(rattle, seed=1)
    return atoms


def _cell(atoms: Atoms, **facts: float) -> GlassCell:
    known = {
        "inherent_energy_eV_per_atom": PUBLISHED.inherent_energy_eV_per_atom,
        "mean_density_g_cm3": PUBLISHED.density_g_cm3,
        "hold_msd_A2": 0.08,
        **facts,
    }
    return GlassCell(
        composition="Zr49Cu49Al2",
        atoms=atoms,
        seed=1,
        seeds={},
        potential={"sha256": PUBLISHED.potential_sha256},
        protocol={},
        versions={},
        **known,
    )


def _reasons(cell: GlassCell) -> dict[str, str]:
    return {v.stage: v.reason for v in check_cell(cell) if v.outcome is not Outcome.PASSED}


@pytest.mark.parametrize("kind", ["b2", "fcc"])
@pytest.mark.parametrize("rattle", [0.0, 0.1, 0.2])
def test_crystals_are_seen_also_when_they_vibrate(kind: str, rattle: float) -> None:
    order = crystalline_order(_crystal(kind, rattle))
    assert order.crystalline > 0.9
    if not rattle:
        # The values of the perfect lattices.
        assert order.mean_q6 == pytest.approx({"b2": 0.511, "fcc": 0.575}[kind], abs=1e-3)
    assert _reasons(_cell(_crystal(kind, rattle)))["crystalline-order"] == "crystalline"


def test_g_of_r_counts_the_neighbours_of_a_lattice() -> None:
    atoms = bulk("CuZr", "cesiumchloride", a=3.26).repeat(4)
    rdf = partial_rdf(atoms)
    edges = np.arange(0, 6.05, 0.1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    density = len(atoms) / 2 / atoms.get_volume()
    near = rdf.r_A < 3.0
    assert (rdf.g["Cu-Zr"] * shells * density)[near].sum() == pytest.approx(8)
    assert rdf_distance(rdf, rdf, {"Cu": 0.5, "Zr": 0.5}) == 0
    assert len(neighbour_pairs(atoms, 3.0)) == 8 * len(atoms) / 2


@pytest.mark.data
def test_the_published_glasses_pass_and_their_facts_are_the_shipped_ones(data_dir: Path) -> None:
    folder = data_dir / "glass-zrcual"
    large = read_data(folder / "ultimate" / "Zr49Cu49Al2-10000-1-1-1.data")
    fractions = dict(PUBLISHED.fractions)
    assert rdf_distance(partial_rdf(large), PUBLISHED.rdf, fractions) < 1e-3
    assert crystalline_order(large).crystalline < 0.001
    from ase.io import read

    small = read(folder / "cells" / "21-0" / "Zr49Cu49Al2.xyz")
    assert _reasons(_cell(small)) == {}
    sheared = read(folder / "cells" / "21-1" / "Zr49Cu49Al2.xyz")
    assert _reasons(_cell(sheared)) == {"rdf": "rdf", "contacts": "short-contact"}
    limits = {
        "density": _cell(small, mean_density_g_cm3=6.7),
        "energy-too-high": _cell(small, inherent_energy_eV_per_atom=-4.9),
        "energy-too-low": _cell(small, inherent_energy_eV_per_atom=-5.05),
        "still-flowing": _cell(small, hold_msd_A2=40.0),
    }
    for reason, cell in limits.items():
        assert list(_reasons(cell).values()) == [reason]


@pytest.mark.parametrize("run", ["1", "2", "3", "4"])
def test_independent_cu_zr_glasses_are_like_the_shipped_one_and_a_crystal_is_not(run: str) -> None:
    # Quenched twice as fast and a third as large: an energy above the reference, but not by much.
    cell = read_cell(EXAMPLE / "cells" / "Zr50Cu50" / run)
    assert cell is not None
    assert _reasons(cell) == {}
    found = {v.stage: v for v in check_cell(cell)}
    assert 0.0 < found["energy"].details["difference_eV_per_atom"] < 0.03
    assert found["rdf"].value < 0.12
    crystal = replace(cell, atoms=_crystal("b2", 0.1))
    assert {"rdf", "crystalline-order"} <= set(_reasons(crystal))


def test_without_a_reference_the_density_of_the_elements_decides() -> None:
    atoms = _crystal("fcc", 0.1)
    atoms.symbols[:] = ["Ti"] * len(atoms)
    reasons = _reasons(_cell(atoms))
    assert reasons["energy"] == reasons["rdf"] == "no-reference"
    verdict = next(v for v in check_cell(_cell(atoms)) if v.stage == "density")
    assert verdict.details["compared_with"] == "the elements (Vegard)"


def test_close_pairs_are_judged_by_the_pair() -> None:
    def pair(second: str, distance: float) -> Outcome:
        atoms = Atoms(["Zr", second], [[0, 0, 0], [distance, 0, 0]], cell=[9] * 3, pbc=True)
        return check_close_pairs(atoms).outcome

    assert pair("Zr", 2.44) is Outcome.REJECTED
    assert pair("Zr", 2.46) is Outcome.PASSED
    assert pair("Cu", 2.14) is Outcome.REJECTED
    assert pair("Cu", 2.16) is Outcome.PASSED
