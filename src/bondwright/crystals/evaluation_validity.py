"""Are the samples crystals? Every one is tested, and every one counts in the denominators.

Each sample is read back from its CIF text, as any user would, and tested as the screening does: by
the published test and by the strict one (`screen.validity`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from bondwright.crystals.evaluation_records import ALONE, Going, Row, keep, kept, share
from bondwright.screen.hull import reduced_formula
from bondwright.screen.property import Density, load_property
from bondwright.screen.validity import ValiditySettings, check_validity
from bondwright.screen.verdict import Outcome
from bondwright.screen.workers import run_chunks
from bondwright.structure.candidate import Candidate, Origin, Problem
from bondwright.structure.identity import composition
from bondwright.structure.parsed import Parsed, ReadLimits
from bondwright.structure.records import atoms_to_json
from bondwright.structure.sandbox import parse_texts

_CHUNK = 8
_PUBLISHED = ("sensible", "formula", "multiplicity", "space_group", "bonds")


def judge(
    samples: Sequence[Row],
    folder: Path,
    *,
    properties: Sequence[str] = (),
    published: bool = True,
    going: Going = ALONE,
) -> list[Row]:
    """Test samples; return one row for each, in order.

    Args:
        samples: rows of `Sampler.draw`.
        folder: keeps what is done.
        properties: names of property models that are asked, "band_gap".
        published: run the published test, too, which takes most of the time.
        going: how the work is driven; fewer rows are returned when it was stopped.
    """
    rows = kept(folder)
    missing = [sample for sample in samples if sample["key"] not in rows]
    chunks = (
        (missing[k : k + _CHUNK], tuple(properties), published)
        for k in range(0, len(missing), _CHUNK)
    )
    for done in run_chunks(judge_chunk, chunks, processes=going.processes, stop=going.stop):
        keep(folder, done)
        rows |= {row["key"]: row for row in done}
        going.progress("testing", len(rows), len(samples))
    return [rows[sample["key"]] for sample in samples if sample["key"] in rows]


def judge_chunk(chunk: tuple[list[Row], tuple[str, ...], bool]) -> list[Row]:
    """Read and test some samples; run by worker processes."""
    samples, properties, published = chunk
    settings = ValiditySettings(published=published)
    texts = (("cif", sample["cif"] or "") for sample in samples)
    parsed = parse_texts(texts, ReadLimits(), processes=1)
    return [_judge(s, p[0], properties, settings) for s, p in zip(samples, parsed, strict=True)]


def _judge(
    sample: Row, parsed: Parsed, properties: Sequence[str], settings: ValiditySettings
) -> Row:
    """Return everything that is found out about one sample."""
    problem = parsed.problem
    if sample["cif"] is None:
        problem = Problem("no-text", sample["problem"])
    candidate = Candidate(
        sample["key"],
        sample["key"],
        Origin(sample["arm"], sample["index"]),
        sample["cif"],
        None if problem else parsed.atoms,
        parsed.declared,
        problem,
    )
    verdict = check_validity(candidate, settings)
    details = verdict.details
    row: Row = {
        "key": sample["key"],
        "arm": sample["arm"],
        "index": sample["index"],
        "asked_formula": _asked_formula(sample["request"]),
        "asked": sample["asked"],
        "problem": sample["problem"],
        "grammatical": sample["crystal"] is not None and not sample["problem"],
        "exact": None,
        "readable": candidate.atoms is not None,
        "strict": verdict.outcome is Outcome.PASSED,
        "reasons": details.get("reasons", [verdict.reason]),
        "published": False,
        "published_tests": None,
        "log_probability": sample["log_probability"],
        "tokens": sample["tokens"],
        "attempts": sample["attempts"],
        "parent": sample["parent"],
        "cif": sample["cif"],
    }
    atoms = candidate.atoms
    if atoms is None:
        return row | {"exact": None if sample["request"]["formula"] is None else False}
    counts = composition(atoms)
    published = details["published"]
    contact = details["strict"]["contact"]
    declared = candidate.declared
    return row | {
        "exact": _exact(counts, sample["request"]),
        "published": None if published is None else published["valid"],
        "published_tests": published,
        "formula": reduced_formula(counts),
        "atoms": len(atoms),
        "elements": len(counts),
        "space_group": declared.space_group_number if declared else None,
        "volume_per_atom": float(atoms.cell.volume) / len(atoms),
        "density": Density().predict(atoms).value,
        "shortest_A": contact["shortest_A"],
        "contact_ratio": contact["ratio"],
        "charge_balanced": details["charge_balanced"],
        "structure": atoms_to_json(atoms),
        **_estimates(atoms, properties if verdict.outcome is Outcome.PASSED else ()),
    }


def _estimates(atoms: Atoms, properties: Sequence[str]) -> dict[str, float | None]:
    """Estimate properties, of valid structures only.

    Of atoms on top of one another they mean nothing, and the graph of their neighbours may take all
    memory.
    """
    return {name: load_property(name).predict(atoms).value for name in properties}


def _exact(counts: Mapping[str, int], request: Mapping[str, Any]) -> bool | None:
    """Tell whether a cell holds what was asked for; None where nothing was."""
    formula = request["formula"]
    if formula is None:
        wanted = request["elements"]
        return None if wanted is None else set(counts) == set(wanted)
    if set(counts) != set(formula):
        return False
    units = {counts[element] / n for element, n in formula.items()}
    unit = units.pop()
    exact = not units and unit == int(unit)
    return exact and request["formula_units"] in (None, int(unit))


def _asked_formula(request: Mapping[str, Any]) -> str | None:
    return None if request["formula"] is None else reduced_formula(request["formula"])


def validity_figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the shares of an arm; each is of all its samples, whatever became of them.

    `published` counts samples whose bonds were not tested (cells of more than 64 atoms) as not
    valid; `published_untested` says how many these are.
    """
    total = len(rows)
    asked = [row["exact"] for row in rows if row["exact"] is not None]
    tests = [row["published_tests"] for row in rows if row["published_tests"]]
    return {
        "samples": total,
        "grammatical": share(sum(row["grammatical"] for row in rows), total),
        "composition_exact": share(sum(asked), len(asked)),
        "readable": share(sum(row["readable"] for row in rows), total),
        "strict": share(sum(row["strict"] for row in rows), total),
        "strict_at_once": share(sum(_at_once(row, "strict") for row in rows), total),
        "published": share(sum(row["published"] is True for row in rows), total),
        "published_at_once": share(sum(_at_once(row, "published") for row in rows), total),
        "published_untested": sum(row["published"] is None for row in rows),
        "charge_balanced": share(sum(row.get("charge_balanced") is True for row in rows), total),
        "problems": _counted(row["problem"].split(":")[0] for row in rows if row["problem"]),
        "strict_reasons": _counted(reason for row in rows for reason in row["reasons"]),
        "published_failures": _counted(
            name for result in tests for name in _PUBLISHED if result[name] is False
        ),
        "median_perplexity": _median_perplexity(rows),
    }


def _at_once(row: Row, test: str) -> bool:
    """Tell whether the first text that was written for a sample passes a test and was kept."""
    return row[test] is True and row["attempts"] in (None, 1)


def _counted(words: Any) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _median_perplexity(rows: Sequence[Row]) -> float | None:
    """Return the median of exp(-mean ln p) over the tokens that the model chose."""
    known = [-row["log_probability"] / row["tokens"] for row in rows if row["tokens"]]
    return float(np.exp(min(np.median(known), 700.0))) if known else None
