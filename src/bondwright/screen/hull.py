"""Energy above the convex hull, by linear programming over the phases of the same elements.

The hull energy at a composition is the lowest energy that any mixture of reference phases with the
same overall composition has: min Σ x_k E_k with Σ x_k c_k = c and x_k >= 0 (x_k: fraction of the
atoms in phase k, c_k: its atomic fractions). Only phases of the candidate's own elements can take
part, so each problem is small.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from bondwright.screen.potentials import EnergyKind

_TOKEN = re.compile(r"([A-Z][a-z]?)(\d*)")
_SMALLEST_FRACTION = 1e-6


def parse_formula(formula: str) -> dict[str, int]:
    """Return element -> number of atoms of a plain formula such as "Fe2O3".

    Raises:
        ValueError: the text is anything else (brackets, fractions, charges).
    """
    found: dict[str, int] = {}
    end = 0
    for match in _TOKEN.finditer(formula):
        if match.start() != end:
            break
        end = match.end()
        found[match[1]] = found.get(match[1], 0) + int(match[2] or 1)
    if not found or end != len(formula) or 0 in found.values():
        raise ValueError(f"{formula!r} is not a plain chemical formula")
    return found


def reduced_formula(composition: Mapping[str, int]) -> str:
    """Return the reduced formula with elements in alphabetical order, such as "AuCu3"."""
    divisor = gcd(*composition.values())
    parts = ((s, n // divisor) for s, n in sorted(composition.items()))
    return "".join(s if n == 1 else f"{s}{n}" for s, n in parts)


@dataclass(frozen=True)
class Phase:
    """One reference phase.

    Attributes:
        formula: reduced formula, as `reduced_formula` writes it in our own tables.
        energy: eV per atom, on the hull's scale.
        id: identifier in the structure table.
        relaxed: True when the structure was relaxed by the hull's potential, False for the energy
            of the structure as it stands in the table (an upper bound).
    """

    formula: str
    energy: float
    id: str = ""
    relaxed: bool = True


@dataclass(frozen=True)
class HullPlace:
    """Where a composition and energy lie relative to the hull.

    Attributes:
        e_above_hull: eV per atom; negative below the hull; None when an element has no reference.
        decomposition: phases that the hull consists of here -> fraction of the atoms.
        all_relaxed: every one of them was relaxed by the hull's potential.
        missing: elements without any reference phase.
    """

    e_above_hull: float | None
    decomposition: dict[str, float] = field(default_factory=dict)
    all_relaxed: bool = True
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hull:
    """Reference phases of all chemical systems, with what their energies mean.

    Attributes:
        name: for people: "chgnet", "dft", or a file name.
        phases: the reference phases; at least one elemental phase for each covered element.
        energies: what kind of energies these are.
        potential: fingerprint of the potential that computed them; "" for DFT.
        sha256: of the file they came from (hex).
        element_energies: energies (eV per atom) to take off a candidate's energy, per element;
            empty when the phases hold total energies, the elements' energies when the phases
            hold formation energies.
    """

    name: str
    phases: Sequence[Phase]
    energies: EnergyKind
    potential: str = ""
    sha256: str = ""
    element_energies: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def _systems(self) -> dict[frozenset[str], list[int]]:
        systems: dict[frozenset[str], list[int]] = defaultdict(list)
        for index, composition in enumerate(self._compositions):
            systems[frozenset(composition)].append(index)
        return dict(systems)

    @cached_property
    def _compositions(self) -> list[dict[str, int]]:
        return [parse_formula(phase.formula) for phase in self.phases]

    @cached_property
    def _cache(self) -> dict[frozenset[tuple[str, float]], tuple[float, dict[int, float]]]:
        return {}

    def energy_above(self, composition: Mapping[str, float], energy: float) -> HullPlace:
        """Place a structure relative to the hull.

        Args:
            composition: element -> number (or fraction) of atoms.
            energy: eV per atom, from the hull's potential (or corrected onto its scale).
        """
        total = sum(composition.values())
        fractions = {s: n / total for s, n in composition.items() if n > 0}
        missing = tuple(sorted(s for s in fractions if frozenset({s}) not in self._systems))
        if missing:
            return HullPlace(None, missing=missing)
        key = frozenset((s, round(x, 12)) for s, x in fractions.items())
        if key not in self._cache:
            self._cache[key] = self._minimum(fractions)
        hull_energy, mixture = self._cache[key]
        offset = sum(x * self.element_energies.get(s, 0.0) for s, x in fractions.items())
        decomposition: dict[str, float] = {}
        for k, x in mixture.items():
            formula = self.phases[k].formula
            decomposition[formula] = decomposition.get(formula, 0.0) + x
        return HullPlace(
            energy - offset - hull_energy,
            decomposition,
            all(self.phases[k].relaxed for k in mixture),
        )

    def _minimum(self, fractions: Mapping[str, float]) -> tuple[float, dict[int, float]]:
        """Return the hull energy at a composition and the mixture {phase index: fraction}."""
        elements = sorted(fractions)
        inside = self._phases_within(elements)
        matrix = self._matrix(inside, elements)
        costs = np.array([self.phases[k].energy for k in inside])
        target = np.array([fractions[s] for s in elements])
        solution = linprog(costs, A_eq=matrix, b_eq=target, bounds=(0, None), method="highs")
        if not solution.success:  # cannot be: the elements alone are a feasible mixture
            raise ArithmeticError(f"hull of {'-'.join(elements)}: {solution.message}")
        mixture = {
            k: float(x) for k, x in zip(inside, solution.x, strict=True) if x > _SMALLEST_FRACTION
        }
        return float(solution.fun), mixture

    def _phases_within(self, elements: Sequence[str]) -> list[int]:
        """Return the indices of all phases made of these elements only."""
        if 2 ** len(elements) > len(self._systems):
            allowed = frozenset(elements)
            return [k for system, ks in self._systems.items() if system <= allowed for k in ks]
        subsets = (c for n in range(1, len(elements) + 1) for c in combinations(elements, n))
        return [k for subset in subsets for k in self._systems.get(frozenset(subset), ())]

    def _matrix(self, inside: Sequence[int], elements: Sequence[str]) -> NDArray[np.float64]:
        """Return the (elements, phases) atomic fractions."""
        rows = {s: r for r, s in enumerate(elements)}
        matrix = np.zeros((len(elements), len(inside)))
        for column, k in enumerate(inside):
            for symbol, count in self._compositions[k].items():
                matrix[rows[symbol], column] = count
        fractions: NDArray[np.float64] = matrix / matrix.sum(axis=0)
        return fractions
