"""Crystals as CIF text in the two published dialects, and back.

The text is what pymatgen's `CifWriter(symprec=0.1)` writes, numbers rounded to four decimals, with
three changes that CrystaLLM made: the block is named after the cell's formula, the operations are
reduced to the identity, and a table of element facts follows the first line. CrystaLLM-pi puts
brackets around everything that varies. `Layout` holds the pieces; the grammar of constrained
decoding is made of the same ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.cif_vocabulary import (
    CRYSTALLM,
    CRYSTALLM_PI,
    ELEMENT_FACTS,
    ELEMENTS,
    GROUP_SYMBOLS,
    PAULING,
    CifVocabulary,
    cell_formula,
    formula_order,
    structural_formula,
)
from bondwright.crystals.crystal import Crystal, Site
from bondwright.crystals.wyckoff import (
    WyckoffPosition,
    locate,
    orbit,
    parameters_of,
    position,
)
from bondwright.errors import InputError
from bondwright.structure.candidate import SiteRow
from bondwright.structure.cif_sites import read_sites
from bondwright.structure.cif_syntax import Block, read_blocks
from bondwright.structure.expand import lattice_from_parameters
from bondwright.structure.numbers import read_integer, read_number
from bondwright.structure.parsed import Unreadable
from bondwright.structure.symmetry import parse_space_group

DECIMALS = 4
"""Decimals of every number that is not a whole one."""

AFTER_SITE = " 1.0\n"
"""The rest of a site's line after its coordinates: the occupancy."""

ROUNDING = 1.6e-4
"""By how much a rounded coordinate may miss its place: 2x of a rounded x misses by 1.5e-4."""

_NOISE = 6  # decimals that decide between coordinates; further ones are rounding errors
_CELL_TAGS = (
    "_cell_length_a",
    "_cell_length_b",
    "_cell_length_c",
    "_cell_angle_alpha",
    "_cell_angle_beta",
    "_cell_angle_gamma",
)
_SITE_TAGS = (
    "_atom_site_type_symbol",
    "_atom_site_label",
    "_atom_site_symmetry_multiplicity",
    "_atom_site_fract_x",
    "_atom_site_fract_y",
    "_atom_site_fract_z",
    "_atom_site_occupancy",
)

_PART = re.compile(r"([A-Z][a-z]?)(\d*)\s*")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*\s*)+")


@dataclass(frozen=True)
class Layout:
    """The marks in which the two dialects differ.

    Attributes:
        begin, end: what the text starts and ends with.
        opening, closing: around everything that varies.
        indent: before the lines of a loop.
    """

    begin: str = ""
    end: str = "\n"
    opening: str = ""
    closing: str = ""
    indent: str = ""

    def start(self) -> str:
        """Return the text before the formula."""
        return f"{self.begin}data_{self.opening}"

    def facts(self, elements: Iterable[str]) -> str:
        """Return the text from the end of the formula to the symbol of the space group."""
        tags = ("_symbol", "_electronegativity", "_radius", "_ionic_radius")
        rows = [" ".join((element, *ELEMENT_FACTS[element])) for element in elements]
        loop = self._loop([f"_atom_type{tag}" for tag in tags])
        table = "".join(f"{self.indent}{row}\n" for row in rows)
        return (
            f"{self.closing}\n{loop}{self.rows_begin()}{table}{self.rows_end()}"
            f"_symmetry_space_group_name_H-M {self.opening}"
        )

    def before_cell(self, index: int) -> str:
        """Return the text before the cell's number `index` (a, b, c, alpha, beta, gamma)."""
        return f"{self.closing}\n{_CELL_TAGS[index]} {self.opening}"

    def summary(self, group: int, counts: Mapping[str, int]) -> str:
        """Return the text between the cell's last angle and its volume."""
        structural, _ = structural_formula(counts)
        lines = (
            ("_symmetry_Int_Tables_number", group),
            ("_chemical_formula_structural", structural),
        )
        text = "".join(f"{tag} {self.opening}{value}{self.closing}\n" for tag, value in lines)
        total = f"{self.opening}{cell_formula(counts, ' ')}{self.closing}"
        if len(counts) > 1:  # CIF quotes what has blanks
            total = f"'{total}'"
        return f"{self.closing}\n{text}_chemical_formula_sum {total}\n_cell_volume {self.opening}"

    def before_sites(self, counts: Mapping[str, int]) -> str:
        """Return the text between the volume and the first site."""
        _, units = structural_formula(counts)
        operations = self._loop(["_symmetry_equiv_pos_site_id", "_symmetry_equiv_pos_as_xyz"])
        return (
            f"{self.closing}\n_cell_formula_units_Z {self.opening}{units}{self.closing}\n"
            f"{operations}{self.indent}1 'x, y, z'\n{self._loop(_SITE_TAGS)}{self.rows_begin()}"
        )

    def before_multiplicity(self, element: str, index: int) -> str:
        """Return what stands between a site's element and its multiplicity."""
        return f" {element}{index} "

    def finish(self) -> str:
        """Return the text after the last site."""
        return self.rows_end() + self.end

    def rows_begin(self) -> str:
        """Return the line that opens the rows of a loop."""
        return f"{self.opening}\n" if self.opening else ""

    def rows_end(self) -> str:
        """Return the line that closes the rows of a loop."""
        return f"{self.closing}\n" if self.closing else ""

    def _loop(self, tags: Iterable[str]) -> str:
        """Return the head of a loop."""
        return "loop_\n" + "".join(f"{self.indent}{tag}\n" for tag in tags)


@dataclass(frozen=True)
class CifSpec:
    """A dialect: its tokens and its marks."""

    vocabulary: CifVocabulary
    layout: Layout

    @property
    def name(self) -> str:
        """Name of the dialect."""
        return self.vocabulary.name


# An empty line ends the text of the first; both write CIF.
CRYSTALLM_SPEC = CifSpec(CRYSTALLM, Layout())
CRYSTALLM_PI_SPEC = CifSpec(
    CRYSTALLM_PI, Layout(begin="<bos>\n", end="<eos>", opening="[", closing="]", indent=" ")
)


def write_cif(crystal: Crystal, spec: CifSpec) -> str:
    """Return the text of a crystal.

    Each orbit is represented by the first of its points in the order of x, y, z. Sites are ordered
    by electronegativity, then from high to low multiplicity, then by x, y, z.

    Args:
        crystal: the crystal.
        spec: the dialect.

    Raises:
        InputError: an element or space group that the vocabulary lacks; no sites.
    """
    counts, layout = crystal.counts, spec.layout
    check_vocabulary(counts, crystal.space_group, spec.name)
    if not counts:
        raise InputError("a crystal without sites has no text; give it at least one.")
    numbers = [*crystal.lengths, *crystal.angles]
    cell = "".join(layout.before_cell(i) + decimal(n) for i, n in enumerate(numbers))
    sites = "".join(
        f"{layout.indent}{site.element}{layout.before_multiplicity(site.element, index)}"
        f"{site.multiplicity} {' '.join(fraction(x) for x in site.position)}{AFTER_SITE}"
        for index, site in enumerate(ordered_sites(crystal))
    )
    return (
        f"{layout.start()}{cell_formula(counts)}{layout.facts(formula_order(counts))}"
        f"{GROUP_SYMBOLS[crystal.space_group]}{cell}{layout.summary(crystal.space_group, counts)}"
        f"{decimal(cell_volume(crystal.lengths, crystal.angles))}{layout.before_sites(counts)}"
        f"{sites}{layout.finish()}"
    )


def check_vocabulary(elements: Iterable[str], space_group: int | None, dialect: str) -> None:
    """Refuse what the published vocabularies cannot say.

    Raises:
        InputError: naming the element or the space group.
    """
    missing = [element for element in elements if element not in ELEMENTS]
    if missing:
        raise InputError(
            f"{dialect} has no token for {', '.join(missing)}; its vocabulary holds "
            f"{len(ELEMENTS)} elements. Use the dialect 'wyckoff' for others."
        )
    if space_group is not None and space_group not in GROUP_SYMBOLS:
        raise InputError(
            f"{dialect} has no token for space group {space_group}; its vocabulary holds all but "
            "93 (P4_222), 168 (P6) and 207 (P432). Use the dialect 'wyckoff' for these."
        )


def ordered_sites(crystal: Crystal) -> list[Site]:
    """Return the sites in the order and with the representatives of the published texts."""
    sites = [
        Site(site.element, site.multiplicity, site.letter, _first_point(crystal, site))
        for site in crystal.sites
    ]
    # Elements of equal electronegativity are not kept apart: pymatgen does not know them.
    return sorted(sites, key=lambda s: (PAULING[s.element], -s.multiplicity, _key(s.position)))


def _first_point(crystal: Crystal, site: Site) -> tuple[float, float, float]:
    """Return the point of a site's orbit that comes first in the order of x, y, z."""
    group, letter = crystal.space_group, site.letter
    if letter:
        fitting = parameters_of(group, letter, site.position, ROUNDING)
        parameters = fitting[0] if len(fitting) else None
    else:
        letter, parameters = locate(group, site.position, ROUNDING)
    if parameters is None or position(group, letter).multiplicity != site.multiplicity:
        raise InputError(
            f"{site.element} at {site.position} is on no position {site.multiplicity}"
            f"{site.letter} of space group {group}."
        )
    points = orbit(group, letter, parameters)
    x, y, z = min(points.tolist(), key=_key)
    return x, y, z


def _key(point: Iterable[float]) -> tuple[float, ...]:
    """Return what points are ordered by: rounding errors do not count."""
    return tuple(round(x, _NOISE) % 1.0 for x in point)


def cell_volume(lengths: tuple[float, float, float], angles: tuple[float, float, float]) -> float:
    """Return the volume (Å³) of a cell of lengths in Å and angles in degrees."""
    x, y, z = (math.cos(math.radians(angle)) for angle in angles)
    return math.prod(lengths) * math.sqrt(max(0.0, 1 + 2 * x * y * z - x * x - y * y - z * z))


def decimal(number: float) -> str:
    """Return a number with four decimals, as when pymatgen's eight are rounded again."""
    return f"{round(float(f'{number:.8f}'), DECIMALS):.{DECIMALS}f}"


def fraction(coordinate: float) -> str:
    """Return a fractional coordinate between 0.0000 and 0.9999."""
    text = decimal(coordinate % 1.0)
    return "0.0000" if text == "1.0000" else text


def read_cif(text: str) -> Crystal:
    """Read a text of either dialect, or one like it from elsewhere.

    The table of element facts, the volume and the list of operations may be missing; they say
    nothing that the rest does not. Rounded coordinates are put back onto their Wyckoff position.

    Raises:
        InputError: the text breaks off, is no CIF, or contradicts itself: symbol and number of
            the space group, formula and sites, a multiplicity that its place does not have.
    """
    try:
        block = read_blocks(text)[0]
        rows, _ = read_sites(block)
        numbers = [_number(block, tag) for tag in _CELL_TAGS]
        lattice_from_parameters(numbers[:3], numbers[3:])
    except Unreadable as error:
        raise InputError(f"the text is no crystal: {error}") from error
    group = _declared_group(block)
    sites = tuple(_read_site(row, group) for row in rows)
    a, b, c, alpha, beta, gamma = numbers
    crystal = Crystal(group, (a, b, c), (alpha, beta, gamma), sites)
    _check_formulas(block, crystal.counts)
    return crystal


def _number(block: Block, tag: str) -> float:
    """Return the number of a tag."""
    value = read_number(block.first(tag.casefold()))
    if value is None:
        raise Unreadable("no-cell", f"{tag} is missing or no number.")
    return value


def _declared_group(block: Block) -> int:
    """Return the space-group number that a block declares by symbol and number."""
    written = block.first("_symmetry_space_group_name_h-m")
    number = read_integer(block.first("_symmetry_int_tables_number"))
    group = parse_space_group(written) if written else None
    if group is None:
        raise InputError(f"{written!r} is no space group; the text needs a known symbol.")
    if number is not None and number != group.number:
        raise InputError(
            f"the text contradicts itself: space group {written} is number {group.number}, "
            f"not {number}."
        )
    return group.number


def _read_site(row: SiteRow, group: int) -> Site:
    """Return a row of the site loop as an orbit, its point on its Wyckoff position."""
    if abs(row.occupancy - 1) > 1e-3:
        raise InputError(
            f"site {row.label} is occupied by {row.occupancy:g}; only full sites can be read."
        )
    letter, parameters = locate(group, row.position, ROUNDING)
    place = position(group, letter)
    if row.multiplicity not in (None, place.multiplicity):
        raise InputError(
            f"site {row.label} at {row.position} is said to have multiplicity "
            f"{row.multiplicity}; in space group {group} this is {place.multiplicity}{letter}."
        )
    x, y, z = _nearest_point(place, parameters, np.array(row.position)).tolist()
    return Site(row.symbol, place.multiplicity, letter, (x, y, z))


def _nearest_point(
    place: WyckoffPosition, parameters: Sequence[float], written: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the point of a position that is nearest to rounded coordinates, in [0, 1).

    All three coordinates decide: (0.1665, 0.3331) on (x, 2x) is x = 0.16654, which is printed as
    it was written; x = 0.16655, half of the second alone, is not.
    """
    values = np.zeros(3)
    values[list(place.free)] = parameters
    off = written - (place.rotations @ values + place.translations)
    nearest = int(np.abs(off - np.rint(off)).max(axis=1).argmin())
    slopes = place.rotations[nearest][:, list(place.free)]
    start = place.rotations[nearest] @ values + place.translations[nearest]
    missed = written - start - np.rint(written - start)
    change = np.linalg.lstsq(slopes, missed)[0] if place.free else np.zeros(0)
    return np.asarray((start + slopes @ change) % 1.0 % 1.0)


def _check_formulas(block: Block, counts: Mapping[str, int]) -> None:
    """Refuse a text whose formulas are not what its sites add up to."""
    total = block.first("_chemical_formula_sum")
    for tag, formula, divided in (
        ("_chemical_formula_sum", total, False),
        ("data_", block.name, True),  # many name the block after the reduced formula
    ):
        declared = _read_formula(formula or "")
        if declared and _proportions(declared, divided) != _proportions(counts, divided):
            raise InputError(
                f"the text contradicts itself: {tag} says {formula!r}, the sites add up to "
                f"'{cell_formula(counts, ' ')}'."
            )


def _read_formula(text: str) -> dict[str, int]:
    """Return the counts of a formula without groups; nothing where the text is none."""
    if not _FORMULA.fullmatch(text):
        return {}
    return {element: int(count or 1) for element, count in _PART.findall(text)}


def _proportions(counts: Mapping[str, int], divided: bool) -> dict[str, int]:
    """Return counts, divided by their greatest common divisor where asked."""
    divisor = math.gcd(*counts.values()) if divided else 1
    return {element: count // (divisor or 1) for element, count in counts.items()}
