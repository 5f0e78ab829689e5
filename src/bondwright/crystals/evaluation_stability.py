"""What becomes of samples when they are relaxed? Only a part of them is: it takes its time.

The share of S.U.N. samples is that of the valid, unique and new ones times the share of these that
are stable and still unique and new after the relaxation. Such shares can be compared only where
hull, threshold, potential and reference are the same, so these stand beside the number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bondwright.crystals.evaluation_records import ALONE, Going, Row, keep, kept, share
from bondwright.screen.novelty import NoveltyItem, assess_novelty
from bondwright.screen.property import load_property
from bondwright.screen.reference import ReferenceIndex
from bondwright.screen.stability import StabilitySettings, relax_and_place
from bondwright.screen.verdict import Outcome
from bondwright.screen.workers import run_chunks
from bondwright.structure.records import atoms_from_json, atoms_to_json


def relax_some(
    rows: Sequence[Row],
    novelty: Mapping[str, Row],
    folder: Path,
    *,
    count: int,
    seed: int,
    settings: StabilitySettings,
    going: Going = ALONE,
) -> list[Row]:
    """Relax a random part of the valid, unique and new samples.

    Args:
        rows: of `evaluation_validity.judge`, all of one arm.
        novelty: of `evaluation_novelty.novelty_rows`.
        folder: keeps what is done.
        count: how many are relaxed.
        seed: decides which.
        settings: potential, hull and threshold.
        going: how the work is driven.

    Returns:
        One row for each that was relaxed: {key, outcome, reason, e_above_hull, hull, structure}.

    Raises:
        InputError: the potential or the hull cannot be had.
    """
    candidates = [row for row in rows if is_new(novelty.get(row["key"]))]
    order = np.random.Generator(np.random.PCG64([seed])).permutation(len(candidates))
    chosen = [candidates[k] for k in order[:count]]
    done = _relaxed(chosen, folder, settings, going)
    return [done[row["key"]] for row in chosen if row["key"] in done]


def estimate_relaxed(
    rows: Sequence[Row],
    name: str,
    folder: Path,
    *,
    settings: StabilitySettings,
    going: Going = ALONE,
) -> list[Row]:
    """Relax valid samples and estimate a property of what comes of them, as the funnel does.

    Args:
        rows: of `evaluation_validity.judge`, all of one arm.
        name: of the property model, a column of the rows.
        folder: keeps what is done.
        settings: potential.
        going: how the work is driven.

    Returns:
        The rows with the new estimate, in order; None where the sample is not valid or did not
        relax. Rows that were not reached when stopped are left out.

    Raises:
        InputError: the potential cannot be had.
    """
    done = _relaxed([row for row in rows if row["strict"]], folder, settings, going)
    model = load_property(name)
    found = []
    for row in rows:
        if row["strict"] and row["key"] not in done:
            continue
        structure = done[row["key"]]["structure"] if row["strict"] else None
        value = None if structure is None else model.predict(atoms_from_json(structure)).value
        found.append({**row, name: value})
    return found


def is_new(found: Row | None) -> bool:
    """Tell whether a sample is unique and in no known set that it was compared with."""
    return bool(
        found and found["unique"] and not found["in_training"] and not found["in_reference"]
    )


def _relaxed(
    rows: Sequence[Row], folder: Path, settings: StabilitySettings, going: Going
) -> dict[str, Row]:
    """Relax the samples that the folder does not hold yet; return key -> row of all it holds."""
    done = kept(folder)
    chunks = ((row["key"], row["structure"], settings) for row in rows if row["key"] not in done)
    for row in run_chunks(relax_one, chunks, processes=going.processes, stop=going.stop):
        keep(folder, [row])
        done[row["key"]] = row
        going.progress("relaxing", len(done), len(rows))
    return done


def relax_one(work: tuple[str, Row, StabilitySettings]) -> Row:
    """Relax one sample and place it on the hull; run by worker processes."""
    key, structure, settings = work
    result = relax_and_place(atoms_from_json(structure), settings)
    details = result.verdict.details
    return {
        "key": key,
        "outcome": str(result.verdict.outcome),
        "reason": result.verdict.reason,
        "e_above_hull": details["e_above_hull_eV_per_atom"],
        "energy": details["energy_eV_per_atom"],
        "steps": details["steps"],
        "volume_ratio": details["volume_ratio"],
        "hull": {k: v for k, v in details["hull"].items() if k != "decomposition"},
        "structure": None if result.atoms is None else atoms_to_json(result.atoms),
    }


def stability_figures(
    rows: Sequence[Row],
    novelty: Mapping[str, Row],
    relaxed: Sequence[Row],
    training: ReferenceIndex,
    reference: ReferenceIndex | None,
) -> dict[str, Any]:
    """Return the share of stable, unique and new samples of an arm, and what it rests on."""
    fresh = sum(is_new(novelty.get(row["key"])) for row in rows)
    stable = [row for row in relaxed if row["outcome"] == Outcome.PASSED]
    items = [
        NoveltyItem(row["key"], atoms_from_json(row["structure"]), row["energy"]) for row in stable
    ]
    still = {item.key for item in items}
    for index in (training, reference):
        if index is not None and items:
            verdicts = assess_novelty(items, index, stage="novelty-relaxed")
            still &= {key for key, v in verdicts.items() if v.outcome is Outcome.PASSED}
    lasting = share(len(still), len(relaxed))
    known = [row["e_above_hull"] for row in relaxed if row["e_above_hull"] is not None]
    factor = fresh / len(rows) if rows else 0.0
    estimate = {
        name: None if lasting[name] is None else factor * lasting[name]
        for name in ("share", "low", "high")
    }
    return {
        "valid_unique_new": share(fresh, len(rows)),
        "relaxed": len(relaxed),
        "outcomes": dict(Counter(row["reason"] or row["outcome"] for row in relaxed).most_common()),
        "stable": share(len(stable), len(relaxed)),
        "stable_unique_new_after_relaxing": lasting,
        "sun": {**estimate, "of": len(rows)},
        "median_e_above_hull": float(np.median(known)) if known else None,
        "hull": relaxed[0]["hull"] if relaxed else None,
        "reference": None if reference is None else reference.describe(),
    }
