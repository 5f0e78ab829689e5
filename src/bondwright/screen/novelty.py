"""Is a crystal new: unlike the others of its run, and unlike the known ones?

Two structures are one crystal when StructureMatcher says so (`novelty_match`); primitive cell,
supercell, shifted origin, other order of atoms, mirror image and slight strain are the same
crystal. Sameness within tolerances is not transitive, so groups of duplicates need a rule: items
are taken in order (after relaxation the lowest energy first, else as given), and each is compared
with the representatives of the crystals found so far; it is a duplicate of the first that it
matches, or becomes a representative. The rule does not depend on processes or chunks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms

from bondwright.screen.novelty_cells import ReducedCell, reduce_cell
from bondwright.screen.novelty_match import Tolerances, may_match, same_crystal
from bondwright.screen.reference import SYMPREC_A, ReferenceIndex
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.screen.workers import map_in_order
from bondwright.structure.identity import content_hash, reduced_formula
from bondwright.structure.symmetry import find_space_group

VERSION = "novelty/1"
_CHUNK = 50
_SMALL_RUN = 100
"""Below this number of structures starting processes costs more than it saves."""
_MANY_PAIRS = 10_000
"""The same, of pairs (0.2 ms each) that may be duplicates."""


@dataclass(frozen=True)
class NoveltyItem:
    """A structure to be judged.

    Attributes:
        key: name of the candidate, unique among the items.
        atoms: its periodic cell (Å).
        energy_per_atom: eV; where given, the lowest represents a group of duplicates.
    """

    key: str
    atoms: Atoms
    energy_per_atom: float | None = None


@dataclass(frozen=True)
class NoveltySettings:
    """When two crystals are one; the defaults are StructureMatcher's and the literature's.

    Attributes:
        ltol: relative difference of lattice vectors.
        stol: largest displacement over the free length per atom, (V / N)^(1/3).
        angle_tol: difference of lattice angles, degrees.
    """

    ltol: float = 0.2
    stol: float = 0.3
    angle_tol: float = 5.0


@dataclass(frozen=True)
class _Finding:
    """What is known of one structure before it is compared with the others of its run."""

    cell: ReducedCell | None
    space_group: int | None
    rows: list[int]
    problem: str = ""


def assess_novelty(
    items: Sequence[NoveltyItem],
    reference: ReferenceIndex | None,
    settings: NoveltySettings = NoveltySettings(),
    *,
    stage: str = "novelty",
    processes: int = 1,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Verdict]:
    """Judge the structures of one run together.

    Args:
        items: all structures of the run; controls belong into a call of their own, else they
            would make duplicates of candidates.
        reference: known crystals; None leaves everything that concerns them unknown (None).
        settings: tolerances.
        stage: name for the verdicts.
        processes: worker processes; the verdicts do not depend on their number.
        progress: called with the number of structures reduced and compared with the reference.

    Returns:
        Key -> verdict, in the order of the items: rejected as "duplicate" (of an earlier one of
        the run) or "known" (in the reference), failed as "irreducible" when the cell resists
        reduction. The value is the number of reference structures matched.

    Raises:
        ValueError: two items have the same key.
    """
    if len({item.key for item in items}) != len(items):
        raise ValueError("the items of one run need different keys")
    tolerances = Tolerances(settings.ltol, settings.stol, settings.angle_tol)
    originals = _first_with_content(items)
    findings: dict[int, _Finding] = {}
    distinct = sorted(set(originals))
    workers = processes if len(distinct) >= _SMALL_RUN else 1
    chunks = _reference_chunks(items, distinct, reference, tolerances)
    for done in map_in_order(_compare_with_reference, chunks, workers):
        for finding in done:
            findings[distinct[len(findings)]] = finding
        if progress is not None:
            progress(len(findings))
    twins = _find_duplicates(items, originals, findings, tolerances, workers)
    return {
        item.key: _verdict(findings[original], twin, reference, settings, stage)
        for item, original, twin in zip(items, originals, twins, strict=True)
    }


def novelty_warnings(
    verdicts: Mapping[str, Verdict], reference: ReferenceIndex | None
) -> list[str]:
    """Say what looks wrong with the verdicts of a whole run.

    Args:
        verdicts: what `assess_novelty` returned.
        reference: the reference it was given.

    Returns:
        Sentences for people; empty when nothing is suspicious.
    """
    judged = [v.details for v in verdicts.values() if v.outcome is not Outcome.FAILED]
    warnings = []
    if len(judged) > 1 and sum(d["unique"] for d in judged) == 1:
        warnings.append(f"all {len(judged)} structures of the run are one crystal.")
    if reference is None:
        if judged:
            warnings.append("no reference was given: novelty against known crystals is unknown.")
    elif len(judged) > 1 and not any(d["novel_structure"] for d in judged):
        warnings.append(
            f"all {len(judged)} structures match the reference {reference.name}: is the run a "
            "part of it, or was it the training set?"
        )
    elif len(judged) > 1 and all(d["novel_composition"] for d in judged):
        warnings.append(
            f"none of the {len(judged)} compositions is in the reference {reference.name}: it "
            "cannot tell known structures from novel ones here."
        )
    return warnings


def _first_with_content(items: Sequence[NoveltyItem]) -> list[int]:
    """Return for each item the index of the first item with exactly the same content."""
    first: dict[str, int] = {}
    originals = []
    for index, item in enumerate(items):
        try:
            originals.append(first.setdefault(content_hash(item.atoms), index))
        except ValueError:  # not finite: it has no identity and will fail on its own
            originals.append(index)
    return originals


_Chunk = tuple[list[tuple[Atoms, str]], dict[str, list[tuple[int, ReducedCell]]], Tolerances]


def _reference_chunks(
    items: Sequence[NoveltyItem],
    indices: list[int],
    reference: ReferenceIndex | None,
    tolerances: Tolerances,
) -> Iterator[_Chunk]:
    """Yield chunks of structures, each with the reference cells of their formulas."""
    for start in range(0, len(indices), _CHUNK):
        structures = [
            (items[i].atoms, reduced_formula(items[i].atoms))
            for i in indices[start : start + _CHUNK]
        ]
        known: dict[str, list[tuple[int, ReducedCell]]] = {}
        if reference is not None:
            for _, formula in structures:
                if formula not in known:
                    rows = reference.rows_of(formula)
                    known[formula] = [(row, reference.cell(row)) for row in rows]
        yield structures, known, tolerances


def _compare_with_reference(chunk: _Chunk) -> list[_Finding]:
    structures, known, tolerances = chunk
    findings = []
    for atoms, formula in structures:
        try:
            cell = reduce_cell(atoms)
        except ValueError as error:
            findings.append(_Finding(None, None, [], str(error)))
            continue
        group = find_space_group(atoms, SYMPREC_A)
        rows = [
            row for row, other in known.get(formula, []) if same_crystal(cell, other, tolerances)
        ]
        findings.append(_Finding(cell, None if group is None else group.number, rows))
    return findings


def _find_duplicates(
    items: Sequence[NoveltyItem],
    originals: list[int],
    findings: dict[int, _Finding],
    tolerances: Tolerances,
    processes: int,
) -> list[str | None]:
    """Return for each item the key of the representative that it duplicates, or None."""

    def rank(index: int) -> tuple[float, int]:
        energy = items[index].energy_per_atom
        return (math.inf if energy is None else energy, index)

    # Only cells with the same formula and number of atoms can match: each such group stands alone.
    groups: dict[tuple[str, int], list[int]] = {}
    for index in sorted(range(len(items)), key=rank):
        cell = findings[originals[index]].cell
        if cell is not None:
            groups.setdefault((cell.formula, len(cell)), []).append(index)
    several = [members for members in groups.values() if len(members) > 1]

    def work() -> Iterator[tuple[list[tuple[int, ReducedCell]], Tolerances]]:
        for members in several:
            cells = [(originals[i], findings[originals[i]].cell) for i in members]
            yield [(content, cell) for content, cell in cells if cell is not None], tolerances

    duplicate_of: list[str | None] = [None] * len(items)
    pairs = sum(len(members) ** 2 for members in several) // 2
    workers = processes if pairs >= _MANY_PAIRS else 1
    for members, twins in zip(several, map_in_order(_walk, work(), workers), strict=True):
        for index, twin in zip(members, twins, strict=True):
            if twin is not None:
                duplicate_of[index] = items[members[twin]].key
    return duplicate_of


def _walk(work: tuple[list[tuple[int, ReducedCell]], Tolerances]) -> list[int | None]:
    """Compare each cell of a group with the representatives before it.

    Args:
        work: (identity of the content, cell) in order, all of one formula and size; tolerances.

    Returns:
        For each cell the position of its representative, None for the representatives.
    """
    group, tolerances = work
    lengths = np.array([cell.lengths for _, cell in group])
    representatives: list[int] = []
    by_content: dict[int, int] = {}
    twins: list[int | None] = []
    for position, (content, cell) in enumerate(group):
        twin = by_content.get(content)
        if twin is None and representatives:
            near = may_match(cell.lengths, lengths[representatives], tolerances.ltol)
            twin = next(
                (
                    representatives[k]
                    for k in np.flatnonzero(near)
                    if same_crystal(cell, group[representatives[k]][1], tolerances)
                ),
                None,
            )
        if twin is None:
            representatives.append(position)
        by_content.setdefault(content, position if twin is None else twin)
        twins.append(twin)
    return twins


def _verdict(
    finding: _Finding,
    duplicate_of: str | None,
    reference: ReferenceIndex | None,
    settings: NoveltySettings,
    stage: str,
) -> Verdict:
    stored = asdict(settings)
    if finding.cell is None:
        return Verdict(
            stage,
            Outcome.FAILED,
            "irreducible",
            finding.problem,
            version=VERSION,
            settings=stored,
        )
    details: dict[str, Any] = {
        "unique": duplicate_of is None,
        "duplicate_of": duplicate_of,
        "novel_composition": None,
        "novel_space_group": None,
        "novel_structure": None,
        "matches": [],
        "space_group": finding.space_group,
        "reference": None,
    }
    said = [] if duplicate_of is None else [f"the same crystal as {duplicate_of}"]
    if reference is not None:
        rows = reference.rows_of(finding.cell.formula)
        groups = {int(reference.space_groups[row]) for row in rows}
        known = [reference.ids[row] for row in finding.rows]
        details |= {
            "novel_composition": not rows,
            "novel_space_group": (
                None if rows and finding.space_group is None else finding.space_group not in groups
            ),
            "novel_structure": not known,
            "matches": known,
            "reference": reference.describe(),
        }
        if known:
            more = f" and {len(known) - 1} more" if len(known) > 1 else ""
            said.append(f"matches {known[0]}{more} of {reference.name}")
    reason = "duplicate" if duplicate_of is not None else "known" if details["matches"] else ""
    return Verdict(
        stage=stage,
        outcome=Outcome.REJECTED if reason else Outcome.PASSED,
        reason=reason,
        message="; ".join(said),
        value=None if reference is None else float(len(finding.rows)),
        unit="reference structures",
        details=details,
        version=VERSION,
        settings=stored,
    )
