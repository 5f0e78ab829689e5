"""Arms: a wish with everything that decides its crystals, planned before any work is done.

The crystal with number i of an arm is always the same, however many are made, by however many
workers, in however many parts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bondwright.crystals.generate_wish import Wish
from bondwright.crystals.shipped import ModelFacts, describe_model, model_place
from bondwright.errors import InputError

VERSION = "generate/1"


@dataclass(frozen=True)
class Arm:
    """A wish with everything that decides its crystals.

    Attributes:
        wish: what is wished for.
        user_seed: the seed that was given.
        facts: the model that makes them; None for a baseline.
        known: table of known crystals and its SHA-256, for ion exchange; else None.
        warnings: sentences that the user should see.
    """

    wish: Wish
    user_seed: int
    facts: ModelFacts | None = None
    known: tuple[Path, str] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """SHA-256 of all that the crystals depend on, 64 hexadecimal digits."""
        return _digest([VERSION, self.wish.identity(), self._source, self.user_seed])

    @property
    def name(self) -> str:
        """Name of the arm, in files and as the beginning of its crystals' ids."""
        return f"{self.wish.subject}-{self.key[:8]}"

    @property
    def seed(self) -> int:
        """Seed of the arm's random numbers: two arms of one command share none of them."""
        return int(_digest(["seed", self.key])[:13], 16)

    @property
    def family(self) -> str:
        """Digest of what arms share that differ in nothing but what they were asked for."""
        same = {k: v for k, v in self.wish.identity().items() if k not in ("asked", "guidance")}
        return _digest([same, self._source, self.wish.best])[:16]

    @property
    def maker(self) -> str:
        """Who makes the crystals, for people."""
        if self.facts is not None:
            return f"model {self.facts.name}"
        return "ion exchange" if self.wish.method == "ion-exchange" else "random symmetric crystals"

    @property
    def divisible(self) -> bool:
        """Whether parts cost no more than the whole: ion exchange ranks all known crystals."""
        return self.wish.method != "ion-exchange"

    @property
    def _source(self) -> str:
        """Checksum of the data that the crystals come from."""
        if self.facts is not None:
            return self.facts.sha256
        return "" if self.known is None else self.known[1]


def plan_arm(wish: Wish, seed: int) -> Arm:
    """Return the arm of a wish; what cannot be made is refused here, before a model is loaded.

    Args:
        wish: what is wished for.
        seed: used where the wish has none.

    Raises:
        InputError: there is no such model, it is damaged, it cannot be asked for a property, or
            the request cannot be met: an element or space group that its vocabulary lacks, no
            Wyckoff positions that give the composition.
    """
    chosen = seed if wish.seed is None else wish.seed
    request = wish.request()
    if wish.method == "random":
        from bondwright.crystals import random_crystals

        random_crystals.check(request)
        return Arm(wish, chosen)
    if wish.method == "ion-exchange":
        from bondwright.crystals import ion_exchange
        from bondwright.crystals.evaluation_known import default_table
        from bondwright.structure.datasets import file_sha256

        ion_exchange.check(request)
        table = Path(wish.known).expanduser() if wish.known else default_table()
        if not table.is_file():
            raise InputError(f"{table}: there is no such table of known crystals.")
        return Arm(wish, chosen, known=(table, file_sha256(table)))
    from bondwright.crystals.dialects import dialect
    from bondwright.crystals.normaliser import normalise

    facts = describe_model(model_place(wish.model))
    _, messages = normalise(facts.normalisers, wish.asked)
    dialect(facts.dialect).grammar(request)
    warnings = (*messages, *_beyond_training(wish, facts))
    return Arm(wish, chosen, facts, warnings=warnings)


def _beyond_training(wish: Wish, facts: ModelFacts) -> list[str]:
    """Return a warning where the cell must be larger than any that the model has seen."""
    request = wish.request()
    data = facts.card.get("data")
    seen = data.get("atoms") if isinstance(data, Mapping) else None
    if request.formula is None or not isinstance(seen, Sequence) or len(seen) != 2:
        return []
    atoms = sum(request.formula.values()) * (request.formula_units or 1)
    if seen[0] <= atoms <= seen[1]:
        return []
    return [
        f"{wish.words} has {atoms} atoms in a cell; the model has seen {seen[0]} to {seen[1]}. "
        "What it makes of it is extrapolation."
    ]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
