"""Relaxing structures: bondwright against a plain ASE loop with the published CHGNet calculator.

Both relax cell and positions by FIRE from the same starts to the same force limit, one thread per
process. The plain loop is what a user would write: one process, `CHGNetCalculator`,
`FrechetCellFilter`. Ours evaluates forces and stress in one reverse pass and uses several
processes. Final energies are compared, for speed that changes the answer would be worth nothing.

Run: python benchmarks/relaxation.py [--structures 12] [--processes 2]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.spacegroup import crystal
from chgnet.model.dynamics import CHGNetCalculator

from bondwright.screen.potentials import load_potential
from bondwright.screen.relax import relax

FMAX, STEPS = 0.05, 500
Result = tuple[float, int]
Run = Callable[[list[Atoms]], list[Result]]


def starts(number: int) -> list[Atoms]:
    """Return strained and shaken copies of simple crystals of 2 to 24 atoms."""
    rutile = crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    )
    perovskite = crystal(
        ["Ba", "Ti", "O"],
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
        spacegroup=221,
        cellpar=[4.0, 4.0, 4.0, 90, 90, 90],
    )
    parents = [
        rutile,
        perovskite,
        bulk("MgO", "rocksalt", a=4.21, cubic=True),
        bulk("NiAl", "cesiumchloride", a=2.88),
        rutile.repeat((1, 1, 2)),
        rutile.repeat((2, 1, 2)),
    ]
    random = np.random.default_rng(20260417)
    atoms = []
    for index in range(number):
        one = parents[index % len(parents)].copy()
        one.set_cell(one.cell.array @ (np.eye(3) + random.uniform(-0.03, 0.03, (3, 3))), True)
        one.positions += random.normal(0, 0.08, one.positions.shape)
        one.calc = None
        atoms.append(one)
    return atoms


def plain_loop(structures: list[Atoms]) -> list[Result]:
    """Relax one after the other; return (eV/atom, steps)."""
    with contextlib.redirect_stdout(io.StringIO()):
        calculator = CHGNetCalculator(use_device="cpu")
    results = []
    for atoms in structures:
        moving = atoms.copy()
        moving.calc = calculator
        optimizer = FIRE(FrechetCellFilter(moving), logfile=None)
        optimizer.run(fmax=FMAX, steps=STEPS)
        results.append((moving.get_potential_energy() / len(moving), optimizer.nsteps))
    return results


def ours(atoms: Atoms) -> tuple[float, int]:
    potential = load_potential("chgnet")
    found = relax(atoms, potential.calculator, exact=potential.exact)
    assert found.energy_eV_per_atom is not None, found.message
    return found.energy_eV_per_atom, found.steps


def start_worker() -> None:
    torch.set_num_threads(1)
    ours(bulk("Cu"))


def timed(label: str, run: Run, structures: list[Atoms]) -> tuple[list[Result], float, float]:
    """Return results, wall seconds and CPU seconds of this process, and print a line."""
    wall, cpu = time.perf_counter(), time.process_time()
    results = run(structures)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    steps = sum(n for _, n in results)
    note = f"{cpu:7.2f} s CPU, {1000 * cpu / steps:5.1f} ms per step" if cpu > 1 else ""
    print(f"{label:26s} {wall:7.2f} s wall, {steps} steps  {note}", flush=True)
    return results, wall, cpu


def one_thread_each() -> None:
    """Begin again with one thread per process, as a campaign's workers have; for both sides."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(
            sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"}
        )


def main() -> None:
    one_thread_each()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", type=int, default=12)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    structures = starts(options.structures)
    sizes = sorted({len(atoms) for atoms in structures})
    load = os.getloadavg()[0]
    print(f"{len(structures)} structures of {sizes} atoms, fmax {FMAX} eV/Å, {platform.machine()},")
    print(f"{os.cpu_count()} cores, load before the start {load:.1f}, torch {torch.__version__}")
    with ProcessPoolExecutor(
        options.processes, get_context("spawn"), initializer=start_worker
    ) as pool:
        list(pool.map(ours, [bulk("Cu")] * options.processes))  # workers are warm, as in a run
        plain, plain_wall, plain_cpu = timed("plain ASE, one process", plain_loop, structures)
        one, _, one_cpu = timed(
            "bondwright, one process", lambda s: [ours(a) for a in s], structures
        )
        many, many_wall, _ = timed(
            f"bondwright, {options.processes} processes",
            lambda s: list(pool.map(ours, sorted(s, key=len, reverse=True))),
            structures,
        )
    largest = max(abs(a[0] - b[0]) for a, b in zip(plain, one, strict=True))
    spread = max(abs(a[0] - b[0]) for a, b in zip(sorted(one), sorted(many), strict=True))
    print(f"speed-up in one process: {plain_cpu / one_cpu:.2f} x (CPU time)")
    print(f"speed-up in {options.processes} processes: {plain_wall / many_wall:.2f} x (wall time)")
    print(f"largest difference of final energies to plain ASE: {1000 * largest:.3f} meV/atom")
    print(f"largest difference between one process and several: {1000 * spread:.6f} meV/atom")


if __name__ == "__main__":
    main()
