"""Metals, gaps and band edges of bands that are known."""

from __future__ import annotations

import numpy as np
import pytest
from model_engines import cubic_band

from bondwright.dft.gaps import find_gap, occupied_bands

AXIS = np.linspace(0, 0.5, 11)
KPOINTS = np.array([(a, b, c) for a in AXIS for b in AXIS for c in AXIS])


def spin(*bands: tuple[float, float]) -> np.ndarray:
    """Return (k, bands) of cubic s bands given by centre and hopping."""
    return np.stack([cubic_band(*band)(KPOINTS) for band in bands], axis=1)


def test_indirect_gap_between_two_s_bands() -> None:
    # Both bands are lowest at Gamma and highest at R: valence top at R, conduction bottom at Gamma.
    values = spin((-6.0, 0.5), (6.0, 0.5))[None]
    gap = find_gap(values, KPOINTS, occupied_bands(values, 0.0))
    assert gap.metal is False
    assert gap.gap_eV == pytest.approx(12 - 12 * 0.5)
    assert gap.direct_gap_eV == pytest.approx(12)
    assert gap.direct is False
    assert gap.valence_top is not None
    assert gap.conduction_bottom is not None
    assert gap.valence_top.kpoint == (0.5, 0.5, 0.5)
    assert gap.valence_top.energy_eV == pytest.approx(-3.0)
    assert gap.conduction_bottom.kpoint == (0.0, 0.0, 0.0)
    assert gap.conduction_bottom.band == 1


def test_direct_gap_where_one_band_hops_the_other_way() -> None:
    values = spin((-6.0, -0.5), (6.0, 0.5))[None]
    gap = find_gap(values, KPOINTS, occupied_bands(values, 0.0))
    assert gap.direct is True
    assert gap.gap_eV == pytest.approx(6.0)
    assert gap.direct_gap_eV == pytest.approx(6.0)
    assert gap.direct_kpoint == (0.0, 0.0, 0.0)


def test_half_filled_band_is_a_metal() -> None:
    values = spin((0.0, 0.5), (9.0, 0.5))[None]
    occupied = occupied_bands(values, 0.0)
    assert occupied == (None,)
    gap = find_gap(values, KPOINTS, occupied)
    assert gap.metal is True
    assert gap.gap_eV == 0.0
    assert gap.valence_top is None


def test_edges_off_the_mesh_may_close_the_gap() -> None:
    # Gamma alone shows one full and one empty band; the whole zone shows that they overlap.
    values = spin((-2.0, 0.8), (2.0, 0.8))[None]
    occupied = occupied_bands(values[:, :1], -3.0)
    assert occupied == (1,)
    gap = find_gap(values, KPOINTS, occupied)
    assert gap.metal is True
    assert gap.gap_eV == 0.0


def test_an_edge_beyond_the_fermi_level_of_a_coarse_mesh_is_still_an_edge() -> None:
    values = spin((-6.0, 0.5), (6.0, 0.5))[None]
    occupied = occupied_bands(values[:, :1], -8.0)  # above the only valence state that was seen
    gap = find_gap(values, KPOINTS, occupied)
    assert gap.metal is False
    assert gap.gap_eV == pytest.approx(6.0)


def test_half_metal_has_a_gap_in_one_spin_only() -> None:
    values = np.array([spin((0.0, 0.5), (9.0, 0.5)), spin((-6.0, 0.5), (6.0, 0.5))])
    gap = find_gap(values, KPOINTS, occupied_bands(values, 0.0))
    assert gap.metal is True
    assert gap.spin_gaps_eV[0] == 0.0
    assert gap.spin_gaps_eV[1] == pytest.approx(6.0)


def test_edges_of_a_magnetic_insulator_may_lie_in_different_spins() -> None:
    up, down = spin((-5.0, 0.1), (5.0, 0.1)), spin((-7.0, 0.1), (3.0, 0.1))
    values = np.array([up, down])
    gap = find_gap(values, KPOINTS, occupied_bands(values, 0.0))
    assert gap.valence_top is not None
    assert gap.conduction_bottom is not None
    assert (gap.valence_top.spin, gap.conduction_bottom.spin) == (0, 1)
    assert gap.gap_eV == pytest.approx(8 - 12 * 0.1)
    assert gap.direct is False


def test_a_spin_without_electrons_has_no_valence_band() -> None:
    # One electron of hydrogen's kind: up full, down empty.
    values = np.array([spin((-6.0, 0.1), (6.0, 0.1)), spin((4.0, 0.1), (9.0, 0.1))])
    occupied = occupied_bands(values, 0.0)
    assert occupied == (1, 0)
    gap = find_gap(values, KPOINTS, occupied)
    assert gap.metal is False
    assert gap.gap_eV == pytest.approx(10 - 12 * 0.1)
    assert gap.spin_gaps_eV[1] is None


def test_without_an_empty_band_the_gap_is_unknown() -> None:
    values = spin((-6.0, 0.5))[None]
    gap = find_gap(values, KPOINTS, occupied_bands(values, 0.0))
    assert gap.metal is None
    assert gap.gap_eV is None
