"""The environment of a bond as numbers that no rotation, translation or relabelling changes.

A bond A-B is an axis. A third atom k is placed by its distances to A and to B alone, so everything
here is a three-body sum over k, resolved by k's element. Three blocks:

- *ends*: how the strength that other bonds would have by their length alone is spread around each
  end: its logarithm, and its moments over Legendre polynomials of the angle to the bond. Strong
  bonds of an atom weaken its other ones.
- *bridges*: strength that neighbours share with both ends.
- *grid*: how the density of neighbours is spread over both distances (bond-centred SOAP of first
  order, written in the bond's own coordinates), as a logarithm.

Higher orders (dihedral angles between neighbours) were tried and did not lower errors.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from bondwright.learn.bond_curves import REFERENCE_A, StrengthTable
from bondwright.structure.neighbours import Pairs, neighbour_pairs

VERSION = 1
"""Raised when other numbers come out for the same settings: what was kept is then made anew."""
FAR_A = 1e3
"""Where a neighbour that is not there stands."""
SELF_A = 1e-3
"""A neighbour of A this close to B's place is B itself."""


@dataclass(frozen=True)
class FeatureSettings:
    """What the features see.

    Attributes:
        reach_A: neighbours of either end up to this distance count, fading out smoothly.
        fade_A: width of the fade.
        centres_A: places of the grid's Gaussians.
        widths_A: their widths.
        powers: powers of the strength with which neighbours of an end are weighted.
        legendre: highest Legendre polynomial of the angle at an end.
        bridges: powers of the two strengths in a bridge.
        grid_floor: density, in units of its mean, that counts as none.
    """

    reach_A: float = 6.0
    fade_A: float = 2.0
    centres_A: tuple[float, ...] = (2.0, 2.5, 3.0, 3.6, 4.4, 5.4)
    widths_A: tuple[float, ...] = (0.3, 0.35, 0.4, 0.5, 0.6, 0.7)
    powers: tuple[float, ...] = (1.0, 0.5)
    legendre: int = 5
    bridges: tuple[float, ...] = (0.5, 1.0)
    grid_floor: float = 0.3


@dataclass(frozen=True)
class BondFeatures:
    """Features of n bonds.

    Attributes:
        values: (n, f) float32; end A is the first element of the pair's name.
        foreign: (n,) whether an element that the model does not know is within reach.
    """

    values: torch.Tensor
    foreign: NDArray[np.bool_]


class FeatureMaker:
    """Computes features for one set of elements and settings.

    Args:
        table: strengths by length, which weight neighbours.
        settings: what the features see.
    """

    def __init__(self, table: StrengthTable, settings: FeatureSettings) -> None:
        self.table = table
        self.settings = settings
        self._level = torch.tensor(table.level, dtype=torch.float32)
        self._rate = torch.tensor(table.rate, dtype=torch.float32)
        self._centres = torch.tensor(settings.centres_A)
        self._widths = torch.tensor(settings.widths_A)

    @property
    def blocks(self) -> list[tuple[str, int]]:
        """Names and widths of the blocks in their order."""
        s, e = self.settings, len(self.table.elements)
        ends = len(s.powers) * (s.legendre + 1) * e
        return [
            ("crowd", 2 * len(s.powers)),
            ("ends", 2 * ends),
            ("bridges", len(s.bridges) * e),
            ("grid", e * len(s.centres_A) ** 2),
        ]

    @cached_property
    def exchange(self) -> torch.Tensor:
        """(f,) order of the features when the two ends change places."""
        (_, crowd), (_, ends), (_, bridges), (_, _) = self.blocks
        e, n = len(self.table.elements), len(self.settings.centres_A)
        grid = np.arange(e * n * n).reshape(e, n, n).transpose(0, 2, 1).ravel()
        order = np.concatenate(
            [
                np.roll(np.arange(crowd), crowd // 2),
                crowd + np.roll(np.arange(ends), ends // 2),
                crowd + ends + np.arange(bridges),
                crowd + ends + bridges + grid,
            ]
        )
        return torch.tensor(order)

    def surroundings(self, atoms: Atoms) -> Surroundings:
        """Find the neighbours of all atoms once; features of any bonds are then cheap."""
        return Surroundings(atoms, self)

    def strength(self, a: torch.Tensor, b: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
        """Return strength by length (eV), faded, of element indices a and b."""
        known = (a >= 0) & (b >= 0)
        log = self._level[a, b] - self._rate[a, b] * (distance - REFERENCE_A)
        return torch.where(known, torch.exp(log), 0.0) * self.fade(distance)

    def fade(self, distance: torch.Tensor) -> torch.Tensor:
        """Return 1 inside, 0 beyond the reach, a cosine between."""
        s = self.settings
        t = ((distance - (s.reach_A - s.fade_A)) / s.fade_A).clamp(0, 1)
        return 0.5 * (1 + torch.cos(torch.pi * t))

    def gaussians(self, distance: torch.Tensor) -> torch.Tensor:
        """Return (..., g) the grid's Gaussians at distances (...)."""
        return torch.exp(-0.5 * ((distance[..., None] - self._centres) / self._widths) ** 2)


class Surroundings:
    """Neighbours of the atoms of one structure, padded to equal numbers.

    Args:
        atoms: the structure.
        maker: of the features.
    """

    def __init__(self, atoms: Atoms, maker: FeatureMaker) -> None:
        self.maker = maker
        elements = maker.table.elements
        index = np.full(120, -1)
        index[[atomic_numbers[element] for element in elements]] = np.arange(len(elements))
        kind = index[atoms.numbers]
        found = neighbour_pairs(atoms, maker.settings.reach_A, full=True)
        counts = np.bincount(found.i, minlength=len(atoms))
        widest = max(1, int(counts.max(initial=0)))
        slot = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
        vectors = np.full((len(atoms), widest, 3), FAR_A, dtype=np.float32)
        vectors[found.i, slot] = found.vector
        kinds = np.full((len(atoms), widest), -1)
        kinds[found.i, slot] = kind[found.j]
        self.kind = torch.tensor(kind)
        self.vectors = torch.from_numpy(vectors)
        self.kinds = torch.tensor(kinds)
        self.distances = self.vectors.norm(dim=-1)
        self.is_kind = torch.stack([self.kinds == e for e in range(len(elements))], -1).float()
        self.weight = maker.strength(self.kind[:, None], self.kinds, self.distances)
        self.foreign = np.zeros(len(atoms), dtype=bool)
        np.logical_or.at(self.foreign, found.i, kind[found.j] < 0)

    def features(self, pairs: Pairs) -> BondFeatures:
        """Return the features of bonds between known elements.

        Args:
            pairs: the bonds, few enough for memory (about 50 kB each).
        """
        i, j, vector = self._ordered(pairs)
        crowd_a, ends_a, sum_a, other_a = self._end(i, vector)
        crowd_b, ends_b, sum_b, _ = self._end(j, -vector)
        bridges, grid = self._shared(i, j, vector, other_a, sum_a + sum_b)
        values = torch.cat([crowd_a, crowd_b, ends_a, ends_b, bridges, grid], dim=1)
        return BondFeatures(values, self.foreign[pairs.i] | self.foreign[pairs.j])

    def _ordered(self, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ends and vectors with the element that comes first in `table` as end A."""
        i, j = torch.from_numpy(pairs.i), torch.from_numpy(pairs.j)
        vector = torch.from_numpy(pairs.vector).float()
        turn = self.kind[i] > self.kind[j]
        first, second = torch.where(turn, j, i), torch.where(turn, i, j)
        return first, second, torch.where(turn[:, None], -vector, vector)

    def _end(
        self, i: torch.Tensor, vector: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return crowd, ends, summed strength and which neighbours are not the partner."""
        settings = self.maker.settings
        places = self.vectors[i]
        axis = vector / vector.norm(dim=1, keepdim=True)
        cosine = (places * axis[:, None]).sum(-1) / self.distances[i].clamp_min(SELF_A)
        other = ((places - vector[:, None]).norm(dim=-1) > SELF_A).float()
        polynomials = torch.stack(_legendre(cosine, settings.legendre), dim=1)
        kinds = self.is_kind[i]
        weight = self.weight[i] * other
        crowds, ends = [], []
        for power in settings.powers:
            # 0 ** 0.5 is 0: neighbours beyond the reach stay out.
            each = weight**power
            total = each.sum(1) + 1e-3
            crowds.append(total.log())
            spread = polynomials @ (each[..., None] * kinds)
            ends.append((spread / total[:, None, None]).flatten(1))
        return torch.stack(crowds, 1), torch.cat(ends, 1), weight.sum(1), other

    def _shared(
        self,
        i: torch.Tensor,
        j: torch.Tensor,
        vector: torch.Tensor,
        other: torch.Tensor,
        total: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return bridges and grid, from the neighbours that both ends see."""
        maker, kinds = self.maker, self.is_kind[i]
        near, far = self.distances[i], (self.vectors[i] - vector[:, None]).norm(dim=-1)
        both = self.weight[i] * maker.strength(self.kind[j][:, None], self.kinds[i], far) * other
        bridges = [
            ((both**power)[:, None] @ kinds)[:, 0] / (total[:, None] + 1e-3) ** (2 * power)
            for power in maker.settings.bridges
        ]
        inside = maker.fade(near) * maker.fade(far) * other
        from_b = maker.gaussians(far) * inside[..., None]
        from_a = (kinds[..., None] * maker.gaussians(near)[..., None, :]).flatten(2)
        density = (from_a.transpose(1, 2) @ from_b).flatten(1)
        # Divided by its mean: how crowded a bond is in all stands in "crowd".
        share = density / (density.mean(1, keepdim=True) + 1e-3)
        return torch.cat(bridges, 1).sqrt(), torch.log(share + maker.settings.grid_floor)


def _legendre(x: torch.Tensor, highest: int) -> list[torch.Tensor]:
    """Return the Legendre polynomials of orders 0 to `highest`."""
    found = [torch.ones_like(x), x]
    for order in range(1, highest):
        found.append(((2 * order + 1) * x * found[order] - order * found[order - 1]) / (order + 1))
    return found[: highest + 1]
