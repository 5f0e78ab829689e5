"""Crystals as short texts of space group, free cell parameters and Wyckoff positions.

Rutile is

    <bos> Ti #1 O #2 Z2 sg136 ×1.11 62 ×0.708 82 Ti a O f .30 51 <eos>

Only what the symmetry leaves free is written, so most rules of crystallography cannot be broken.
Lengths are written in units of the usual one (`wyckoff_cell`), in steps of 0.05 %: half a step is
0.001 Å in a cell of 5 Å, and costs less than 0.1 meV per atom in a crystal with a bulk modulus of
100 GPa. Angles have two decimals, coordinates four, as in the published dialects. One crystal has
one text: of the equivalent descriptions the smallest is written, and sites come by
electronegativity, letter and parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np

from bondwright.crystals.crystal import (
    ON_POSITION,
    Crystal,
    Site,
    electronegativity_order,
)
from bondwright.crystals.dialect import Request
from bondwright.crystals.wyckoff import locate, orbit, parameters_of, position
from bondwright.crystals.wyckoff_canonical import UNIT, WrittenSite, canonical_sites
from bondwright.crystals.wyckoff_cell import (
    cell_of,
    free_parameters,
    length_number,
    length_of,
    usual_length,
)
from bondwright.crystals.wyckoff_grammar import WyckoffGrammar, prompt
from bondwright.crystals.wyckoff_vocabulary import (
    ANGLES,
    LENGTHS,
    LETTERS,
    MOST_COUNT,
    MOST_UNITS,
    VOCABULARY,
    WyckoffVocabulary,
)
from bondwright.errors import InputError


class WyckoffDialect:
    """Short texts of Wyckoff positions; implements `Dialect`."""

    name = "wyckoff"

    @property
    def vocabulary(self) -> WyckoffVocabulary:
        """The tokens."""
        return VOCABULARY

    def encode(self, crystal: Crystal) -> list[int]:
        """Return the whole text of a crystal as ids.

        Raises:
            InputError: what of the crystal the vocabulary lacks, or why it is no crystal of its
                space group.
        """
        if not crystal.sites:
            raise InputError("a crystal without sites has no text.")
        words = [*_formula(crystal.counts), f"sg{crystal.space_group}", *_cell(crystal)]
        for place, letter, values in _written_sites(crystal):
            words += [_element(place), LETTERS[letter]]
            for value in values:
                words += [f".{value // 100:02}", f"{value % 100:02}"]
        return [VOCABULARY.begin, *(VOCABULARY.id_of[word] for word in words), VOCABULARY.end]

    def decode(self, ids: Sequence[int]) -> Crystal:
        """Return the crystal that a whole text describes.

        Raises:
            InputError: where the text breaks off or goes wrong.
        """
        return _Reader(ids).crystal()

    def text(self, ids: Sequence[int]) -> str:
        """Return the tokens with blanks between them."""
        return " ".join(VOCABULARY.tokens[token] for token in ids)

    def prompt(self, request: Request) -> list[int]:
        """Return the ids that a model is given before it goes on; see `Dialect.prompt`."""
        return prompt(request)

    def grammar(self, request: Request) -> WyckoffGrammar:
        """Return the state after `prompt(request)`; see `Dialect.grammar`."""
        return WyckoffGrammar(request)


def _formula(counts: Mapping[str, int]) -> list[str]:
    """Return the words of the reduced formula and of the number of its units."""
    order = electronegativity_order()
    unknown = [element for element in counts if element not in order]
    if unknown:
        raise InputError(f"{unknown[0]} is none of the 103 elements that can be written.")
    units = math.gcd(*counts.values())
    most = max(counts, key=counts.__getitem__)
    if counts[most] // units > MOST_COUNT:
        raise InputError(
            f"the reduced formula has {counts[most] // units} {most}; at most {MOST_COUNT} atoms "
            "of an element can be written."
        )
    if units > MOST_UNITS:
        raise InputError(
            f"the cell holds {units} formula units; at most {MOST_UNITS} can be written."
        )
    words = []
    for element in sorted(counts, key=order.__getitem__):
        words += [element, f"#{counts[element] // units}"]
    return [*words, f"Z{units}"]


def _cell(crystal: Crystal) -> list[str]:
    """Return the words of the cell parameters that the lattice system leaves free."""
    measured = (*crystal.lengths, *crystal.angles)
    free = free_parameters(crystal.space_group)
    again = cell_of(crystal.space_group, [measured[k] for k in free])
    names = ("a", "b", "c", "alpha", "beta", "gamma")
    for name, value, due in zip(names, measured, again, strict=True):
        if abs(value - due) > 0.02:
            raise InputError(
                f"{name} is {value:.4f} but has to be {due:.4f} in space group "
                f"{crystal.space_group}; standardise the structure first."
            )
    words = []
    unit = usual_length(crystal.counts)
    for k in free:
        edge = k < 3
        number = round(length_number(measured[k], unit) if edge else 100 * measured[k])
        known = LENGTHS if edge else ANGLES
        if number // 100 not in known:
            least, most = (length_of(100 * LENGTHS[0], unit), length_of(100 * LENGTHS.stop, unit))
            open_ = f"{least:.2f} to {most:.2f} Å" if edge else f"{ANGLES[0]} to {ANGLES[-1]}°"
            raise InputError(
                f"{names[k]} is {measured[k]:.2f}{' Å' if edge else '°'}; only {open_} can be "
                "written."
            )
        whole = VOCABULARY.ids["length" if edge else "angle"][number // 100 - known[0]]
        words += [VOCABULARY.tokens[whole], f"{number % 100:02}"]
    return words


def _written_sites(crystal: Crystal) -> list[WrittenSite]:
    """Check the sites and return them in the description that is written."""
    group, order = crystal.space_group, electronegativity_order()
    letters = []
    for site in crystal.sites:
        letter = site.letter or locate(group, site.position, ON_POSITION)[0]
        due = position(group, letter).multiplicity
        where = "{} at ({:.4f}, {:.4f}, {:.4f})".format(site.element, *site.position)
        if due != site.multiplicity:
            raise InputError(
                f"{where} has multiplicity {site.multiplicity}, but Wyckoff position {letter} of "
                f"space group {group} has {due}."
            )
        if not len(parameters_of(group, letter, site.position, ON_POSITION)):
            raise InputError(f"{where} is not on Wyckoff position {letter} of space group {group}.")
        letters.append(letter)
    elements = [order[site.element] for site in crystal.sites]
    return canonical_sites(
        group, elements, letters, np.array([site.position for site in crystal.sites])
    )


def _element(place: int) -> str:
    """Return the element at a place of the order by electronegativity."""
    return next(name for name, k in electronegativity_order().items() if k == place)


class _Reader:
    """Reads a text token by token."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = [int(token) for token in ids]
        self._next = 0

    def crystal(self) -> Crystal:
        """Read a whole text."""
        if not self._ids or self._ids[0] != VOCABULARY.begin:
            raise InputError("the text does not start with <bos>.")
        self._next = 1
        formula: dict[str, int] = {}
        while self._sees("element"):
            element = self._take("element", "an element")
            if element in formula:
                raise InputError(f"{element} stands twice in the formula.")
            formula[element] = int(self._take("count", f"the number of {element}")[1:])
        if not formula:
            self._refuse("an element")
        units = int(self._take("units", "the number of formula units")[1:])
        group = int(self._take("group", "a space group")[2:])
        declared = {element: count * units for element, count in formula.items()}
        unit = usual_length(declared)
        cell = cell_of(group, [self._cell_parameter(k, unit) for k in free_parameters(group)])
        sites: list[Site] = []
        while self._sees("element"):
            sites.append(self._site(group, sites))
        if self._next >= len(self._ids) or self._ids[self._next] != VOCABULARY.end:
            self._refuse("a site or the end")
        if any(token != VOCABULARY.pad for token in self._ids[self._next + 1 :]):
            raise InputError("the text goes on after its end.")
        crystal = Crystal(group, cell[:3], cell[3:], tuple(sites))
        if crystal.counts != declared:
            raise InputError(
                f"the sites hold {_listed(crystal.counts)}, but formula and Z say "
                f"{_listed(declared)}."
            )
        return crystal

    def _cell_parameter(self, k: int, unit: float) -> float:
        kind, what = ("length", "a length") if k < 3 else ("angle", "an angle")
        whole = VOCABULARY.id_of[self._take(kind, what)] - VOCABULARY.ids[kind].start
        decimals = int(self._take("decimals", f"decimals of {what}"))
        if k < 3:
            return length_of(100 * whole + decimals, unit)
        return ANGLES.start + whole + decimals / 100

    def _site(self, group: int, before: list[Site]) -> Site:
        element = self._take("element", "an element")
        letter = self._take("letter", f"the Wyckoff letter of {element}")
        place = position(group, letter)
        if not place.free and any(site.letter == letter for site in before):
            raise InputError(
                f"position {letter} of space group {group} is occupied twice, but has one orbit."
            )
        what = f"a coordinate of {element} on {letter}"
        parameters = [
            int(self._take("hundredths", what)[1:]) / 100 + int(self._take("decimals", what)) / UNIT
            for _ in place.free
        ]
        x, y, z = orbit(group, letter, parameters)[0].tolist()
        return Site(element, place.multiplicity, letter, (x, y, z))

    def _sees(self, kind: str) -> bool:
        return self._next < len(self._ids) and self._ids[self._next] in VOCABULARY.ids[kind]

    def _take(self, kind: str, what: str) -> str:
        if not self._sees(kind):
            self._refuse(what)
        self._next += 1
        return VOCABULARY.tokens[self._ids[self._next - 1]]

    def _refuse(self, what: str) -> NoReturn:
        if self._next >= len(self._ids):
            raise InputError(
                f"the text breaks off after {len(self._ids)} tokens, where {what} is due."
            )
        token = self._ids[self._next]
        known = 0 <= token < len(VOCABULARY.tokens)
        shown = VOCABULARY.tokens[token] if known else f"id {token}"
        raise InputError(f"token {self._next + 1} is {shown}, where {what} is due.")


def _listed(counts: Mapping[str, int]) -> str:
    return " ".join(f"{element}{count}" for element, count in counts.items())
