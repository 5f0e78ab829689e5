"""Does it pay to train on many equivalent descriptions of a crystal instead of one?

    python benchmarks/crystal_augmentation.py DATA --crystals 8000 --passes 3

DATA is a prepared data set of the wyckoff dialect. Two networks (4x4x128) see the same crystals as
often: one always in the canonical description, the other each time in another equivalent one
(`train crystals --augment`). Compared on validation compositions:

- nats per text: for the second network of random descriptions, so that nothing is to be guessed
  from the rules of the canonical one. A crystal is at least as likely as any of its texts;
- the same less ln N, N the most descriptions that a crystal can have (on a polar axis 10,000
  origins): a crystal cannot be likelier than if all were equally likely, so this is the least that
  the second network can need for a crystal;
- the share of crystals, sampled with constraints, that are strictly valid with their first text.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bondwright.crystals.checkpoint import load_model
from bondwright.crystals.crystal import ON_POSITION
from bondwright.crystals.dataset import Prepared, load_dataset
from bondwright.crystals.dialects import dialect
from bondwright.crystals.splits import TRAIN, VALIDATION
from bondwright.crystals.train_augment import describe_anew
from bondwright.crystals.train_group import Group
from bondwright.crystals.train_loss import held_out
from bondwright.crystals.train_samples import chosen_requests, sample_quality
from bondwright.crystals.train_settings import TrainSettings
from bondwright.crystals.training import Going, train
from bondwright.crystals.wyckoff import parameters_of
from bondwright.crystals.wyckoff_canonical import UNIT
from bondwright.crystals.wyckoff_moves import moves, polar_axes

DEVICE = torch.device("cpu")


def descriptions(ids: list[int]) -> float:
    """Return ln of how many descriptions a crystal has at most."""
    crystal = dialect("wyckoff").decode(ids)
    group = crystal.space_group
    number = math.log(len(moves(group))) + len(polar_axes(group)) * math.log(UNIT)
    kinds = [(site.element, site.letter) for site in crystal.sites]
    for site in crystal.sites:
        points = parameters_of(group, site.letter, site.position, ON_POSITION)
        number += math.log(len(np.unique(np.rint(points * UNIT) % UNIT, axis=0)))
    return number + sum(math.lgamma(kinds.count(kind) + 1) for kind in set(kinds))


def chosen(data: Prepared, crystals: int, seed: int) -> Prepared:
    """Return as many training crystals, and those of validation."""
    rows = np.random.default_rng(seed).permutation(data.of_part(TRAIN))[:crystals]
    rows = np.sort(np.concatenate([rows, data.of_part(VALIDATION)]))
    texts = [data.ids[data.offsets[k] : data.offsets[k + 1]] for k in rows]
    return replace(
        data,
        ids=np.concatenate(texts),
        offsets=np.cumsum([0, *map(len, texts)]),
        conditions=np.zeros((len(rows), 0), dtype=np.float32),
        parts=data.parts[rows],
        formulas=tuple(data.formulas[k] for k in rows),
        atoms=data.atoms[rows],
        card={**data.card, "conditions": []},
    )


def tested(data: Prepared, augment: bool) -> tuple[Prepared, float]:
    """Return the data with the texts that a loss is asked for, and the mean ln N of validation."""
    if not augment:
        return data, 0.0
    random, ids, numbers = np.random.default_rng(0), data.ids.copy(), []
    for k in data.of_part(VALIDATION):
        place = slice(data.offsets[k], data.offsets[k + 1])
        numbers.append(descriptions(data.ids[place].tolist()))
        ids[place] = describe_anew(data.ids[place].tolist(), random)
    return replace(data, ids=ids), float(np.mean(numbers))


def measured(data: Prepared, settings: TrainSettings, texts: int) -> str:
    """Train a network and return its figures."""

    def tell(event: Any) -> None:
        print(f"\r{event['step']}/{event['steps']} {event['loss']:.3f} ", end="", flush=True)

    with tempfile.TemporaryDirectory() as place:
        train(data, Path(place), settings, (), Going(tell=tell), Group(0, 1, DEVICE))
        model = load_model(Path(place) / "model")
    crystals = data.of_part(VALIDATION)
    pad = dialect(data.dialect).vocabulary.pad
    there, number = tested(data, settings.augment)
    none = torch.zeros((len(data), 0))
    loss = held_out(model.network, there, crystals, none, tokens=8192, pad=pad).per_crystal
    requests = chosen_requests(data, crystals, texts)
    made = sample_quality(model.network, data.dialect, (), requests, 0)
    return (
        f"{loss:.1f} nats a text, at least {loss - number:.1f} a crystal, {made.valid:.1%} of "
        f"{made.samples} strictly valid at once"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--crystals", type=int, default=8000)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = chosen(load_dataset(arguments.data), arguments.crystals, arguments.seed)
    for augment in (False, True):
        settings = TrainSettings(
            4, 4, 128, 0.0, epochs=arguments.passes, learning_rate=3e-3, validations=1, samples=0,
            seed=arguments.seed, augment=augment,
        )  # fmt: skip
        name = "random descriptions" if augment else "canonical descriptions"
        print(f"\n{name}: {measured(data, settings, arguments.texts)}", flush=True)


if __name__ == "__main__":
    main()
