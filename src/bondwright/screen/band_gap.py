"""Band gap (PBE, eV) of a crystal, estimated by a shipped network.

The network sees composition and bonds (`band_gap_features`) together with the crystal feature and
energy that CHGNet gives in one forward pass. Its errors, baselines and training data stand in the
model card, `tables/band_gap/model.json`. It was trained on relaxed crystals and is meant for them:
it takes a cell stretched by a tenth for a metal. PBE gaps are smaller than measured ones: rutile
has 1.8 instead of 3.0 eV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.screen.band_gap_features import (
    ElementTable,
    OxidationTable,
    crystal_features,
    feature_names,
)
from bondwright.screen.band_gap_network import GapEnsemble
from bondwright.screen.chgnet_engine import (
    FEATURES,
    IsolatedAtomError,
    StaticResult,
    static_energies,
)
from bondwright.screen.estimate import Estimate

Array = NDArray[np.float64]
SHIPPED = Path(__file__).parent / "tables" / "band_gap"


@dataclass(frozen=True)
class GapEstimate(Estimate):
    """What the model says of one crystal: PBE gap and calibrated standard deviation in eV.

    Attributes:
        nonmetal_probability: probability of a gap above 0.01 eV; None when value is.
    """

    nonmetal_probability: float | None = None


class BandGapModel:
    """The estimator.

    Args:
        folder: of a model written by `train_band_gap`; the shipped one when None.

    Raises:
        InputError: the model cannot be read.
    """

    name = "band_gap"
    unit = "eV"

    def __init__(self, folder: Path | None = None) -> None:
        self._ensemble = GapEnsemble.load(folder or SHIPPED)
        self._table: ElementTable = self._ensemble.card["elements"]
        self._oxidation: OxidationTable = self._ensemble.card["oxidation_states"]
        self._trained = frozenset(self._ensemble.card["training"]["elements"])
        self.version = f"band_gap {self._ensemble.card['sha256'][:16]}"

    def predict(self, atoms: Atoms) -> GapEstimate:
        """Estimate the gap of one periodic crystal (positions in Å)."""
        strange = sorted(set(atoms.get_chemical_symbols()) - set(self._table))
        if strange:
            return GapEstimate(None, None, f"no data on {', '.join(strange)}")
        try:
            static = static_energies([atoms], double=False)[0]
        except IsolatedAtomError as error:
            return GapEstimate(None, None, str(error))
        features = all_features(atoms, static, self._table, self._oxidation)[None]
        gap, raw, nonmetal = self._ensemble.predict(features)
        note = self._strangeness(atoms, features)
        sigma = None if note else float(self._ensemble.sigma(raw)[0])
        return GapEstimate(float(gap[0]), sigma, note, float(nonmetal[0]))

    def _strangeness(self, atoms: Atoms, features: Array) -> str:
        """Say why a crystal lies outside the training domain; empty when it does not."""
        unseen = sorted(set(atoms.get_chemical_symbols()) - self._trained)
        if unseen:
            return f"outside the training data: no crystal with {', '.join(unseen)}"
        distance = float(self._ensemble.distance(features)[0])
        allowed = self._ensemble.card["training"]["farthest_inside"]
        if distance > allowed:
            return (
                f"outside the training data: its features lie {distance:.1f} standard deviations "
                f"from them, {allowed:.1f} is trusted"
            )
        return ""


def all_features(
    atoms: Atoms, static: StaticResult, table: ElementTable, oxidation: OxidationTable
) -> Array:
    """Return the features (n,) of one crystal, named by `all_feature_names`.

    Args:
        atoms: periodic crystal, positions in Å.
        static: CHGNet's energy and crystal feature of it.
        table: element -> properties.
        oxidation: element -> oxidation states.
    """
    own = crystal_features(atoms, table, oxidation)
    return np.concatenate([own, [static.energy], static.feature.astype(float)])


def all_feature_names(elements: Sequence[str]) -> list[str]:
    """Return the names of all features in the order of `all_features`."""
    chgnet = [f"chgnet_feature:{k}" for k in range(FEATURES)]
    return [*feature_names(elements), "chgnet_energy_eV_per_atom", *chgnet]


@lru_cache(maxsize=2)
def load_band_gap(folder: str = "") -> BandGapModel:
    """Return a band-gap model, read once per process; the shipped one for an empty name.

    Raises:
        InputError: the model cannot be read.
    """
    return BandGapModel(Path(folder) if folder else None)
