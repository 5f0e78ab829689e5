"""What is left to do at a stage: which candidates reach it, and which results are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bondwright.campaign.codec import Record, digest
from bondwright.campaign.config import CampaignConfig
from bondwright.campaign.selection import left_out
from bondwright.campaign.stages import (
    AFTER_RELAXATION,
    GROUP_STAGES,
    outside_data,
    settings_json,
    version,
)
from bondwright.campaign.store import Finding, Standing, Store
from bondwright.screen.verdict import Outcome

# Reasons that the runner gives when there is no verdict of the check itself.
RUN_FAILURES = frozenset({"timeout", "crashed", "killed", "out-of-memory", "error"})


@dataclass
class Group:
    """A set that is checked together.

    Attributes:
        name: digest of everything the results depend on.
        members: candidate -> content key of its result, in the order of the campaign.
        energies: candidate -> energy in eV/atom, where known.
        known: controls that count as known crystals for this set; empty for a control itself.
        controls: True for a set of controls.
    """

    name: str
    members: dict[str, str]
    energies: dict[str, float | None]
    known: tuple[str, ...]
    controls: bool


@dataclass
class Plan:
    """The work at one stage.

    Attributes:
        stage: name of the stage.
        expected: candidate -> content key of the verdict that holds for it.
        stored: the stage's results so far: content key -> short form.
        missing: content key -> candidates that wait for it, for stages that check one by one.
        groups: sets of which results are missing, for stages that check sets.
        settled: candidate -> result that takes no work: it was left out for the sake of the cost.
    """

    stage: str
    expected: dict[str, str]
    stored: dict[str, Finding]
    missing: dict[str, list[str]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    settled: dict[str, Record] = field(default_factory=dict)


def plan_stage(
    store: Store,
    config: CampaignConfig,
    stage: str,
    entering: Sequence[Standing],
    retry_failed: bool = False,
) -> Plan:
    """Find what a stage owes the candidates that reach it.

    Args:
        store: the campaign's store.
        config: the campaign.
        stage: name of the stage.
        entering: the candidates that reach it, in the order of the campaign.
        retry_failed: whether results that are failures of the run (time-out, crash) are missing.
    """
    setting = config.stages[stage]
    check: list[object] = [stage, version(stage), _decisive(stage, setting.settings)]
    check.append(outside_data(stage, setting.settings, setting.reference))
    relaxed = store.structures("stability")
    if stage == "property":
        check.append({name: [t.value, t.tolerance] for name, t in sorted(config.targets.items())})
    stored = store.findings(stage)
    usable = {
        key for key, finding in stored.items() if not (retry_failed and _is_run_failure(finding))
    }
    if stage in GROUP_STAGES:
        moved = relaxed if stage == "novelty-relaxed" else {}
        groups = _groups(store, check, entering, moved)
        expected = {c: key for group in groups for c, key in group.members.items()}
        missing_groups = [g for g in groups if not usable.issuperset(g.members.values())]
        return Plan(stage, expected, stored, groups=missing_groups)
    after_stability = relaxed if stage in AFTER_RELAXATION else {}
    settled = left_out(store, entering, setting.settings) if stage == "dft" else {}
    expected = {c: record.content_key for c, record in settled.items()}
    missing: dict[str, list[str]] = {}
    for c in entering:
        if c.key in settled:
            continue
        seen = c.content if stage == "validity" else after_stability.get(c.key, c.structure)
        expected[c.key] = digest([check, seen])
        if expected[c.key] not in usable:
            missing.setdefault(expected[c.key], []).append(c.key)
    return Plan(stage, expected, stored, missing=missing, settled=settled)


def _decisive(stage: str, settings: Any) -> dict[str, Any]:
    """Return the settings that a result of a stage depends on, as JSON values."""
    if stage == "dft":
        from bondwright.screen.dft import result_settings

        return result_settings(settings)
    return settings_json(settings)


def _is_run_failure(finding: Finding) -> bool:
    return finding.outcome is Outcome.FAILED and finding.reason in RUN_FAILURES


def _groups(
    store: Store, check: list[object], entering: Sequence[Standing], moved: dict[str, str]
) -> list[Group]:
    """Return the candidates as one set and each control as its own.

    The controls are known crystals, so a candidate that is one of them is not novel. A control is
    asked alone: whether it is in the reference must not depend on the candidates.
    """
    energies = {
        key: verdict.details.get("energy_eV_per_atom")
        for key, verdict in (store.verdicts("stability").items() if moved else ())
    }
    controls = [c for c in entering if c.control]
    sets = [([c for c in entering if not c.control], controls), *(([c], []) for c in controls)]
    groups = []
    for members, known in sets:
        if not members:
            continue
        seen = [[c.key, moved.get(c.key, c.structure), energies.get(c.key)] for c in members]
        name = digest([check, seen, [moved.get(c.key, c.structure) for c in known]])
        groups.append(
            Group(
                name,
                {c.key: digest([name, c.key]) for c in members},
                {c.key: energies.get(c.key) for c in members},
                tuple(c.key for c in known),
                members[0].control,
            )
        )
    return groups


def apply_pointers(store: Store, plan: Plan, later: Sequence[str]) -> None:
    """Let every candidate point to the verdict that holds at this stage, where it is there.

    Results that take no work are stored first.
    Candidates whose verdict changed or is missing lose what they pointed to in later stages; it
    is found again by its content when they get there.
    """
    waiting = {c for candidates in plan.missing.values() for c in candidates}
    waiting.update(c for group in plan.groups for c in group.members)
    there = plan.stored.keys() | {record.content_key for record in plan.settled.values()}
    wanted = {c: key for c, key in plan.expected.items() if key in there and c not in waiting}
    held = store.pointers(plan.stage)
    stale = {c for c, key in held.items() if wanted.get(c) != key}
    fresh = {c: key for c, key in wanted.items() if held.get(c) != key}
    if not stale and not fresh and not waiting:
        return
    with store.transaction():
        store.add_records(r for r in plan.settled.values() if r.content_key not in plan.stored)
        store.unpoint(plan.stage, stale)
        store.point(plan.stage, fresh)
        for stage in later:
            store.unpoint(stage, stale | fresh.keys() | waiting)
