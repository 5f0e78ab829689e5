"""Which candidates the `dft` stage computes: the best few, and why the others are left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bondwright.campaign.codec import Record, digest
from bondwright.campaign.store import Standing, Store
from bondwright.screen.dft import DftStageSettings, not_selected
from bondwright.structure.records import atoms_from_json


def left_out(
    store: Store, entering: Sequence[Standing], settings: DftStageSettings
) -> dict[str, Record]:
    """Return the candidates that are not computed, each with a verdict that says so.

    The lowest energy above the hull is the best; between equals, and where stability was not
    asked, the smallest distance to the targets; then the order of the campaign. Controls take
    nobody's place; all but those with too many atoms are computed.

    Args:
        store: the campaign's store.
        entering: the candidates that reach the stage, in the order of the campaign.
        settings: the stage's settings.
    """
    from bondwright.screen.dft_calculation import primitive_cell

    energies, distances = (store.verdicts(s) for s in ("stability", "property"))
    ranked = sorted(
        (c for c in entering if not c.control),
        key=lambda c: (_value(energies, c.key), _value(distances, c.key)),
    )
    places = {c.key: place for place, c in enumerate(ranked, 1)}
    found, chosen = {}, 0
    for candidate in [*ranked, *(c for c in entering if c.control)]:
        key = candidate.key
        data = store.structure("stability", key) or store.candidate_data(key)["atoms"]
        atoms = len(primitive_cell(atoms_from_json(data), settings))
        if not 0 < settings.max_atoms < atoms:
            if candidate.control:
                continue
            if chosen < settings.best:
                chosen += 1
                continue
        verdict = not_selected(places.get(key), len(ranked), atoms, settings)
        found[key] = Record(digest(verdict.to_json()), verdict, None, 0.0, None, None, 1)
    return found


def _value(verdicts: dict[str, Any], key: str) -> float:
    verdict = verdicts.get(key)
    return math.inf if verdict is None or verdict.value is None else float(verdict.value)
