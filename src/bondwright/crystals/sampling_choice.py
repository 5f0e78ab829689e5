"""Choosing the next token of many texts at once, from one random number each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bondwright.errors import InputError

Floats = NDArray[np.float64]


def check_choice(temperature: float, top_k: int, top_p: float) -> None:
    """Refuse settings that leave no choice.

    Raises:
        InputError: names the setting and what it can be.
    """
    if not 0 <= temperature < 1000:
        raise InputError(f"temperature {temperature}: give 0 (most probable token) or more.")
    if top_k < 0:
        raise InputError(f"top-k {top_k}: give the number of tokens to choose from, or 0 for all.")
    if not 0 < top_p <= 1:
        raise InputError(f"top-p {top_p}: give a share of the probability above 0, up to 1.")


def choose(
    logits: Floats,
    allowed: NDArray[np.bool_],
    random: Floats,
    *,
    temperature: float,
    top_k: int,
    top_p: float,
) -> NDArray[np.int64]:
    """Choose one token for each of R texts.

    Tokens that are not allowed are taken out first, then the temperature acts, then top-k and
    top-p. What is left is laid out in the order of the ids; the random number says where in it.

    Args:
        logits: (R, V).
        allowed: (R, V), at least one in each row.
        random: (R,) uniform in [0, 1).
        temperature: above 0; 0 chooses the most probable token.
        top_k: number of most probable tokens that stay; 0 keeps all. Equals of the last one stay.
        top_p: the most probable tokens stay until together they have this probability.

    Returns:
        (R,) ids.
    """
    open_ = np.where(allowed, logits, -np.inf)
    if temperature == 0:
        best: NDArray[np.int64] = open_.argmax(axis=1)
        return best
    open_ = (open_ - open_.max(axis=1, keepdims=True)) / temperature
    if 0 < top_k < open_.shape[1]:
        last = np.partition(open_, -top_k, axis=1)[:, -top_k]
        open_[open_ < last[:, None]] = -np.inf
    shares = np.exp(open_)
    if top_p < 1:
        order = np.argsort(-shares, axis=1, kind="stable")
        ordered = np.take_along_axis(shares, order, axis=1)
        before = ordered.cumsum(axis=1) - ordered
        ordered[before >= top_p * ordered.sum(axis=1, keepdims=True)] = 0.0
        np.put_along_axis(shares, order, ordered, axis=1)
    ends = shares.cumsum(axis=1)
    chosen: NDArray[np.int64] = (ends <= (random * ends[:, -1])[:, None]).sum(axis=1)
    # A random number next to 1 can round up to the end: the last token with a share is meant.
    last_open = shares.shape[1] - 1 - (shares[:, ::-1] > 0).argmax(axis=1)
    return np.asarray(np.minimum(chosen, last_open))


def log_probabilities(logits: Floats, ids: NDArray[np.int64]) -> Floats:
    """Return ln p (R,) of ids (R,) under logits (R, V), over the whole vocabulary."""
    top = logits.max(axis=1)
    total = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
    found: Floats = logits[np.arange(len(ids)), ids] - total
    return found
