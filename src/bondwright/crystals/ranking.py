"""Which of several samples the model itself finds most likely.

The measure is the perplexity, exp(-mean ln p) over the tokens that the model chose; low is good.
Tokens that the grammar left no choice about do not count, so long and short texts compare fairly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from bondwright.crystals.sampling_text import Sample


def perplexity(log_probability: float | None, tokens: int | None) -> float | None:
    """Return exp(-mean ln p); 1 for a text without any choice, None where nothing is known.

    Args:
        log_probability: ln p, summed over the tokens that were chosen.
        tokens: how many those were.
    """
    if log_probability is None or tokens is None:
        return None
    # A model that finds a token all but impossible gives no measure that could be stored.
    return math.exp(min(-log_probability / tokens, 700.0)) if tokens else 1.0


def rank(samples: Iterable[Sample]) -> list[Sample]:
    """Return samples by perplexity, likeliest first; those without a crystal come last."""

    def key(sample: Sample) -> tuple[bool, float, int]:
        found = perplexity(sample.log_probability, sample.tokens)
        return sample.crystal is None, math.inf if found is None else found, sample.index

    return sorted(samples, key=key)
