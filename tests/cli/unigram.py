"""A crystal model made by hand: every token has its own probability, whatever came before.

The smallest thing that the real sampler, checkpoints and grammar accept as a model. It has learned
nothing and no condition changes what it writes, but its cells are small, so that some of its
crystals are valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bondwright.crystals.checkpoint import save_model
from bondwright.crystals.conditioning import ConditionConfig
from bondwright.crystals.dialects import dialect
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.normaliser import Normaliser

# Logits of tokens that make small cells; all others have 0.
LIKELY = (
    *((f"{n}Å", 8.0) for n in range(3, 7)),
    *((f"Z{n}", 8.0) for n in (1, 2, 4)),
    *((f"sg{n}", 8.0) for n in (136, 141, 62, 14, 2, 123, 225, 221)),
    ("90°", 6.0),
    (".", 6.0),
)


def make_model(
    folder: Path,
    *,
    name: str = "wyckoff",
    context: int = 128,
    card: Mapping[str, Any] | None = None,
    conditioned: bool = True,
) -> str:
    """Write a model into `folder`; return the checksum of its weights."""
    tokens = dialect(name).vocabulary.tokens
    condition = ConditionConfig("prefix", 1) if conditioned else None
    torch.manual_seed(0)
    network = Network(NetworkConfig(len(tokens), context, 1, 1, 2, bias=True, condition=condition))
    logits = dict(LIKELY)
    with torch.no_grad():
        # The last norm puts out (1, 0) for anything; the tied embedding makes logits of it.
        network.norm.weight.zero_()
        network.norm.bias.copy_(torch.tensor([1.0, 0.0]))
        network.tokens.weight[:, 0] = torch.tensor(
            [logits.get(token, logits["."] if token[0] == "." else 0.0) for token in tokens]
        )
    scales = [Normaliser("band_gap", "eV", "log", 0.0, 9.0, 0.8, 0.0, 9.0)] if conditioned else []
    return save_model(folder, network, name, scales, card or {"data": {"atoms": [1, 20]}})
