"""The density of states of a crystal."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.special import erf

from bondwright.dft.brillouin import IrreducibleMesh, irreducible_mesh, standard_primitive
from bondwright.dft.calculation import Status
from bondwright.dft.engine import Engine
from bondwright.dft.fixed_density import FixedDensity
from bondwright.dft.kpoints import mesh
from bondwright.dft.settings import DftSettings
from bondwright.dft.task_state import ProgressCallback, TaskState, silent, task_inputs
from bondwright.errors import InputError
from bondwright.structure.records import atoms_to_json


class Broadening(StrEnum):
    """How discrete eigenvalues become a curve.

    `TETRAHEDRON` interpolates linearly between k-points and needs no width; `GAUSSIAN` gives every
    eigenvalue a width.
    """

    TETRAHEDRON = "tetrahedron"
    GAUSSIAN = "gaussian"


@dataclass(frozen=True)
class DensityOfStates:
    """States per energy and cell, both spins counted.

    Attributes:
        status: how the self-consistent calculation ended; numbers only when it converged.
        reason: stable slug when it did not; empty otherwise.
        message: one sentence for people; empty when all is well.
        atoms: the standardised primitive cell (Å).
        engine: name and version of the engine.
        mesh: the mesh of k-points.
        broadening: how it was broadened.
        energies_eV: (e,) middles of equal intervals, on the engine's scale.
        states_per_eV: (spins, e) states per eV and cell; without polarisation one row that counts
            both spins. The value is the mean over the interval.
        states_below: (spins, e) states of the cell below the end of each interval.
        fermi_eV: Fermi level of the self-consistent mesh.
        electrons: states below the Fermi level, all spins: the valence electrons of the cell, as
            closely as the mesh tells.
    """

    status: Status
    atoms: Atoms
    engine: str
    reason: str = ""
    message: str = ""
    mesh: tuple[int, int, int] | None = None
    broadening: Broadening | None = None
    energies_eV: NDArray[np.float64] | None = None
    states_per_eV: NDArray[np.float64] | None = None
    states_below: NDArray[np.float64] | None = None
    fermi_eV: float | None = None
    electrons: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        arrays = {
            key: None if getattr(self, key) is None else getattr(self, key).tolist()
            for key in ("energies_eV", "states_per_eV", "states_below")
        }
        return {
            "status": str(self.status),
            "reason": self.reason,
            "message": self.message,
            "atoms": atoms_to_json(self.atoms),
            "engine": self.engine,
            "mesh": self.mesh and list(self.mesh),
            "broadening": self.broadening and str(self.broadening),
            **arrays,
            "fermi_eV": self.fermi_eV,
            "electrons": self.electrons,
        }


def density_of_states(
    atoms: Atoms,
    engine: Engine,
    settings: DftSettings,
    folder: Path,
    *,
    kpoint_spacing_per_A: float = 0.12,  # noqa: N803 (a unit)
    broadening: Broadening = Broadening.TETRAHEDRON,
    width_eV: float = 0.1,  # noqa: N803
    interval_eV: float = 0.02,  # noqa: N803
    progress: ProgressCallback = silent,
) -> DensityOfStates:
    """Compute the density of states on a mesh of its own, at the fixed density of the ground state.

    Args:
        atoms: fully periodic structure (Å), any cell; it is reduced to the standard primitive one.
        engine: the program that solves it.
        settings: what the ground state is asked for.
        folder: where all is kept; the ground state is shared with `band_structure` of the same
            folder.
        kpoint_spacing_per_A: spacing of the mesh of the density of states, Å^-1 with 2 pi.
        broadening: how eigenvalues become a curve.
        width_eV: standard deviation of the Gaussians, eV; the tetrahedra need none.
        interval_eV: distance of the energies, eV.
        progress: called after every part.

    Returns:
        The density of states from the lowest band to the highest that is complete.

    Raises:
        InputError: the engine is missing or cannot do it, a number is not positive, or the folder
            holds the density of states of something else.
    """
    if not (width_eV > 0 and interval_eV > 0):
        raise InputError(
            "width and interval of a density of states must be positive numbers of eV."
        )
    primitive = standard_primitive(atoms, settings.spin)
    size = mesh(primitive, kpoint_spacing_per_A)
    state = TaskState(
        folder, "density-of-states", task_inputs(primitive, engine, settings, mesh=list(size))
    )
    version = f"{engine.name} {engine.version()}"
    with FixedDensity(primitive, engine, settings, folder, state, progress) as fixed:
        ground = fixed.ground
        if ground.status is not Status.CONVERGED or ground.fermi_eV is None:
            return DensityOfStates(ground.status, primitive, version, ground.reason, ground.message)
        points = irreducible_mesh(primitive, size, settings.spin)
        fixed.expect(len(points.kpoints))
        values = fixed.eigenvalues("mesh", points.kpoints)
    # Above the lowest top of the highest band, bands that were not computed would be missing.
    margin = 5 * width_eV if broadening is Broadening.GAUSSIAN else interval_eV
    first, last = values.min() - margin, values[:, :, -1].min()
    edges = np.arange(first, max(last, first + 2 * interval_eV), interval_eV)

    def below(energies: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = [
            _tetrahedron_count(spin, points, primitive, energies)
            if broadening is Broadening.TETRAHEDRON
            else _gaussian_count(spin, points.weights, energies, width_eV)
            for spin in values
        ]
        return np.array(rows) * (2 if len(values) == 1 else 1)

    counts = below(edges)
    dos = DensityOfStates(
        status=Status.CONVERGED,
        atoms=primitive,
        engine=version,
        mesh=size,
        broadening=broadening,
        energies_eV=(edges[1:] + edges[:-1]) / 2,
        states_per_eV=np.diff(counts, axis=1) / interval_eV,
        states_below=counts[:, 1:],
        fermi_eV=ground.fermi_eV,
        electrons=float(below(np.array([ground.fermi_eV])).sum()),
    )
    state.finish(dos.to_json())
    return dos


def _gaussian_count(
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    energies: NDArray[np.float64],
    width: float,
) -> NDArray[np.float64]:
    """Return the states of one spin below energies: (k, bands) values, (k,) weights, (e,)."""
    count = np.zeros(len(energies))
    for at_k, weight in zip(values, weights, strict=True):
        steps = 0.5 * (1 + erf((energies[:, None] - at_k[None, :]) / (np.sqrt(2) * width)))
        count += weight * steps.sum(axis=1)
    return count


def _tetrahedron_count(
    values: NDArray[np.float64],
    points: IrreducibleMesh,
    atoms: Atoms,
    energies: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the states of one spin below energies by linear tetrahedra.

    The formulas are those of P. E. Blöchl, O. Jepsen and O. K. Andersen, Phys. Rev. B 49, 16223
    (1994), doi 10.1103/PhysRevB.49.16223, appendix A (without their correction).

    Args:
        values: (k, bands) eigenvalues of the irreducible points, eV.
        points: the mesh.
        atoms: gives the reciprocal cell, whose shortest diagonal the tetrahedra share.
        energies: (e,) eV, ascending.
    """
    corners = _tetrahedra(points, atoms)
    count = np.zeros(len(energies))
    for band in values.T:
        e = np.sort(band[corners], axis=1)
        e1, e2, e3, e4 = e.T
        # A tetrahedron counts wholly for energies above it and partly for those within it.
        count += np.searchsorted(np.sort(e4), energies, side="right")
        within = np.searchsorted(energies, e1, side="right"), np.searchsorted(energies, e4)
        for at in range(int(within[0].min()), int(within[1].max())):
            some = (e1 < energies[at]) & (energies[at] < e4)
            if some.any():
                count[at] += _filled(energies[at], *(part[some] for part in (e1, e2, e3, e4))).sum()
    return count / len(corners)


def _filled(
    energy: float,
    e1: NDArray[np.float64],
    e2: NDArray[np.float64],
    e3: NDArray[np.float64],
    e4: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the share of tetrahedra below an energy that lies between their e1 and e4."""
    low, high = energy < e2, energy >= e3
    # A vanishing difference is met only in branches where it is not selected.
    with np.errstate(divide="ignore", invalid="ignore"):
        d = energy - e2
        first = (energy - e1) ** 3 / ((e2 - e1) * (e3 - e1) * (e4 - e1))
        middle = (
            (e2 - e1) ** 2
            + 3 * (e2 - e1) * d
            + 3 * d**2
            - (e3 - e1 + e4 - e2) / ((e3 - e2) * (e4 - e2)) * d**3
        ) / ((e3 - e1) * (e4 - e1))
        last = 1 - (e4 - energy) ** 3 / ((e4 - e1) * (e4 - e2) * (e4 - e3))
    return np.where(low, first, np.where(high, last, middle))


def _tetrahedra(points: IrreducibleMesh, atoms: Atoms) -> NDArray[np.int64]:
    """Return the irreducible points at the corners of six tetrahedra per cell of the mesh, (t, 4).

    The six share the cell's shortest diagonal, which keeps them compact.
    """
    steps = atoms.cell.reciprocal().array / np.asarray(points.size)[:, None]
    diagonals: Sequence[tuple[int, int, int]] = [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)]
    signs = np.array(min(diagonals, key=lambda s: float(np.linalg.norm(np.array(s) @ steps))))
    flipped = (signs < 0).astype(int)
    where = np.indices(points.size).reshape(3, -1).T
    found = []
    for order in permutations(range(3)):
        corner = np.zeros(3, dtype=int)
        corners = [corner.copy()]
        for axis in order:
            corner[axis] = 1
            corners.append(corner.copy())
        offsets = np.abs(np.array(corners) - flipped)  # the walk begins at the flipped corner
        at = (where[:, None, :] + offsets[None, :, :]) % np.asarray(points.size)
        found.append(points.full_to_irreducible[at[..., 0], at[..., 1], at[..., 2]])
    return np.concatenate(found)
