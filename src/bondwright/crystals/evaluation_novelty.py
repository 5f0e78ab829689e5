"""Are the samples different from one another, and from what is known?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bondwright.crystals.evaluation_known import Known, reduced
from bondwright.crystals.evaluation_records import ALONE, Going, Row, share
from bondwright.screen.hull import parse_formula
from bondwright.screen.novelty import NoveltyItem, assess_novelty
from bondwright.screen.reference import ReferenceIndex, build_index, empty_index
from bondwright.screen.verdict import Outcome
from bondwright.structure.candidate import Candidate, Origin
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.records import atoms_from_json
from bondwright.structure.sandbox import parse_texts


def training_index(rows: Sequence[Row], known: Known, name: str) -> ReferenceIndex:
    """Return the known structures that samples could be: those of their own formulas.

    Args:
        rows: of `evaluation_validity.judge`.
        known: the training structures.
        name: of the index, for people.
    """
    formulas = {reduced(parse_formula(row["formula"])) for row in rows if row["strict"]}
    wanted = [row for formula in sorted(formulas) for row in known.of_formula(formula)]
    if not wanted:
        return empty_index(name)
    parsed = parse_texts((("cif", row.text) for row in wanted), ReadLimits(), processes=1)
    candidates = (
        Candidate(row.name, row.name, Origin(name), None, p[0].atoms, problem=p[0].problem)
        for row, p in zip(wanted, parsed, strict=True)
    )
    return build_index(candidates, name=name)


def novelty_rows(
    rows: Sequence[Row],
    training: ReferenceIndex,
    reference: ReferenceIndex | None,
    going: Going = ALONE,
) -> dict[str, Row]:
    """Compare the valid samples of one arm with one another, the training set and the reference.

    Args:
        rows: of `evaluation_validity.judge`, all of one arm.
        training: from `training_index`.
        reference: all that is known; None where there is no index of it.
        going: how the work is driven.

    Returns:
        Key of every strictly valid sample -> {unique, duplicate_of, in_training, in_reference,
        novel_composition}; None for what is not known, for want of a reference or because the
        cell resists reduction.
    """
    items = [
        NoveltyItem(row["key"], atoms_from_json(row["structure"])) for row in rows if row["strict"]
    ]

    def tell(done: int) -> None:
        going.progress("comparing with known structures", done, len(items))

    seen = assess_novelty(items, training, processes=going.processes, progress=tell)
    known = assess_novelty(items, reference, processes=going.processes) if reference else {}
    found: dict[str, Row] = {}
    for item in items:
        details = seen[item.key].details
        beyond = known[item.key].details if item.key in known else {}
        failed = seen[item.key].outcome is Outcome.FAILED
        found[item.key] = {
            "unique": None if failed else details["unique"],
            "duplicate_of": None if failed else details["duplicate_of"],
            "in_training": None if failed else bool(details["matches"]),
            "in_reference": _matched(beyond),
            "novel_composition": beyond.get("novel_composition"),
        }
    return found


def _matched(details: Mapping[str, Any]) -> bool | None:
    return bool(details["matches"]) if "matches" in details else None


def novelty_figures(
    rows: Sequence[Row], novelty: Mapping[str, Row], reference: ReferenceIndex | None
) -> dict[str, Any]:
    """Return the shares of an arm, each of all its samples.

    "Unique" counts one of every group of equal strictly valid samples; "novel" those of the unique
    that match no known structure.
    """
    unique = [found for row in rows if (found := novelty.get(row["key"])) and found["unique"]]
    beyond = [found for found in unique if found["in_reference"] is not None]
    total = len(rows)
    return {
        "unique": share(len(unique), total),
        "novel_against_training": share(sum(not f["in_training"] for f in unique), total),
        "novel_against_reference": (
            share(sum(not f["in_reference"] for f in beyond), total) if reference else None
        ),
        "reference": None if reference is None else reference.describe(),
    }
