"""The tasks of `bondwright dft`: each runs one function of `dft/` and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondwright.cli.dft_outcome import Job, Outcome, Rows, cell_text, gap_text, number_text

if TYPE_CHECKING:
    from ase import Atoms

    from bondwright.dft.calculation import Calculation
    from bondwright.dft.relax import Relaxed
    from bondwright.dft.settings import DftSettings


def run_single_point(job: Job) -> Outcome:
    """Find the ground state of the structure as it stands."""
    from bondwright.dft.records import calculation_to_json
    from bondwright.dft.single_point import single_point

    done = single_point(job.atoms, job.engine, job.settings, job.folder)
    rows, answer = _ground_state(done)
    return Outcome.of(
        done, rows, answer, corrections=done.corrections, full=calculation_to_json(done)
    )


def run_relax(job: Job) -> Outcome:
    """Relax positions and cell."""
    return _relaxed(job, cell=True)


def run_relax_positions(job: Job) -> Outcome:
    """Relax positions in the cell as it is given."""
    return _relaxed(job, cell=False)


def _relaxed(job: Job, *, cell: bool) -> Outcome:
    from bondwright.dft.relax import relax
    from bondwright.structure.write import cif_text, write_text

    def step(number: int, energy: float, force: float, stress: float | None) -> None:
        pressed = "" if stress is None else f", stress {stress:.2f} GPa"
        job.tell.step(f"step {number}: {energy:.5f} eV, largest force {force:.3f} eV/Å{pressed}")

    found = relax(job.atoms, job.engine, job.settings, job.folder, cell=cell, progress=step)
    rows, answer = _relaxation(job.atoms, found)
    files: tuple[Path, ...] = ()
    if found.energies_eV:  # an unconverged structure is worth keeping, and says what it is
        name = "relaxed" if not found.reason else "last-step"
        write_text(job.folder / f"{name}.cif", cif_text(found.atoms, name=name))
        files = (job.folder / f"{name}.cif", job.folder / "trajectory.extxyz")
    done = found.calculation
    return Outcome.of(
        found,
        rows,
        answer,
        corrections=done.corrections if done else (),
        full=found.to_json(),
        files=files,
    )


def run_eos(job: Job) -> Outcome:
    """Compute the equation of state."""
    from bondwright.cli.dft_figures import plot_equation_of_state, save
    from bondwright.dft.equation_of_state import equation_of_state
    from bondwright.structure.write import cif_text, write_text

    found = equation_of_state(
        job.atoms, job.engine, job.settings, job.folder, progress=job.progress
    )
    rows: Rows = []
    answer: dict[str, Any] = {}
    files: list[Path] = []
    if found.curve is not None and found.atoms is not None:
        curve, n = found.curve, len(found.atoms)
        answer = {
            "volume_A3_per_atom": curve.volume_A3 / n,
            "energy_eV_per_atom": curve.energy_eV / n,
            "bulk_modulus_GPa": curve.bulk_modulus_GPa,
            "pressure_derivative": curve.pressure_derivative,
            "residual_meV_per_atom": 1000 * curve.residual_eV / n,
            "lattice_A_deg": found.lattice and list(found.lattice),
        }
        rows = [
            ("bulk modulus", f"{curve.bulk_modulus_GPa:.1f} GPa"),
            ("its pressure derivative", f"{curve.pressure_derivative:.2f}"),
            ("volume", f"{curve.volume_A3 / n:.4f} Å³/atom"),
            ("energy", f"{curve.energy_eV / n:.5f} eV/atom"),
            ("residual of the fit", f"{1000 * curve.residual_eV / n:.3f} meV/atom"),
        ]
        if found.lattice is not None:
            rows.append(("conventional cell", cell_text(found.lattice)))
        write_text(job.folder / "minimum.cif", cif_text(found.atoms, name="minimum"))
        files.append(job.folder / "minimum.cif")
    if found.points:
        files += save(plot_equation_of_state(found), job.folder, "equation-of-state")
    lowest = min((p.energy_eV for p in found.points), default=0.0)
    return Outcome.of(
        found,
        rows,
        answer,
        full=found.to_json(),
        head=("volume (Å³)", "above the lowest (eV)", "steps"),
        table=tuple(
            (f"{p.volume_A3:.3f}", f"{p.energy_eV - lowest:.5f}", f"{p.steps}")
            for p in found.points
        ),
        files=tuple(files),
    )


def run_convergence(job: Job) -> Outcome:
    """Make cut-off and k-points finer until the energy stays."""
    from bondwright.cli.dft_figures import plot_convergence, save
    from bondwright.dft.convergence import choose_settings, converge
    from bondwright.errors import InputError

    found = converge(job.atoms, job.engine, job.settings, job.folder, progress=job.progress)
    table = tuple(
        (
            {"cutoff": "cut-off", "kpoints": "k-points"}[row["series"]],
            f"{row['cutoff_eV']:g}",
            " ".join(str(n) for n in row["mesh"]),
            number_text(row["energy_eV_per_atom"], 5),
            f"{row['seconds']:.1f}",
            row["reason"] or ("chosen" if row["chosen"] else ""),
        )
        for row in found.table()
    )
    rows: Rows = []
    answer: dict[str, Any] = {"tolerance_meV_per_atom": found.tolerance_meV_per_atom}
    status, reason, message = "converged", "", ""
    try:
        chosen = choose_settings(found)
        rows = [
            ("cut-off", f"{chosen.cutoff_eV:g} eV"),
            ("k-point spacing", f"{chosen.kpoint_spacing_per_A:g} Å⁻¹"),
            ("energy stays within", f"{found.tolerance_meV_per_atom:g} meV/atom"),
        ]
        answer["cutoff_eV"] = chosen.cutoff_eV
        answer["kpoint_spacing_per_A"] = chosen.kpoint_spacing_per_A
    except InputError as error:
        status, reason, message = "not-converged", "limit-not-reached", str(error)
    return Outcome(
        status,
        reason,
        message,
        rows=rows,
        answer=answer,
        full={"table": found.table()},
        head=("series", "cut-off (eV)", "mesh", "energy (eV/atom)", "seconds", ""),
        table=table,
        files=tuple(save(plot_convergence(found), job.folder, "convergence")),
    )


def run_bands(job: Job) -> Outcome:
    """Compute the band structure along the standard path, and the gap."""
    from bondwright.cli.dft_figures import save
    from bondwright.dft.bands import band_structure, plot_bands

    found = band_structure(job.atoms, job.engine, job.settings, job.folder, progress=job.progress)
    rows: Rows = []
    answer: dict[str, Any] = {}
    files: tuple[Path, ...] = ()
    if found.gap is not None and found.mesh is not None:
        gap = found.gap
        answer = {
            "metal": gap.metal,
            "gap_eV": gap.gap_eV,
            "direct_gap_eV": gap.direct_gap_eV,
            "direct": gap.direct,
            "path": found.path,
            "mesh": list(found.mesh),
            "fermi_eV": found.fermi_eV,
        }
        kind = "metal" if gap.metal else ("direct" if gap.direct else "indirect")
        rows.append(("gap", "unknown" if gap.gap_eV is None else f"{gap.gap_eV:.3f} eV ({kind})"))
        if gap.direct_gap_eV is not None:
            rows.append(("smallest direct gap", f"{gap.direct_gap_eV:.3f} eV"))
        for name, edge in (
            ("valence top at", gap.valence_top),
            ("conduction bottom at", gap.conduction_bottom),
        ):
            if edge is not None:
                rows.append((name, " ".join(f"{x:.3f}" for x in edge.kpoint)))
        rows += [("path", found.path), ("mesh", " ".join(str(n) for n in found.mesh))]
        files = tuple(save(plot_bands(found), job.folder, "bands"))
    return Outcome.of(found, rows, answer, full=found.to_json(), files=files)


def run_dos(job: Job) -> Outcome:
    """Compute the density of states."""
    import numpy as np

    from bondwright.cli.dft_figures import plot_dos, save
    from bondwright.dft.dos import density_of_states

    found = density_of_states(
        job.atoms, job.engine, job.settings, job.folder, progress=job.progress
    )
    rows: Rows = []
    answer: dict[str, Any] = {}
    files: tuple[Path, ...] = ()
    if found.states_per_eV is not None and found.energies_eV is not None and found.mesh:
        fermi = found.fermi_eV or 0.0
        total = found.states_per_eV.sum(axis=0)
        at_fermi = float(np.interp(fermi, found.energies_eV, total))
        answer = {
            "fermi_eV": found.fermi_eV,
            "states_at_fermi_per_eV_and_cell": at_fermi,
            "electrons": found.electrons,
            "mesh": list(found.mesh),
        }
        rows = [
            ("states at the Fermi level", f"{at_fermi:.3f} per eV and cell"),
            ("electrons below it", number_text(found.electrons, 3)),
            ("Fermi level", f"{fermi:.3f} eV"),
            ("mesh", " ".join(str(n) for n in found.mesh)),
        ]
        files = tuple(save(plot_dos(found), job.folder, "density-of-states"))
    return Outcome.of(found, rows, answer, full=found.to_json(), files=files)


TASKS: dict[str, Callable[[Job], Outcome]] = {
    "single-point": run_single_point,
    "relax": run_relax,
    "relax-positions": run_relax_positions,
    "eos": run_eos,
    "convergence": run_convergence,
    "bands": run_bands,
    "dos": run_dos,
}


def _ground_state(done: Calculation) -> tuple[Rows, dict[str, Any]]:
    """Return the numbers of a ground state for people and for programs."""
    import numpy as np

    if done.energy_eV is None:
        return [], {}
    n = len(done.atoms)
    force = None
    if done.forces_eV_per_A is not None:
        force = float(np.linalg.norm(done.forces_eV_per_A, axis=1).max())
    answer: dict[str, Any] = {
        "energy_eV": done.energy_eV,
        "energy_eV_per_atom": done.energy_eV / n,
        "max_force_eV_per_A": force,
        "stress_GPa": None if done.stress_GPa is None else done.stress_GPa.tolist(),
        "fermi_eV": done.fermi_eV,
        "gap_eV": done.gap_eV,
        "magnetic_moment_bohr": done.magnetic_moment,
        "scf_steps": done.scf_steps,
        "seconds": done.seconds,
    }
    rows: Rows = [
        ("energy", f"{done.energy_eV:.5f} eV, {done.energy_eV / n:.5f} eV/atom"),
        ("largest force", f"{number_text(force, 4)} eV/Å"),
    ]
    if done.stress_GPa is not None:
        pressure = -float(np.trace(done.stress_GPa)) / 3
        rows.append(("pressure, not corrected for the cut-off", f"{pressure:.2f} GPa"))
    rows += [
        ("gap on the mesh", gap_text(done.gap_eV)),
        ("Fermi level", f"{number_text(done.fermi_eV, 3)} eV"),
    ]
    if done.magnetic_moment is not None:
        rows.append(("magnetic moment", f"{done.magnetic_moment:.2f} Bohr magnetons"))
    rows.append(("SCF", f"{done.scf_steps} steps, {done.seconds:.1f} s"))
    return rows, answer


def _relaxation(start: Atoms, found: Relaxed) -> tuple[Rows, dict[str, Any]]:
    """Return the numbers of a relaxation for people and for programs."""
    from bondwright.structure.symmetry import find_space_group

    if not found.energies_eV:
        return [], {}
    n = len(found.atoms)
    first, last = found.energies_eV[0] / n, found.energies_eV[-1] / n
    groups = [find_space_group(a, symprec=0.01) for a in (start, found.atoms)]
    named = [f"{g.symbol} ({g.number})" if g else "unknown" for g in groups]
    done = found.calculation
    answer: dict[str, Any] = {
        "energy_eV": found.energies_eV[-1],
        "energy_eV_per_atom": last,
        "initial_energy_eV_per_atom": first,
        "steps": found.steps,
        "max_force_eV_per_A": found.fmax_eV_per_A[-1],
        "max_stress_GPa": found.max_stress_GPa[-1] if found.max_stress_GPa else None,
        "volume_ratio": found.volume_ratio,
        "cell_A_deg": [float(x) for x in found.atoms.cell.cellpar()],
        "space_group": named[1],
        "gap_eV": done.gap_eV if done else None,
        "magnetic_moment_bohr": done.magnetic_moment if done else None,
    }
    rows: Rows = [
        ("energy", f"{last:.5f} eV/atom, {1000 * (last - first):+.1f} meV/atom by relaxing"),
        ("steps", f"{found.steps}"),
        ("largest force", f"{found.fmax_eV_per_A[-1]:.4f} eV/Å"),
    ]
    if found.max_stress_GPa:
        rows.append(("largest stress", f"{found.max_stress_GPa[-1]:.3f} GPa"))
        rows.append(("volume", f"{100 * (found.volume_ratio - 1):+.2f} %"))
        rows.append(("cell", cell_text(answer["cell_A_deg"])))
    rows.append(("space group", " → ".join(dict.fromkeys(named))))
    if done is not None and done.energy_eV is not None:
        rows.append(("gap on the mesh", gap_text(done.gap_eV)))
        if done.magnetic_moment is not None:
            rows.append(("magnetic moment", f"{done.magnetic_moment:.2f} Bohr magnetons"))
    return rows, answer


def neutral(settings: DftSettings) -> DftSettings:
    """Return settings without what may change between two calls that continue one another."""
    return replace(settings, preset="", max_relax_steps=0)
