"""Random symmetric crystals keep the request, their group and the distances of matter."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.data import atomic_numbers
from scipy.optimize import nnls

from bondwright.crystals.crystal import to_atoms
from bondwright.crystals.dialect import Request
from bondwright.crystals.random_crystals import (
    NO_ARRANGEMENT,
    RandomSettings,
    check,
    random_crystal,
    random_crystals,
)
from bondwright.crystals.usual_volume import usual_volume
from bondwright.errors import InputError
from bondwright.screen.validity import ValiditySettings
from bondwright.structure.neighbours import neighbour_pairs
from bondwright.structure.symmetry import find_space_group

FORMULAS = ({"Ti": 1, "O": 2}, {"Ca": 1, "Ti": 1, "O": 3}, {"Na": 1, "Cl": 1})


@pytest.fixture(scope="module")
def drawn() -> list:
    requests = [Request(formula=formula) for formula in FORMULAS for _ in range(8)]
    return list(zip(requests, random_crystals(requests, seed=3), strict=True))


def test_composition_group_and_distances(drawn: list) -> None:
    factor = ValiditySettings().contact_factor
    found = 0
    for request, made in drawn:
        if made.crystal is None:
            assert made.problem == NO_ARRANGEMENT
            continue
        found += 1
        counts = made.crystal.counts
        units = {counts[e] / n for e, n in request.formula.items()}
        assert len(units) == 1
        assert units.pop().is_integer()
        atoms = to_atoms(made.crystal)
        assert len(atoms) == sum(counts.values()) <= 40
        group = find_space_group(atoms, 0.1)
        assert group is not None
        assert group.number == made.crystal.space_group
        # No pair nearer than the factor times the covalent radii, images included.
        pairs = neighbour_pairs(atoms, 3.0)
        from ase.data import covalent_radii

        radii = covalent_radii[atoms.numbers]
        assert (pairs.distance >= factor * (radii[pairs.i] + radii[pairs.j]) - 1e-3).all()
        # ln volume is drawn with a standard deviation of 0.09; five of them never in 24 draws.
        assert abs(np.log(atoms.cell.volume / usual_volume(counts))) < 5 * 0.09
    assert found >= 22  # of 24: a rare formula and group may be given up


def test_seed_and_index_decide(drawn: list) -> None:
    requests = [request for request, _ in drawn]
    again = list(random_crystals(requests[5:8], seed=3, first=5))
    assert [made.crystal for made in again] == [made.crystal for _, made in drawn[5:8]]
    other = random_crystal(requests[5], seed=4, index=5)
    assert other.crystal != again[0].crystal


def test_groups_are_many(drawn: list) -> None:
    groups = {made.crystal.space_group for _, made in drawn if made.crystal is not None}
    # 24 draws among more than 100 groups: 10 distinct ones are expected to be exceeded always.
    assert len(groups) >= 10


def test_what_is_asked_is_kept() -> None:
    request = Request(formula={"Ti": 1, "O": 2}, formula_units=2, space_group=136)
    made = random_crystal(request, seed=0, index=0)
    assert made.crystal is not None
    assert made.crystal.space_group == 136
    assert made.crystal.counts == {"Ti": 2, "O": 4}
    system = random_crystal(Request(elements=("Mg", "O")), seed=0, index=1)
    assert system.crystal is not None
    assert set(system.crystal.counts) == {"Mg", "O"}


def test_impossible_requests_are_refused_with_a_reason() -> None:
    with pytest.raises(InputError, match="formula or a chemical system"):
        check(Request())
    # One formula unit of five atoms of one kind in Fm-3m (multiplicities 4, 8, 24, ...).
    with pytest.raises(InputError, match="no Wyckoff positions"):
        check(Request(formula={"Ti": 1, "O": 2}, formula_units=1, space_group=225))
    with pytest.raises(InputError, match="no element"):
        check(Request(formula={"Xx": 1}))


def test_an_arrangement_that_cannot_be_found_is_counted() -> None:
    # One atom in P1: the cell always has at least P-1, so the group that was asked cannot be had.
    request = Request(formula={"Cu": 1}, formula_units=1, space_group=1)
    made = random_crystal(request, 0, 0, RandomSettings(tries=5))
    assert made.crystal is None
    assert (made.problem, made.tries) == (NO_ARRANGEMENT, 5)


@pytest.mark.data
def test_the_volumes_are_the_fit_they_say(data_dir: Path) -> None:
    """Repeat the fit on the public table: every number within 0.1 Å³ (they have one decimal)."""
    table = pd.read_csv(
        data_dir / "crystals" / "structures.csv.gz",
        usecols=["formula_cell", "volume_per_atom", "e_above_hull"],
    )
    table = table[table.e_above_hull.fillna(0) < 0.2]
    parsed = [
        {e: int(n or 1) for e, n in re.findall(r"([A-Z][a-z]?)(\d*)", text)}
        for text in table.formula_cell
    ]
    elements = sorted({element for counts in parsed for element in counts})
    shares = np.zeros((len(parsed), len(elements)))
    for row, counts in enumerate(parsed):
        for element, n in counts.items():
            shares[row, elements.index(element)] = n / sum(counts.values())
    volumes = table.volume_per_atom.to_numpy()
    weights = 1 / volumes
    for _ in range(20):
        weighted = shares * weights[:, None]
        # The normal equations in Cholesky form: the same minimum from an 88 x 88 problem.
        lower = np.linalg.cholesky(weighted.T @ weighted + 1e-12 * np.eye(len(elements)))
        fitted, _ = nnls(lower.T, np.linalg.solve(lower, weighted.T @ (volumes * weights)))
        error = shares @ fitted / volumes - 1
        weights = 1 / volumes / np.sqrt(1 + (error / 0.15) ** 2)
    assert np.abs(error).mean() == pytest.approx(0.085, abs=0.001)
    for element, volume in zip(elements, fitted, strict=True):
        assert usual_volume({element: 1}) == pytest.approx(volume, abs=0.06), element
    assert len(elements) == 88
    assert set(elements) <= set(atomic_numbers)
