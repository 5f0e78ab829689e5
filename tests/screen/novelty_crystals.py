"""Crystals from the literature and the judge, for the tests of novelty."""

from __future__ import annotations

from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from pymatgen.core.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

from bondwright.screen.novelty import NoveltyItem
from bondwright.screen.novelty_cells import reduce_cell
from bondwright.screen.novelty_match import Tolerances, same_crystal
from bondwright.screen.reference import ReferenceIndex, build_index
from bondwright.structure.candidate import Candidate, Origin


def tetragonal(a: float, c: float) -> list[float]:
    return [a, a, c, 90, 90, 90]


# Meagher and Lager 1979 (rutile), Horn et al. 1972 (anatase), Levien et al. 1980 (quartz).
RUTILE = crystal(
    ["Ti", "O"], [(0, 0, 0), (0.3051, 0.3051, 0)], spacegroup=136, cellpar=tetragonal(4.593, 2.959)
)
ANATASE = crystal(
    ["Ti", "O"], [(0, 0, 0), (0, 0, 0.208)], spacegroup=141, cellpar=tetragonal(3.785, 9.514)
)
QUARTZ_SITES = [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.1191 + 2 / 3)]
QUARTZ_CELL = [4.916, 4.916, 5.4054, 90, 90, 120]
QUARTZ = crystal(["Si", "O"], QUARTZ_SITES, spacegroup=154, cellpar=QUARTZ_CELL)
DIAMOND = bulk("C", "diamond", a=3.567)
SALT = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
CRYSTALS = {
    "rutile": RUTILE,
    "anatase": ANATASE,
    "quartz": QUARTZ,
    "diamond": DIAMOND,
    "salt": SALT,
}


def items(*structures: Atoms) -> list[NoveltyItem]:
    return [NoveltyItem(f"s{i}", atoms) for i, atoms in enumerate(structures)]


def reference(*structures: Atoms, name: str = "known") -> ReferenceIndex:
    rows = [
        Candidate(f"{i}", f"ref-{i}", Origin("t", i), atoms=a) for i, a in enumerate(structures)
    ]
    return build_index(rows, name=name)


def matcher(first: Atoms, second: Atoms) -> bool:
    """The judge: StructureMatcher from scratch."""
    judge = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5, primitive_cell=True, scale=True)
    to = AseAtomsAdaptor.get_structure
    return bool(judge.fit(to(first), to(second)))


def ours(first: Atoms, second: Atoms) -> bool:
    return same_crystal(reduce_cell(first), reduce_cell(second), Tolerances())
