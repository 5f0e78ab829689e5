"""Properties and targets: what passes, what is rejected, and what is not judged."""

from __future__ import annotations

import json
import math
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read

from bondwright.errors import InputError
from bondwright.screen import property as module
from bondwright.screen.property import (
    Estimate,
    PropertySettings,
    Target,
    estimate_properties,
    load_property,
)
from bondwright.screen.verdict import Outcome, Verdict

CONTROLS = Path(__file__).resolve().parents[2] / "examples" / "tio2" / "controls"


@pytest.fixture(scope="module")
def rutile() -> Atoms:
    return read(CONTROLS / "rutile.cif")


@pytest.mark.parametrize(
    ("atoms", "density"),
    [
        # CRC Handbook, 298 K: NaCl 2.17, Si 2.3296, Cu 8.96, Fe 7.87 g/cm3
        (bulk("NaCl", "rocksalt", a=5.6402), 2.17),
        (bulk("Si", a=5.4310), 2.3296),
        (bulk("Cu", a=3.6149), 8.96),
        (bulk("Fe", a=2.8665), 7.87),
    ],
)
def test_density_of_known_crystals(atoms: Atoms, density: float) -> None:
    estimate = load_property("density").predict(atoms)
    assert estimate.value == pytest.approx(density, rel=0.005)
    assert estimate.sigma == 0.0


def test_without_a_target_everything_passes(rutile: Atoms) -> None:
    verdict = estimate_properties(rutile)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.unit == "eV"
    assert verdict.value == verdict.details["band_gap_eV"]
    assert verdict.details["density_g_cm3"] == pytest.approx(4.25, abs=0.01)
    assert verdict.details["targets"] == {}
    assert "density 4.25 g/cm3; band gap" in verdict.message


def test_target_is_a_hit_off_or_within_the_uncertainty(rutile: Atoms) -> None:
    gap = estimate_properties(rutile)
    value, sigma = gap.details["band_gap_eV"], gap.details["band_gap_sigma_eV"]
    assert sigma > 0.05
    tolerance = 0.1

    def judge(distance: float, sigmas: float = 1.0) -> tuple[Outcome, bool]:
        target = Target(value + distance, tolerance)
        verdict = estimate_properties(rutile, {"band_gap": target}, PropertySettings(sigmas=sigmas))
        assert verdict.value == pytest.approx(distance)
        return verdict.outcome, verdict.details["targets"]["band_gap"]["hit"]

    assert judge(0.5 * tolerance) == (Outcome.PASSED, True)
    assert judge(tolerance + 0.5 * sigma) == (Outcome.PASSED, False)
    assert judge(tolerance + 0.5 * sigma, sigmas=0.0) == (Outcome.REJECTED, False)
    assert judge(tolerance + 1.5 * sigma) == (Outcome.REJECTED, False)


def test_rejection_says_what_was_wanted(rutile: Atoms) -> None:
    verdict = estimate_properties(rutile, {"density": Target(2.0, 0.5)})
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, "off-target")
    assert "off the target of 2 ± 0.5 g/cm3" in verdict.message
    assert verdict.unit == "g/cm3"
    assert verdict.value == pytest.approx(2.25, abs=0.01)


def test_worst_missed_target_is_the_number(rutile: Atoms) -> None:
    gap = estimate_properties(rutile).details["band_gap_eV"]
    targets = {"density": Target(2.0, 0.5), "band_gap": Target(gap + 0.1, 0.5)}
    verdict = estimate_properties(rutile, targets)
    assert verdict.unit == "g/cm3"
    assert verdict.details["targets"]["band_gap"]["hit"]


def test_element_outside_the_training_data_is_not_judged() -> None:
    """Faults 51 and 54: a new element gives no silent number."""
    argon_hydride = Atoms("ArH", positions=[[0, 0, 0], [1.6, 0, 0]], cell=[3.5] * 3, pbc=True)
    verdict = estimate_properties(argon_hydride, {"band_gap": Target(2.0)})
    assert (verdict.outcome, verdict.reason) == (Outcome.UNKNOWN, "outside-training")
    assert verdict.details["band_gap_sigma_eV"] is None
    assert "no crystal with Ar" in verdict.message


def test_element_without_data_gives_no_number() -> None:
    verdict = estimate_properties(bulk("Am", "fcc", a=4.89), {"band_gap": Target(0.0)})
    assert (verdict.outcome, verdict.reason) == (Outcome.UNKNOWN, "no-estimate")
    assert verdict.value is None
    assert verdict.details["band_gap_eV"] is None
    assert verdict.details["density_g_cm3"] is not None


def test_atom_without_neighbours_gives_no_number() -> None:
    """Fault 37: one atom in a huge cell."""
    atoms = Atoms("Ti", cell=[20.0] * 3, pbc=True)
    assert estimate_properties(atoms).outcome is Outcome.PASSED
    verdict = estimate_properties(atoms, {"band_gap": Target(2.0)})
    assert verdict.reason == "no-estimate"
    assert "no neighbour" in verdict.message


def test_off_target_counts_more_than_unknown() -> None:
    targets = {"band_gap": Target(0.0), "density": Target(1.0, 0.1)}
    verdict = estimate_properties(bulk("Am", "fcc", a=4.89), targets)
    assert verdict.reason == "off-target"


def test_molecule_without_a_cell_has_no_density() -> None:
    estimate = load_property("density").predict(molecule("H2O"))
    assert estimate.value is None
    assert estimate.note


def test_verdict_is_plain_data(rutile: Atoms) -> None:
    verdict = estimate_properties(rutile, {"band_gap": Target(2.0)})
    text = json.dumps(verdict.to_json(), allow_nan=False)
    again = Verdict.from_json(json.loads(text))
    assert again.details == verdict.details
    assert again.version == "property/1"


def test_target_of_a_property_not_estimated_is_refused(rutile: Atoms) -> None:
    with pytest.raises(InputError, match="Did you mean 'band_gap'"):
        estimate_properties(rutile, {"bandgap": Target(2.0)})


def test_unknown_model_is_refused(rutile: Atoms) -> None:
    with pytest.raises(InputError, match=r"no property model 'densty'.*Did you mean 'density'"):
        estimate_properties(rutile, None, PropertySettings(models=("densty",)))


def test_negative_sigmas_are_refused() -> None:
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="sigmas"):
            PropertySettings(sigmas=wrong)


class VolumePerAtom:
    """A property of another package."""

    name = "volume_per_atom"
    unit = "A3"
    version = "volume/1"

    def predict(self, atoms: Atoms) -> Estimate:
        return Estimate(atoms.get_volume() / len(atoms), 0.5)


def test_property_of_another_package_plugs_in(
    rutile: Atoms, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = EntryPoint("volume_per_atom", f"{__name__}:VolumePerAtom", module.ENTRY_POINTS)
    monkeypatch.setattr(module, "entry_points", lambda group: [plug] * (group == plug.group))
    load_property.cache_clear()
    settings = PropertySettings(models=("density", "volume_per_atom"))
    verdict = estimate_properties(rutile, {"volume_per_atom": Target(12.0, 1.0)}, settings)
    assert verdict.outcome is Outcome.REJECTED
    assert (
        verdict.value == pytest.approx(12.0 - rutile.get_volume() / 6)
        if rutile.get_volume() / 6 < 12
        else verdict.value > 1.5
    )
    assert verdict.details["properties"]["volume_per_atom"]["model"] == "volume/1"
    assert verdict.details["band_gap_eV"] is None
    load_property.cache_clear()
