"""B-splines on a radial mesh: integrals of atomic wave functions to machine precision.

A function u(r) with u(0) = u(R) = 0 is a sum of B-splines of degree 7 whose knots are dense at the
nucleus and grow exponentially outwards. Between knots everything is a polynomial, so that
Gauss-Legendre quadrature of each interval is exact, or nearly so where 1/r stands.

Source: H. Bachau, E. Cormier, P. Decleva, J. E. Hansen, F. Martín, Rep. Prog. Phys. 64, 1815
(2001), doi 10.1088/0034-4885/64/12/205; C. Froese Fischer, Adv. At. Mol. Opt. Phys. 55, 235 (2008),
doi 10.1016/S1049-250X(07)55005-X.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import cho_solve, solve_triangular

Array = NDArray[np.float64]

DEGREE = 7
GROWTH = 0.16
"""Each interval between knots is exp(GROWTH) times as wide as the one before."""
FIRST_INTERVAL = 0.2
"""Width of the first interval in units of the radius 1/Z of the 1s shell, Bohr."""
OUTER_RADIUS = 60.0
"""Bohr; u of the most diffuse atom (caesium) is below 1e-12 there."""


class SplineBasis:
    """Orthonormal splines for one nuclear charge, with the integrals of Hartree-Fock theory.

    The functions χ_i are the B-splines that vanish at both ends, made orthonormal.

    Attributes:
        r: (q,) quadrature points, Bohr.
        weights: (q,) quadrature weights, Bohr.
        values: (q, n) χ_i at the quadrature points, Bohr^-½.
    """

    def __init__(self, nuclear_charge: int) -> None:
        """Place the knots for a nucleus of charge `nuclear_charge` (elementary charges)."""
        knots = exponential_mesh(FIRST_INTERVAL / nuclear_charge, GROWTH)
        abscissae, weights = np.polynomial.legendre.leggauss(DEGREE + 3)
        widths = np.diff(knots)[:, None]
        self.r: Array = (knots[:-1, None] + widths * (abscissae + 1) / 2).ravel()
        self.weights: Array = (widths * weights / 2).ravel()
        padded = np.pad(knots, DEGREE, mode="edge")
        self._splines = BSpline(padded, np.eye(len(padded) - DEGREE - 1), DEGREE)
        # The first spline does not vanish at the nucleus; a potential, unlike a wave function, need
        # not vanish at the last knot.
        self._potentials: Array = self._splines(self.r)[:, 1:]
        self._slopes: Array = self._splines(self.r, 1)[:, 1:]
        plain = self._potentials[:, :-1]
        overlap = np.linalg.cholesky((plain.T * self.weights) @ plain)
        self._mixing: Array = solve_triangular(overlap, np.eye(len(overlap)), lower=True).T
        self.values: Array = plain @ self._mixing
        self._factors: dict[int, Array] = {}

    def integrals(self, f: Array) -> Array:
        """Return (n, n) ∫ χ_i f χ_j dr for f given at the quadrature points."""
        return np.asarray((self.values.T * (self.weights * f)) @ self.values)

    def kinetic(self, angular: int) -> Array:
        """Return (n, n) ½ ∫ χ_i' χ_j' dr + ½ l(l+1) ∫ χ_i χ_j / r² dr, Hartree."""
        slopes = self._slopes[:, :-1] @ self._mixing
        radial = (slopes.T * self.weights) @ slopes
        return np.asarray((radial + angular * (angular + 1) * self.integrals(self.r**-2)) / 2)

    def repulsion(self, density: Array) -> Array:
        """Return ∫ ρ(r') / max(r, r') dr' at the quadrature points, Hartree.

        Args:
            density: (q,) ρ, electrons in a shell of unit width, at the quadrature points, 1/Bohr.
        """
        source = self._potentials.T @ (self.weights * density / self.r)
        return np.asarray(self._potentials @ cho_solve((self._factor(0), True), source) / self.r)

    def exchange(self, order: int, u: Array) -> Array:
        """Return (n, n) ∫∫ χ_i(r) u(r) r<^k / r>^(k+1) u(r') χ_j(r') dr dr', Hartree.

        The inner integral is Y/r, where Y solves Hartree's equation for ρ = χ_j u,
        Y'' - k(k+1)/r² Y = -(2k+1) ρ/r with Y(0) = 0 and, outside the charge, Y' = -(k/r) Y, by
        Galerkin's method in the splines.

        Args:
            order: k.
            u: (q,) radial wave function at the quadrature points.
        """
        mixed = (self._potentials.T * (self.weights * u / self.r)) @ self.values
        half = solve_triangular(self._factor(order), mixed, lower=True)
        return np.asarray(half.T @ half)

    def evaluate(self, coefficients: Array, r: Array) -> Array:
        """Return (m, ...) wave functions with (n, ...) coefficients at radii r (m,), Bohr."""
        return np.asarray(self._splines(r)[:, 1:-1] @ (self._mixing @ coefficients))

    def _factor(self, order: int) -> Array:
        """Return the Cholesky factor of Hartree's operator of order k divided by 2k+1."""
        if order not in self._factors:
            inside = (self._potentials.T * (self.weights * order * (order + 1) / self.r**2)) @ (
                self._potentials
            )
            operator = (self._slopes.T * self.weights) @ self._slopes + inside
            operator[-1, -1] += order / OUTER_RADIUS
            self._factors[order] = np.asarray(np.linalg.cholesky(operator / (2 * order + 1)), float)
        return self._factors[order]


def exponential_mesh(first: float, growth: float) -> Array:
    """Return radii from 0 to `OUTER_RADIUS` whose intervals grow by exp(growth), Bohr.

    Args:
        first: width of the first interval, Bohr; made slightly smaller so that the mesh fits.
        growth: logarithm of the ratio of two neighbouring intervals.
    """
    intervals = int(np.ceil(np.log1p(OUTER_RADIUS * np.expm1(growth) / first) / growth))
    steps = np.expm1(growth * np.arange(intervals + 1))
    return np.asarray(OUTER_RADIUS * steps / steps[-1])
