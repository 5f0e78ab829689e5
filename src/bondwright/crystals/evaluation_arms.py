"""The samples of an evaluation: arms of requests, each answered by the model or by a baseline.

Sample i of an arm is the same however often the evaluation is stopped, and whatever the number of
processes.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondwright.crystals.crystal import Crystal
from bondwright.crystals.dialect import Request
from bondwright.crystals.evaluation_known import KnownSource, load_known
from bondwright.crystals.evaluation_records import (
    ALONE,
    Going,
    Row,
    crystal_to_json,
    keep,
    kept,
    request_to_json,
)
from bondwright.crystals.generate_cif import crystal_cif, plain_formula
from bondwright.errors import InputError
from bondwright.screen.workers import run_chunks

if TYPE_CHECKING:
    from bondwright.crystals.checkpoint import LoadedModel
    from bondwright.crystals.sampling import SamplingSettings

MODEL, RANDOM, EXCHANGE, NEAREST, REAL = "model", "random", "ion-exchange", "nearest", "real"
BASELINES = (RANDOM, EXCHANGE, NEAREST)

_PER_CALL = 512
"""Samples of the model that are drawn, and kept, together."""
_REFUSED, _NONE_LEFT = "refused", "none-left"


@dataclass(frozen=True)
class Arm:
    """Requests that are answered in one way.

    Attributes:
        name: for people and files.
        requests: what each sample has to be.
        method: "model", "random", "ion-exchange", "nearest", or "real" for held-out structures
            themselves.
        asked: property -> value that the model is asked for.
        constrained: whether the model's grammar is enforced.
        twin: name of an arm with the same random numbers; "" for its own.
        real: the crystals of the method "real".
    """

    name: str
    requests: tuple[Request, ...]
    method: str = MODEL
    asked: Mapping[str, float] = field(default_factory=dict)
    constrained: bool = True
    twin: str = ""
    real: tuple[Crystal, ...] = ()

    @property
    def slug(self) -> str:
        """Name of its folder."""
        return re.sub(r"[^A-Za-z0-9.=]+", "-", self.name)

    def seed(self, seed: int) -> int:
        """Return the seed of this arm from that of the evaluation."""
        text = f"{seed}:{self.twin or self.name}"
        return int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)


@dataclass(frozen=True)
class Sampler:
    """What draws samples.

    Attributes:
        model: the model; None where only baselines are drawn.
        settings: of its sampling.
        known: where ion exchange finds its parents.
        folder: keeps the samples.
        seed: of the evaluation.
        going: how the work is driven.
    """

    model: LoadedModel | None
    settings: SamplingSettings
    known: KnownSource
    folder: Path
    seed: int = 0
    going: Going = ALONE

    def draw(self, arm: Arm) -> list[Row]:
        """Return the samples of an arm in order; fewer only when it was asked to stop.

        Raises:
            InputError: the model does not take a property that is asked for, or a table of known
                structures cannot be read.
        """
        folder = self.folder / "samples" / arm.slug
        rows = kept(folder)
        missing = [k for k in range(len(arm.requests)) if _key(arm, k) not in rows]
        for done in self._chunks(arm, missing):
            keep(folder, done)
            rows |= {row["key"]: row for row in done}
            self.going.progress(f"sampling {arm.name}", len(rows), len(arm.requests))
        keys = (_key(arm, k) for k in range(len(arm.requests)))
        return [rows[key] for key in keys if key in rows]

    def _chunks(self, arm: Arm, missing: Sequence[int]) -> Iterator[list[Row]]:
        """Draw the missing samples piece by piece."""
        if arm.method == MODEL:
            yield from self._by_model(arm, missing)
        elif arm.method == REAL:
            if missing:
                yield [_row(arm, k, arm.requests[k], arm.real[k]) for k in missing]
        else:
            bare = replace(arm, requests=(), real=())  # what travels to the processes
            groups = itertools.groupby(missing, key=lambda k: repr(arm.requests[k]))
            numbers = (list(group) for _, group in groups)
            yield from run_chunks(
                baseline_rows,
                ((bare, arm.requests[n[0]], n, arm.seed(self.seed), self.known) for n in numbers),
                processes=self.going.processes,
                stop=self.going.stop,
            )

    def _by_model(self, arm: Arm, missing: Sequence[int]) -> Iterator[list[Row]]:
        """Let the model write samples, a run of neighbouring numbers at a time."""
        from bondwright.crystals.dialects import dialect
        from bondwright.crystals.sampling import sample

        if self.model is None:
            raise InputError(f"the arm {arm.name!r} needs a model.")
        spoken = dialect(self.model.dialect)
        settings = _for_arm(self.settings, arm)
        refused: dict[str, str] = {}
        for number in missing:
            if (name := repr(arm.requests[number])) not in refused:
                try:
                    spoken.grammar(arm.requests[number])
                    refused[name] = ""
                except InputError as error:
                    refused[name] = f"{_REFUSED}: {error}"
        said = {k: refused[repr(arm.requests[k])] for k in missing}
        yield [_row(arm, k, arm.requests[k], None, text) for k, text in said.items() if text]
        for run in _runs([k for k in missing if not said[k]]):
            if self.going.stop():
                return
            requests = [arm.requests[k] for k in run]
            samples = sample(
                self.model,
                requests,
                [dict(arm.asked)] * len(run),
                arm.seed(self.seed),
                settings,
                first=run[0],
            )
            yield [
                _row(arm, s.index, arm.requests[s.index], s.crystal, s.problem)
                | {
                    "log_probability": s.log_probability,
                    "tokens": s.tokens,
                    "attempts": s.attempts,
                    "text": s.text,
                }
                | ({"cif": s.text} if self.model.dialect != "wyckoff" else {})
                for s in samples
            ]


def baseline_rows(work: tuple[Arm, Request, list[int], int, KnownSource]) -> list[Row]:
    """Answer one request, asked several times, by a baseline; run by worker processes."""
    from bondwright.crystals.ion_exchange import ExchangeSettings, exchange
    from bondwright.crystals.random_crystals import random_crystal

    arm, request, numbers, seed, source = work
    try:
        if arm.method == RANDOM:
            made = [random_crystal(request, seed, k) for k in numbers]
            return [_row(arm, m.index, request, m.crystal, m.problem) for m in made]
        ranked = ExchangeSettings(rank="nearest" if arm.method == NEAREST else "substitution")
        found = exchange(request, load_known(source), len(numbers), seed=seed, settings=ranked)
    except InputError as error:
        return [_row(arm, k, request, None, f"{_REFUSED}: {error}") for k in numbers]
    rows = [
        _row(arm, k, request, one.crystal) | {"parent": one.parent, "score": one.score}
        for k, one in zip(numbers, found, strict=False)
    ]
    return rows + [_row(arm, k, request, None, _NONE_LEFT) for k in numbers[len(found) :]]


def _row(
    arm: Arm, number: int, request: Request, crystal: Crystal | None, problem: str = ""
) -> Row:
    """Return the row of one sample."""
    row: dict[str, Any] = {
        "key": _key(arm, number),
        "arm": arm.name,
        "index": number,
        "request": request_to_json(request),
        "asked": dict(arm.asked),
        "problem": problem,
        "crystal": None,
        "cif": None,
        "log_probability": None,
        "tokens": None,
        "attempts": None,
        "parent": None,
    }
    if crystal is not None:
        row["crystal"] = crystal_to_json(crystal)
        try:
            # The published test compares the name of the block with the formula.
            row["cif"] = crystal_cif(crystal, plain_formula(crystal.counts))
        except InputError as error:
            row["problem"] = f"malformed: {error}"
    return row


def _key(arm: Arm, number: int) -> str:
    return f"{arm.slug}/{number:06}"


def _for_arm(settings: SamplingSettings, arm: Arm) -> SamplingSettings:
    guidance = settings.guidance if arm.asked else 1.0
    return replace(settings, constrained=arm.constrained, guidance=guidance)


def _runs(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield runs of successive numbers that do not cross a multiple of `_PER_CALL`."""
    run: list[int] = []
    for number in numbers:
        if run and (number != run[-1] + 1 or number % _PER_CALL == 0):
            yield run
            run = []
        run.append(number)
    if run:
        yield run
