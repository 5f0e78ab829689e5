"""Nominal compositions of alloys, in any spelling that people use."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from math import floor

from ase.data import atomic_numbers
from pymatgen.core import Element

from bondwright.errors import InputError

_AMOUNT = r"\d+(?:\.\d*)?|\.\d+"
_PART = re.compile(rf"([A-Z][a-z]?)({_AMOUNT})?")
_GROUP = re.compile(rf"\(([^()]*)\)({_AMOUNT})?")
_LOWER = re.compile(rf"(?:[a-z]{{1,2}}(?:{_AMOUNT}))+")
_EXAMPLE = "write it as Zr49Cu49Al2, Zr0.49Cu0.49Al0.02 or 'Zr 49 Cu 49 Al 2'."


@dataclass(frozen=True)
class Composition:
    """A nominal composition.

    Attributes:
        name: canonical name in atomic per cent, "Zr49Cu49Al2": most abundant first, of equally
            abundant ones the least electronegative (Pauling) first.
        fractions: element -> atomic fraction in the order of the name; they sum to 1.
    """

    name: str
    fractions: dict[str, float]

    @property
    def elements(self) -> tuple[str, ...]:
        """The elements in the order of the name."""
        return tuple(self.fractions)

    def counts(self, atoms: int) -> dict[str, int]:
        """Share out a number of atoms by the largest remainder.

        Raises:
            InputError: an element would have no atom.
        """
        exact = {element: part * atoms for element, part in self.fractions.items()}
        shares = {element: floor(value + 1e-9) for element, value in exact.items()}
        by_remainder = sorted(exact, key=lambda element: shares[element] - exact[element])
        for element in by_remainder[: atoms - sum(shares.values())]:
            shares[element] += 1
        for element, count in shares.items():
            if count == 0:
                needed = floor(0.5 / self.fractions[element]) + 1
                raise InputError(
                    f"{atoms} atoms of {self.name} hold no {element}; take at least {needed}."
                )
        return shares


def parse_composition(text: str) -> Composition:
    """Read a composition such as "Zr49Cu49Al2", "Cu50Zr50", "ZrCu" or "(Zr50Cu50)98Al2".

    Amounts are relative; spaces, dashes, underscores and subscript digits do not matter. A group
    in brackets is a share of the whole, as is usual for glasses, so its inner amounts must sum to
    100 or 1.

    Raises:
        InputError: not a composition, an element named twice in sum zero, or no element at all.
    """
    plain = unicodedata.normalize("NFKC", text)  # subscript digits become digits
    plain = re.sub(r"at\.?\s*%|%", "", plain)
    plain = re.sub(r"[\s_,;:·-]+", "", plain)
    if _LOWER.fullmatch(plain):
        plain = re.sub(r"[a-z]+", lambda match: match[0].capitalize(), plain)
    amounts: dict[str, float] = {}
    rest = plain
    for match in _GROUP.finditer(plain):
        inner = _amounts(match[1], text)
        total = sum(inner.values())
        if not (abs(total - 100) < 1e-6 or abs(total - 1) < 1e-6):
            raise InputError(
                f"the group ({match[1]}) of {text!r} sums to {total:g}, not to 100; {_EXAMPLE}"
            )
        for element, amount in inner.items():
            share = float(match[2] or 1) * amount / total
            amounts[element] = amounts.get(element, 0.0) + share
        rest = rest.replace(match[0], "", 1)
    for element, amount in _amounts(rest, text).items():
        amounts[element] = amounts.get(element, 0.0) + amount
    total = sum(amounts.values())
    if not amounts or total <= 0:
        raise InputError(f"{text!r} is no composition; {_EXAMPLE}")
    order = sorted(
        (element for element, amount in amounts.items() if amount > 0),
        key=lambda element: (-round(amounts[element] / total, 9), _electronegativity(element)),
    )
    fractions = {element: amounts[element] / total for element in order}
    name = "".join(f"{element}{_percent(part)}" for element, part in fractions.items())
    return Composition(name, fractions)


def _amounts(text: str, whole: str) -> dict[str, float]:
    found: dict[str, float] = {}
    end = 0
    for match in _PART.finditer(text):
        if match.start() != end:
            break
        element = match[1]
        if element not in atomic_numbers or element == "X":
            raise InputError(f"{element!r} in {whole!r} is no element; {_EXAMPLE}")
        found[element] = found.get(element, 0.0) + float(match[2] or 1)
        end = match.end()
    if end != len(text):
        raise InputError(f"{text[end:]!r} in {whole!r} cannot be understood; {_EXAMPLE}")
    return found


def _electronegativity(element: str) -> float:
    value = Element(element).X
    return value if value == value else 9.0  # noble gases have none


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3f}".rstrip("0").rstrip(".")
