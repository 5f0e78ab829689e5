"""Atomic orbitals for bond strengths, written as GPAW basis files.

Each element gets two sets of functions on one atom:

* the **projection set**: one function per (n, l) that the PAW set treats as valence and that the
  neutral atom occupies (Cu 3s 3p 3d 4s, Zr 4s 4p 4d 5s, O 2s 2p). Its radial parts are those of
  the free atom, unconfined but for a smooth end far outside: bond strengths are defined by them.
* the **flexible set**: split-valence and polarisation functions as GPAW's basis generator makes
  them, which only give the occupied bands room to relax.

The compact set, with which the density is converged, has confined functions instead; GPAW's
scheme is that of Larsen et al., Phys. Rev. B 80, 195112 (2009), doi 10.1103/PhysRevB.80.195112.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from ase.units import Hartree
from numpy.typing import NDArray

from bondwright.bonding.hartree_fock import AtomicOrbitals, hartree_fock_orbitals
from bondwright.bonding.paw_data import read_data, setup_name
from bondwright.structure.write import write_text

ORBITALS = ("pbe", "hartree-fock")
_LETTERS = "spdf"
_PREFIX = "bonds-"
COMPACT = f"{_PREFIX}compact"
_GRID_STEP = 1.0 / 64  # Bohr; what GPAW's own basis files use
_SEMICORE_EV = -20.0
_LAST_HARTREE_FOCK = 54  # beyond, s shells shrink too much by relativity
_TAIL = 1e-3  # share of the charge outside the radius at which the smooth end begins
_END = 1.3  # where the function is zero, over the radius at which its end begins
_MAX_RADIUS = 16.0  # Bohr
_NONMETALS = frozenset(
    ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Ge", "As", "Se", "Br", "Te", "I")
)


@dataclass(frozen=True)
class Shell:
    """One atomic orbital of the projection set.

    Attributes:
        n: principal quantum number.
        l: angular momentum.
        index: its place among the waves of the PAW set.
    """

    n: int
    l: int  # noqa: E741 (the field's own letter)
    index: int

    @property
    def name(self) -> str:
        """Return e.g. "4s"."""
        return f"{self.n}{_LETTERS[self.l]}"


def projection_shells(data: Any) -> tuple[Shell, ...]:
    """Return the orbitals onto which bands are projected, from GPAW's `SetupData`.

    These are the valence states that the atom occupies; an empty s shell counts where the set has
    no occupied one (Pd).
    """
    states = list(zip(data.n_j, data.l_j, data.f_j, strict=True))
    has_s = any(n > 0 and ell == 0 and f > 0 for n, ell, f in states)
    return tuple(
        Shell(int(n), int(ell), j)
        for j, (n, ell, f) in enumerate(states)
        if n > 0 and (f > 0 or (ell == 0 and not has_s))
    )


def basis_name(orbitals: str) -> str:
    """Return the name under which `write_basis` files the projection and flexible set."""
    return f"{_PREFIX}{orbitals}"


def write_basis(element: str, name: str, folder: Path) -> None:
    """Write one of an element's basis files, unless it is there.

    Args:
        element: chemical symbol; its PAW set must be there (`paw_data.ensure_data`).
        name: `COMPACT`, or `basis_name` of the free-atom orbitals that the projection set takes.
        folder: where the file goes; GPAW must search there.
    """
    prefix = element if setup_name(element) == "paw" else f"{element}.{setup_name(element)}"
    path = folder / f"{prefix}.{name}.basis"
    if path.is_file():
        return
    from gpaw.atom.all_electron import ValenceData
    from gpaw.atom.basis import BasisMaker

    data = read_data(element)
    maker = BasisMaker(ValenceData.from_setupdata_onthefly_potentials(data), run=False)
    if name == COMPACT:
        zetas = 2 if element in _NONMETALS else 1
        functions = _generated(maker, zetas=zetas, energy_shift_eV=0.3)
    else:
        shells = projection_shells(data)
        functions = _free_orbitals(maker, element, shells, name.removeprefix(_PREFIX))
        flexible = _generated(maker, zetas=2, energy_shift_eV=0.3)
        functions += [f for f in flexible if _is_extra(f, maker, shells)]
    _write(path, element, name, functions)


def _free_orbitals(maker: Any, element: str, shells: tuple[Shell, ...], orbitals: str) -> list[Any]:
    """Return the free atom's orbitals as GPAW's basis functions; the atom is solved once."""
    atom = None
    if orbitals == "hartree-fock" and atomic_numbers[element] <= _LAST_HARTREE_FOCK:
        atom = hartree_fock_orbitals(element)
    return [
        _free_orbital(maker, shell, _free_wave(maker, atom, shell), f"free atom, {orbitals}")
        for shell in shells
    ]


def _free_orbital(maker: Any, shell: Shell, u: NDArray[np.float64], kind: str) -> Any:
    """Return a free atom's orbital with a smooth end, as GPAW's basis function."""
    from gpaw.basis_data import BasisFunction
    from gpaw.utilities import divrl

    r, dr = maker.rgd.r_g, maker.rgd.dr_g
    outside = np.cumsum((dr * u**2)[::-1])[::-1]
    begin = float(r[np.argmax(outside < _TAIL)])
    end = min(_END * begin, _MAX_RADIUS)
    begin = min(begin, end / _END)
    x = np.clip((r - begin) / (end - begin), 0.0, 1.0)
    u = u * (1.0 - x**3 * (6 * x**2 - 15 * x + 10))
    u = u / np.sqrt(np.dot(dr, u**2))
    smooth = divrl(maker.smoothify(u, shell.index), 1, r)
    grid = np.arange(0.0, end + _GRID_STEP, _GRID_STEP)
    spline = maker.rgd.spline(smooth, r[maker.rgd.floor(grid[-1])], shell.l, points=200)
    values = np.array([spline(x) * x**shell.l for x in grid])
    values[-1] = 0.0
    label = f"{shell.name}-sz {kind}"
    return BasisFunction(shell.n, shell.l, float(grid[-1]), values, label)


def _free_wave(maker: Any, atom: AtomicOrbitals | None, shell: Shell) -> NDArray[np.float64]:
    """Return u(r) = r R(r) on the PAW set's grid: Hartree-Fock where there is one, else PBE."""
    if atom is not None and (found := atom.orbitals.get(shell.name)) is not None:
        wave = np.interp(maker.rgd.r_g, atom.r_bohr, found.u, right=0.0)
        return np.asarray(wave, dtype=float)
    u, _ = maker.valence_data.solve_confined(shell.index, _MAX_RADIUS, None)
    return np.where(np.abs(u) < 1e-150, 0.0, u)


def _is_extra(function: Any, maker: Any, shells: tuple[Shell, ...]) -> bool:
    """Say whether a generated function widens the projection set instead of repeating it."""
    if "polarization" in function.type:
        return True
    if "sz" in function.type:
        return False
    shell = int(function.type[0]), _LETTERS.index(function.type[1])
    energies = {(s.n, s.l): maker.valence_data.e_j[s.index] for s in shells}
    return shell in energies and float(energies[shell]) * Hartree > _SEMICORE_EV


def _generated(maker: Any, *, zetas: int, energy_shift_eV: float) -> list[Any]:  # noqa: N803
    """Return the functions of GPAW's own confined scheme, on the equidistant grid."""
    data = maker.valence_data
    has_valence_p = any(
        ell == 1 and f > 0 and e * Hartree > _SEMICORE_EV
        for ell, f, e in zip(data.l_j, data.f_j, data.e_j, strict=True)
    )
    made = maker.generate(
        zetacount=zetas,
        polarizationcount=1,
        energysplit=energy_shift_eV,
        txt=io.StringIO(),
        l_pol=2 if has_valence_p else 1,  # d for the p block, the empty p shell for metals
    )
    return list(made.bf_j)


def _write(path: Path, element: str, name: str, functions: list[Any]) -> None:
    """Write a basis file; complete or not at all."""
    from gpaw.atom.radialgd import EquidistantRadialGridDescriptor
    from gpaw.basis_data import Basis

    points = max(len(f.phit_g) for f in functions)
    grid = EquidistantRadialGridDescriptor(_GRID_STEP, points)
    for function in functions:
        function.ng = len(function.phit_g)
    basis = Basis(element, name, rgd=grid, bf_j=functions)
    text = io.StringIO()
    basis.write_to(text)
    write_text(path, text.getvalue())
