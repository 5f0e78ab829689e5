"""Time and memory for all bonds of the 10,000-atom glass: descriptor, mean and standard deviation.

    python benchmarks/bond_model_speed.py --out out/bond-model-speed

Side by side, in one run and with the same number of threads:

- ours, from positions to mean, sigma and flags of every bond between 1.8 and 4.2 Å;
- the published algorithm: for each bond a Python loop over the training bonds of its pair, with
  four dot products of stored atomic SOAP vectors (2101 numbers) each, 1,800 training bonds a pair;
  timed on some bonds and multiplied by the count of all. It has no variance, and the time for its
  descriptors is not counted;
- dscribe and scikit-learn: SOAP at the midpoint and one Gaussian process a pair with as many
  training bonds as our inducing bonds, mean and standard deviation; timed on some bonds and
  multiplied. Not installed with bondwright: pip install dscribe scikit-learn

With --fit N the model is also fitted to N labelled bonds: jittered copies of the labelled cells
with the labels that a first model predicts for them.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.io import read

from bondwright.bonding.pairs import pair_labels
from bondwright.bonding.table import BondTable
from bondwright.learn.cells import LabelledCell, read_lobster_cells
from bondwright.learn.model import BondModel
from bondwright.structure.datasets import data_folder
from bondwright.structure.neighbours import neighbour_pairs
from bondwright.structure.write import write_text

TRAINING_BONDS = 1800
SOAP_LENGTH = 2101


def glass() -> Atoms:
    folder = data_folder() / "glass-zrcual" / "ultimate"
    path = folder / "Zr49Cu49Al2-10000-1-1-1.data"
    atoms = read(path, format="lammps-data", atom_style="atomic", Z_of_type={1: 40, 2: 29, 3: 13})
    atoms.pbc = True
    return atoms


def published_seconds(bonds: int, sample: int = 5) -> float:
    """Return seconds for `bonds` bonds by the published algorithm, from `sample` of them."""
    random = np.random.default_rng(0)
    vectors = random.random((200, SOAP_LENGTH))
    length, weight = random.uniform(2, 4, TRAINING_BONDS), random.normal(size=TRAINING_BONDS)
    ends = random.integers(0, 200, (TRAINING_BONDS, 2))
    begin = time.perf_counter()
    for k in range(sample):
        a, b, d, value = vectors[k], vectors[k + 1], 2.8, 0.0
        for row in range(TRAINING_BONDS):
            c, e = vectors[ends[row, 0]], vectors[ends[row, 1]]
            dot = (np.dot(a, c) + np.dot(b, e) + np.dot(a, e) + np.dot(b, c)) / 4
            value += weight[row] * dot * math.exp(-((d - length[row]) ** 2) / 0.5)
    return (time.perf_counter() - begin) / sample * bonds


def library_seconds(atoms: Atoms, inducing: int, sample: int = 2000) -> float | None:
    """Return seconds for all bonds with dscribe and scikit-learn, or None without them."""
    try:
        from dscribe.descriptors import SOAP
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, WhiteKernel
    except ImportError:
        print("dscribe + scikit-learn: SKIPPED, not installed (pip install dscribe scikit-learn)")
        return None
    pairs = neighbour_pairs(atoms, 4.2)
    soap = SOAP(species=["Zr", "Cu", "Al"], r_cut=4.0, n_max=6, l_max=4, sigma=0.5, periodic=True)
    random = np.random.default_rng(0)
    rows = random.choice(len(pairs), sample + inducing, replace=False)
    middle = atoms.positions[pairs.i[rows]] + pairs.vector[rows] / 2
    begin = time.perf_counter()
    features = soap.create(atoms, centers=middle)
    descriptor = (time.perf_counter() - begin) / len(rows)
    process = GaussianProcessRegressor(RBF(10.0) + WhiteKernel(0.01), optimizer=None)
    process.fit(features[:inducing], random.normal(size=inducing))
    begin = time.perf_counter()
    process.predict(features[inducing:], return_std=True)
    return (descriptor + (time.perf_counter() - begin) / sample) * len(pairs)


def copies(cells: list[LabelledCell], model: BondModel, bonds: int) -> list[LabelledCell]:
    """Return jittered copies of cells, as runs of their own, with predicted labels."""
    random = np.random.default_rng(0)
    made: list[LabelledCell] = []
    while sum(len(cell.bonds) for cell in made) < bonds:
        source = cells[len(made) % len(cells)]
        atoms = source.atoms.copy()
        atoms.positions += random.normal(0, 0.05, atoms.positions.shape)
        found = model.predict(atoms)
        keep = found.known
        pairs, label = found.pairs.select(keep), found.mean_eV[keep]
        table = BondTable.build(atoms, pairs.i, pairs.j, pairs.image, label, "predicted")
        run = f"{source.composition}/copy{len(made)}"
        made.append(LabelledCell(f"{run}/0", source.composition, run, "0", table))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bond-model-speed"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fit", type=int, default=0, help="also fit this many labelled bonds")
    parser.add_argument("--model", type=Path, help="a saved model, instead of fitting one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cells = read_lobster_cells(data_folder() / "glass-zrcual" / "cells")
    result: dict[str, float] = {}
    if options.model:
        model = BondModel.load(options.model)
    else:
        begin = time.perf_counter()
        model = BondModel.fit(cells)
        model.save(options.out / "model")
        result["fit_seconds"] = time.perf_counter() - begin
        print(f"fit to {sum(len(c.bonds) for c in cells)} bonds: {result['fit_seconds']:.1f} s")
    atoms = glass()
    model.predict(atoms[:200])
    begin, processor = time.perf_counter(), time.process_time()
    found = model.predict(atoms)
    result["ours_seconds"] = time.perf_counter() - begin
    result["ours_cpu_seconds"] = time.process_time() - processor
    result["bonds"] = len(found)
    result["peak_MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"ours: {len(found)} bonds in {result['ours_seconds']:.1f} s ", end="")
    print(f"({result['ours_cpu_seconds']:.1f} CPU-s), peak memory {result['peak_MB']:.0f} MB")
    print(f"flagged: {np.mean(found.flag > 0):.3f}; known: {found.known.mean():.4f}")
    labels = pair_labels(atoms.numbers[found.pairs.i], atoms.numbers[found.pairs.j])
    for pair in np.unique(labels):
        rows = labels == pair
        print(f"  {pair:6s} {rows.sum():6d}  mean {found.mean_eV[rows].mean():.3f} eV", end="")
        print(f"  mean sigma {found.sigma_eV[rows].mean():.3f} eV")
    result["published_seconds"] = published_seconds(len(found))
    library = library_seconds(atoms, model.settings.inducing_bonds)
    if library is not None:
        result["library_seconds"] = library
    for name in ("published", "library"):
        if f"{name}_seconds" in result:
            seconds = result[f"{name}_seconds"]
            print(f"{name}: {seconds:.0f} s, {seconds / result['ours_seconds']:.0f} times ours")
    if options.fit:
        many = copies(cells, model, options.fit)
        result["many_bonds"] = sum(len(cell.bonds) for cell in many)
        begin = time.perf_counter()
        BondModel.fit(many, progress=lambda line: print(f"  {line}", flush=True))
        result["many_seconds"] = time.perf_counter() - begin
        result["many_peak_MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"fit to {result['many_bonds']} bonds: {result['many_seconds']:.0f} s, ", end="")
        print(f"peak memory {result['many_peak_MB']:.0f} MB")
    write_text(options.out / "bond-model-speed.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
