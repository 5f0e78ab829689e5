"""Novelty against brute force: time and agreement, side by side.

    python benchmarks/novelty.py [--candidates 10000] [--pairs 2000] [--processes 2] [--index FILE]

Reads `BONDWRIGHT_DATA` (default ../shared/data). Candidates are made from the reference itself
(supercells with another origin, order and a slight strain; rattled; strongly distorted) and from
the TiO2 set. All are judged against the full reference; then pymatgen's StructureMatcher is asked
the same question for pairs drawn at random, and for hard pairs: carbon polymorphs, perovskites,
and the TiO2 candidates among themselves.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from pymatgen.core import Structure
from pymatgen.core.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

from bondwright.screen.novelty import NoveltyItem, assess_novelty, novelty_warnings
from bondwright.screen.novelty_cells import reduce_cell
from bondwright.screen.novelty_match import Tolerances, same_crystal
from bondwright.screen.reference import ReferenceIndex, build_index
from bondwright.structure.identity import reduced_formula
from bondwright.structure.read import read_candidates

LARGEST_CELL = 40
"""Atoms; larger reference cells are not multiplied."""


def strained(atoms: Atoms, size: float, rng: np.random.Generator) -> Atoms:
    """Return a copy under a random symmetric strain."""
    strain = rng.normal(0, size, (3, 3))
    copy = atoms.copy()
    copy.set_cell(atoms.cell[:] @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
    return copy


def rattled(atoms: Atoms, size_A: float, rng: np.random.Generator) -> Atoms:  # noqa: N803
    """Return a copy with atoms moved at random, in Å."""
    copy = atoms.copy()
    copy.positions += rng.normal(0, size_A, (len(atoms), 3))
    return copy


def redescribed(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Return the same crystal as a skew supercell with another origin and order of atoms."""
    steps = np.triu(rng.integers(-1, 2, (3, 3)), 1) + np.diag(rng.permutation([1, 1, 2]))
    copy = make_supercell(atoms, steps) if len(atoms) <= LARGEST_CELL else atoms.copy()
    copy.positions += rng.uniform(0, 5, 3)
    copy.wrap()
    return copy[rng.permutation(len(copy))]


def make_candidates(
    known: dict[str, Atoms], tio2: Sequence[Atoms], number: int, rng: np.random.Generator
) -> list[NoveltyItem]:
    """Make candidates from the reference and the TiO2 set, in a random order."""
    made = [("tio2", atoms) for atoms in tio2[:number]]
    ids = list(known)
    kinds = ("rattled", "redescribed", "strained", "distorted")
    while len(made) < number:
        atoms, kind = known[ids[rng.integers(len(ids))]], kinds[len(made) % len(kinds)]
        if kind == "rattled":
            atoms = rattled(atoms, 0.02, rng)
        elif kind == "redescribed":
            atoms = redescribed(atoms, rng)
        elif kind == "strained":
            atoms = rattled(strained(redescribed(atoms, rng), 0.01, rng), 0.01, rng)
        else:
            atoms = rattled(strained(atoms, 0.08, rng), 0.35, rng)
        made.append((kind, atoms))
    order = rng.permutation(len(made))
    return [NoveltyItem(f"{made[i][0]}-{i}", made[i][1]) for i in order]


def reference_pairs(
    items: Sequence[NoveltyItem],
    index: ReferenceIndex,
    known: dict[str, Atoms],
    number: int,
    rng: np.random.Generator,
) -> list[tuple[str, str, Atoms, Atoms]]:
    """Draw (key, id, candidate, reference) of one formula, candidates in random order."""
    pairs: list[tuple[str, str, Atoms, Atoms]] = []
    for i in rng.permutation(len(items)):
        for row in index.rows_of(reduced_formula(items[i].atoms)):
            identity = index.ids[row]
            pairs.append((items[i].key, identity, items[i].atoms, known[identity]))
        if len(pairs) >= number:
            break
    return pairs


def cpu_seconds() -> float:
    """Return the processor time of this process and of its finished workers, in seconds."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in usage)


def brute_force(pairs: Sequence[tuple[Atoms, Atoms]]) -> tuple[list[bool], float]:
    """Ask StructureMatcher about each pair; return its verdicts and processor seconds."""
    matcher = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5, primitive_cell=True, scale=True)
    structures: list[tuple[Structure, Structure]] = [
        (AseAtomsAdaptor.get_structure(a), AseAtomsAdaptor.get_structure(b)) for a, b in pairs
    ]
    start = cpu_seconds()
    return [matcher.fit(a, b) for a, b in structures], cpu_seconds() - start


def compare(title: str, pairs: Sequence[tuple[Atoms, Atoms]]) -> None:
    """Print time and agreement of both ways on the same pairs."""
    start = cpu_seconds()
    cells = {id(atoms): reduce_cell(atoms) for pair in pairs for atoms in pair}
    ours = [same_crystal(cells[id(a)], cells[id(b)], Tolerances()) for a, b in pairs]
    seconds = cpu_seconds() - start
    theirs, brute = brute_force(pairs)
    report(title, ours, theirs, seconds, brute)


def report(
    title: str, ours: Sequence[bool], theirs: Sequence[bool], seconds: float, brute: float
) -> None:
    agree = sum(a == b for a, b in zip(ours, theirs, strict=True))
    n = len(theirs)
    print(
        f"{title:34s} {n:6d} {sum(theirs):8d} {agree:6d} of {n:6d} {1000 * brute / n:10.2f} ms "
        f"{1000 * seconds / n:10.2f} ms {brute / seconds:8.1f}x"
    )


def draw_pairs(
    structures: Sequence[Atoms], number: int, rng: np.random.Generator
) -> list[tuple[Atoms, Atoms]]:
    """Draw different pairs of the same reduced formula."""
    groups: dict[str, list[Atoms]] = {}
    for atoms in structures:
        groups.setdefault(reduced_formula(atoms), []).append(atoms)
    several = [group for group in groups.values() if len(group) > 1]
    sizes = np.array([len(group) for group in several], dtype=float)
    pairs = []
    for choice in rng.choice(len(several), number, p=sizes / sizes.sum()):
        first, second = rng.choice(len(several[choice]), 2, replace=False)
        pairs.append((several[choice][first], several[choice][second]))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=2_000, help="pairs given to brute force")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--index", type=Path, default=Path("novelty-benchmark.reference"))
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    data = Path(os.environ.get("BONDWRIGHT_DATA", "../shared/data"))
    source = data / "crystals" / "structures.csv.gz"

    start = time.perf_counter()
    rows = [c for c in read_candidates(source) if c.atoms is not None]
    known = {c.name: c.atoms for c in rows if c.atoms is not None}
    print(f"read {len(known)} reference structures: {time.perf_counter() - start:.1f} s")
    if not options.index.is_file():
        start = time.perf_counter()
        build_index(rows, name=source.name, processes=options.processes).save(options.index)
        print(f"built the index: {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    index = ReferenceIndex.load(options.index)
    megabytes = options.index.stat().st_size / 1e6
    print(f"loaded {len(index)} ({megabytes:.1f} MB): {time.perf_counter() - start:.2f} s")

    tio2 = [
        c.atoms
        for path in sorted((data / "tio2-candidates").glob("*.parquet"))
        for c in read_candidates(path)
        if c.atoms is not None
    ]
    items = make_candidates(known, tio2, options.candidates, rng)
    start, cpu = time.perf_counter(), cpu_seconds()
    verdicts = assess_novelty(items, index, processes=options.processes)
    total, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    matched = sum(v.details["novel_structure"] is False for v in verdicts.values())
    unique = sum(bool(v.details["unique"]) for v in verdicts.values())
    print(
        f"{len(items)} candidates against {len(index)} references, {options.processes} "
        f"processes: {total:.1f} s, {cpu:.1f} processor seconds ({unique} unique, {matched} known)"
    )
    print(*novelty_warnings(verdicts, index), sep="\n")
    start = time.perf_counter()
    own = assess_novelty([NoveltyItem(str(i), a) for i, a in enumerate(tio2)], index)
    doubles = sum(not v.details["unique"] for v in own.values())
    print(
        f"TiO2 set: {doubles} of {len(own)} are duplicates ({100 * doubles / len(own):.1f} %), "
        f"{sum(v.details['novel_structure'] is False for v in own.values())} known: "
        f"{time.perf_counter() - start:.1f} s"
    )

    print(
        f"\nprocessor time per pair, reduction included\n"
        f"{'pairs of one formula':34s} {'pairs':>6s} {'matches':>8s} {'agree':>16s} "
        f"{'brute force':>13s} {'ours':>13s} {'ratio':>9s}"
    )
    pairs = reference_pairs(items, index, known, options.pairs, rng)
    theirs, brute = brute_force([(a, b) for _, _, a, b in pairs])
    ours = [identity in verdicts[key].details["matches"] for key, identity, _, _ in pairs]
    all_pairs = sum(len(index.rows_of(reduced_formula(item.atoms))) for item in items)
    report("candidates against the reference", ours, theirs, cpu * len(pairs) / all_pairs, brute)
    print(
        f"    brute force on all {all_pairs} pairs with the reference: "
        f"{brute / len(pairs) * all_pairs:.0f} processor seconds, without looking for duplicates; "
        f"ours with them: {cpu:.0f}"
    )
    hard = [
        c.atoms
        for c in read_candidates(data / "crystals" / "structures_perov5_carbon24_val.csv.gz")
        if c.atoms is not None
    ]
    carbon = [atoms for atoms in hard if set(atoms.numbers) == {6}]
    others = [atoms for atoms in hard if set(atoms.numbers) != {6}]
    compare("carbon polymorphs", draw_pairs(carbon, options.pairs, rng))
    compare("perovskites, distorted copies", rattled_pairs(others, options.pairs // 4, rng))
    compare("TiO2 candidates", draw_pairs(tio2, options.pairs // 2, rng))


def rattled_pairs(
    structures: Sequence[Atoms], number: int, rng: np.random.Generator
) -> list[tuple[Atoms, Atoms]]:
    """Pair structures with strained copies whose atoms moved by about the tolerance."""
    chosen = [structures[i] for i in rng.choice(len(structures), number)]
    return [(a, rattled(strained(a, 0.05, rng), rng.uniform(0.1, 0.6), rng)) for a in chosen]


if __name__ == "__main__":
    main()
