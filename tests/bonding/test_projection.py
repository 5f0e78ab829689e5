"""The projection's algebra on matrices made of random numbers: exact identities, no engine."""

import numpy as np
import pytest

from bondwright.bonding.matrices import Functions, KPoint
from bondwright.bonding.projection import cohp_curves, pair_icohp, project
from bondwright.structure.neighbours import Pairs

MESH = (3, 3, 1)
ATOMS = np.array([0, 0, 0, 1, 1, 1, 1])  # the last function of each atom widens the bands only
CHOSEN = np.array([True, True, False, True, True, True, False])
CELLS = [np.array([a, b, 0]) for a in (-1, 0, 1) for b in (-1, 0, 1)]


def crystal(shift_eV: float = 0.0, seed: int = 3) -> tuple[Functions, list[KPoint]]:
    """A two-atom crystal whose H and S are real between cells, as time reversal wants."""
    rng = np.random.default_rng(seed)
    count = len(ATOMS)
    h, s = {}, {}
    for cell in CELLS:
        key, back = tuple(cell), tuple(-cell)
        if back in h:
            h[key], s[key] = h[back].T, s[back].T
            continue
        h[key] = rng.normal(size=(count, count)) * (3.0 if not cell.any() else 0.7)
        s[key] = rng.normal(size=(count, count)) * 0.02
        if not cell.any():
            h[key] = h[key] + h[key].T
            s[key] = s[key] + s[key].T + np.eye(count)
    points = []
    for a in range(MESH[0]):
        for b in range(MESH[1]):
            k = np.array([a / MESH[0], b / MESH[1], 0.0])
            phases = {tuple(c): np.exp(2j * np.pi * float(k @ c)) for c in CELLS}
            overlap = sum(phases[c] * s[c] for c in phases)
            hamiltonian = sum(phases[c] * h[c] for c in phases) + shift_eV * overlap
            points.append(KPoint(0, k, 1 / (MESH[0] * MESH[1]), hamiltonian, overlap))
    return Functions(ATOMS, CHOSEN, electrons=5.0, spins=1), points


def all_pairs() -> Pairs:
    """Every ordered pair of atoms and cells of the mesh, an atom with itself included."""
    rows = [(i, j, cell) for i in (0, 1) for j in (0, 1) for cell in CELLS]
    return Pairs(
        i=np.array([r[0] for r in rows]),
        j=np.array([r[1] for r in rows]),
        image=np.array([r[2] for r in rows]),
        vector=np.ones((len(rows), 3)),
        distance=np.ones(len(rows)),
    )


def off_site(pairs: Pairs) -> np.ndarray:
    return (pairs.i != pairs.j) | pairs.image.any(axis=1)


def test_pairs_and_onsite_terms_add_to_the_projected_band_energy():
    projection = project(*crystal(), smearing_eV=0.3)
    # Energies counted from the Fermi level shift on-site terms only: compare on the raw scale.
    electrons_kept = projection.electrons * (1 - projection.charge_spilling)
    raw = projection.band_energy_eV() + projection.fermi_eV * electrons_kept
    assert -pair_icohp(projection, all_pairs()).sum() == pytest.approx(raw, abs=1e-6)


def test_a_constant_added_to_the_potential_changes_no_bond():
    pairs = all_pairs()
    keep = off_site(pairs)
    plain = pair_icohp(project(*crystal(), smearing_eV=0.3), pairs)[0, keep]
    moved = pair_icohp(project(*crystal(shift_eV=7.3), smearing_eV=0.3), pairs)[0, keep]
    assert np.abs(plain).max() > 0.1
    np.testing.assert_allclose(moved, plain, atol=1e-8)


def test_a_pair_is_the_same_from_both_of_its_atoms():
    projection = project(*crystal(), smearing_eV=0.3)
    pairs = all_pairs()
    turned = Pairs(pairs.j, pairs.i, -pairs.image, -pairs.vector, pairs.distance)
    np.testing.assert_allclose(
        pair_icohp(projection, pairs), pair_icohp(projection, turned), atol=1e-10
    )


def test_projection_on_all_functions_loses_no_charge_and_on_some_loses_some():
    functions, points = crystal()
    whole = Functions(ATOMS, np.ones(len(ATOMS), dtype=bool), 5.0, 1)
    assert project(whole, points, 0.3).charge_spilling == pytest.approx(0.0, abs=1e-10)
    assert 0.0 < project(functions, points, 0.3).charge_spilling < 1.0


def test_curves_integrate_to_the_pair_value_when_all_bands_are_counted():
    functions, points = crystal()
    # Two Gaussians of 0.02 eV beside the Fermi level may be cut by it: a little of a band is lost.
    projection = project(functions, points, smearing_eV=0.01)
    pairs = all_pairs()
    energies = np.arange(-60.0, 60.0, 0.01)
    curves = cohp_curves(projection, pairs, energies_eV=energies, broadening_eV=0.02)
    np.testing.assert_allclose(
        curves.at_fermi_level().sum(axis=0), pair_icohp(projection, pairs).sum(axis=0), atol=0.1
    )


def test_dependent_orbitals_are_refused():
    functions, points = crystal()
    overlap = points[0].overlap.copy()
    overlap[:, 1], overlap[1, :] = overlap[:, 0], overlap[0, :]
    overlap[1, 1] = overlap[0, 0] = overlap[0, 1] = overlap[1, 0] = 1.0
    dependent = KPoint(0, points[0].fractional, 1.0, points[0].hamiltonian_eV, overlap)
    with pytest.raises((ValueError, np.linalg.LinAlgError)):
        project(functions, [dependent], 0.3)
