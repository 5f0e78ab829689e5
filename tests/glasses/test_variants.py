"""Strained copies: the published ones, drawn ones, given ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read

from bondwright.errors import InputError
from bondwright.glasses.contacts import check_close_pairs
from bondwright.glasses.variants import (
    PUBLISHED,
    DrawLimits,
    draw,
    given_variant,
    make_variant,
    strain,
    strain_class,
)
from bondwright.screen.verdict import Outcome


@pytest.fixture
def atoms() -> Atoms:
    cell = bulk("CuZr", "cesiumchloride", a=3.3).repeat(3)
    cell.rattle(0.05, seed=2)
    return cell


@pytest.mark.data
def test_the_published_strains_are_reproduced(data_dir: Path) -> None:
    folder = data_dir / "glass-zrcual" / "cells"
    reference = read(folder / "21-0" / "Zr49Cu49Al2.xyz")
    for name in PUBLISHED:
        published = read(folder / f"21-{name}" / "Zr49Cu49Al2.xyz")
        made = make_variant(reference, name).atoms
        assert np.allclose(made.cell.array, published.cell.array, atol=1e-6), name
        assert np.allclose(made.positions, published.positions, atol=2e-6), name


def test_a_deformation_keeps_fractional_coordinates_in_any_cell(atoms: Atoms) -> None:
    skewed = strain(atoms, np.array([[1, 0.2, 0], [0.1, 1, 0], [0, 0.3, 1.1]]))
    for name in PUBLISHED:
        variant = make_variant(skewed, name)
        assert np.allclose(
            variant.atoms.get_scaled_positions(wrap=False),
            atoms.get_scaled_positions(wrap=False),
        )
        assert np.allclose(variant.atoms.positions, skewed.positions @ variant.deformation.T)
    sheared = make_variant(skewed, "1").atoms.cell.array
    assert np.allclose(sheared[0], skewed.cell.array[0] + 0.5 * skewed.cell.array[1])


def test_drawn_deformations_keep_their_limits_and_their_seed(atoms: Atoms) -> None:
    limits = DrawLimits(strain=0.3, volume=0.15)
    for number in range(1, 6):
        variant = draw(atoms, 7, number, limits)
        assert variant.name == f"d{number}"
        assert check_close_pairs(variant.atoms).outcome is Outcome.PASSED
        assert abs(np.linalg.det(variant.deformation) - 1) <= 0.15
        assert np.array_equal(variant.deformation, draw(atoms, 7, number, limits).deformation)
        assert not np.allclose(variant.deformation, draw(atoms, 8, number, limits).deformation)


def test_the_energy_limit_makes_a_draw_milder(atoms: Atoms) -> None:
    def stiff(structure: Atoms) -> float:
        off = structure.cell.array @ np.linalg.inv(atoms.cell.array) - np.eye(3)
        return float(100 * len(atoms) * (off**2).sum())

    variant = draw(atoms, 1, 1, DrawLimits(energy_rise_eV_per_atom=0.05), energy_eV=stiff)
    assert variant.energy_rise_eV_per_atom is not None
    assert 0 < variant.energy_rise_eV_per_atom <= 0.05
    free = draw(atoms, 1, 1)
    assert (
        np.abs(variant.deformation - np.eye(3)).max() < np.abs(free.deformation - np.eye(3)).max()
    )
    squeezed = strain(atoms, 0.7 * np.eye(3))
    with pytest.raises(InputError, match="no deformation can be drawn"):
        draw(squeezed, 1)


def test_classes_and_names(atoms: Atoms) -> None:
    assert [strain_class(k) for k in ("0", "7", "13", "1", "8", "14")] == [
        "mild",
        "mild",
        "mild",
        "shear",
        "compression",
        "compression",
    ]
    assert strain_class("d1", np.diag([1.1, 1.0, 1.0])) == "tension"
    given = given_variant(atoms, np.diag([1.1, 1.0, 1.0]))
    assert given.name == given_variant(atoms, np.diag([1.1, 1.0, 1.0])).name
    assert len(given.name) == 10
    for wrong in (np.zeros((3, 3)), np.diag([1, 1, -1]), np.eye(2), np.full((3, 3), np.nan)):
        with pytest.raises(InputError):
            given_variant(atoms, wrong)
    for name in ("15", "x", "d", "-1"):
        with pytest.raises(InputError):
            make_variant(atoms, name)
