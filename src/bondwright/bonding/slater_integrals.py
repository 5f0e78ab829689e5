"""Ground states of neutral atoms: their shells and the Slater integrals in their energy.

The energy of an LS term is, with I the one-electron integrals,

    E = Σ_a q_a I_a + Σ_a Σ_k f_k(a) F^k(aa) + Σ_{a<b} [ q_a q_b F^0(ab) + Σ_k g_k(ab) G^k(ab) ].

Hund's ground term of one open shell l^n, alone or with a half-filled s shell, holds one Slater
determinant: spins up first, m = l, l-1, ...; its f_k and g_k are sums over pairs of its electrons
(J. C. Slater, Quantum Theory of Atomic Structure, McGraw-Hill 1960, vol. 1, ch. 13 and 14). Where a
shell is full the sums are Slater's averages of the configuration. Two open shells that both have
l > 0 (Ce, Gd, Pa, U, Np, Cm) have no such simple ground term: between those two shells the average
of the configuration is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from ase.data import atomic_numbers
from scipy.special import sph_harm_y

from bondwright.errors import InputError, nearest

LAST_ATOMIC_NUMBER = 103

_LETTERS = "spdfg"
_EXCEPTIONS = {
    "Cr": "3d5 4s1", "Cu": "3d10 4s1", "Nb": "4d4 5s1", "Mo": "4d5 5s1", "Ru": "4d7 5s1",
    "Rh": "4d8 5s1", "Pd": "4d10 5s0", "Ag": "4d10 5s1", "La": "4f0 5d1", "Ce": "4f1 5d1",
    "Gd": "4f7 5d1", "Pt": "5d9 6s1", "Au": "5d10 6s1", "Ac": "5f0 6d1", "Th": "5f0 6d2",
    "Pa": "5f2 6d1", "U": "5f3 6d1", "Np": "5f4 6d1", "Cm": "5f7 6d1", "Lr": "6d0 7p1",
}  # fmt: skip
"""Atoms whose shells are not filled in Madelung's order, from NIST's Atomic Spectra Database
(doi 10.18434/T4W30F)."""


@dataclass(frozen=True, order=True)
class Shell:
    """One occupied shell of an atom.

    Attributes:
        n: principal quantum number.
        l: angular momentum.
        electrons: 1 .. 4l+2.
    """

    n: int
    l: int  # noqa: E741 (the field's own name)
    electrons: int

    @property
    def label(self) -> str:
        """The shell's name, e.g. "3d"."""
        return f"{self.n}{_LETTERS[self.l]}"

    @property
    def is_open(self) -> bool:
        """Whether the shell has holes."""
        return self.electrons < 4 * self.l + 2

    def spin_orbitals(self) -> list[tuple[int, int]]:
        """Return (m, spin) of the electrons of Hund's ground term with the largest M_L and M_S."""
        orbitals = [(m, spin) for spin in (1, 0) for m in range(self.l, -self.l - 1, -1)]
        return orbitals[: self.electrons]


def ground_state_shells(symbol: str) -> list[Shell]:
    """Return the occupied shells of a neutral atom in its ground state, by n and l.

    Raises:
        InputError: no such element, or none with a known configuration here.
    """
    number = atomic_numbers.get(symbol, 0)
    if not 1 <= number <= LAST_ATOMIC_NUMBER:
        known = [name for name, z in atomic_numbers.items() if 1 <= z <= LAST_ATOMIC_NUMBER]
        raise InputError(
            f"no atomic ground state is known for element {symbol!r}; H to Lr are."
            + nearest(symbol, known)
        )
    filled: dict[tuple[int, int], int] = {}
    left = number
    madelung = sorted((n + l, n, l) for n in range(1, 8) for l in range(min(n, 4)))  # noqa: E741
    for _, n, l in madelung:  # noqa: E741
        filled[n, l] = min(left, 4 * l + 2)
        left -= filled[n, l]
    for entry in _EXCEPTIONS.get(symbol, "").split():
        filled[int(entry[0]), _LETTERS.index(entry[1])] = int(entry[2:])
    return [Shell(n, l, q) for (n, l), q in sorted(filled.items()) if q]  # noqa: E741


def exchange_coefficients(a: Shell, b: Shell) -> dict[int, float]:
    """Return the g_k(ab) of two shells, or the f_k(a) of a shell with itself without q²/2 in k = 0.

    With c^k the Gaunt coefficients, two electrons (m, spin) and (m', spin') of the determinant
    contribute c^k(m, m) c^k(m', m') to F^k(aa) and, their spins being the same, -c^k(m, m')² to
    G^k(ab). So f_0(a) = q²/2 - q/2, of which -q/2 is given here: the electron's own repulsion.

    Returns:
        Coefficient by order k; orders whose coefficient vanishes by symmetry are left out.
    """
    orders = range(abs(a.l - b.l), a.l + b.l + 1, 2)
    if a == b:
        return {k: _self_energy(a, k) / 2 for k in orders}
    if a.is_open and b.is_open and a.l and b.l:
        share = -a.electrons * b.electrons / 2
        scale = np.sqrt((2 * a.l + 1) * (2 * b.l + 1))
        return {k: share * gaunt(k, a.l, 0, b.l, 0) / scale for k in orders}
    return {
        k: -sum(
            gaunt(k, a.l, m, b.l, other) ** 2
            for m, spin in a.spin_orbitals()
            for other, other_spin in b.spin_orbitals()
            if spin == other_spin
        )
        for k in orders
    }


def _self_energy(shell: Shell, k: int) -> float:
    electrons, angular = shell.spin_orbitals(), shell.l
    total = 0.0 if k else -float(len(electrons) ** 2)
    for m, spin in electrons:
        for other, other_spin in electrons:
            total += gaunt(k, angular, m, angular, m) * gaunt(k, angular, other, angular, other)
            if spin == other_spin:
                total -= gaunt(k, angular, m, angular, other) ** 2
    return total


@cache
def gaunt(k: int, l: int, m: int, other_l: int, other_m: int) -> float:  # noqa: E741
    """Return c^k(lm, l'm') = √(4π/(2k+1)) ∫ Y*_lm Y_k,m-m' Y_l'm' dΩ.

    The integral over the polar angle is done with Gauss-Legendre quadrature, exactly.
    """
    if abs(m - other_m) > k:
        return 0.0
    x, weights = np.polynomial.legendre.leggauss(12)
    polar = np.arccos(x)
    product = (
        sph_harm_y(l, m, polar, 0.0)
        * sph_harm_y(k, m - other_m, polar, 0.0)
        * sph_harm_y(other_l, other_m, polar, 0.0)
    )
    return float(np.sqrt(4 * np.pi / (2 * k + 1)) * 2 * np.pi * (weights @ product.real))
