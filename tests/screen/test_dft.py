"""The dft stage's function: real GPAW on two atoms, and the comparison with the controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from bondwright.bonding.export import read_parquet
from bondwright.dft.engines import get_engine
from bondwright.dft.single_point import single_point
from bondwright.errors import InputError
from bondwright.screen.dft import (
    DftStageSettings,
    hull_note,
    not_selected,
    place_among_controls,
    relative_energies,
    relaxation_settings,
    result_settings,
)
from bondwright.screen.dft_calculation import calculate
from bondwright.screen.verdict import Outcome, StageResult, Verdict

# Far too coarse for physics, and enough for what is tested: seconds instead of minutes.
COARSE: dict[str, Any] = {"cutoff_eV": 200.0, "kpoints": [3, 3, 3]}


def coarse(**changes: Any) -> DftStageSettings:
    return DftStageSettings(**{"changes": COARSE, "bonds": False, "relax": "none", **changes})


@pytest.fixture(scope="module")
def silicon(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StageResult]:
    """Silicon from a cell that is 3 % too short, with its gap on the path and its bonds."""
    folder = tmp_path_factory.mktemp("silicon")
    cubic = bulk("Si", "diamond", a=5.31, cubic=True)
    return folder, calculate(cubic, coarse(relax="cell", bands=True, bonds=True), folder)


def test_relaxed_from_a_compressed_cell(silicon: tuple[Path, StageResult], tmp_path: Path) -> None:
    verdict, atoms = silicon[1].verdict, silicon[1].atoms
    details = verdict.details
    assert (verdict.outcome, verdict.reason, verdict.value) == (Outcome.PASSED, "", None)
    assert atoms is not None
    assert details["atoms"] == len(atoms) == 2  # the primitive cell of the eight atoms given
    # PBE: 5.47 Å (Haas, Tran & Blaha, Phys. Rev. B 79, 085104 (2009)); this cut-off and mesh move
    # it by up to 2 %, the start was 3 % away.
    lattice = (4 * atoms.get_volume()) ** (1 / 3)
    assert lattice == pytest.approx(5.47, rel=0.02)
    assert details["volume_ratio"] == pytest.approx((lattice / 5.31) ** 3, rel=1e-6)
    assert details["steps"] > 0
    assert details["max_stress_GPa"] < 1.0
    assert details["engine"].startswith("gpaw ")
    assert (details["status"], details["preset"], details["corrections"]) == (
        "converged",
        "quick",
        [],
    )
    assert details["settings"]["cutoff_eV"] == 200.0
    assert details["e_above_hull_eV_per_atom"] is None
    assert "unknown" in details["hull_note"]
    assert details["relative_energy_eV_per_atom"] is None
    # The energy is that of the structure that is handed on.
    alone = single_point(atoms, get_engine(), coarse().calculation(), tmp_path)
    assert alone.energy_eV is not None
    assert details["energy_eV_per_atom"] == pytest.approx(alone.energy_eV / 2, abs=1e-4)


def test_gap_on_the_path(silicon: tuple[Path, StageResult]) -> None:
    """PBE: 0.6 eV indirect and 2.6 eV direct (Heyd et al., J. Chem. Phys. 123, 174101 (2005)).

    0.3 eV is granted for a density of few k-points and a lattice that is off by up to 2 %.
    """
    details = silicon[1].verdict.details
    assert details["band_gap_eV"] == pytest.approx(0.6, abs=0.3)
    assert details["band_gap_direct_eV"] == pytest.approx(2.6, abs=0.3)
    assert "path" in details["band_gap_note"]


def test_bonds_are_summed_up_and_kept(silicon: tuple[Path, StageResult]) -> None:
    folder, result = silicon
    bonds = result.verdict.details["bonds"]
    assert bonds["accepted"], bonds
    assert 0 <= bonds["charge_spilling"] < 0.05
    (pair,) = bonds["pairs"]
    assert result.atoms is not None
    lattice = (4 * result.atoms.get_volume()) ** (1 / 3)
    assert (pair["pair"], pair["count"]) == ("Si-Si", 4)
    assert pair["mean_length_A"] == pytest.approx(lattice * np.sqrt(3) / 4, abs=1e-4)
    # The four bonds of diamond are one bond by symmetry, and strong.
    assert pair["mean_minus_icohp_eV"] == pytest.approx(pair["strongest_minus_icohp_eV"], abs=0.01)
    assert pair["mean_minus_icohp_eV"] > 2.0
    table = read_parquet(folder / "bonds" / bonds["table"])
    assert bonds["strongest_minus_icohp_eV"] == pytest.approx(table.icohp_eV.max())
    assert "4 Si-Si bonds" in bonds["description"]
    assert bonds["method"] == table.method


def test_repeated_call_computes_nothing(silicon: tuple[Path, StageResult]) -> None:
    folder, before = silicon
    files = {p: p.stat().st_mtime_ns for p in (folder / "relaxation").rglob("*.json")}
    files = {p: t for p, t in files.items() if p.name != "relaxation.json"}
    log = (folder / "relaxation" / "gpaw.log").read_bytes()
    again = calculate(
        bulk("Si", "diamond", a=5.31, cubic=True),
        coarse(relax="cell", bands=True, bonds=True),
        folder,
    )
    assert again.verdict == before.verdict  # the seconds too
    assert len(files) > 3
    assert {p: p.stat().st_mtime_ns for p in files} == files
    assert (folder / "relaxation" / "gpaw.log").read_bytes() == log


def test_what_is_computed_after_the_relaxation_may_change(
    silicon: tuple[Path, StageResult],
) -> None:
    folder, before = silicon
    settings = coarse(relax="cell", best=1, limit_eV_per_atom=0.1, time_limit_s=5.0)
    assert relaxation_settings(settings) == relaxation_settings(coarse(relax="cell", bonds=True))
    assert result_settings(settings) == result_settings(coarse(relax="cell"))
    assert result_settings(settings) != result_settings(coarse(relax="cell", bonds=True))
    log = (folder / "relaxation" / "gpaw.log").read_bytes()
    cubic = bulk("Si", "diamond", a=5.31, cubic=True)
    plain = calculate(cubic, settings, folder).verdict.details
    assert (folder / "relaxation" / "gpaw.log").read_bytes() == log
    assert plain["energy_eV_per_atom"] == before.verdict.details["energy_eV_per_atom"]
    # The mesh holds no k-point at the conduction edge: its gap is an upper bound, and says so.
    assert plain["band_gap_eV"] > before.verdict.details["band_gap_eV"]
    assert "mesh" in plain["band_gap_note"]
    assert plain["band_gap_direct_eV"] is None
    assert plain["bonds"] is None


def test_scf_that_does_not_settle_fails_with_its_corrections(tmp_path: Path) -> None:
    changes = {**COARSE, "max_scf_steps": 2}
    result = calculate(bulk("Si", "diamond", a=5.43), coarse(changes=changes), tmp_path)
    verdict = result.verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, "scf-not-converged")
    assert [c["slug"] for c in verdict.details["corrections"]] == [
        "softer-mixing",
        "wider-smearing",
        "fresh-start",
    ]
    for unknown in ("energy_eV_per_atom", "band_gap_eV", "fmax_eV_per_A", "bonds"):
        assert verdict.details[unknown] is None
    assert result.atoms is None


def test_steps_used_up_fails_and_keeps_its_energy(tmp_path: Path) -> None:
    changes = {**COARSE, "max_relax_steps": 1, "stress_tolerance_GPa": 0.01}
    result = calculate(
        bulk("Si", "diamond", a=5.2), coarse(relax="cell", changes=changes), tmp_path
    )
    verdict = result.verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, "steps-used-up")
    assert verdict.details["energy_eV_per_atom"] is not None
    placed = place_among_controls({"a": verdict}, {"a": "Si"}, {"a": "Si"}, None)
    assert placed["a"] == verdict  # an upper bound is compared with nothing


def test_element_without_data_is_unknown(tmp_path: Path) -> None:
    verdict = calculate(bulk("At", "fcc", a=4.5), coarse(), tmp_path).verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.UNKNOWN, "no-paw-set")
    assert "At" in verdict.message


def test_structure_that_makes_no_sense_fails(tmp_path: Path) -> None:
    atoms = Atoms("Si2", positions=[[0, 0, 0], [0.2, 0, 0]], cell=[5, 5, 5], pbc=True)
    verdict = calculate(atoms, coarse(), tmp_path).verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, "atoms-too-close")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"preset": "quik"}, "quick"),
        ({"changes": {"cutof_eV": 300}}, "cutoff_eV"),
        ({"changes": {"cutoff_eV": "high"}}, "cutoff_eV"),
        ({"changes": {"cutoff_eV": -1}}, "cutoff_eV"),
        ({"changes": {"kpoints": 3}}, "cannot be used"),
        ({"changes": {"spin": "sideways"}}, "cannot be used"),
        ({"changes": {"functional": 3}}, "functional"),
        ({"best": -1}, "negative"),
        ({"limit_eV_per_atom": -0.1}, "no limit"),
        ({"time_limit_s": 0.0}, "time_limit_s"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises((InputError, ValueError), match=said) as raised:
        DftStageSettings(**changes)
    assert "\n" not in str(raised.value)


def test_energies_are_relative_to_the_lowest_control_of_the_composition() -> None:
    found = relative_energies(
        {"a": -3.0, "b": -3.4, "high": -3.1, "low": -3.3, "other": -9.0, "alone": -1.0},
        {"a": "TiO2", "b": "TiO2", "high": "TiO2", "low": "TiO2", "other": "Ti2O3", "alone": "Ti"},
        {"high", "low", "other"},
    )
    assert {k: (round(r.energy_eV_per_atom, 9), r.control) for k, r in found.items()} == {
        "a": (0.3, "low"),
        "b": (-0.1, "low"),
        "high": (0.2, "low"),
        "low": (0.0, "low"),
        "other": (0.0, "other"),
    }


def passed(energy: float) -> Verdict:
    return Verdict("dft", Outcome.PASSED, details={"energy_eV_per_atom": energy})


def test_limit_rejects_what_lies_above_the_control() -> None:
    stored = {
        "near": passed(-2.95),
        "far": passed(-2.5),
        "control": passed(-3.0),
        "stranger": passed(-1.0),
        "broken": Verdict("dft", Outcome.FAILED, "scf-not-converged", details={}),
    }
    formulas = {**dict.fromkeys(stored, "Si"), "stranger": "Ge"}
    placed = place_among_controls(stored, formulas, {"control": "diamond"}, 0.1)
    assert {k: (str(v.outcome), v.reason) for k, v in placed.items()} == {
        "near": ("passed", ""),
        "far": ("rejected", "above-control"),
        "control": ("passed", ""),
        "stranger": ("passed", ""),
        "broken": ("failed", "scf-not-converged"),
    }
    assert placed["far"].value == pytest.approx(0.5)
    assert placed["far"].details["relative_to"] == "diamond"
    assert "0.500 eV/atom above diamond" in placed["far"].message
    assert placed["stranger"].value is None
    assert placed["stranger"].details["relative_to"] is None
    assert all(
        v.outcome is Outcome.PASSED
        for k, v in place_among_controls(stored, formulas, {"control": "diamond"}, None).items()
        if k != "broken"
    )
    assert "relative_to" not in stored["near"].details  # what is stored stays as it was


def test_words_of_a_candidate_that_is_left_out() -> None:
    few = not_selected(3, 7, 6, coarse(best=2))
    assert (few.outcome, few.reason) == (Outcome.UNKNOWN, "not-selected")
    assert "number 3 of 7" in few.message
    assert "24 atoms" in not_selected(1, 7, 24, coarse(max_atoms=12)).message


def test_hull_note_says_what_can_be_compared() -> None:
    assert "Materials Project" in hull_note(coarse(preset="materials-project"))
    assert "Materials Project" not in hull_note(coarse())
