"""Uniqueness and novelty: one crystal in many descriptions, and StructureMatcher as the judge."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk, graphene, make_supercell
from ase.spacegroup import crystal
from novelty_crystals import (
    ANATASE,
    CRYSTALS,
    DIAMOND,
    QUARTZ,
    QUARTZ_CELL,
    RUTILE,
    SALT,
    items,
    matcher,
    ours,
    reference,
    tetragonal,
)

from bondwright.screen.novelty import (
    NoveltyItem,
    NoveltySettings,
    assess_novelty,
    novelty_warnings,
)
from bondwright.screen.novelty_cells import reduce_cell
from bondwright.screen.novelty_match import may_match
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.read import read_candidates


def descriptions(atoms: Atoms) -> dict[str, Atoms]:
    """The same crystal, told in other words (faults 19, 20 and 22)."""
    rng = np.random.default_rng(7)
    shifted = atoms.copy()
    shifted.positions += [1.234, -0.77, 0.31]
    shifted.wrap()
    rotated = atoms.copy()
    rotated.rotate(37, (1, 2, 3), rotate_cell=True)
    skew = make_supercell(atoms, [[1, 7, 0], [0, 1, -9], [0, 0, 1]])
    strained = atoms.copy()
    strained.set_cell(atoms.cell[:] * [1.01, 0.99, 1.015], scale_atoms=True)
    noisy = atoms.repeat((2, 1, 1))
    noisy.positions += rng.normal(0, 0.02, (len(noisy), 3))
    mirrored = atoms.copy()
    mirrored.set_cell(atoms.cell[:] * [-1, 1, 1], scale_atoms=True)
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell[:] * 1.1, scale_atoms=True)
    return {
        "as it is": atoms,
        "shifted": shifted,
        "permuted": atoms[rng.permutation(len(atoms))],
        "rotated": rotated,
        "supercell": make_supercell(atoms, [[2, 1, 0], [0, 1, 0], [1, 0, 3]]),
        "very skew": skew,
        "strained": strained,
        "noisy supercell": noisy,
        "mirror image": mirrored,
        "other volume": scaled,
    }


@pytest.mark.parametrize("name", CRYSTALS)
def test_faults_19_20_22_one_crystal_in_many_descriptions(name: str) -> None:
    told = descriptions(CRYSTALS[name])
    index = reference(CRYSTALS[name])
    verdicts = assess_novelty([NoveltyItem(k, a) for k, a in told.items()], index)
    for key, verdict in verdicts.items():
        assert verdict.details["matches"] == ["ref-0"], key
        assert verdict.details["duplicate_of"] == (None if key == "as it is" else "as it is"), key


def test_an_enantiomorph_is_the_same_crystal_as_structure_matcher_has_it() -> None:
    # Fault 20, a documented decision: left- and right-handed quartz are one crystal.
    right = crystal(
        ["Si", "O"],
        [(0.4697, 0, 1 / 3), (0.4135, 0.1466, -0.1191 + 1 / 3)],
        spacegroup=152,
        cellpar=QUARTZ_CELL,
    )
    verdict = assess_novelty(items(right), reference(QUARTZ))["s0"]
    assert verdict.details["novel_structure"] is False
    assert verdict.details["novel_space_group"] is True  # P3_121 against P3_221
    assert matcher(right, QUARTZ)


def test_polymorphs_are_different_crystals() -> None:
    graphite = graphene(a=2.46, vacuum=3.35)
    graphite.pbc = True
    verdicts = assess_novelty(items(RUTILE, ANATASE, DIAMOND, graphite, QUARTZ), None)
    assert all(v.outcome is Outcome.PASSED for v in verdicts.values())
    assert all(v.details["unique"] for v in verdicts.values())


def test_verdicts_are_structure_matchers_across_the_tolerance() -> None:
    """Distortions from none to far beyond the tolerance, both arguments in both places."""
    rng = np.random.default_rng(11)
    agree: list[tuple[bool, bool]] = []
    for atoms in (RUTILE, ANATASE, QUARTZ, SALT):
        for size in np.linspace(0, 1, 9):
            copy = atoms.copy()
            strain = rng.normal(0, 0.04 * size, (3, 3))
            copy.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
            copy.positions += rng.normal(0, 0.5 * size, (len(atoms), 3))
            for pair in ((atoms, copy), (copy, atoms)):
                agree.append((ours(*pair), matcher(*pair)))
    assert all(a == b for a, b in agree)
    assert 15 < sum(a for a, _ in agree) < 57, "the test must cover both answers"


def test_tolerances_are_used_and_stored() -> None:
    stretched = RUTILE.copy()
    stretched.set_cell(RUTILE.cell[:] * [1, 1, 1.15], scale_atoms=True)
    pair = items(RUTILE, stretched)
    assert not assess_novelty(pair, None)["s1"].details["unique"]
    narrow = NoveltySettings(ltol=0.05)
    verdict = assess_novelty(pair, None, narrow)["s1"]
    assert verdict.details["unique"]
    assert verdict.settings == {"ltol": 0.05, "stol": 0.3, "angle_tol": 5.0}


def test_the_bound_on_lengths_refuses_no_match() -> None:
    rng = np.random.default_rng(3)
    refused = matched = 0
    for _ in range(150):
        atoms = RUTILE.copy()
        strain = rng.normal(0, 0.12, (3, 3))
        atoms.set_cell(RUTILE.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
        first, second = reduce_cell(RUTILE), reduce_cell(atoms)
        bound = bool(may_match(first.lengths, second.lengths[None], 0.2)[0])
        refused += not bound
        if not bound:
            assert not matcher(RUTILE, atoms)
        else:
            matched += 1
    assert refused
    assert matched


def test_novel_by_composition_by_space_group_and_by_structure_are_separate() -> None:
    index = reference(RUTILE, SALT)
    # Another crystal in rutile's own space group: the oxygen on another position.
    twin = crystal(
        ["Ti", "O"], [(0, 0, 0), (0.4, 0.4, 0)], spacegroup=136, cellpar=tetragonal(4.0, 7.0)
    )
    verdicts = assess_novelty(items(RUTILE, ANATASE, twin, QUARTZ), index)

    def columns(verdict: Verdict) -> tuple[bool, bool, bool]:
        d = verdict.details
        return d["novel_composition"], d["novel_space_group"], d["novel_structure"]

    assert columns(verdicts["s0"]) == (False, False, False)
    assert columns(verdicts["s1"]) == (False, True, True)
    assert columns(verdicts["s2"]) == (False, False, True)
    assert columns(verdicts["s3"]) == (True, True, True)
    assert (verdicts["s0"].outcome, verdicts["s0"].reason) == (Outcome.REJECTED, "known")
    assert verdicts["s0"].value == 1.0
    assert verdicts["s1"].outcome is Outcome.PASSED
    assert verdicts["s1"].details["reference"] == {
        "name": "known",
        "structures": 2,
        "sha256": index.sha256,
    }


def test_without_a_reference_novelty_is_unknown_and_not_true() -> None:
    verdict = assess_novelty(items(RUTILE), None)["s0"]
    assert verdict.outcome is Outcome.PASSED
    assert verdict.value is None
    assert verdict.details["novel_structure"] is None
    assert verdict.details["reference"] is None


def test_the_lowest_energy_represents_its_group_and_else_the_first() -> None:
    told = list(descriptions(RUTILE).values())[:3]
    first = assess_novelty(items(*told), None)
    assert [v.details["duplicate_of"] for v in first.values()] == [None, "s0", "s0"]
    energies = (-8.0, None, -9.0)
    ranked = [
        NoveltyItem(f"s{i}", a, e) for i, (a, e) in enumerate(zip(told, energies, strict=True))
    ]
    lowest = assess_novelty(ranked, None, stage="novelty-relaxed")
    assert [v.details["duplicate_of"] for v in lowest.values()] == ["s2", "s2", None]
    assert lowest["s0"].stage == "novelty-relaxed"
    assert lowest["s0"].reason == "duplicate"


def test_sameness_is_not_transitive_and_the_rule_still_decides() -> None:
    # Cells stretched in steps of 15 %: neighbours match, the last does not match the first (asked
    # the other way round it would: StructureMatcher's verdict depends on the order here).
    chain = []
    for factor in (1.0, 1.15, 1.3225):
        atoms = SALT.copy()
        atoms.set_cell(SALT.cell[:] * [1, 1, factor], scale_atoms=True)
        chain.append(atoms)
    assert ours(chain[1], chain[0])
    assert ours(chain[2], chain[1])
    assert not ours(chain[2], chain[0])
    verdicts = assess_novelty(items(*chain), None)
    assert [v.details["duplicate_of"] for v in verdicts.values()] == [None, "s0", None]
    middle_first = [NoveltyItem(k, chain[i]) for k, i in (("b", 1), ("a", 0), ("c", 2))]
    verdicts = assess_novelty(middle_first, None)
    assert [v.details["duplicate_of"] for v in verdicts.values()] == [None, "b", "b"]


def test_several_processes_give_the_same_verdicts() -> None:
    rng = np.random.default_rng(5)
    structures = []
    for atoms, _ in itertools.product((RUTILE, ANATASE, QUARTZ, SALT, DIAMOND), range(24)):
        copy = atoms.copy()
        copy.positions += rng.normal(0, rng.choice([0.01, 0.3]), (len(copy), 3))
        structures.append(copy)
    index = reference(RUTILE, DIAMOND)
    alone = assess_novelty(items(*structures), index, processes=1)
    together = assess_novelty(items(*structures), index, processes=2)
    assert alone == together
    assert {v.reason for v in alone.values()} == {"", "duplicate", "known"}


def test_fault_37_no_structure_one_structure_and_a_single_atom() -> None:
    assert assess_novelty([], None) == {}
    iron = bulk("Fe", "bcc", a=2.87)
    verdicts = assess_novelty(
        items(iron, iron.repeat(3), bulk("Fe", "fcc", a=3.6)), reference(iron)
    )
    assert [v.reason for v in verdicts.values()] == ["known", "duplicate", ""]


def test_exactly_the_same_content_is_a_duplicate() -> None:
    verdicts = assess_novelty(items(RUTILE, RUTILE.copy(), RUTILE.copy()), None)
    assert [v.details["duplicate_of"] for v in verdicts.values()] == [None, "s0", "s0"]


def test_fault_9_a_cell_without_volume_fails_alone() -> None:
    flat = Atoms(
        "NiV", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], positions=np.zeros((2, 3)), pbc=True
    )
    broken = RUTILE.copy()
    broken.positions[0, 0] = np.nan
    verdicts = assess_novelty(items(flat, RUTILE, broken), reference(RUTILE))
    assert [v.outcome for v in verdicts.values()] == [
        Outcome.FAILED,
        Outcome.REJECTED,
        Outcome.FAILED,
    ]
    assert verdicts["s0"].reason == "irreducible"
    assert verdicts["s0"].message


def test_keys_must_differ() -> None:
    with pytest.raises(ValueError, match="different keys"):
        assess_novelty([NoveltyItem("a", RUTILE), NoveltyItem("a", ANATASE)], None)


def test_fault_32_a_suspicious_run_is_named() -> None:
    index = reference(RUTILE, ANATASE)
    every = items(RUTILE, ANATASE)
    assert "match the reference known" in novelty_warnings(assess_novelty(every, index), index)[0]
    same = items(QUARTZ, QUARTZ.repeat(2))
    said = novelty_warnings(assess_novelty(same, index), index)
    assert any("one crystal" in sentence for sentence in said)
    assert any("cannot tell known structures" in sentence for sentence in said)
    assert "no reference" in novelty_warnings(assess_novelty(every, None), None)[0]
    mixed = items(RUTILE, QUARTZ)
    assert novelty_warnings(assess_novelty(mixed, index), index) == []


@pytest.mark.data
def test_verdicts_are_structure_matchers_on_hard_pairs(data_dir: Path) -> None:
    """Carbon polymorphs of one size, and candidates of one composition: most do not match."""
    rng = np.random.default_rng(2)
    source = data_dir / "crystals" / "structures_perov5_carbon24_val.csv.gz"
    carbon = [c.atoms for c in read_candidates(source) if c.atoms and set(c.atoms.numbers) == {6}]
    made = list(
        read_candidates(data_dir / "tio2-candidates" / "TiO2_lowBG_candidates_10T15K.parquet")
    )
    tio2 = [c.atoms for c in made if c.atoms is not None]
    agree = []
    for structures, number in ((carbon, 80), (tio2, 60)):
        sizes = [len(reduce_cell(a)) for a in structures[:200]]
        while number:
            i, j = rng.choice(len(sizes), 2, replace=False)
            if sizes[i] == sizes[j] <= 12:
                pair = structures[i], structures[j]
                agree.append((ours(*pair), matcher(*pair)))
                number -= 1
    assert all(a == b for a, b in agree)
    assert 0 < sum(a for a, _ in agree) < len(agree)


@pytest.mark.data
def test_duplicates_that_were_called_unique_are_found(data_dir: Path) -> None:
    """Their authors call every row unique; the benchmark counts all 652 rows."""
    path = data_dir / "tio2-candidates" / "TiO2_lowBG_candidates_10T15K.parquet"
    made = {c.key: c.atoms for c in read_candidates(path) if c.atoms and len(c.atoms) <= 18}
    verdicts = assess_novelty([NoveltyItem(key, atoms) for key, atoms in made.items()], None)
    twins = {k: v.details["duplicate_of"] for k, v in verdicts.items() if not v.details["unique"]}
    assert len(twins) > 0.05 * len(made)
    # Both told by their primitive cells, see the next test.
    pairs = [(primitive(made[key]), primitive(made[twin])) for key, twin in twins.items()][:30]
    confirmed = [matcher(*pair) for pair in pairs]
    assert all(confirmed)


@pytest.mark.data
def test_the_description_does_not_decide_where_structure_matcher_lets_it(data_dir: Path) -> None:
    """A pair whose verdict by StructureMatcher differs between conventional and primitive cells."""
    path = data_dir / "tio2-candidates" / "TiO2_lowBG_candidates_10T15K.parquet"
    wanted = ("Generated_1312", "Generated_79666")
    found = {c.name: c.atoms for c in read_candidates(path) if c.name in wanted}
    told = [found[name] for name in wanted]
    assert told[0] is not None
    assert told[1] is not None
    short = [primitive(atoms) for atoms in told if atoms is not None]
    assert matcher(short[0], short[1]) != matcher(told[0], told[1])
    assert ours(short[0], short[1]) == ours(told[0], told[1]) == ours(told[0], short[1])


def primitive(atoms: Atoms) -> Atoms:
    cell, positions, numbers = spglib.find_primitive(
        (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers), symprec=1e-4
    )
    return Atoms(numbers, cell=cell, scaled_positions=positions, pbc=True)


@pytest.mark.parametrize(
    ("cell", "fails"),
    [
        ([[10, 0, 0], [0, 10, 0], [3, 3, 1e-3]], True),
        ([[3, 0, 0], [0, 3, 0], [0, 0, 3000]], True),
        ([[5, 0, 0], [5000, 5, 0], [0, 3000, 5]], False),  # a plain cube, told with skew
    ],
)
def test_faults_9_and_22_extreme_cells_are_answered(cell: list[list[float]], fails: bool) -> None:
    positions = np.random.default_rng(0).random((4, 3))
    atoms = Atoms("Ni2V2", cell=cell, scaled_positions=positions, pbc=True)
    verdict = assess_novelty(items(atoms), None)["s0"]
    assert (verdict.outcome is Outcome.FAILED) is fails
