"""What crystals are wished for, in any spelling, and what is refused before any work is done."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from ase.data import chemical_symbols

from bondwright.crystals.dialect import Request
from bondwright.crystals.generate_cif import plain_formula
from bondwright.errors import InputError, nearest
from bondwright.structure.symmetry import parse_space_group

Method = Literal["model", "ion-exchange", "random"]
METHODS: tuple[Method, ...] = get_args(Method)
Search = Literal["none", "formula-units", "tree"]
SEARCHES: dict[Search, str] = {
    "none": "",
    "formula-units": "search over formula units",
    "tree": "tree search",
}
"""Searches and what they are called for people."""
TREE_TEXTS = 5
"""Fewest texts that a tree search writes for each crystal that it keeps."""
MOST_ELEMENTS = 10
"""Most elements of one crystal; of 46,345 known crystals, one has eight and none has more."""

_Name = TypeVar("_Name", bound=str)
_ELEMENTS = frozenset(chemical_symbols[1:])
_TOKEN = re.compile(
    r"(?P<element>[A-Z][a-z]?)|(?P<count>\d+(?![.\d]))|(?P<open>[(\[{])|(?P<close>[)\]}])"
)
_IGNORED = re.compile(r"[\s_$'\"]+")


@dataclass(frozen=True)
class Wish:
    """Crystals that are to be made in one way: a table `[[generate]]`, or one arm of a command.

    Attributes:
        n: how many.
        formula: in any spelling ("TiO2", "Ca(NO3)2", "O2 Ti"); "" leaves the composition open.
        chemical_system: "Ti-O": these elements and no others, in any ratio; "" for any.
        formula_units: how many units of `formula` the conventional cell holds; None: any number.
        space_group: number or symbol in any spelling; None: any.
        max_atoms: most atoms in the conventional cell.
        asked: property -> value that the crystals should have, e.g. {"band_gap": 3.0} (eV); empty
            for a control that is asked for nothing.
        method: "model", or one of the baselines "ion-exchange" and "random".
        model: "shipped", or a folder or file of another model.
        known: table of known crystals, for ion exchange and for the reward of a tree search; ""
            for that below BONDWRIGHT_DATA.
        temperature: of sampling; below 1 likelier tokens gain, 0 takes the likeliest.
        top_k: choose among so many tokens only; 0: all.
        top_p: choose among the likeliest tokens that make up this share; 1: all.
        guidance: by how much the asked values are exaggerated; 1: not at all.
        attempts: how often a crystal may be begun anew whose atoms stand at distances that known
            crystals do not have, whose symmetry is not the one it declares, or whose bonds fail
            the published test; 1 keeps what the model writes first.
        best: make so many times `n`, and keep the `n` that the model finds likeliest.
        search: "formula-units" shares the texts out to the possible numbers of formula units and
            keeps the `n` likeliest; "tree" spends them where earlier ones were rewarded, and
            keeps the `n` with the highest rewards (`search_reward`).
        seed: of every random number; None for that of the campaign.
        label: short name of this set.
    """

    n: int
    formula: str = ""
    chemical_system: str = ""
    formula_units: int | None = None
    space_group: int | str | None = None
    max_atoms: int = 200
    asked: dict[str, float] = field(default_factory=dict)
    method: Method = "model"
    model: str = "shipped"
    known: str = ""
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    guidance: float = 1.0
    attempts: int = 16
    best: int = 1
    search: Search = "none"
    seed: int | None = None
    label: str = ""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            InputError: names the value.
        """
        _within("n", self.n, 1, 10_000_000)
        _within("max_atoms", self.max_atoms, 1, 1000)
        _within("best", self.best, 1, 1000)
        _within("attempts", self.attempts, 1, 1000)
        _within("top_k", self.top_k, 0, 1_000_000)
        _within("temperature", self.temperature, 0, 100)
        _within("top_p", self.top_p, 0.01, 1)
        _within("guidance", self.guidance, 0, 100)
        if self.formula_units is not None:
            _within("formula_units", self.formula_units, 1, 1000)
        if self.seed is not None:
            _within("seed", self.seed, 0, 2**63 - 1)
        if self.method != "model" and self.asked:
            raise InputError(
                f"the method {self.method!r} cannot be asked for {next(iter(self.asked))}; only a "
                "model can."
            )
        if self.method != "model" and self.best > 1:
            raise InputError(f"the method {self.method!r} knows no likeliest; leave `best` out.")
        if self.method != "model" and self.search != "none":
            raise InputError(f"the method {self.method!r} cannot search; leave `search` out.")
        if self.search == "formula-units" and (not self.formula or self.formula_units is not None):
            raise InputError(
                "the search 'formula-units' tries several numbers of units of a formula; "
                + ("leave formula_units out." if self.formula else "give the formula, too.")
            )
        self.request()

    def request(self) -> Request:
        """Return what each crystal has to be.

        Raises:
            InputError: no such element or space group, a formula without atoms or with too many
                elements or atoms, or wishes that exclude each other.
        """
        group = None
        if self.space_group is not None:
            known = parse_space_group(self.space_group)
            if known is None:
                raise InputError(
                    f"{self.space_group!r} is no space group; give a number from 1 to 230 or a "
                    "symbol such as P4_2/mnm."
                )
            group = known.number
        if self.formula and self.chemical_system:
            raise InputError("give a formula or a chemical system, not both.")
        if not self.formula:
            if self.formula_units is not None:
                raise InputError("formula_units counts units of a formula; give the formula, too.")
            elements = parse_system(self.chemical_system) if self.chemical_system else None
            return Request(space_group=group, elements=elements, max_atoms=self.max_atoms)
        counts = parse_formula(self.formula)
        atoms = sum(counts.values()) * (self.formula_units or 1)
        if atoms > self.max_atoms:
            units = f"{self.formula_units} units of " if self.formula_units else ""
            raise InputError(
                f"{units}{self.formula} has {atoms} atoms, more than the {self.max_atoms} that "
                "one cell may hold; raise max_atoms if it is meant."
            )
        return Request(counts, self.formula_units, group, max_atoms=self.max_atoms)

    @property
    def subject(self) -> str:
        """What is made, as a short name for files: "TiO2", "Ti-O" or "any"."""
        request = self.request()
        if request.formula is not None:
            return plain_formula(request.formula)
        return "-".join(sorted(request.elements)) if request.elements else "any"

    @property
    def words(self) -> str:
        """What is made, for people: "TiO2, 2 formula units, space group 136"."""
        parts = [self.subject if self.subject != "any" else "any composition"]
        if self.formula_units is not None:
            parts.append(f"{self.formula_units} formula units")
        if self.space_group is not None:
            parts.append(f"space group {self.request().space_group}")
        return ", ".join(parts)

    @property
    def texts_each(self) -> int:
        """Texts that are written for each crystal that is kept."""
        return max(self.best, TREE_TEXTS) if self.search == "tree" else self.best

    @property
    def most_attempts(self) -> int:
        """Times a text may be begun; a tree search learns from flawed ones and keeps each."""
        return 1 if self.search == "tree" else self.attempts

    @property
    def texts(self) -> int:
        """Texts that are written before the best are kept."""
        return self.n * self.texts_each

    def identity(self) -> dict[str, Any]:
        """Return, as JSON values, what a crystal depends on besides model, seed and its number.

        Two spellings of one wish are one; `n` and `label` change no crystal, except that a tree
        search with more texts goes another way.
        """
        request = self.request()
        same: dict[str, Any] = {
            "formula": None if request.formula is None else sorted(request.formula.items()),
            "formula_units": request.formula_units,
            "space_group": request.space_group,
            "elements": None if request.elements is None else sorted(request.elements),
            "max_atoms": request.max_atoms,
            "method": self.method,
        }
        if self.method == "model":
            same |= {
                "asked": dict(sorted(self.asked.items())),
                "temperature": self.temperature,
                "top_k": self.top_k,
                "top_p": self.top_p,
                "guidance": self.guidance if self.asked else 1.0,
                "attempts": self.most_attempts,
            }
        if self.search != "none":
            same["search"] = self.search
        if self.search == "tree":
            same["texts"] = self.texts
        return same


def method_of(name: str, where: str) -> Method:
    """Return the method of that name.

    Raises:
        InputError: there is none; `where` stands before the reason.
    """
    return _named(name, list(METHODS), "method", where)


def search_of(name: str, where: str) -> Search:
    """Return the search of that name.

    Raises:
        InputError: there is none; `where` stands before the reason.
    """
    return _named(name, list(SEARCHES), "search", where)


def _named(name: str, known: Sequence[_Name], what: str, where: str) -> _Name:
    for one in known:
        if one == name:
            return one
    raise InputError(
        f"{where} {name}: no such {what}; choose one of {', '.join(known)}.{nearest(name, known)}"
    )


def parse_formula(text: str) -> dict[str, int]:
    """Return element -> atoms of a formula in any usual spelling.

    Blanks, underscores, subscripts and nested brackets are understood; the order is kept.

    Raises:
        InputError: no atoms, an unknown element, counts that are not whole, or something else that
            cannot be read; names it.
    """
    plain = _IGNORED.sub("", unicodedata.normalize("NFKC", text))
    stack: list[Counter[str]] = [Counter()]
    last: Counter[str] | None = None
    end = 0
    for match in _TOKEN.finditer(plain):
        if match.start() != end:
            break
        end = match.end()
        if match["element"]:
            last = Counter({_element(match["element"], text): 1})
            stack[-1].update(last)
        elif match["open"]:
            stack.append(Counter())
            last = None
        elif match["close"] and len(stack) > 1:
            last = stack.pop()
            stack[-1].update(last)
        elif match["count"] and last is not None:
            times = int(match["count"])
            if times == 0:
                raise InputError(f"formula {text!r}: a count of 0 is no atom; leave the part out.")
            stack[-1].update({element: n * (times - 1) for element, n in last.items()})
            last = None
        else:
            end = match.start()
            break
    if end != len(plain) or len(stack) != 1:
        rest = f"cannot read {plain[end:]!r}" if end != len(plain) else "a bracket is not closed"
        raise InputError(
            f"formula {text!r}: {rest}; write element symbols and whole numbers, such as TiO2, "
            "Ca(NO3)2 or Zr49Cu49Al2."
        )
    if not stack[0]:
        raise InputError("the formula has no atoms; give one such as TiO2.")
    _check_number(stack[0], text)
    return dict(stack[0])


def parse_system(text: str) -> tuple[str, ...]:
    """Return the elements of a chemical system such as "Ti-O", "Ti, O" or "TiO".

    Raises:
        InputError: no elements, an unknown one, or too many.
    """
    parts = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", text))
    symbols = [symbol for part in parts for symbol in re.findall(r"[A-Z][a-z]?|.+", part)]
    if not symbols or re.search(r"\d", text):
        raise InputError(f"{text!r} is no chemical system; name its elements, such as Ti-O.")
    elements = tuple(dict.fromkeys(_element(symbol, text) for symbol in symbols))
    _check_number(elements, text)
    return elements


def _element(symbol: str, text: str) -> str:
    if symbol not in _ELEMENTS:
        raise InputError(f"{text!r}: there is no element {symbol!r}.{nearest(symbol, _ELEMENTS)}")
    return symbol


def _check_number(elements: Any, text: str) -> None:
    if len(elements) > MOST_ELEMENTS:
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        raise InputError(
            f"{shown!r} has {len(elements)} elements, more than the {MOST_ELEMENTS} that are "
            "allowed; known crystals have at most eight."
        )


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise InputError(f"{name} must be from {low:g} to {high:g}, found {value:g}.")
