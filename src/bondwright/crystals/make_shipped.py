"""Makes a shipped model of a training run.

Run as `python -m bondwright.crystals.make_shipped RUN NAME 'bondwright train crystals ...'`. Beside
the weights, halved to float16, and their card lie the run's curves and the figures behind them.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from bondwright.crystals.checkpoint import load_model, save_model
from bondwright.crystals.shipped import MODELS
from bondwright.crystals.train_log import read_log
from bondwright.errors import InputError
from bondwright.structure.write import write_text

LARGEST = 25_000_000
"""Most bytes of the weights of a shipped model."""

_EVERY = 100
"""Steps between the training losses that are kept."""


def make(run: Path, folder: Path, command: str) -> str:
    """Write the best model of a run as one that ships; return the SHA-256 of its weights.

    Args:
        run: folder of `bondwright train crystals`; the card says how far it came.
        folder: to be written.
        command: that trained it, for the card.

    Raises:
        InputError: its model cannot be read, or its weights are too large.
    """
    model = load_model(run / "model")
    events = read_log(run)
    done = max(int(event["step"]) for event in events)
    card = {**model.card, "command": command, "steps_done": done}
    size = 2 * sum(value.numel() for value in model.network.state_dict().values())
    if size > LARGEST:
        raise InputError(f"the weights have {size:,} bytes, more than the {LARGEST:,} that ship.")
    digest = save_model(folder, model.network, model.dialect, model.normalisers, card, half=True)
    kept = [e for e in events if "validation_loss" in e or int(e["step"]) % _EVERY == 0]
    write_text(folder / "log.jsonl", "".join(json.dumps(event) + "\n" for event in kept))
    shutil.copy(run / "curves.svg", folder / "curves.svg")
    return digest


if __name__ == "__main__":
    sys.stdout.write(make(Path(sys.argv[1]), MODELS / sys.argv[2], sys.argv[3]) + "\n")
