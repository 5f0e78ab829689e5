"""Relaxation: the same answer as the published calculator, true derivatives, and guards.

Covers faults 34 (explodes, collapses, not a number), 35 (not converged) and 37 (single atom).
"""

from __future__ import annotations

import contextlib
import io
from typing import ClassVar

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.spacegroup import crystal
from chgnet.model.dynamics import CHGNetCalculator

from bondwright.errors import InputError
from bondwright.screen.chgnet_engine import CHGNetEngine, IsolatedAtomError, static_energies
from bondwright.screen.potentials import EnergyKind, load_potential
from bondwright.screen.relax import RelaxSettings, RelaxStatus, relax


def rutile(a: float = 4.594, c: float = 2.959, u: float = 0.305) -> Atoms:
    """TiO2; the defaults are measured values (doi:10.1021/ja00246a021)."""
    return crystal(
        ["Ti", "O"],
        [(0, 0, 0), (u, u, 0)],
        spacegroup=136,
        cellpar=[a, a, c, 90, 90, 90],
    )


def shaken(atoms: Atoms) -> Atoms:
    moved = atoms.copy()
    moved.rattle(0.08, seed=3)
    moved.set_cell(moved.cell.array @ [[1.02, 0.01, 0], [0, 0.99, 0], [0, 0, 1.03]])
    return moved


@pytest.fixture(scope="module")
def published() -> CHGNetCalculator:
    with contextlib.redirect_stdout(io.StringIO()):
        return CHGNetCalculator(use_device="cpu")


class Broken(Calculator):  # type: ignore[misc]
    """A potential gone wrong: a force that is not a number, or a pull that never ends."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]

    def __init__(self, *, pressure: float = 0.0, force: float = 0.0) -> None:
        super().__init__()
        self.pressure, self.force, self.evaluated = pressure, force, 0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:  # type: ignore[no-untyped-def]
        super().calculate(atoms, properties, system_changes)
        self.evaluated += 1
        forces = np.full((len(self.atoms), 3), self.force)
        stress = np.array([self.pressure] * 3 + [0.0] * 3)
        energy = self.pressure * self.atoms.get_volume()
        self.results = {"energy": energy, "forces": forces, "stress": stress}


def test_engine_agrees_with_the_published_calculator(published: CHGNetCalculator) -> None:
    for atoms in (shaken(rutile()), shaken(bulk("MgO", "rocksalt", a=4.21)), bulk("Fe")):
        ours, theirs = atoms.copy(), atoms.copy()
        ours.calc, theirs.calc = CHGNetEngine(), published
        # single precision: 1e-7 of energies near -10 eV/atom, forces and stresses of a few units
        n = len(atoms)
        assert ours.get_potential_energy() / n == pytest.approx(
            theirs.get_potential_energy() / n, abs=5e-6
        )
        assert np.allclose(ours.get_forces(), theirs.get_forces(), atol=2e-4)
        assert np.allclose(ours.get_stress(), theirs.get_stress(), atol=2e-5)


def test_static_energy_and_feature_agree_with_the_published_model(
    published: CHGNetCalculator,
) -> None:
    batch = [shaken(rutile()), bulk("Fe"), bulk("MgO", "rocksalt", a=4.21)]
    for double in (False, True):
        for atoms, result in zip(batch, static_energies(batch, double=double), strict=True):
            atoms.calc = published
            energy = atoms.get_potential_energy() / len(atoms)
            feature = published.results["crystal_fea"] / len(atoms)
            # single against double precision: 8e-6 eV/atom was the largest seen
            assert result.energy == pytest.approx(energy, abs=2e-5)
            assert np.allclose(result.feature, feature, atol=1e-4)


def test_forces_and_stress_are_derivatives_of_the_energy() -> None:
    atoms = shaken(rutile())
    atoms.calc = CHGNetEngine(double=True)
    forces, stress, volume = atoms.get_forces(), atoms.get_stress(), atoms.get_volume()
    step = 1e-4

    def energy(displace: np.ndarray | float = 0.0, strain: np.ndarray | float = 0.0) -> float:
        moved = atoms.copy()
        moved.positions = moved.positions + displace
        moved.set_cell(moved.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        moved.calc = atoms.calc
        return float(moved.get_potential_energy())

    direction = np.random.default_rng(0).normal(size=(len(atoms), 3))
    slope = (energy(step * direction) - energy(-step * direction)) / (2 * step)
    assert slope == pytest.approx(-float((forces * direction).sum()), rel=1e-4)
    for row, column, voigt in ((0, 0, 0), (2, 2, 2), (0, 1, 5)):
        strain = np.zeros((3, 3))
        strain[row, column] = step
        strain = (strain + strain.T) / 2
        slope = (energy(strain=strain) - energy(strain=-strain)) / (2 * step)
        assert slope / volume == pytest.approx(stress[voigt], rel=1e-3, abs=1e-6)


def test_the_same_relaxed_cell_as_a_plain_ase_run(published: CHGNetCalculator) -> None:
    settings = RelaxSettings(fmax_eV_per_A=0.02)
    start = shaken(rutile())
    ours = relax(start, CHGNetEngine(), settings, exact=CHGNetEngine(double=True))
    plain = start.copy()
    plain.calc = published
    FIRE(FrechetCellFilter(plain), logfile=None).run(fmax=0.02, steps=500)
    assert ours.status is RelaxStatus.CONVERGED
    # Same path from the same start; rounding may shift the last step.
    assert ours.atoms.cell.cellpar() == pytest.approx(plain.cell.cellpar(), abs=5e-3)
    assert ours.energy_eV_per_atom == pytest.approx(
        plain.get_potential_energy() / len(plain), abs=2e-4
    )
    assert ours.volume_ratio == pytest.approx(plain.get_volume() / start.get_volume(), rel=1e-3)


def test_rutile_stays_rutile() -> None:
    found = relax(rutile(), CHGNetEngine(), exact=CHGNetEngine(double=True))
    assert found.status is RelaxStatus.CONVERGED
    a, b, c, *angles = found.atoms.cell.cellpar()
    # CHGNet was trained on PBE(+U), whose cells are larger than measured ones by 1 to 2 %.
    assert a == pytest.approx(4.594, rel=0.025)
    assert b == pytest.approx(a, abs=1e-3)
    assert c == pytest.approx(2.959, rel=0.025)
    assert angles == pytest.approx([90, 90, 90], abs=0.05)
    assert found.fmax_eV_per_A is not None
    assert found.fmax_eV_per_A <= 0.05 + 1e-3  # float64 forces at a float32 end
    assert found.energies_eV_per_atom[-1] < found.energies_eV_per_atom[0]


@pytest.mark.parametrize("name", ["Cu", "MgO"])
def test_cell_forces_converge_to_the_minimum_of_energy_against_volume(name: str) -> None:
    """No atom feels a force in these cells, so only the cell's forces can move anything."""
    start = bulk("Cu", a=3.75) if name == "Cu" else bulk("MgO", "rocksalt", a=4.4)
    calculator = EMT() if name == "Cu" else CHGNetEngine(double=True)
    found = relax(start, calculator, RelaxSettings(fmax_eV_per_A=0.001))
    assert found.status is RelaxStatus.CONVERGED
    assert found.steps > 0
    edge = float(found.atoms.cell.lengths()[0])
    edges = edge * np.linspace(0.99, 1.01, 9)
    energies = []
    for length in edges:
        copy = start.copy()
        copy.set_cell(start.cell.array * length / start.cell.lengths()[0], scale_atoms=True)
        copy.calc = calculator
        energies.append(copy.get_potential_energy())
    fit = np.polynomial.Polynomial.fit(edges, energies, 4)
    roots = [r.real for r in fit.deriv().roots() if abs(r.imag) < 1e-9]
    minimum = min(roots, key=lambda r: abs(r - edge))
    assert edge == pytest.approx(minimum, abs=0.002)  # Å


def test_lbfgs_reaches_the_same_minimum_from_nearby() -> None:
    results = [
        relax(rutile(), CHGNetEngine(), RelaxSettings(optimizer=optimizer, fmax_eV_per_A=0.01))
        for optimizer in ("fire", "lbfgs")
    ]
    energies = [r.energy_eV_per_atom for r in results]
    assert energies[0] == pytest.approx(energies[1], abs=5e-4)
    assert results[1].steps < results[0].steps


def test_a_single_atom_cell_works() -> None:
    found = relax(bulk("Cu", a=3.5), CHGNetEngine())
    assert found.status is RelaxStatus.CONVERGED
    assert len(found.atoms) == 1


def test_not_converged_stays_visible_and_keeps_its_energy() -> None:
    found = relax(shaken(rutile()), CHGNetEngine(), RelaxSettings(max_steps=2))
    assert found.status is RelaxStatus.NOT_CONVERGED
    assert found.energy_eV_per_atom is not None
    assert found.steps == 2


def test_overlapping_atoms_are_never_evaluated() -> None:
    atoms = rutile()
    atoms.positions[1] = atoms.positions[0] + [0.1, 0, 0]
    broken = Broken()
    found = relax(atoms, broken)
    assert found.status is RelaxStatus.COLLAPSED
    assert found.energy_eV_per_atom is None
    assert broken.evaluated == 0


@pytest.mark.parametrize(
    ("cell", "status"),
    [
        ([1e-2, 1e-2, 1e-2], RelaxStatus.COLLAPSED),
        ([50, 50, 0.02], RelaxStatus.COLLAPSED),
        ([float("nan"), 4, 4], RelaxStatus.NOT_FINITE),
        ([0, 0, 0], RelaxStatus.COLLAPSED),
    ],
)
def test_impossible_cells_are_never_evaluated(cell: list[float], status: RelaxStatus) -> None:
    broken = Broken()
    found = relax(Atoms("Cu", cell=cell, pbc=True), broken)
    assert found.status is status
    assert broken.evaluated == 0


def test_a_force_that_is_not_a_number_stops_the_relaxation() -> None:
    found = relax(rutile(), Broken(force=float("nan")))
    assert found.status is RelaxStatus.NOT_FINITE
    assert found.energy_eV_per_atom is None


@pytest.mark.parametrize(
    ("pressure", "status"), [(2.0, RelaxStatus.COLLAPSED), (-2.0, RelaxStatus.EXPLODED)]
)
def test_a_cell_that_runs_away_is_stopped_before_it_is_evaluated(
    pressure: float, status: RelaxStatus
) -> None:
    found = relax(rutile(), Broken(pressure=pressure), RelaxSettings(max_steps=2000))
    assert found.status is status
    assert 0.4 <= found.volume_ratio <= 2.5  # the last structure that was evaluated


def test_an_isolated_atom_counts_as_exploded() -> None:
    far = Atoms("NaCl", positions=[[0, 0, 0], [7, 7, 7]], cell=[14, 14, 14], pbc=True)
    far.calc = CHGNetEngine()
    with pytest.raises(IsolatedAtomError, match="6 Å"):
        far.get_potential_energy()
    found = relax(far, CHGNetEngine())
    assert found.status is RelaxStatus.EXPLODED
    assert "no neighbour" in found.message


def test_the_input_is_left_alone() -> None:
    atoms = shaken(rutile())
    before = atoms.copy()
    relax(atoms, CHGNetEngine(), RelaxSettings(max_steps=1))
    assert atoms == before
    assert atoms.calc is None


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(InputError, match="fire"):
        relax(rutile(), CHGNetEngine(), RelaxSettings(optimizer="sire"))


def test_potentials_know_what_their_energies_mean() -> None:
    chgnet = load_potential("chgnet")
    assert chgnet.energies is EnergyKind.CORRECTED
    assert chgnet.error_eV_per_atom == 0.063
    assert load_potential("ase.calculators.emt:EMT").energies is EnergyKind.OWN


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chgnt", "Did you mean 'chgnet'"),
        ("nowhere_at_all:Calculator", "pip install nowhere_at_all"),
        ("ase.calculators.emt:EMX", "has no 'EMX'"),
        ("mattersim", "mattersim"),
    ],
)
def test_potentials_that_cannot_be_had_are_explained(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_potential(name)
