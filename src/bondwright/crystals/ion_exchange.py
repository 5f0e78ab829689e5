"""Ion exchange: known crystals with other elements in their places, the likeliest first.

A known crystal whose formula has the same pattern as the one asked for (A B2, A B C3) lends its
space group, cell and positions. How likely the exchange is, the substitution model says that was
learned from which ions take each other's place in the ICSD (Hautier et al., Inorg. Chem. 50, 656
(2011), doi:10.1021/ic102031h; its weights come with pymatgen). The cell is scaled by the volumes
that the atoms usually take.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.crystal import Crystal, from_atoms, ordered, to_atoms
from bondwright.crystals.dialect import Request
from bondwright.crystals.evaluation_known import Formula, Known, KnownRow, reduced
from bondwright.crystals.usual_volume import usual_volume
from bondwright.errors import InputError
from bondwright.screen.novelty_cells import ReducedCell, reduce_cell
from bondwright.screen.novelty_match import Tolerances, same_crystal
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.sandbox import parse_texts

_NEVER_SEEN = -5.0
"""Weight of a pair of ions that the model's data do not hold (pymatgen's value)."""


@dataclass(frozen=True)
class ExchangeSettings:
    """How known crystals are chosen.

    Attributes:
        rank: "substitution" puts the likeliest exchange first; "nearest" the one whose elements
            are the nearest in Mendeleev's order, whatever is known of their ions.
        same_formula: also take known crystals of the very formula that is asked for.
        symprec: tolerance (Å) of the known crystals' space groups.
        looked_at: most known crystals looked at for one request.
    """

    rank: Literal["substitution", "nearest"] = "substitution"
    same_formula: bool = False
    symprec: float = 0.1
    looked_at: int = 400


@dataclass(frozen=True)
class Exchanged:
    """A crystal made by ion exchange.

    Attributes:
        crystal: the crystal.
        parent: name of the known crystal.
        replaced: its elements -> the new ones, those that changed.
        score: natural logarithm of the conditional probability of the new ions given the old
            ones; minus the mean distance in Mendeleev's order for the ranking "nearest".
    """

    crystal: Crystal
    parent: str
    replaced: dict[str, str]
    score: float


def check(request: Request) -> None:
    """Refuse a request that ion exchange cannot answer.

    Raises:
        InputError: neither formula nor elements.
    """
    if request.formula is None and request.elements is None:
        raise InputError("ion exchange needs a formula or a chemical system; name one.")


def exchange(
    request: Request,
    known: Known,
    count: int,
    *,
    seed: int = 0,
    settings: ExchangeSettings | None = None,
) -> list[Exchanged]:
    """Return up to `count` distinct crystals for a request, the best first.

    Args:
        request: a formula, with or without units and space group, or a chemical system.
        known: known crystals.
        count: how many.
        seed: decides the order of equally good known crystals.
        settings: the defaults when None.

    Raises:
        InputError: as `check`.
    """
    check(request)
    settings = settings or ExchangeSettings()
    found: list[Exchanged] = []
    cells: list[ReducedCell] = []
    seen: set[_Outline] = set()
    for made in _made(request, known, seed, settings):
        outline = _outline(made.crystal)
        if outline in seen:
            continue
        seen.add(outline)
        try:
            cell = reduce_cell(to_atoms(made.crystal))
        except (ValueError, InputError):
            continue  # scaled to a cell that is no crystal's
        if any(same_crystal(cell, other, Tolerances()) for other in cells):
            continue
        found.append(made)
        cells.append(cell)
        if len(found) == count:
            break
    return found


_Outline = tuple[int, tuple[float, ...], tuple[tuple[str, str, tuple[float, ...]], ...]]


def _outline(crystal: Crystal) -> _Outline:
    """Return what crystals have in common that are surely the same: a quick first test.

    Group, positions, and shape of the cell and coordinates to about 2 %, which is far within the
    tolerances of the full comparison.
    """
    shape = (crystal.lengths[1] / crystal.lengths[0], crystal.lengths[2] / crystal.lengths[0])
    return (
        crystal.space_group,
        (*(round(x * 50) for x in shape), *(round(angle) for angle in crystal.angles)),
        tuple(
            (site.element, site.letter, tuple(round(x * 50) for x in site.position))
            for site in crystal.sites
        ),
    )


def _made(
    request: Request, known: Known, seed: int, settings: ExchangeSettings
) -> Iterator[Exchanged]:
    """Yield crystals that meet the request, the best first, equal ones not left out."""
    for score, row, new in _ranked(request, known, seed, settings):
        parent = _standard(row.text, settings.symprec)
        if parent is None:
            continue
        crystal = exchanged(parent, new)
        if _meets(crystal, request):
            changed = {old: other for old, other in new.items() if old != other}
            yield Exchanged(crystal, row.name, changed, score)


@lru_cache(maxsize=20_000)
def _standard(text: str, symprec: float) -> Crystal | None:
    """Return a known crystal as spglib standardises it; None where there is none in the text."""
    atoms = next(parse_texts([("cif", text)], ReadLimits(), processes=1))[0].atoms
    try:
        return None if atoms is None else from_atoms(atoms, symprec)
    except InputError:
        return None


def exchanged(crystal: Crystal, new: Mapping[str, str]) -> Crystal:
    """Return a crystal with other elements, its cell scaled by the volumes they usually take.

    On 2,469 pairs of public crystals of one structure type that differ in one element, this scaling
    misses the true volume by 5 % on average, without it by 10 %, and by 11 % with ionic or
    covalent radii cubed.

    Args:
        crystal: the known crystal.
        new: for every element of it the one that takes its place, each another.
    """
    sites = ordered(replace(site, element=new[site.element]) for site in crystal.sites)
    counts = crystal.counts
    larger = usual_volume({new[element]: n for element, n in counts.items()})
    a, b, c = (x * (larger / usual_volume(counts)) ** (1 / 3) for x in crystal.lengths)
    return replace(crystal, lengths=(a, b, c), sites=sites)


def _meets(crystal: Crystal, request: Request) -> bool:
    """Tell whether a crystal is what was asked for."""
    counts = crystal.counts
    if request.space_group not in (None, crystal.space_group):
        return False
    if sum(counts.values()) > request.max_atoms:
        return False
    if request.formula is None:
        return set(counts) == set(request.elements or ())
    units = {counts.get(e, 0) / n for e, n in request.formula.items()}
    unit = next(iter(units))
    whole = len(units) == 1 and len(counts) == len(request.formula) and unit == int(unit) > 0
    return whole and request.formula_units in (None, int(unit))


def _ranked(
    request: Request, known: Known, seed: int, settings: ExchangeSettings
) -> Iterator[tuple[float, KnownRow, dict[str, str]]]:
    """Yield score, known crystal and its elements' replacements, the best first."""
    random = np.random.Generator(np.random.PCG64([seed]))
    target = None if request.formula is None else reduced(request.formula)
    scored = []
    for number, parent in enumerate(sorted(known.formulas)):
        for new in _assignments(parent, target, request.elements):
            other = reduced({new[element]: n for element, n in parent})
            if other == parent and not settings.same_formula:
                continue
            score = _score(parent, new, settings)
            scored.append((-round(score, 9), float(random.random()), number, parent, new))
    scored.sort(key=lambda entry: entry[:3])
    looked_at = 0
    for negative, _, _, parent, new in scored:
        for row in known.of_formula(parent):
            if looked_at == settings.looked_at:
                return
            looked_at += 1
            yield -negative, row, new


def _assignments(
    parent: Formula, target: Formula | None, elements: tuple[str, ...] | None
) -> Iterator[dict[str, str]]:
    """Yield every way in which new elements can take the places of a known formula's."""
    wanted = dict(target) if target else dict.fromkeys(elements or (), 0)
    if len(wanted) != len(parent):
        return
    if target and sorted(wanted.values()) != sorted(n for _, n in parent):
        return
    for order in itertools.permutations(wanted):
        if target is None or all(
            wanted[new] == n for new, (_, n) in zip(order, parent, strict=True)
        ):
            yield {old: new for new, (old, _) in zip(order, parent, strict=True)}


def _score(parent: Formula, new: Mapping[str, str], settings: ExchangeSettings) -> float:
    """Say how good an exchange is; higher is better."""
    if settings.rank == "nearest":
        total = sum(n for _, n in parent)
        return -sum(n * _mendeleev_distance(old, new[old]) for old, n in parent) / total
    return log_probability(parent, new)


def log_probability(parent: Formula, new: Mapping[str, str]) -> float:
    """Return ln p(new ions | old ions) of an exchange in the substitution model.

    Both sides take the neutral combination of charges that the model finds likeliest; where one
    has none (alloys, mixed valence), each element stands for all of its ions.

    Args:
        parent: reduced formula of the known crystal.
        new: element -> the element that takes its place.
    """
    model = substitution_model()
    old_ions = likeliest_ions(parent)
    target = tuple(sorted((new[element], n) for element, n in parent))
    new_ions = likeliest_ions(target)
    if old_ions is None or new_ions is None:
        return sum(model.between_elements(new[element], element) for element, _ in parent)
    return sum(
        model.between_ions(new_ions[new[element]], old_ions[element]) for element, _ in parent
    )


class SubstitutionModel:
    """The published weights of ion pairs as conditional probabilities."""

    def __init__(self, weights: Mapping[tuple[str, str], float]) -> None:
        """Take ion pairs ("Na1+", "K1+") -> weight."""
        self.ions = sorted({ion for pair in weights for ion in pair})
        self._place = {ion: k for k, ion in enumerate(self.ions)}
        table = np.full((len(self.ions), len(self.ions)), _NEVER_SEEN)
        for (first, second), weight in weights.items():
            i, j = self._place[first], self._place[second]
            table[i, j] = table[j, i] = weight
        self._table = table
        self._of_ion: NDArray[np.float64] = np.log(np.exp(table).sum(axis=0))
        self.charges: dict[str, dict[int, str]] = defaultdict(dict)
        self._members: dict[str, list[int]] = defaultdict(list)
        for k, ion in enumerate(self.ions):
            element, charge = _element_and_charge(ion)
            self.charges[element][charge] = ion
            self._members[element].append(k)

    def frequency(self, ion: str) -> float:
        """Return ln p(ion), up to the same constant for all."""
        return float(self._of_ion[self._place[ion]])

    def between_ions(self, new: str, old: str) -> float:
        """Return ln p(new | old) of two ions."""
        i, j = self._place[new], self._place[old]
        return float(self._table[i, j] - self._of_ion[j])

    def between_elements(self, new: str, old: str) -> float:
        """Return ln p(new | old) of two elements, all of their ions together."""
        if old not in self._members or new not in self._members:
            # Elements without any data: themselves as likely as ions are, others never seen.
            return _TYPICAL_STAY if old == new else _NEVER_SEEN - math.log(len(self.ions))
        rows, columns = self._members[new], self._members[old]
        pairs = np.exp(self._table[np.ix_(rows, columns)]).sum()
        return float(np.log(pairs) - np.log(np.exp(self._of_ion[columns]).sum()))


_TYPICAL_STAY = -2.2
"""ln p that an ion is replaced by itself: the median over the model's ions."""


@cache
def substitution_model() -> SubstitutionModel:
    """Return the published model; its weights are a file of pymatgen."""
    from pymatgen.core import structure_prediction

    path = Path(structure_prediction.__path__[0]) / "data" / "lambda.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    # "D1+" stands for a dummy ion, which no crystal has.
    return SubstitutionModel({(a, b): float(w) for a, b, w in rows if "D1+" not in (a, b)})


@lru_cache(maxsize=200_000)
def likeliest_ions(formula: Formula) -> dict[str, str] | None:
    """Return element -> ion of the likeliest neutral combination; None where there is none."""
    model = substitution_model()
    choices = [[(q, model.charges[e][q]) for q in model.charges.get(e, {})] for e, _ in formula]
    best, found = -math.inf, None
    for ions in itertools.product(*choices):
        if sum(q * n for (q, _), (_, n) in zip(ions, formula, strict=True)):
            continue
        likely = sum(model.frequency(ion) for _, ion in ions)
        if likely > best:
            best = likely
            found = {e: ion for (e, _), (_, ion) in zip(formula, ions, strict=True)}
    return found


def _element_and_charge(ion: str) -> tuple[str, int]:
    """Split "Ti4+" into element and charge; a sign without number is a charge of 1."""
    element, number, sign = re.fullmatch(r"([A-Z][a-z]?)(\d*)([+-])", ion).groups()  # type: ignore[union-attr]
    return element, int(number or 1) * (1 if sign == "+" else -1)


@cache
def _mendeleev_distance(first: str, second: str) -> float:
    """Return how far two elements are apart in Mendeleev's order."""
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return abs(float(Element(first).mendeleev_no) - float(Element(second).mendeleev_no))
