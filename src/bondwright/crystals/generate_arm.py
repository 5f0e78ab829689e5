"""Arms: a wish with everything that decides its crystals, planned before any work is done.

The crystal with number i of an arm is always the same, however many are made, by however many
workers, in however many parts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bondwright.crystals.dialect import Request
from bondwright.crystals.generate_wish import Wish
from bondwright.crystals.search_units import possible_units
from bondwright.crystals.shipped import ModelFacts, describe_model, model_place
from bondwright.errors import InputError
from bondwright.structure.datasets import file_sha256, structures_table

VERSION = "generate/1"


@dataclass(frozen=True)
class Arm:
    """A wish with everything that decides its crystals.

    Attributes:
        wish: what is wished for.
        user_seed: the seed that was given.
        facts: the model that makes them; None for a baseline.
        known: table of known crystals and its SHA-256, for ion exchange and, where there is one,
            for a tree search; else None.
        warnings: sentences that the user should see.
        units: numbers of formula units that a search over them shares its texts out to.
    """

    wish: Wish
    user_seed: int
    facts: ModelFacts | None = None
    known: tuple[Path, str] | None = None
    warnings: tuple[str, ...] = ()
    units: tuple[int, ...] = ()

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
        own = ("asked", "guidance", "texts")
        same = {k: v for k, v in self.wish.identity().items() if k not in own}
        return _digest([same, self._source, self.wish.texts_each])[:16]

    @property
    def maker(self) -> str:
        """Who makes the crystals, for people."""
        if self.facts is not None:
            return f"model {self.facts.name}"
        return "ion exchange" if self.wish.method == "ion-exchange" else "random symmetric crystals"

    @property
    def divisible(self) -> bool:
        """Whether parts cost no more than the whole.

        Ion exchange ranks all known crystals, and a tree search learns from every text.
        """
        return self.wish.method != "ion-exchange" and self.wish.search != "tree"

    @property
    def total(self) -> int:
        """How many crystals are made before the likeliest are kept; a tree search hands out n."""
        if self.wish.search == "tree":
            return self.wish.n
        return max(self.wish.texts, len(self.units))

    @property
    def ranked(self) -> bool:
        """Whether the likeliest of the crystals that are made are kept."""
        return self.wish.search == "formula-units" or self.total > self.wish.n

    def request(self, number: int) -> Request:
        """Return what the crystal of a number has to be."""
        request = self.wish.request()
        if not self.units:
            return request
        return replace(request, formula_units=self.units[number % len(self.units)])

    @property
    def _source(self) -> str:
        """Checksums of the model and the data that the crystals come from."""
        model = "" if self.facts is None else self.facts.sha256
        return model + ("" if self.known is None else self.known[1])


def plan_arm(wish: Wish, seed: int) -> Arm:
    """Return the arm of a wish; what cannot be made is refused here, before a model is loaded.

    Args:
        wish: what is wished for.
        seed: used where the wish has none.

    Raises:
        InputError: there is no such model, it is damaged, it cannot be asked for a property, or
            the request cannot be met: an element or space group that its vocabulary lacks, no
            Wyckoff positions that give the composition; or there is no such table of known
            crystals.
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

        ion_exchange.check(request)
        return Arm(wish, chosen, known=_table(wish.known or default_table()))
    from bondwright.crystals.dialects import dialect
    from bondwright.crystals.normaliser import normalise

    facts = describe_model(model_place(wish.model))
    _, messages = normalise(facts.normalisers, wish.asked)
    spoken = dialect(facts.dialect)
    spoken.grammar(request)
    units = possible_units(spoken, request) if wish.search == "formula-units" else ()
    place = wish.known or structures_table() if wish.search == "tree" else None
    known = _table(place) if place else None
    warnings = (*messages, *_beyond_training(wish, facts))
    return Arm(wish, chosen, facts, known, warnings, units)


def _table(place: str | Path) -> tuple[Path, str]:
    """Return a table of known crystals with its checksum.

    Raises:
        InputError: there is none.
    """
    path = Path(place).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: there is no such table of known crystals.")
    return path, file_sha256(path)


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
