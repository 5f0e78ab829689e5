"""Convergence tests, with an engine whose errors are known and with GPAW."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from bondwright.dft.calculation import Calculation, Status
from bondwright.dft.convergence import choose_settings, converge
from bondwright.dft.engines import get_engine
from bondwright.dft.kpoints import mesh_of
from bondwright.dft.records import settings_to_json
from bondwright.dft.settings import DftSettings, preset
from bondwright.errors import InputError

CUTOFFS = (200.0, 300.0, 400.0, 500.0, 600.0)
SPACINGS = (0.6, 0.4, 0.3, 0.2, 0.15)


class Smooth:
    """Energies (eV per atom) that approach their limit as 10^(-cutoff/100) and 1/points."""

    name = "smooth"

    def __init__(self, fails_at: float | None = None) -> None:
        self.calls = 0
        self.fails_at = fails_at

    def version(self) -> str:
        return "1"

    def open(self, settings: DftSettings, folder: Path, *, progress: object = None) -> Smooth:
        session = Smooth(self.fails_at)
        session.settings, session.parent = settings, self  # type: ignore[attr-defined]
        return session

    def solve(self, atoms: Atoms, *, forces: bool = True, stress: bool = False) -> Calculation:
        settings: DftSettings = self.settings  # type: ignore[attr-defined]
        self.parent.calls += 1  # type: ignore[attr-defined]
        asked = settings_to_json(settings)
        if settings.cutoff_eV == self.fails_at:
            return Calculation(Status.NOT_CONVERGED, atoms, "smooth 1", asked, "scf-not-converged")
        error = self.error(settings.cutoff_eV) + 0.1 / np.prod(mesh_of(atoms, settings))
        return Calculation(
            Status.CONVERGED,
            atoms,
            "smooth 1",
            asked,
            energy_eV=len(atoms) * float(error - 5.0),
            stress_GPa=np.eye(3) * 100 * self.error(settings.cutoff_eV) if stress else None,
        )

    @staticmethod
    def error(cutoff: float) -> float:
        return float(10 ** (-cutoff / 100))

    def close(self) -> None:
        pass


def test_chooses_the_coarsest_that_the_two_next_finer_ones_confirm(tmp_path: Path) -> None:
    atoms = bulk("Si", "diamond", a=5.43)
    found = converge(
        atoms,
        Smooth(),
        DftSettings(),
        tmp_path,
        tolerance_meV_per_atom=2.0,
        cutoffs_eV=CUTOFFS,
        spacings_per_A=SPACINGS,
    )
    # Changes by 9 (200 to 300 eV) and 0.9 meV (300 to 400 eV) per atom.
    assert found.reached
    assert found.cutoff.chosen == 1
    assert len(found.cutoff.points) == 4
    assert found.cutoff.change_meV_per_atom == pytest.approx(0.99, abs=1e-6)
    chosen = choose_settings(found)
    assert chosen.cutoff_eV == 300.0
    assert chosen.kpoints is None
    assert chosen.kpoint_spacing_per_A == found.kpoints.points[found.kpoints.chosen].spacing_per_A
    true_error = 100 / np.prod(mesh_of(atoms, chosen))
    assert true_error < 2.0 + 100 / np.prod(found.kpoints.points[-1].mesh)


def test_the_pressure_may_ask_for_more_than_the_energy(tmp_path: Path) -> None:
    found = converge(
        bulk("Si", "diamond", a=5.43),
        Smooth(),
        DftSettings(),
        tmp_path,
        tolerance_meV_per_atom=2.0,
        tolerance_GPa=0.02,
        cutoffs_eV=CUTOFFS,
        spacings_per_A=SPACINGS,
    )
    # The pressure is minus 100 GPa times the error: 0.1 GPa at 300 eV, 0.01 GPa at 400 eV.
    assert found.cutoff.chosen == 2
    assert found.cutoff.points[0].pressure_GPa == pytest.approx(-1.0)


def test_says_so_when_the_limit_is_not_reached(tmp_path: Path) -> None:
    found = converge(
        bulk("Si", "diamond", a=5.43),
        Smooth(),
        DftSettings(),
        tmp_path,
        tolerance_meV_per_atom=0.1,
        cutoffs_eV=CUTOFFS[:3],
        spacings_per_A=SPACINGS,
    )
    assert not found.reached
    assert found.cutoff.chosen is None
    assert found.cutoff.change_meV_per_atom == pytest.approx(9.9, abs=1e-6)
    with pytest.raises(InputError, match="cut-off did not converge"):
        choose_settings(found)


def test_a_point_that_fails_stands_in_the_table_and_is_passed_over(tmp_path: Path) -> None:
    found = converge(
        bulk("Si", "diamond", a=5.43),
        Smooth(fails_at=400.0),
        DftSettings(),
        tmp_path,
        cutoffs_eV=CUTOFFS,
        spacings_per_A=SPACINGS,
    )
    assert found.cutoff.points[2].status is Status.NOT_CONVERGED
    assert found.cutoff.points[2].energy_eV_per_atom is None
    assert found.cutoff.chosen == 1
    assert [row["chosen"] for row in found.table()[:5]] == [False, True, False, False, False]


def test_spacings_with_equal_meshes_are_computed_once(tmp_path: Path) -> None:
    found = converge(
        bulk("Si", "diamond", a=5.43),
        Smooth(),
        DftSettings(),
        tmp_path,
        tolerance_meV_per_atom=1e-9,
        cutoffs_eV=CUTOFFS,
        spacings_per_A=(0.6, 0.59, 0.58, 0.4),
    )
    assert [p.mesh for p in found.kpoints.points] == [(4, 4, 4), (5, 5, 5)] or len(
        {p.mesh for p in found.kpoints.points}
    ) == len(found.kpoints.points)


def test_a_second_call_computes_nothing(tmp_path: Path) -> None:
    engine, atoms = Smooth(), bulk("Si", "diamond", a=5.43)
    first = converge(atoms, engine, DftSettings(), tmp_path)
    asked = engine.calls
    second = converge(atoms, engine, DftSettings(), tmp_path, tolerance_meV_per_atom=2.0)
    assert engine.calls == asked > 0
    assert first == second


@pytest.mark.parametrize(
    "options",
    [
        {"tolerance_meV_per_atom": 0.0},
        {"tolerance_GPa": -1.0},
        {"cutoffs_eV": (400.0, 300.0)},
        {"cutoffs_eV": ()},
        {"spacings_per_A": (0.2, 0.4)},
    ],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        converge(bulk("Si"), Smooth(), DftSettings(), tmp_path, **options)


def test_gpaw_s_choice_holds_against_a_finer_calculation(tmp_path: Path) -> None:
    pytest.importorskip("gpaw", reason="GPAW IS NOT INSTALLED")
    atoms, engine = bulk("Si", "diamond", a=5.43), get_engine("gpaw")
    found = converge(
        atoms,
        engine,
        preset("quick", smearing_eV=0.05, kpoints=(2, 2, 2)),
        tmp_path,
        tolerance_meV_per_atom=100.0,
        cutoffs_eV=(150.0, 200.0, 250.0, 300.0),
        spacings_per_A=(0.6, 0.5, 0.4),
    )
    assert found.reached
    chosen = choose_settings(found)
    energies = []
    for name, settings in (("chosen", chosen), ("fine", replace(chosen, cutoff_eV=350.0))):
        session = engine.open(settings, tmp_path / name)
        energies.append(session.solve(atoms, forces=False).energy_eV)
        session.close()
    assert abs(energies[0] - energies[1]) / 2 < 0.1
