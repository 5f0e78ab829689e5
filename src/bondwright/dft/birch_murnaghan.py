"""The Birch-Murnaghan equation of state: energy against volume of a solid under pressure."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.units import GPa

from bondwright.errors import InputError

PARAMETERS = 4
_FAR = 2 ** (2 / 3)  # in V^(-2/3): half the smallest volume, twice the largest


@dataclass(frozen=True)
class BirchMurnaghan:
    """The third-order Birch-Murnaghan curve through energies of a solid.

    Attributes:
        volume_A3: volume at the minimum, Å³, of the same cell as the volumes that were fitted.
        energy_eV: energy at the minimum, eV.
        bulk_modulus_GPa: B0 = V d²E/dV² at the minimum, GPa.
        pressure_derivative: B0' = dB/dP at the minimum, without a unit.
        residual_eV: root mean square of energy minus curve, eV; 0 where four points are fitted.
    """

    volume_A3: float
    energy_eV: float
    bulk_modulus_GPa: float
    pressure_derivative: float
    residual_eV: float

    def energies(self, volumes: Sequence[float]) -> list[float]:
        """Return the energy (eV) at volumes (Å³)."""
        ratio = (self.volume_A3 / np.asarray(volumes, dtype=float)) ** (2 / 3) - 1
        scale = 9 / 16 * self.bulk_modulus_GPa * GPa * self.volume_A3
        cubic = (self.pressure_derivative - 4) * ratio**3 + 2 * ratio**2
        return [float(e) for e in self.energy_eV + scale * cubic]


def fit_birch_murnaghan(volumes: Sequence[float], energies: Sequence[float]) -> BirchMurnaghan:
    """Fit the third-order Birch-Murnaghan equation of state.

    The energy is a cubic in x = V^(-2/3) (F. Birch, Phys. Rev. 71, 809 (1947),
    doi 10.1103/PhysRev.71.809), so the fit is linear and has one solution.

    Args:
        volumes: (n,) Å³, n >= 4, not all equal.
        energies: (n,) eV.

    Returns:
        The curve. Whether its minimum lies among the volumes is the caller's question.

    Raises:
        InputError: too few or equal volumes, or the curve has no minimum.
    """
    v, e = np.asarray(volumes, dtype=float), np.asarray(energies, dtype=float)
    if len(v) != len(e) or len(np.unique(v)) < PARAMETERS:
        raise InputError(
            f"an equation of state needs {PARAMETERS} different volumes with their energies, not "
            f"{len(np.unique(v))}; compute more points."
        )
    if not (np.isfinite(v).all() and np.isfinite(e).all() and (v > 0).all()):
        raise InputError("an equation of state needs finite energies and volumes above zero.")
    middle, lowest = float(np.median(v)), float(e.min())
    # x is near 1 and the energies near 0, which keeps the normal equations well conditioned.
    x = (middle / v) ** (2 / 3)
    centre = float(x.mean())
    curve = np.polynomial.Polynomial.fit(x, e - lowest, PARAMETERS - 1).convert()
    slope, second, third = (curve.deriv(n) for n in (1, 2, 3))
    found = np.asarray(slope.roots(), dtype=complex)
    roots = [float(r.real) for r in found if abs(r.imag) < 1e-9 and r.real > 0]
    # A cubic through points without a minimum may have one far away; that one means nothing.
    near = (float(x.min()) / _FAR, float(x.max()) * _FAR)
    minima = [r for r in roots if second(r) > 0 and near[0] < r < near[1]]
    if not minima:
        raise InputError(
            "no Birch-Murnaghan curve with a minimum goes through these energies; look for a "
            "point that did not converge, or for a phase transition inside the range."
        )
    best = min(minima, key=lambda r: abs(r - centre))
    # dx/dV = -(2/3) x / V, and dE/dx = 0 at the minimum.
    e2, e3 = float(second(best)), float(third(best))
    volume = middle * best ** (-3 / 2)
    bulk = 4 / 9 * best**2 * e2 / volume
    derivative = 4 + 2 / 3 * best * e3 / e2
    return BirchMurnaghan(
        volume_A3=volume,
        energy_eV=lowest + float(curve(best)),
        bulk_modulus_GPa=bulk / GPa,
        pressure_derivative=derivative,
        residual_eV=float(np.sqrt(np.mean((e - lowest - curve(x)) ** 2))),
    )
