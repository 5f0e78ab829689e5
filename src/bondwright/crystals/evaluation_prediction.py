"""Structure prediction: is the known crystal among what was made for its composition?

The match is StructureMatcher's with the tolerances of the published figures: ltol 0.3, stol 0.5,
angle 10 degrees (Jiao et al., NeurIPS 2023, arXiv:2309.04475); the RMSE is the mean of its
root-mean-square displacement, over the free length per atom, of the matched structures. n = 1 takes
the first prediction, n = 20 the one with the smallest displacement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from bondwright.crystals.evaluation_held_out import HeldOut
from bondwright.crystals.evaluation_records import ALONE, Going, Row, keep, kept, share
from bondwright.crystals.ranking import perplexity
from bondwright.errors import InputError
from bondwright.screen.charge import charge_balanced
from bondwright.screen.novelty_cells import reduce_cell
from bondwright.screen.novelty_match import Tolerances, same_crystal
from bondwright.screen.workers import run_chunks
from bondwright.structure.identity import composition
from bondwright.structure.neighbours import shortest_contact
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.records import atoms_from_json, atoms_to_json
from bondwright.structure.sandbox import parse_texts

LTOL, STOL, ANGLE_TOL = 0.3, 0.5, 10.0
_GATE_A, _GATE_A3 = 0.5, 0.1
_RANKS = (1, 20)
_CHUNK = 4
"""Targets that are matched together."""


def match_all(
    targets: Sequence[HeldOut],
    samples: Sequence[Row],
    tries: int,
    folder: Path,
    going: Going = ALONE,
) -> list[Row]:
    """Compare every target with its predictions.

    Args:
        targets: the structures to be found.
        samples: rows of `Sampler.draw`: `tries` for each target, in order.
        tries: predictions of each target.
        folder: keeps what is done.
        going: how the work is driven; fewer rows are returned when it was stopped.

    Returns:
        One row for each target: {key, formula, atoms, charge_balanced, predictions}, the last a
        list of {rms, gate, perplexity}; rms is None where the prediction does not match.
    """
    rows = kept(folder)
    work = [
        (target.name, atoms_to_json(target.atoms), list(samples[k * tries : (k + 1) * tries]))
        for k, target in enumerate(targets)
        if target.name not in rows
    ]
    chunks = (work[k : k + _CHUNK] for k in range(0, len(work), _CHUNK))
    for done in run_chunks(match_chunk, chunks, processes=going.processes, stop=going.stop):
        keep(folder, done)
        rows |= {row["key"]: row for row in done}
        going.progress("matching", len(rows), len(targets))
    return [rows[target.name] for target in targets if target.name in rows]


def match_chunk(work: list[tuple[str, Row, list[Row]]]) -> list[Row]:
    """Match some targets; run by worker processes."""
    rows = []
    for name, structure, samples in work:
        truth = atoms_from_json(structure)
        texts = (("cif", sample["cif"] or "") for sample in samples)
        parsed = parse_texts(texts, ReadLimits(), processes=1)
        match = matcher(truth)
        rows.append(
            {
                "key": name,
                "formula": truth.get_chemical_formula(mode="metal"),
                "atoms": len(truth),
                "charge_balanced": charge_balanced(composition(truth)),
                "predictions": [
                    {
                        "rms": None if p[0].atoms is None else match(p[0].atoms),
                        "gate": p[0].atoms is not None and passes_gate(p[0].atoms),
                        "perplexity": perplexity(sample["log_probability"], sample["tokens"]),
                    }
                    for sample, p in zip(samples, parsed, strict=True)
                ],
            }
        )
    return rows


def matcher(truth: Atoms) -> Callable[[Atoms], float | None]:
    """Return a function that gives the displacement of a prediction, None where it is another.

    A quick test with the same verdict comes first; StructureMatcher itself is asked only where
    that says yes.

    Raises:
        ValueError: the true structure resists reduction.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    judge = StructureMatcher(ltol=LTOL, stol=STOL, angle_tol=ANGLE_TOL)
    tolerances = Tolerances(LTOL, STOL, ANGLE_TOL)
    true_cell = reduce_cell(truth)
    true_structure = AseAtomsAdaptor.get_structure(truth)

    def displacement(prediction: Atoms) -> float | None:
        try:
            cell = reduce_cell(prediction)
        except ValueError:
            return None
        if not same_crystal(cell, true_cell, tolerances):
            return None
        found = judge.get_rms_dist(AseAtomsAdaptor.get_structure(prediction), true_structure)
        return None if found is None else float(found[0])

    return displacement


def passes_gate(atoms: Atoms) -> bool:
    """Apply the validity that published match rates ask of a prediction besides the match.

    No contact below 0.5 Å, a volume, and a composition whose oxidation states can balance
    (Xie et al., ICLR 2022, arXiv:2110.06197). The balance is that of `screen.charge`, not of the
    tables used there; some real compositions fail it.
    """
    if not atoms.cell.volume >= _GATE_A3 or charge_balanced(composition(atoms)) is not True:
        return False
    try:
        return shortest_contact(atoms).distance >= _GATE_A
    except InputError:
        return False


def prediction_figures(rows: Sequence[Row], tries: int) -> dict[str, Any]:
    """Return match rates and RMSE of one method; every target counts.

    For n = 1, n = 20 (as many as there are) and, where the model ranks its samples, the likeliest
    one: {match_rate, rmse, gated_match_rate}; "gated" does not count matches that fail
    `passes_gate`, as published figures do.
    """
    figures: dict[str, Any] = {"targets": len(rows), "tries": tries}
    for n in sorted({min(rank, tries) for rank in _RANKS}):
        figures[f"n={n}"] = _figures([row["predictions"][:n] for row in rows])
    if any(p["perplexity"] is not None for row in rows for p in row["predictions"]):
        figures["likeliest"] = _figures([_likeliest(row["predictions"]) for row in rows])
    balanced = sum(row["charge_balanced"] is True for row in rows)
    figures["charge_balanced_targets"] = share(balanced, len(rows))
    return figures


def _figures(predictions: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    best = [_smallest(own, gated=False) for own in predictions]
    gated = [_smallest(own, gated=True) for own in predictions]
    matched = [rms for rms in best if rms is not None]
    passed = [rms for rms in gated if rms is not None]
    return {
        "match_rate": share(len(matched), len(best)),
        "rmse": float(np.mean(matched)) if matched else None,
        "gated_match_rate": share(len(passed), len(gated)),
        "gated_rmse": float(np.mean(passed)) if passed else None,
    }


def _smallest(predictions: Sequence[Mapping[str, Any]], *, gated: bool) -> float | None:
    known = [p["rms"] for p in predictions if p["rms"] is not None and (p["gate"] or not gated)]
    return min(known, default=None)


def _likeliest(predictions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    known = [p for p in predictions if p["perplexity"] is not None]
    return sorted(known, key=lambda p: float(p["perplexity"]))[:1]
