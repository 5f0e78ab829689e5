"""Hartree-Fock orbitals of free atoms, the functions that bond strengths are projected on.

Restricted, non-relativistic Hartree-Fock of a neutral atom in the LS term of its ground state: the
limit that the Roothaan-Hartree-Fock tables of C. F. Bunge, J. A. Barrientos and A. V. Bunge, At.
Data Nucl. Data Tables 53, 113 (1993), doi 10.1006/adnd.1993.1003, approach with Slater functions.
Each shell a has one radial function u_a(r) = r R_a(r), whatever m and spin. Minimising the energy
of `slater_integrals` under orthonormality gives, for each shell,

    F_a u_a = ε_a u_a + Σ_{b≠a} ε_ab u_b,
    F_a = h_l + Σ_b q_b Y^0(bb)/r + Σ_b Σ_k x_k(ab) K^k_b,

with h_l = -½ d²/dr² + l(l+1)/(2r²) - Z/r, K^k_b u = u_b Y^k(u_b u)/r, x_k(ab) = g_k(ab)/q_a and
x_k(aa) = 2 f_k(a)/q_a, where the q²/2 of f_0 is already in the second sum (C. Froese Fischer, The
Hartree-Fock Method for Atoms, Wiley 1977). Full shells of one l share one operator. An open shell
has its own; one symmetric operator per l then has all shells as eigenfunctions:

    R_ab = (q_a F_a - q_b F_b)_ab / (q_a - q_b)

(C. C. J. Roothaan, Rev. Mod. Phys. 32, 179 (1960), doi 10.1103/RevModPhys.32.179). It is iterated
with the direct inversion of P. Pulay, J. Comput. Chem. 3, 556 (1982),
doi 10.1002/jcc.540030413.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from bondwright.bonding.radial_grid import SplineBasis, exponential_mesh
from bondwright.bonding.slater_integrals import Shell, exchange_coefficients, ground_state_shells

Array = NDArray[np.float64]

MAX_ITERATIONS = 200
TOLERANCE = 2e-8
"""Largest angle, radian, by which another step would turn a shell; energies err by its square."""
SMALLEST_GAP = 0.05
"""Hartree; smaller gaps count as this one where angles are estimated."""
OUTPUT_FIRST = 0.002
"""First interval of the radii given out, in units of 1/Z Bohr."""
OUTPUT_GROWTH = 0.01
_HISTORY = 8


@dataclass(frozen=True)
class AtomicOrbital:
    """One radial function of a free atom.

    Attributes:
        n: principal quantum number.
        l: angular momentum.
        occupation: electrons in the shell, 1 .. 4l+2.
        energy_hartree: ε, Hartree; by Koopmans' theorem minus the ionisation energy.
        mean_r_bohr: <r>, Bohr.
        mean_inverse_r: <1/r>, 1/Bohr.
        u: (m,) r R(r) at the radii of `AtomicOrbitals`, Bohr^-½; ∫ u² dr = 1; its largest lobe is
            positive.
    """

    n: int
    l: int  # noqa: E741 (the field's own name)
    occupation: int
    energy_hartree: float
    mean_r_bohr: float
    mean_inverse_r: float
    u: Array


@dataclass(frozen=True)
class AtomicOrbitals:
    """The occupied shells of a neutral atom.

    Attributes:
        symbol: element.
        r_bohr: (m,) radii from 0 outwards, Bohr; intervals grow by a constant factor.
        orbitals: by label, e.g. "4s"; by n, then l.
        energy_hartree: total energy, Hartree.
        virial_ratio: potential over kinetic energy; -2 for the exact solution.
        iterations: steps until self-consistency.
    """

    symbol: str
    r_bohr: Array
    orbitals: dict[str, AtomicOrbital]
    energy_hartree: float
    virial_ratio: float
    iterations: int


def hartree_fock_orbitals(symbol: str) -> AtomicOrbitals:
    """Return the Hartree-Fock orbitals of a neutral atom in its ground term, H to Lr.

    Two open shells with l > 0 each (Ce, Gd, Pa, U, Np, Cm) are coupled as the average of the
    configuration, 0.02 to 0.03 Hartree above the ground term where that is known; every other atom
    is in the term that Hund's rules name. An average over all terms, which is not taken here, would
    widen half-filled shells: Mo 5s by 6 %, Nb 5s by 6 %, Mn 3d by 2.5 %, Zr 4d by 1.5 %.

    A heavy atom takes half a second, one of the fourth or fifth period a fifth of one. The atom is
    not relativistic: beyond xenon the s and p shells of a real one are narrower.

    Raises:
        InputError: no such element.
        RuntimeError: not self-consistent after `MAX_ITERATIONS` steps.
    """
    field = _Field(atomic_numbers.get(symbol, 0), ground_state_shells(symbol))
    iterations = field.solve()
    return field.result(symbol, iterations)


class _Field:
    """The self-consistent field of one atom.

    Vectors and matrices are in the orthonormal splines of `SplineBasis`, one block per l.
    """

    def __init__(self, nuclear_charge: int, shells: list[Shell]) -> None:
        self.charge, self.shells = nuclear_charge, shells
        self.basis = SplineBasis(nuclear_charge)
        self.members = {
            angular: [i for i, shell in enumerate(shells) if shell.l == angular]
            for angular in sorted({shell.l for shell in shells})
        }
        self.weights = [
            [
                {
                    k: c * (2 if a == b else 1) / a.electrons
                    for k, c in exchange_coefficients(a, b).items()
                }
                for b in shells
            ]
            for a in shells
        ]
        self.bare = {
            angular: self.basis.kinetic(angular)
            - nuclear_charge * self.basis.integrals(1 / self.basis.r)
            for angular in self.members
        }
        screening = self.basis.integrals(_screening(nuclear_charge, self.basis.r))
        self.vectors = {
            angular: np.linalg.eigh(bare + screening)[1] for angular, bare in self.bare.items()
        }

    def solve(self) -> int:
        """Iterate to self-consistency; return the number of steps."""
        operators: list[list[Array]] = []
        errors: list[Array] = []
        for step in range(1, MAX_ITERATIONS + 1):
            focks = self.fock_operators()
            coupled = [self.coupled(angular, focks) for angular in self.members]
            blocks = list(zip(self.members, coupled, strict=True))
            if max(self.largest_angle(*block) for block in blocks) < TOLERANCE:
                return step
            error = np.concatenate([self.commutator(*block).ravel() for block in blocks])
            operators, errors = [*operators, coupled][-_HISTORY:], [*errors, error][-_HISTORY:]
            mix = _pulay_coefficients(errors)
            for block, angular in enumerate(self.members):
                mixed = sum(c * past[block] for c, past in zip(mix, operators, strict=True))
                self.vectors[angular] = np.linalg.eigh(mixed)[1]
        raise RuntimeError(f"no self-consistent field of the atom with Z = {self.charge}.")

    def occupied(self) -> Array:
        """Return (n, shells) coefficients of the shells."""
        columns = np.empty((self.basis.values.shape[1], len(self.shells)))
        for angular, members in self.members.items():
            columns[:, members] = self.vectors[angular][:, : len(members)]
        return columns

    def fock_operators(self) -> list[Array]:
        """Return F_a of each shell, (n, n), Hartree."""
        u = self.basis.values @ self.occupied()
        electrons = np.array([shell.electrons for shell in self.shells])
        repulsion = self.basis.integrals(self.basis.repulsion(u**2 @ electrons))
        focks = [self.bare[shell.l] + repulsion for shell in self.shells]
        for b in range(len(self.shells)):
            orders = {k for row in self.weights for k in row[b]}
            exchange = {k: self.basis.exchange(k, u[:, b]) for k in orders}
            for fock, row in zip(focks, self.weights, strict=True):
                for k, weight in row[b].items():
                    fock += weight * exchange[k]
        return focks

    def coupled(self, angular: int, focks: list[Array]) -> Array:
        """Return the one symmetric operator of all shells of one l, (n, n), Hartree."""
        vectors, members = self.vectors[angular], self.members[angular]
        # Functions outside the shells feel the field of the outermost one.
        turned = {a: vectors.T @ focks[a] @ vectors for a in members}
        operator = turned[members[-1]].copy()
        for i, a in enumerate(members):
            operator[i, :] = operator[:, i] = turned[a][i]
        for i, a in enumerate(members):
            for j, b in enumerate(members[:i]):
                q_a, q_b = self.shells[a].electrons, self.shells[b].electrons
                if q_a != q_b:
                    value = (q_a * turned[a][i, j] - q_b * turned[b][i, j]) / (q_a - q_b)
                    operator[i, j] = operator[j, i] = value
        return np.asarray(vectors @ operator @ vectors.T)

    def commutator(self, angular: int, operator: Array) -> Array:
        """Return (n, n) the operator's commutator with the density: zero at self-consistency."""
        shells = self.occupied()[:, self.members[angular]]
        density = (shells * [self.shells[i].electrons for i in self.members[angular]]) @ shells.T
        return np.asarray(operator @ density - density @ operator)

    def largest_angle(self, angular: int, operator: Array) -> float:
        """Return the largest angle by which the operator would turn a shell, radian.

        To first order the angle between shell a and another function b is R_ab / (R_aa - R_bb).
        Unlike the commutator it is free of the rounding in the kinetic energy of the narrowest
        splines, which grows as Z².
        """
        vectors, filled = self.vectors[angular], len(self.members[angular])
        turned = vectors.T @ operator @ vectors
        levels = np.diag(turned)
        gaps = np.maximum(np.abs(levels[:filled, None] - levels), SMALLEST_GAP)
        angles = np.abs(turned[:filled]) / gaps
        np.fill_diagonal(angles, 0)
        return float(angles.max())

    def result(self, symbol: str, iterations: int) -> AtomicOrbitals:
        """Return energies, moments and radial functions of the field as it stands."""
        focks = self.fock_operators()
        columns = self.occupied()
        u = self.basis.values @ columns
        r = exponential_mesh(OUTPUT_FIRST / self.charge, OUTPUT_GROWTH)
        outside = self.basis.evaluate(columns, r)
        orbitals: dict[str, AtomicOrbital] = {}
        total = kinetic = 0.0
        for a, shell in enumerate(self.shells):
            vector = columns[:, a]
            energy = float(vector @ focks[a] @ vector)
            total += shell.electrons * (energy + float(vector @ self.bare[shell.l] @ vector)) / 2
            kinetic += shell.electrons * float(vector @ self.basis.kinetic(shell.l) @ vector)
            weights = self.basis.weights * u[:, a] ** 2
            orbitals[shell.label] = AtomicOrbital(
                n=shell.n,
                l=shell.l,
                occupation=shell.electrons,
                energy_hartree=energy,
                mean_r_bohr=float(weights @ self.basis.r),
                mean_inverse_r=float(weights @ (1 / self.basis.r)),
                u=outside[:, a] * np.sign(outside[np.abs(outside[:, a]).argmax(), a]),
            )
        return AtomicOrbitals(symbol, r, orbitals, total, (total - kinetic) / kinetic, iterations)


def _screening(nuclear_charge: int, r: Array) -> Array:
    """Return a first guess of the electrons' potential, Hartree.

    Thomas and Fermi's atom in T. Tietz's form, J. Chem. Phys. 22, 2094 (1954), of Z - 1 electrons,
    which leaves every electron the charge of an ion.
    """
    share = (1 + 0.53625 * r * nuclear_charge ** (1 / 3) / 0.88534) ** -2
    return np.asarray((nuclear_charge - 1) * (1 - share) / r)


def _pulay_coefficients(errors: list[Array]) -> Array:
    """Return the weights of earlier operators, sum 1, that make the combined error smallest."""
    stack = np.array(errors)
    products = stack @ stack.T
    size = len(errors)
    system = np.ones((size + 1, size + 1))
    system[:size, :size] = products / products[-1, -1]
    system[size, size] = 0.0
    target = np.zeros(size + 1)
    target[size] = 1.0
    return np.asarray(np.linalg.lstsq(system, target, rcond=None)[0][:size])
