"""The band structure of a crystal along the standard path, and its gap."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.dft.brillouin import (
    CONVENTION,
    KPath,
    irreducible_mesh,
    standard_path,
    standard_primitive,
)
from bondwright.dft.calculation import Status
from bondwright.dft.engine import Engine
from bondwright.dft.fixed_density import FixedDensity
from bondwright.dft.gaps import Gap, find_gap, occupied_bands
from bondwright.dft.kpoints import mesh_of
from bondwright.dft.settings import DftSettings
from bondwright.dft.task_state import ProgressCallback, TaskState, silent, task_inputs
from bondwright.structure.records import atoms_to_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BETWEEN = 3  # k-points that look for an edge on either side of where the path has it
_SAME = 1e-9


@dataclass(frozen=True)
class BandStructure:
    """Eigenvalues along a path through the Brillouin zone, with the gap.

    Attributes:
        status: how the self-consistent calculation ended; numbers only when it converged.
        reason: stable slug when it did not; empty otherwise.
        message: one sentence for people; empty when all is well.
        atoms: the standardised primitive cell that was calculated (Å).
        engine: name and version of the engine.
        convention: what cell, path and labels follow.
        path: the special points in one line, a comma at a jump.
        ticks: (label, distance) of the special points, distances in Å^-1.
        kpoints: (k, 3) the path, in units of the reciprocal lattice vectors.
        distances_per_A: (k,) length along the path, Å^-1 with 2 pi.
        eigenvalues_eV: (spins, k, bands) on the engine's scale.
        fermi_eV: Fermi level of the self-consistent mesh, on the same scale.
        mesh: the self-consistent mesh, which the gap was looked for on as well.
        gap: the gap from path and mesh together; None unless converged.
    """

    status: Status
    atoms: Atoms
    engine: str
    reason: str = ""
    message: str = ""
    convention: str = CONVENTION
    path: str = ""
    ticks: tuple[tuple[str, float], ...] = ()
    kpoints: NDArray[np.float64] | None = None
    distances_per_A: NDArray[np.float64] | None = None
    eigenvalues_eV: NDArray[np.float64] | None = None
    fermi_eV: float | None = None
    mesh: tuple[int, int, int] | None = None
    gap: Gap | None = None

    @property
    def zero_eV(self) -> float | None:  # noqa: N802 (a unit)
        """Where figures put their zero: the valence-band top, in metals the Fermi level."""
        top = self.gap.valence_top if self.gap else None
        return top.energy_eV if top else self.fermi_eV

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "status": str(self.status),
            "reason": self.reason,
            "message": self.message,
            "atoms": atoms_to_json(self.atoms),
            "engine": self.engine,
            "convention": self.convention,
            "path": self.path,
            "ticks": [list(t) for t in self.ticks],
            "kpoints": _listed(self.kpoints),
            "distances_per_A": _listed(self.distances_per_A),
            "eigenvalues_eV": _listed(self.eigenvalues_eV),
            "fermi_eV": self.fermi_eV,
            "mesh": self.mesh and list(self.mesh),
            "gap": self.gap and asdict(self.gap),
        }


def band_structure(
    atoms: Atoms,
    engine: Engine,
    settings: DftSettings,
    folder: Path,
    *,
    spacing_per_A: float = 0.08,  # noqa: N803 (a unit)
    progress: ProgressCallback = silent,
) -> BandStructure:
    """Compute the band structure of a crystal along the standard path of its lattice.

    The ground state is found on the mesh of the settings; eigenvalues follow at its fixed density.
    The gap is the smallest one on path and mesh together, because band edges may lie off the path;
    an edge on the path is looked for once more between its neighbours.

    Args:
        atoms: fully periodic structure (Å), any cell; it is reduced to the standard primitive one.
        engine: the program that solves it; it must be able to give eigenvalues at a fixed density.
        settings: what is asked for. A width of the occupations above a third of the gap blurs the
            count of occupied bands.
        folder: where all is kept; a repeated call computes nothing twice.
        spacing_per_A: distance between points of the path, Å^-1 with 2 pi.
        progress: called after every part.

    Returns:
        The bands. Its status says how the self-consistent calculation ended.

    Raises:
        InputError: the engine is missing or cannot do it, the structure has no standard cell, or
            the folder holds the bands of something else.
    """
    primitive = standard_primitive(atoms, settings.spin)
    path = standard_path(primitive, spacing_per_A)
    size = mesh_of(primitive, settings)
    state = TaskState(
        folder, "bands", task_inputs(primitive, engine, settings, spacing_per_A=spacing_per_A)
    )
    begun = BandStructure(Status.CONVERGED, primitive, f"{engine.name} {engine.version()}")
    with FixedDensity(primitive, engine, settings, folder, state, progress) as fixed:
        ground = fixed.ground
        if ground.status is not Status.CONVERGED or ground.fermi_eV is None:
            return replace(
                begun, status=ground.status, reason=ground.reason, message=ground.message
            )
        mesh = irreducible_mesh(primitive, size, settings.spin)
        fixed.expect(len(mesh.kpoints) + len(path.kpoints))
        on_mesh = fixed.eigenvalues("mesh", mesh.kpoints)
        on_path = fixed.eigenvalues("path", path.kpoints)
        occupied = occupied_bands(on_mesh, ground.fermi_eV)
        bands_there = min(on_path.shape[2], on_mesh.shape[2])
        seen = np.concatenate([e[:, :, :bands_there] for e in (on_path, on_mesh)], axis=1)
        where = np.concatenate([path.kpoints, mesh.kpoints])
        gap = find_gap(seen, where, occupied)
        between = _around_edges(gap, path)
        if len(between):
            fixed.expect(len(between))
            more = fixed.eigenvalues("edges", between)[:, :, :bands_there]
            gap = find_gap(
                np.concatenate([seen[:, :, : more.shape[2]], more], axis=1),
                np.concatenate([where, between]),
                occupied,
            )
    bands = replace(
        begun,
        message="" if gap.metal is not None else "no empty band was computed: the gap is unknown.",
        path=path.path,
        ticks=path.ticks,
        kpoints=path.kpoints,
        distances_per_A=path.distances_per_A,
        eigenvalues_eV=on_path,
        fermi_eV=ground.fermi_eV,
        mesh=size,
        gap=gap,
    )
    state.finish(bands.to_json())
    return bands


def plot_bands(bands: BandStructure, window_eV: tuple[float, float] = (-12.0, 8.0)) -> Figure:  # noqa: N803
    """Draw a band structure with matplotlib.

    Args:
        bands: a converged band structure.
        window_eV: energies shown, eV relative to `BandStructure.zero_eV`.

    Returns:
        The figure, not attached to any window; `figure.savefig(path)` writes it.

    Raises:
        ValueError: the band structure has no eigenvalues.
    """
    from matplotlib.figure import Figure

    zero, along, values = bands.zero_eV, bands.distances_per_A, bands.eigenvalues_eV
    if zero is None or along is None or values is None:
        raise ValueError(f"there are no bands to draw: {bands.reason or 'not computed'}")
    figure = Figure(figsize=(6.0, 4.5), layout="constrained")
    axes = figure.add_subplot()
    colours = ("#1f4e79", "#c0504d")
    for spin, energies in enumerate(values):
        label = ("spin up", "spin down")[spin] if len(values) == 2 else None
        lines = axes.plot(along, energies - zero, color=colours[spin], linewidth=1.2)
        lines[0].set_label(label)
    places, labels = _merged(bands.ticks)
    axes.set_xticks(places, labels)
    axes.vlines(places, *window_eV, color="0.8", linewidth=0.8, zorder=0)
    axes.axhline(0.0, color="0.5", linewidth=0.8, linestyle="--")
    axes.set_xlim(places[0], places[-1])
    axes.set_ylim(*window_eV)
    metal = bands.gap is not None and bands.gap.metal
    axes.set_ylabel(f"energy − {'E$_F$' if metal else 'valence top'} (eV)")
    if len(values) == 2:
        axes.legend(loc="upper right")
    if bands.gap is not None and bands.gap.gap_eV:
        kind = "direct" if bands.gap.direct else "indirect"
        axes.set_title(f"{kind} gap {bands.gap.gap_eV:.2f} eV", fontsize=10)
    return figure


def _around_edges(gap: Gap, path: KPath) -> NDArray[np.float64]:
    """Return k-points between each band edge on the path and its neighbours there."""
    found: dict[tuple[float, ...], None] = {}  # a set that keeps its order
    for edge in (gap.valence_top, gap.conduction_bottom):
        if edge is None:
            continue
        visits = np.abs(path.kpoints - np.array(edge.kpoint)).max(axis=1) < _SAME
        for at in np.flatnonzero(visits):
            for near in (at - 1, at + 1):
                if not 0 <= near < len(path.kpoints) or (
                    path.distances_per_A[near] == path.distances_per_A[at]  # a jump
                ):
                    continue
                for share in range(1, _BETWEEN + 1):
                    step = (path.kpoints[near] - path.kpoints[at]) * share / (_BETWEEN + 1)
                    found[tuple(np.round(path.kpoints[at] + step, 9).tolist())] = None
    return np.array(list(found)).reshape(-1, 3)


def _merged(ticks: Sequence[tuple[str, float]]) -> tuple[list[float], list[str]]:
    """Return places and labels of ticks, two labels at one place as "K|U", G as Γ."""
    places: list[float] = []
    labels: list[str] = []
    for label, place in ticks:
        shown = "Γ" if label == "G" else label
        if places and abs(places[-1] - place) < 1e-9:
            labels[-1] = f"{labels[-1]}|{shown}"
        else:
            places.append(place)
            labels.append(shown)
    return places, labels


def _listed(values: NDArray[np.float64] | None) -> list[Any] | None:
    return None if values is None else values.tolist()
