"""MP2020 corrections against their published values; energies of two kinds never share a hull.

Covers fault 33. Constants: Wang et al., Sci. Rep. 11, 15496 (2021).
"""

from __future__ import annotations

import math

import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from bondwright.screen.corrections import correction_between, hubbard_u, mp2020_correction
from bondwright.screen.potentials import EnergyKind

OXIDE, FLUORIDE = -0.687, -0.462
MIXING = {
    "V": -1.700,
    "Cr": -1.999,
    "Mn": -1.668,
    "Fe": -2.256,
    "Co": -1.638,
    "Ni": -2.541,
    "Mo": -3.202,
    "W": -4.438,
}


def rutile(metal: str, anion: str) -> Atoms:
    return crystal(
        [metal, anion],
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.6, 4.6, 2.96, 90, 90, 90],
    )


def test_tio2() -> None:
    assert mp2020_correction(rutile("Ti", "O")) == pytest.approx(2 * OXIDE / 3, abs=1e-9)
    assert mp2020_correction(rutile("Ti", "O")) == pytest.approx(-0.458, abs=1e-3)


def test_fe2o3() -> None:
    hematite = crystal(
        ["Fe", "O"],
        [(0, 0, 0.3553), (0.3059, 0, 0.25)],
        spacegroup=167,
        cellpar=[5.035, 5.035, 13.747, 90, 90, 120],
    )
    assert mp2020_correction(hematite) == pytest.approx(-1.3146, abs=1e-4)


@pytest.mark.parametrize("metal", sorted(MIXING))
@pytest.mark.parametrize(("anion", "value"), [("O", OXIDE), ("F", FLUORIDE)])
def test_oxides_and_fluorides_with_u_get_a_number(metal: str, anion: str, value: float) -> None:
    atoms = rutile(metal, anion)
    correction = mp2020_correction(atoms)
    assert math.isfinite(correction)
    assert correction == pytest.approx((2 * value + MIXING[metal]) / 3, abs=1e-3)
    assert set(hubbard_u(atoms)) == {metal}


def test_without_an_anion_there_is_nothing_to_correct() -> None:
    assert mp2020_correction(bulk("Fe")) == 0
    assert mp2020_correction(bulk("NiAl", "cesiumchloride", a=2.88)) == 0
    assert hubbard_u(bulk("NiAl", "cesiumchloride", a=2.88)) == {}


def test_an_iron_sulfide_has_no_u() -> None:
    atoms = bulk("FeS", "zincblende", a=5.4)
    assert hubbard_u(atoms) == {}
    assert mp2020_correction(atoms) == pytest.approx(-0.503 / 2, abs=1e-3)


def test_a_peroxide_is_recognised_from_its_structure() -> None:
    # Li2O2: P6_3/mmc, doi:10.1103/PhysRevB.78.125106; O-O distance 1.55 Å
    peroxide = crystal(
        ["Li", "Li", "O"],
        [(0, 0, 0), (1 / 3, 2 / 3, 0.75), (1 / 3, 2 / 3, 0.149)],
        spacegroup=194,
        cellpar=[3.142, 3.142, 7.65, 90, 90, 120],
    )
    assert mp2020_correction(peroxide) == pytest.approx(-0.465 / 2, abs=1e-3)


def test_which_energies_may_share_a_hull() -> None:
    corrected, raw, own = EnergyKind.CORRECTED, EnergyKind.RAW, EnergyKind.OWN
    assert correction_between(corrected, corrected) == "none"
    assert correction_between(raw, raw) == "none"
    assert correction_between(own, own) == "none"
    assert correction_between(raw, corrected) == "mp2020"
    for potential, hull in ((corrected, raw), (own, corrected), (own, raw), (raw, own)):
        with pytest.raises(ValueError, match="cannot be placed"):
            correction_between(potential, hull)
