"""A data set of made texts, for tests of what does not depend on crystals."""

from __future__ import annotations

import numpy as np

from bondwright.crystals.dataset import Prepared
from bondwright.crystals.splits import Splits


def made_data(lengths: list[int], seed: int = 0) -> Prepared:
    """Return texts of the given lengths; token 0 is not used."""
    random = np.random.default_rng(seed)
    n = len(lengths)
    return Prepared(
        ids=random.integers(1, 50, sum(lengths)).astype(np.int16),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        conditions=random.random((n, 1)).astype(np.float32),
        parts=np.zeros(n, dtype=np.int8),
        formulas=("TiO2",) * n,
        atoms=np.full(n, 6, dtype=np.int32),
        card={"dialect": "wyckoff", "conditions": ["band_gap"], "splits": Splits().to_json()},
    )
