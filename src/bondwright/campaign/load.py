"""Looking at a campaign, also while it runs: nothing here changes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.campaign.folder import CampaignFolder
from bondwright.campaign.provenance import provenance
from bondwright.campaign.store import Finding, Standing, Store
from bondwright.campaign.view import CampaignView, CandidateView, StageSummary
from bondwright.screen.dft import NOT_SELECTED, place_among_controls
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.identity import reduced_formula
from bondwright.structure.records import atoms_from_json


def load_view(root: Path) -> CampaignView:
    """Return everything a campaign holds.

    Raises:
        InputError: nothing has run there yet, or the store cannot be read.
    """
    store = Store.open_read_only(CampaignFolder(root).store)
    try:
        config = _config(store)
        funnel = config["funnel"]
        verdicts = {stage: _verdicts(store, config, stage) for stage in funnel}
        candidates = []
        for candidate in store.candidates():
            found = {s: verdicts[s][candidate.key] for s in funnel if candidate.key in verdicts[s]}
            candidates.append(
                CandidateView(
                    candidate,
                    found,
                    _moved(store, "stability", candidate.key, found),
                    survived=len(found) == len(funnel) and all(map(_holds, found.values())),
                    dft=_moved(store, "dft", candidate.key, found),
                )
            )
        return CampaignView(
            name=config["name"],
            description=config["description"],
            stages=_summaries(store, config),
            candidates=candidates,
            targets={name: target["value"] for name, target in config["targets"].items()},
            provenance=provenance(store),
        )
    finally:
        store.close()


def load_summary(root: Path) -> list[StageSummary]:
    """Return the funnel stage by stage, without loading any structure.

    Raises:
        InputError: as `load_view`.
    """
    store = Store.open_read_only(CampaignFolder(root).store)
    try:
        return _summaries(store, _config(store))
    finally:
        store.close()


def _config(store: Store) -> dict[str, Any]:
    return store.meta("config") or {"name": "", "description": "", "targets": {}, "funnel": []}


def _verdicts(store: Store, config: dict[str, Any], stage: str) -> dict[str, Verdict]:
    """Return what holds at a stage, DFT energies compared with those of the controls.

    They are compared here, and not when they were computed, so that a control that comes later
    counts without any work.
    """
    verdicts = store.verdicts(stage)
    computed = [key for key, v in verdicts.items() if v.outcome is Outcome.PASSED]
    if stage != "dft" or not computed:
        return verdicts
    formulas, controls = {}, {}
    for key in computed:
        data = store.candidate_data(key)
        formulas[key] = reduced_formula(atoms_from_json(data["atoms"]))
        if data["control"]:
            controls[key] = str(data["name"])
    limit = config["stages"]["dft"]["settings"]["limit_eV_per_atom"]
    return place_among_controls(verdicts, formulas, controls, limit)


def _moved(store: Store, stage: str, key: str, found: dict[str, Verdict]) -> Atoms | None:
    moved = store.structure(stage, key) if stage in found else None
    return None if moved is None else atoms_from_json(moved)


def _holds(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.PASSED or verdict.reason == NOT_SELECTED


def _summaries(store: Store, config: dict[str, Any]) -> list[StageSummary]:
    entering = store.standings()
    summaries = []
    for stage in config["funnel"]:
        now = store.current(stage)
        if stage == "dft":
            placed = _verdicts(store, config, stage)
            now = {
                c: replace(f, outcome=placed[c].outcome, reason=placed[c].reason)
                for c, f in now.items()
            }
        summaries.append(_summary(stage, [c for c in entering if not c.control], now))
        entering = [
            c
            for c in entering
            if c.control or (c.key in now and now[c.key].outcome is Outcome.PASSED)
        ]
    return summaries


def _summary(stage: str, entering: list[Standing], now: dict[str, Finding]) -> StageSummary:
    found = [now[c.key] for c in entering if c.key in now]
    counts: dict[Outcome, dict[str, int]] = {outcome: {} for outcome in Outcome}
    for finding in found:
        reasons = counts[finding.outcome]
        reasons[finding.reason] = reasons.get(finding.reason, 0) + 1
    peaks = [f.peak_memory_mb for f in found if f.peak_memory_mb is not None]
    seconds = sum(f.seconds for f in found)
    worked = sum(f.reason != NOT_SELECTED for f in found)
    return StageSummary(
        name=stage,
        entered=len(entering),
        passed=sum(counts[Outcome.PASSED].values()),
        rejected=counts[Outcome.REJECTED],
        unknown=counts[Outcome.UNKNOWN],
        failed=counts[Outcome.FAILED],
        waiting=len(entering) - len(found),
        seconds=seconds,
        seconds_per_candidate=seconds / worked if worked else None,
        peak_memory_mb=max(peaks, default=None),
    )
