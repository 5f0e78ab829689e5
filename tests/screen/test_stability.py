"""Stability verdicts on real minerals, and what is unknown, failed or refused.

Covers faults 30 (element outside the reference), 33 (mixed energies), 35 and 37.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read as read_with_ase
from ase.spacegroup import crystal

from bondwright.errors import InputError
from bondwright.screen.stability import StabilitySettings, relax_and_place
from bondwright.screen.verdict import Outcome, Verdict

CHGNET_ERROR = 0.063  # eV/atom, Matbench Discovery
# Both minerals are in the hull themselves; CHGNet puts rutile 20 meV/atom above anatase (PBE: 15).


def rutile(a: float = 4.594, c: float = 2.959, u: float = 0.305) -> Atoms:
    """TiO2; the defaults are measured values (doi:10.1021/ja00246a021)."""
    return crystal(
        ["Ti", "O"],
        [(0, 0, 0), (u, u, 0)],
        spacegroup=136,
        cellpar=[a, a, c, 90, 90, 90],
    )


def anatase() -> Atoms:
    """TiO2, measured cell (doi:10.1021/ja00246a021), origin at the inversion centre."""
    return crystal(
        ["Ti", "O"],
        [(0, 0.25, 0.375), (0, 0.25, 0.1669)],
        spacegroup=141,
        setting=2,
        cellpar=[3.785, 3.785, 9.512, 90, 90, 90],
    )


def json_values(verdict: Verdict) -> str:
    """Return the verdict as strict JSON: a NaN or a NumPy number raises."""
    return json.dumps(verdict.to_json(), allow_nan=False)


@pytest.mark.parametrize("mineral", [rutile, anatase])
def test_minerals_lie_within_the_potentials_error_of_the_hull(mineral: object) -> None:
    result = relax_and_place(mineral())  # type: ignore[operator]
    verdict = result.verdict
    assert verdict.outcome is Outcome.PASSED
    assert verdict.value is not None
    assert abs(verdict.value) < CHGNET_ERROR / 2
    assert verdict.details["converged"] is True
    assert result.atoms is not None
    assert len(result.atoms) == len(mineral())  # type: ignore[operator]
    json_values(verdict)


@pytest.mark.data
def test_the_real_polymorphs_lie_within_the_potentials_error_of_the_hull(data_dir: Path) -> None:
    paths = sorted((data_dir / "tio2-candidates/polymorphs").glob("*.cif"))
    assert len(paths) == 2
    for path in paths:
        verdict = relax_and_place(read_with_ase(path)).verdict
        assert verdict.outcome is Outcome.PASSED
        assert verdict.value is not None
        assert abs(verdict.value) < CHGNET_ERROR / 2


def test_the_verdict_names_potential_reference_correction_and_threshold() -> None:
    hull = relax_and_place(bulk("MgO", "rocksalt", a=4.21)).verdict.details["hull"]
    assert hull["potential"].startswith("chgnet 0.3.0 ")
    assert hull["reference"] == "chgnet"
    assert len(hull["reference_sha256"]) == 64
    assert hull["correction"] == "none"  # CHGNet's energies are corrected already
    assert hull["energies"] == "mp2020-corrected"
    assert hull["threshold_eV_per_atom"] == 0.1
    assert hull["potential_error_eV_per_atom"] == CHGNET_ERROR
    assert hull["limit_eV_per_atom"] == pytest.approx(0.163)
    assert sum(hull["decomposition"].values()) == pytest.approx(1, abs=1e-6)


def test_hematite_has_a_number() -> None:
    hematite = crystal(
        ["Fe", "O"],
        [(0, 0, 0.3553), (0.3059, 0, 0.25)],
        spacegroup=167,
        cellpar=[5.035, 5.035, 13.747, 90, 90, 120],
        primitive_cell=True,
    )
    verdict = relax_and_place(hematite).verdict
    assert verdict.value is not None
    assert abs(verdict.value) < 0.1
    json_values(verdict)


def test_a_structure_far_above_the_hull_is_rejected_with_its_distance() -> None:
    # Simple cubic titanium keeps its symmetry, and DFT puts it 0.8 eV/atom above hcp.
    verdict = relax_and_place(bulk("Ti", "sc", a=2.65)).verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, "above-hull")
    assert verdict.value is not None
    assert verdict.value > 0.163
    assert "above the hull" in verdict.message


def test_the_error_of_the_potential_can_be_left_out_of_the_limit() -> None:
    settings = StabilitySettings(add_potential_error=False)
    hull = relax_and_place(bulk("Cu", a=3.6), settings).verdict.details["hull"]
    assert hull["limit_eV_per_atom"] == 0.1
    assert hull["potential_error_eV_per_atom"] == CHGNET_ERROR


def test_an_element_outside_the_reference_is_unknown() -> None:
    verdict = relax_and_place(bulk("Po", "sc", a=3.35)).verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.UNKNOWN, "element-outside-reference")
    assert verdict.value is None
    assert verdict.details["e_above_hull_eV_per_atom"] is None
    assert verdict.details["energy_eV_per_atom"] is not None
    assert verdict.details["hull"]["missing_elements"] == ["Po"]
    json_values(verdict)


def test_unconverged_is_failed_and_keeps_its_upper_bound() -> None:
    strained = rutile(a=5.0)
    result = relax_and_place(strained, StabilitySettings(max_steps=2))
    assert (result.verdict.outcome, result.verdict.reason) == (Outcome.FAILED, "not-converged")
    assert result.verdict.details["converged"] is False
    assert result.verdict.details["e_above_hull_eV_per_atom"] is not None
    assert result.atoms is not None


def test_overlapping_atoms_fail_without_a_number() -> None:
    atoms = rutile()
    atoms.positions[1] = atoms.positions[0] + [0.1, 0, 0]
    result = relax_and_place(atoms)
    assert (result.verdict.outcome, result.verdict.reason) == (Outcome.FAILED, "collapsed")
    assert result.verdict.value is None
    assert result.atoms is None
    json_values(result.verdict)


def test_a_single_atom_cell_works() -> None:
    verdict = relax_and_place(bulk("Cu", a=3.5)).verdict
    assert verdict.outcome is Outcome.PASSED
    assert verdict.details["hull"]["decomposition"] == {"Cu": pytest.approx(1)}


def test_twice_the_same_answer() -> None:
    first, second = (relax_and_place(rutile(a=4.7)).verdict for _ in range(2))
    assert json_values(first) == json_values(second)


def test_the_same_crystal_in_another_cell_gets_the_same_distance() -> None:
    small = relax_and_place(bulk("MgO", "rocksalt", a=4.21)).verdict
    large = relax_and_place(bulk("MgO", "rocksalt", a=4.21, cubic=True)).verdict
    # the paths to a force below 0.05 eV/Å differ a little between cells
    assert small.value == pytest.approx(large.value, abs=2e-3)


def test_energies_of_another_potential_are_refused() -> None:
    with pytest.raises(InputError, match="hull of that potential"):
        relax_and_place(bulk("Cu"), StabilitySettings(potential="emt"))


@pytest.mark.data
def test_raw_energies_on_a_dft_hull_are_refused_where_no_correction_fits(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BONDWRIGHT_DATA", str(data_dir))
    with pytest.raises(InputError, match="do not fit"):
        relax_and_place(bulk("Cu"), StabilitySettings(potential="emt", hull="dft"))


@pytest.mark.data
def test_the_dft_hull_as_reference(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONDWRIGHT_DATA", str(data_dir))
    verdict = relax_and_place(rutile(), StabilitySettings(hull="dft")).verdict
    assert verdict.details["hull"]["reference"] == "dft"
    assert verdict.value is not None
    # a CHGNet energy against DFT phases: within twice the published mean error
    assert abs(verdict.value) < 2 * CHGNET_ERROR
    assert np.isfinite(verdict.value)
