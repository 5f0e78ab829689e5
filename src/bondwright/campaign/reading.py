"""The first stage: input files become candidates in the store, each file whole or not at all."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bondwright.campaign.codec import Record, digest
from bondwright.campaign.config import CampaignConfig, InputSetting
from bondwright.campaign.stages import settings_json, version
from bondwright.campaign.store import Store
from bondwright.run import current_usage
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.candidate import Candidate, Problem

# Problems that speak of the machine rather than of the text.
_FAILURES = frozenset({"timeout", "crashed", "memory"})


class Stopped(Exception):  # noqa: N818  not an error: the user asked for it
    """The user asked to stop in the middle of a file."""


def read_inputs(
    store: Store,
    config: CampaignConfig,
    report: Callable[[str, int], None],
    stopping: Callable[[], bool],
) -> int:
    """Bring the store's candidates in line with the campaign's inputs.

    A file that was read before with the same content and options is not read again.

    Args:
        store: the campaign's store, open for writing.
        config: the campaign.
        report: told the file's name and the number of its candidates so far.
        stopping: asked after every candidate; True stops.

    Returns:
        Number of candidates read now.

    Raises:
        InputError: a file cannot be used at all.
        Stopped: `stopping` said so; the file in progress is dropped, those before it are kept.
    """
    from bondwright.structure.datasets import file_sha256
    from bondwright.structure.read import expand_paths

    known = store.input_ids()
    limits = config.stages["read"].settings
    places = []
    new = 0
    for entry, paths in config.input_paths():
        options = {k: v for k, v in dataclasses.asdict(entry).items() if k != "files"}
        how = [options, settings_json(limits), version("read")]
        for path in expand_paths(paths):
            fingerprint = digest([file_sha256(path), path.name, how])
            if fingerprint not in known:
                with store.transaction():
                    rows = _rows(path, entry, limits, report, stopping)
                    known[fingerprint] = store.add_input(fingerprint, path.name, rows)
                new += store.input_size(known[fingerprint])
            places.append(known[fingerprint])
    with store.transaction():
        store.place_inputs(places)
    return new


def _rows(
    path: Path,
    entry: InputSetting,
    limits: Any,
    report: Callable[[str, int], None],
    stopping: Callable[[], bool],
) -> Iterator[tuple[Candidate, Record]]:
    from bondwright.structure.read import read_candidates

    began = time.monotonic()
    candidates = read_candidates(
        path,
        column=entry.column,
        limits=limits,
        control=entry.control,
        asked=entry.asked,
        asked_columns=entry.asked_columns,
    )
    for number, candidate in enumerate(candidates, 1):
        if stopping():
            raise Stopped
        candidate = as_generated(candidate)
        if entry.label:
            candidate = dataclasses.replace(
                candidate, extra={**candidate.extra, "label": entry.label}
            )
        seconds = time.monotonic() - began
        yield candidate, _record(candidate, settings_json(limits), seconds)
        report(path.name, number)
        began = time.monotonic()


def as_generated(candidate: Candidate) -> Candidate:
    """Return a candidate with what the table of a generator tells of its making.

    A row of `bondwright generate` names its generator and seed, and why it has no crystal.
    """
    generator, seed = candidate.extra.get("generator"), candidate.extra.get("seed")
    if not isinstance(generator, str) or not isinstance(seed, int):
        return candidate
    origin = dataclasses.replace(candidate.origin, generator=generator, seed=seed)
    problem, said = candidate.problem, candidate.extra.get("problem")
    if problem is not None and isinstance(said, str) and said:
        code, _, message = said.partition(": ")
        problem = Problem(code, message or f"the generator's text is {code}.")
    return dataclasses.replace(candidate, origin=origin, problem=problem)


def _record(candidate: Candidate, settings: dict[str, Any], seconds: float) -> Record:
    problem = candidate.problem
    details = {"notes": list(candidate.notes)}
    if problem is None:
        count = 0 if candidate.atoms is None else len(candidate.atoms)
        verdict = Verdict(
            "read",
            Outcome.PASSED,
            message=f"{count} atoms in the cell",
            value=float(count),
            unit="atoms",
            details=details,
            version=version("read"),
            settings=settings,
        )
    else:
        outcome = Outcome.FAILED if problem.code in _FAILURES else Outcome.REJECTED
        verdict = Verdict(
            "read",
            outcome,
            reason=problem.code,
            message=problem.message,
            details=details,
            version=version("read"),
            settings=settings,
        )
    # The key takes in the candidate's own key: the verdict's seconds belong to one row.
    content_key = digest(["read", candidate.key, verdict.to_json()])
    usage = current_usage()
    return Record(content_key, verdict, None, seconds, usage.peak_memory_mb, usage.worker, 1)
