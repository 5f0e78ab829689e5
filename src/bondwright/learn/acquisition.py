"""Which cells to label next: those whose bonds the model knows least and that differ most.

A candidate's quality is the expected square error of its bonds; its novelty is what remains of the
variance of a Gaussian process over cells, given the labelled cells and those chosen before it. The
greedy choice by quality times novelty finds a likely set of the determinantal point process with
these two factors (L. Chen, G. Zhang, H. Zhou, NeurIPS 31, 2018); here it is taken per unit of cost.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.bonding.pairs import pair_labels
from bondwright.errors import InputError
from bondwright.learn.atom_soap import atom_soap
from bondwright.learn.cells import LabelledCell
from bondwright.learn.model_types import BondPredictor
from bondwright.structure.identity import content_hash

Array = NDArray[np.float64]
Describe = Callable[[Atoms], Array]
Progress = Callable[[str], None]

_DEPENDENT = 1e-6
"""A cell whose remaining variance is below this says nothing new."""
_LEAST_BONDS = 10.0
"""Pairs with fewer bonds per candidate than this count less than the others."""


@dataclass(frozen=True)
class CandidateCell:
    """A cell that could be labelled.

    Attributes:
        name: as of a labelled cell.
        atoms: the structure (Å), periodic.
        cost: what its label costs, in any unit that the budget shares (e.g. core hours).
    """

    name: str
    atoms: Atoms
    cost: float = 1.0


@dataclass(frozen=True)
class Proposal:
    """A cell chosen for labelling, with the numbers that chose it.

    Attributes:
        name: of the candidate.
        cost: of its label.
        sigma_eV: root of the mean predicted variance of its bonds, weighted as asked, eV.
        sigma_by_pair_eV: root mean square sigma of each pair of elements, eV; the spread of all
            labels where the model does not know the pair.
        unknown_bonds: bonds of pairs of elements that the model does not know.
        flagged_share: share of its bonds with any flag (see `Prediction`).
        distance: to the nearest labelled or earlier chosen cell, in units of the median distance
            between all cells.
        nearest: that cell.
        novelty: variance that the labelled and the earlier chosen cells leave, 0..1.
        gain_eV2: quality times novelty, eV²; the choice is by gain per cost.
    """

    name: str
    cost: float
    sigma_eV: float
    sigma_by_pair_eV: Mapping[str, float]
    unknown_bonds: int
    flagged_share: float
    distance: float
    nearest: str
    novelty: float
    gain_eV2: float

    @property
    def reason(self) -> str:
        """One sentence that holds the numbers."""
        worst = max(self.sigma_by_pair_eV, key=lambda pair: self.sigma_by_pair_eV[pair])
        text = (
            f"sigma {self.sigma_eV:.3f} eV per bond (largest {worst}, "
            f"{self.sigma_by_pair_eV[worst]:.3f} eV), novelty {self.novelty:.2f} "
            f"at {self.distance:.2f} typical distances from {self.nearest}"
        )
        if self.unknown_bonds:
            text += f", {self.unknown_bonds} bonds of unknown pairs"
        return f"{text}; gain {self.gain_eV2:.2g} eV² at cost {self.cost:g}."


@dataclass(frozen=True)
class _Quality:
    """What the model says of a candidate: by pair, number of bonds and mean variance (eV²)."""

    count: Mapping[str, int]
    variance_eV2: Mapping[str, float]
    unknown: int
    flagged: int


def propose(
    model: BondPredictor,
    candidates: Sequence[CandidateCell],
    labelled: Sequence[LabelledCell],
    budget: float,
    *,
    describe: Describe | None = None,
    pair_weights: Mapping[str, float] | None = None,
    diversity: float = 1.0,
    progress: Progress | None = None,
) -> list[Proposal]:
    """Choose cells to label, best first, as many as the budget pays.

    The result depends on nothing but the arguments; of equal gains the first name wins. Candidates
    that are labelled already, or that nothing distinguishes from chosen ones, are not proposed.

    Args:
        model: predicts every bond of its window with a standard deviation.
        candidates: the cells to choose from, with distinct names.
        labelled: the cells that the model learned from.
        budget: sum of the costs that may be spent.
        describe: gives a vector of a structure whose distances measure difference;
            `mean_environment` over all elements when None.
        pair_weights: importance of each pair of elements, others 0; equal when None, so
            that rare pairs count as much as frequent ones.
        diversity: power of novelty in the gain; 0 chooses by uncertainty alone.
        progress: told which candidate is being predicted.

    Raises:
        InputError: a cost that is not positive, two candidates of one name, no candidate, or
            weights that leave no bond.
    """
    _check(candidates)
    if not labelled:
        raise InputError("a proposal needs the labelled cells that the model learned from.")
    unknown_variance = _label_variance(labelled)
    qualities = []
    for number, candidate in enumerate(candidates, start=1):
        if progress:
            progress(f"candidate {number} of {len(candidates)}: {candidate.name}")
        qualities.append(_quality(model, candidate.atoms, unknown_variance))
    quality = _weighted(qualities, pair_weights)
    everything = [cell.atoms for cell in labelled] + [cell.atoms for cell in candidates]
    names = [cell.name for cell in labelled] + [cell.name for cell in candidates]
    distance = _distances(everything, describe or _mean_environment_of(everything))
    chooser = _Remaining(np.exp(-(distance**2) / 2))
    for place in range(len(labelled)):
        chooser.condition(place)
    known = {content_hash(cell.atoms) for cell in labelled}
    open_places = {
        len(labelled) + k: candidate
        for k, candidate in enumerate(candidates)
        if content_hash(candidate.atoms) not in known
    }
    proposals: list[Proposal] = []
    taken, left = list(range(len(labelled))), float(budget)
    while True:
        gains = {
            place: quality[place - len(labelled)] * chooser.variance[place] ** diversity
            for place, candidate in open_places.items()
            if candidate.cost <= left
            and quality[place - len(labelled)] > 0
            and chooser.variance[place] > _DEPENDENT
        }
        if not gains:
            return proposals
        best = min(gains, key=lambda p: (-gains[p] / open_places[p].cost, names[p]))
        nearest = min(taken, key=lambda place: (distance[best, place], names[place]))
        proposals.append(
            _proposal(
                open_places[best],
                qualities[best - len(labelled)],
                quality[best - len(labelled)],
                nearest=names[nearest],
                distance=distance[best, nearest],
                novelty=chooser.variance[best],
                gain=gains[best],
            )
        )
        left -= open_places.pop(best).cost
        taken.append(best)
        chooser.condition(best)


def _proposal(
    candidate: CandidateCell,
    said: _Quality,
    variance: float,
    *,
    nearest: str,
    distance: float,
    novelty: float,
    gain: float,
) -> Proposal:
    return Proposal(
        name=candidate.name,
        cost=candidate.cost,
        sigma_eV=float(np.sqrt(variance)),
        sigma_by_pair_eV={p: float(np.sqrt(v)) for p, v in said.variance_eV2.items()},
        unknown_bonds=said.unknown,
        flagged_share=said.flagged / max(sum(said.count.values()), 1),
        distance=float(distance),
        nearest=nearest,
        novelty=float(novelty),
        gain_eV2=float(gain),
    )


def random_choice(
    candidates: Sequence[CandidateCell], budget: float, seed: int | Sequence[int]
) -> list[CandidateCell]:
    """Return candidates in a seeded order, as many as the budget pays: the control of `propose`.

    Raises:
        InputError: a cost that is not positive, two candidates of one name, or no candidate.
    """
    _check(candidates)
    chosen, left = [], float(budget)
    by_name = sorted(candidates, key=lambda candidate: candidate.name)
    for place in np.random.default_rng(seed).permutation(len(by_name)):
        candidate = by_name[place]
        if candidate.cost <= left:
            chosen.append(candidate)
            left -= candidate.cost
    return chosen


def mean_environment(atoms: Atoms, elements: Sequence[str]) -> Array:
    """Return the mean SOAP vectors of each element's atoms, one behind the other.

    Each is scaled by the root of the element's share of the atoms, so that square distances weight
    the elements by their shares.

    Raises:
        InputError: the structure holds an element that is not among `elements`.
    """
    vectors = atom_soap(atoms, elements)
    symbols = np.array(atoms.get_chemical_symbols())
    parts = []
    for element in elements:
        mine = symbols == element
        scale = np.sqrt(mine.mean()) / max(int(mine.sum()), 1)
        parts.append(vectors[mine].sum(axis=0) * scale)
    return np.concatenate(parts)


class _Remaining:
    """Variance of each cell that chosen cells leave, updated by one Cholesky column per choice."""

    def __init__(self, similarity: Array) -> None:
        self.similarity = similarity
        self.variance = np.diag(similarity).copy()
        self.columns = np.zeros((len(similarity), 0))

    def condition(self, place: int) -> None:
        if self.variance[place] <= _DEPENDENT:
            self.variance[place] = 0.0
            return
        column = self.similarity[:, place] - self.columns @ self.columns[place]
        column /= np.sqrt(self.variance[place])
        self.variance = np.maximum(self.variance - column**2, 0.0)
        self.columns = np.column_stack([self.columns, column])


def _quality(model: BondPredictor, atoms: Atoms, unknown_variance: float) -> _Quality:
    prediction = model.predict(atoms)
    pairs = pair_labels(atoms.numbers[prediction.pairs.i], atoms.numbers[prediction.pairs.j])
    known = prediction.known
    variance = np.where(known, np.where(known, prediction.sigma_eV, 0.0) ** 2, unknown_variance)
    names, owner = np.unique(pairs, return_inverse=True)
    counts = np.bincount(owner, minlength=len(names))
    means = np.bincount(owner, weights=variance, minlength=len(names)) / np.maximum(counts, 1)
    return _Quality(
        count={str(name): int(n) for name, n in zip(names, counts, strict=True)},
        variance_eV2={str(name): float(v) for name, v in zip(names, means, strict=True)},
        unknown=int((~known).sum()),
        flagged=int((prediction.flag > 0).sum()),
    )


def _label_variance(labelled: Sequence[LabelledCell]) -> float:
    """Return the variance of all labels, eV²: what a bond of an unknown pair may differ by."""
    labels = np.concatenate([cell.bonds.icohp_eV for cell in labelled])
    return float(labels.var()) if len(labels) else 1.0


def _weighted(
    qualities: Sequence[_Quality], pair_weights: Mapping[str, float] | None
) -> list[float]:
    """Return each candidate's weighted sum of variances over the usual number of bonds, eV².

    With equal weights, each pair of elements counts alike over all candidates together; a candidate
    with more of a pair's bonds than usual has more to give. A pair with hardly any bonds counts
    less, so that a single odd bond does not choose the cell.
    """
    pairs = sorted({pair for each in qualities for pair in each.count})
    weights = {pair: 1.0 if pair_weights is None else pair_weights.get(pair, 0.0) for pair in pairs}
    if (total := sum(weights.values())) <= 0:
        named = ", ".join(pairs) or "none"
        raise InputError(f"no weighted pair of elements has bonds; the candidates have {named}.")
    usual = {
        pair: max(float(np.mean([each.count.get(pair, 0) for each in qualities])), _LEAST_BONDS)
        for pair in pairs
    }
    return [
        float(
            sum(
                weights[pair] * each.variance_eV2[pair] * count / usual[pair]
                for pair, count in each.count.items()
            )
            / total
        )
        for each in qualities
    ]


def _mean_environment_of(structures: Sequence[Atoms]) -> Describe:
    elements = sorted({symbol for atoms in structures for symbol in atoms.get_chemical_symbols()})
    return lambda atoms: mean_environment(atoms, elements)


def _distances(structures: Sequence[Atoms], describe: Describe) -> Array:
    """Return (n, n) distances of structures in units of their median."""
    vectors = np.stack([np.asarray(describe(atoms), dtype=float) for atoms in structures])
    # Directly, not through scalar products, whose rounding hides small differences.
    distance = np.stack([np.linalg.norm(vectors - vector, axis=1) for vector in vectors])
    apart = distance[np.triu_indices(len(distance), 1)]
    typical = float(np.median(apart)) if len(apart) else 0.0
    return distance / typical if typical > 0 else distance


def _check(candidates: Sequence[CandidateCell]) -> None:
    if not candidates:
        raise InputError("there is no candidate to choose from; make cells or variants first.")
    names = [candidate.name for candidate in candidates]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two candidates are called {twice!r}; give each a name of its own.")
    for candidate in candidates:
        if not (np.isfinite(candidate.cost) and candidate.cost > 0):
            raise InputError(
                f"the cost of {candidate.name} must be positive, not {candidate.cost}."
            )
