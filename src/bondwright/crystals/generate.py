"""Making the crystals of an arm: by a model, or by a baseline that it has to beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondwright.crystals.generate_arm import VERSION, Arm
from bondwright.crystals.generate_cif import crystal_cif, plain_formula
from bondwright.crystals.ranking import perplexity
from bondwright.errors import BondwrightError, InputError
from bondwright.structure.symmetry import parse_space_group

if TYPE_CHECKING:
    from bondwright.crystals.checkpoint import LoadedModel
    from bondwright.crystals.crystal import Crystal
    from bondwright.crystals.evaluation_known import Known
    from bondwright.crystals.sampling import SamplingSettings
    from bondwright.crystals.sampling_text import Sample
    from bondwright.crystals.shipped import ModelFacts

MALFORMED = "malformed"
NO_PARENT, EXHAUSTED = "no-parent", "exhausted"
USED_UP = frozenset({NO_PARENT, EXHAUSTED})
"""Problems of rows that nothing was written for: there are fewer crystals than were wished for."""
Tell = Callable[[int], object]
"""Told how many crystals of a part are made."""


class GenerationError(BondwrightError):
    """Nothing usable was generated, or the machine could not do it."""

    exit_code = 4


@dataclass(frozen=True)
class Made:
    """One crystal, or why there is none.

    Attributes:
        number: its number within the arm.
        crystal: None when there is a problem.
        problem: "" or a slug, with ": " and a sentence after it where there is more to say.
        text: as the model wrote it; "" for a baseline.
        log_probability: of the tokens that were chosen, natural logarithm; None for a baseline.
        tokens: how many were chosen.
        parent: the known crystal that it was made from; "" for none.
        reward: that a tree search gave it, 0 to 1; None where there was no such search.
        attempts: texts that were begun for it; None for a baseline.
    """

    number: int
    crystal: Crystal | None
    problem: str = ""
    text: str = ""
    log_probability: float | None = None
    tokens: int | None = None
    parent: str = ""
    reward: float | None = None
    attempts: int | None = None


def make(
    arm: Arm, first: int, count: int, *, batch: int, device: str = "cpu", tell: Tell | None = None
) -> list[dict[str, Any]]:
    """Make some crystals of an arm.

    Args:
        arm: from `plan_arm`.
        first: number of the first one.
        count: how many. A tree search is made as a whole for any of its crystals.
        batch: texts written at a time; fewer where memory does not suffice.
        device: where the model computes.
        tell: told after every crystal.

    Returns:
        One row for each, in order; see `row_of`. Those without a crystal are there, too.

    Raises:
        InputError: the model cannot be loaded, or there is no such device.
    """
    if arm.facts is not None:
        made = _by_model(arm, arm.facts, first, count, batch, device)
    elif arm.known is not None:
        made = _by_exchange(arm, arm.known, first, count)
    else:
        made = _at_random(arm, first, count)
    rows = []
    for crystal in made:
        rows.append(row_of(arm, crystal))
        if tell is not None:
            tell(len(rows))
    return sorted(rows, key=lambda row: int(row["number"]))


def row_of(arm: Arm, made: Made) -> dict[str, Any]:
    """Return a crystal with all that it was made from, as one flat row of JSON values.

    `id` is stable; `cif` is None and `problem` says why where there is no crystal; `asked_...` is
    what was asked for; `generator`, `seed`, `arm` and `family` tell the screening where it came
    from.
    """
    wish, facts, request = arm.wish, arm.facts, arm.wish.request()
    row: dict[str, Any] = {
        "id": f"{arm.name}-{made.number}",
        "formula": None,
        "formula_units": None,
        "atoms": None,
        "space_group": None,
        "space_group_symbol": None,
        "problem": made.problem or None,
        **{f"asked_{name}": value for name, value in sorted(wish.asked.items())},
        "asked_formula": None if request.formula is None else plain_formula(request.formula),
        "asked_formula_units": request.formula_units,
        "asked_space_group": request.space_group,
        "asked_elements": None if request.elements is None else "-".join(request.elements),
        "log_probability": made.log_probability,
        "tokens": made.tokens,
        "perplexity": perplexity(made.log_probability, made.tokens),
        "reward": made.reward,
        "attempts": made.attempts,
        "method": wish.method,
        "generator": arm.maker,
        "request": wish.words,
        "parent": made.parent or None,
        "number": made.number,
        "seed": arm.user_seed,
        "sampler_seed": arm.seed,
        "arm": arm.name,
        "family": arm.family,
        "version": VERSION,
    }
    if facts is not None:
        row |= {
            "model": facts.name,
            "model_sha256": facts.sha256,
            "dialect": facts.dialect,
            "temperature": wish.temperature,
            "top_k": wish.top_k,
            "top_p": wish.top_p,
            "guidance": wish.guidance,
            "most_attempts": wish.most_attempts,
            "best_of": wish.texts_each,
            "search": wish.search,
        }
    if arm.known is not None:
        row |= {"known_table": arm.known[0].name, "known_sha256": arm.known[1]}
    return {**row, **_crystal_columns(row["id"], made), "text": made.text or None}


def best_of(rows: Sequence[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """Return the `n` rows that the model finds likeliest, the likeliest first.

    The measure is the perplexity, exp(-mean ln p) over the tokens that were chosen; rows without a
    crystal come last.
    """
    ranked = sorted(
        rows,
        key=lambda row: (
            row["problem"] is not None,
            math.inf if row["perplexity"] is None else row["perplexity"],
            row["number"],
        ),
    )
    return ranked[:n]


def _crystal_columns(name: str, made: Made) -> dict[str, Any]:
    """Return the columns that describe the crystal, and its CIF text."""
    crystal = made.crystal
    if crystal is None:
        return {"cif": None}
    try:
        text = crystal_cif(crystal, name)
    except InputError as error:  # a site that is not where its letter says: decoded unconstrained
        return {"cif": None, "problem": f"{MALFORMED}: {error}"}
    counts = crystal.counts
    units = math.gcd(*counts.values())
    group = parse_space_group(crystal.space_group)
    return {
        "formula": plain_formula({element: n // units for element, n in counts.items()}),
        "formula_units": units,
        "atoms": sum(counts.values()),
        "space_group": crystal.space_group,
        "space_group_symbol": None if group is None else group.symbol,
        "cif": text,
    }


def _by_model(
    arm: Arm, facts: ModelFacts, first: int, count: int, batch: int, device: str
) -> Iterator[Made]:
    """Let the model write crystals."""
    from bondwright.crystals.sampling import SamplingSettings, sample

    wish = arm.wish
    settings = SamplingSettings(
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        guidance=wish.guidance if wish.asked else 1.0,
        attempts=wish.most_attempts,
        batch=batch,
    )
    model = _loaded(facts.place, facts.sha256, device)
    if wish.search == "tree":
        yield from _by_search(arm, model, first, count, settings)
        return
    requests = [arm.request(number) for number in range(first, first + count)]
    asked = [dict(wish.asked)] * count
    for found in sample(model, requests, asked, arm.seed, settings, first=first):
        yield _made(found.index, found)


def _by_search(
    arm: Arm, model: LoadedModel, first: int, count: int, settings: SamplingSettings
) -> Iterator[Made]:
    """Search for crystals; their numbers are their ranks."""
    from bondwright.crystals.generate_search import searched

    known = None if arm.known is None else _known(*arm.known)
    found = searched(arm, model, known, settings)
    for number in range(first, first + count):
        if number < len(found):
            one, reward = found[number]
            yield replace(_made(number, one), reward=reward)
        else:
            problem = f"{EXHAUSTED}: the search found {len(found)} different texts."
            yield Made(number, None, problem)


def _made(number: int, found: Sample) -> Made:
    return Made(
        number,
        found.crystal,
        found.problem,
        found.text,
        found.log_probability,
        found.tokens,
        attempts=found.attempts,
    )


def _by_exchange(arm: Arm, known: tuple[Path, str], first: int, count: int) -> Iterator[Made]:
    """Put other elements into known crystals, the likeliest first."""
    from bondwright.crystals.ion_exchange import exchange

    found = exchange(arm.wish.request(), _known(*known), first + count, seed=arm.seed)
    for number in range(first, first + count):
        if number >= len(found):
            problem = f"{NO_PARENT}: the known crystals give {len(found)} different ones."
            yield Made(number, None, problem)
            continue
        made = found[number]
        changes = ", ".join(f"{new} for {old}" for old, new in sorted(made.replaced.items()))
        yield Made(number, made.crystal, parent=f"{made.parent} ({changes})")


def _at_random(arm: Arm, first: int, count: int) -> Iterator[Made]:
    """Draw symmetric crystals."""
    from bondwright.crystals.random_crystals import random_crystals

    for found in random_crystals([arm.wish.request()] * count, arm.seed, first=first):
        yield Made(found.index, found.crystal, found.problem)


@lru_cache(maxsize=1)
def _loaded(place: Path, sha256: str, device: str) -> LoadedModel:
    """Return a model, loaded once in this process.

    Raises:
        InputError: it cannot be loaded, or is another than was planned with.
    """
    from bondwright.crystals.shipped import open_model

    model = open_model(place, device)
    if model.sha256 != sha256:
        raise InputError(
            f"{place} has changed since it was looked at: its weights have the SHA-256 "
            f"{model.sha256[:12]}..., not {sha256[:12]}...; run the command again."
        )
    return model


@lru_cache(maxsize=1)
def _known(table: Path, sha256: str) -> Known:
    """Return known crystals, read once in this process.

    Raises:
        InputError: the table is none, or is another than was planned with.
    """
    from bondwright.crystals.evaluation_known import read_known
    from bondwright.structure.datasets import file_sha256

    if file_sha256(table) != sha256:
        raise InputError(f"{table} has changed since it was looked at; run the command again.")
    return read_known([table])
