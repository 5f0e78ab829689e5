"""Does it pay to train on many equivalent descriptions of a crystal instead of one?

    python benchmarks/crystal_augmentation.py DATA --crystals 8000 --passes 3

DATA is a prepared data set of the wyckoff dialect. Two networks (4x4x128) see the same crystals as
often: one always in the canonical description, the other each time in another equivalent one, with
origin and axes, the point of every orbit and the order of equal sites drawn at random. Compared on
validation compositions:

- nats per crystal. A crystal has as many descriptions as there are draws, N at most, so minus the
  log probability of the crystal is at least the mean over descriptions minus ln N: the best that
  the second network can be worth. Polar axes count with 10,000 origins each;
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
from numpy.typing import NDArray

from bondwright.crystals.checkpoint import load_model
from bondwright.crystals.crystal import ON_POSITION, letter_order
from bondwright.crystals.dataset import Prepared, load_dataset
from bondwright.crystals.dialects import dialect
from bondwright.crystals.splits import TRAIN, VALIDATION
from bondwright.crystals.train_group import Group
from bondwright.crystals.train_log import read_log
from bondwright.crystals.train_loss import held_out
from bondwright.crystals.train_samples import chosen_requests, sample_quality
from bondwright.crystals.train_settings import TrainSettings
from bondwright.crystals.training import Going, train
from bondwright.crystals.wyckoff import parameters_of
from bondwright.crystals.wyckoff_canonical import UNIT
from bondwright.crystals.wyckoff_cell import free_parameters
from bondwright.crystals.wyckoff_moves import moves, polar_axes
from bondwright.crystals.wyckoff_vocabulary import VOCABULARY

Ids = NDArray[np.int16]


def described_anew(ids: Ids, random: np.random.Generator) -> tuple[list[int], float]:
    """Return another description of a crystal, and ln of how many there are at most."""
    crystal = dialect("wyckoff").decode(ids.tolist())
    group = crystal.space_group
    move = moves(group)[random.integers(len(moves(group)))]
    shift = move.shift.copy()
    shift[list(polar_axes(group))] = random.random(len(polar_axes(group)))
    number = math.log(len(moves(group))) + len(polar_axes(group)) * math.log(UNIT)
    sites: list[tuple[int, int, float, list[int]]] = []
    order = {element: k for k, element in enumerate(crystal.counts)}
    for site in crystal.sites:
        letter = move.letters[site.letter]
        point = move.rotation @ np.array(site.position) + shift
        choices = parameters_of(group, letter, point, ON_POSITION)
        values = choices[random.integers(len(choices))]
        steps = (np.rint(values * UNIT).astype(int) % UNIT).tolist()
        number += math.log(len(np.unique(np.rint(choices * UNIT) % UNIT, axis=0)))
        sites.append((order[site.element], letter_order(letter), random.random(), steps))
    for key in {site[:2] for site in sites}:
        number += math.lgamma(sum(site[:2] == key for site in sites) + 1)
    first = 3 + 2 * len(crystal.counts) + 2 * len(free_parameters(group))  # formula, Z, group, cell
    text = ids[:first].tolist()
    names = list(crystal.counts)
    for element, place, _, steps in sorted(sites):
        text += [VOCABULARY.id_of[names[element]], VOCABULARY.ids["letter"][place]]
        for step in steps:
            text += [VOCABULARY.ids["hundredths"][step // 100]]
            text += [VOCABULARY.ids["decimals"][step % 100]]
    return [*text, VOCABULARY.end], number


def rewritten(data: Prepared, seed: int, passes: int) -> tuple[Prepared, NDArray[np.float64]]:
    """Return the data with new descriptions; those of training once for each pass."""
    random = np.random.default_rng(seed)
    texts, numbers, rows = [], [], []
    for k in range(len(data)):
        for _ in range(passes if data.parts[k] == TRAIN else 1):
            text, number = described_anew(data.ids[data.offsets[k] : data.offsets[k + 1]], random)
            texts.append(text)
            numbers.append(number)
            rows.append(k)
    return _with_texts(data, texts, np.array(rows), "anew"), np.array(numbers)


def chosen(data: Prepared, crystals: int) -> Prepared:
    """Return as many training crystals, and those of validation."""
    random = np.random.default_rng(0)
    rows = random.permutation(data.of_part(TRAIN))[:crystals]
    rows = np.sort(np.concatenate([rows, data.of_part(VALIDATION)]))
    texts = [data.ids[data.offsets[k] : data.offsets[k + 1]].tolist() for k in rows]
    return _with_texts(data, texts, rows, "canonical")


def _with_texts(
    data: Prepared, texts: list[list[int]], rows: NDArray[np.int64], name: str
) -> Prepared:
    ids = np.concatenate([np.array(text, dtype=np.int16) for text in texts])
    return replace(
        data,
        ids=ids,
        offsets=np.cumsum([0, *map(len, texts)]),
        conditions=np.zeros((len(rows), 0), dtype=np.float32),
        parts=data.parts[rows],
        formulas=tuple(data.formulas[k] for k in rows),
        atoms=data.atoms[rows],
        card={**data.card, "conditions": [], "sha256": name},
    )


def measured(data: Prepared, numbers: NDArray[np.float64], epochs: int, texts: int) -> str:
    """Train a network and return its figures."""
    settings = TrainSettings(
        4, 4, 128, 0.0, epochs=epochs, learning_rate=3e-3, validations=1, samples=0
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        def tell(event: Any) -> None:
            print(f"\r{event['step']}/{event['steps']} {event['loss']:.3f}", end="", flush=True)

        group = Group(0, 1, torch.device("cpu"))
        train(data, folder, settings, (), Going(tell=tell), group)
        steps = read_log(folder)[-1]["step"]
        model = load_model(folder / "model")
    crystals = data.of_part(VALIDATION)
    none = torch.zeros((len(data), 0))
    pad = dialect(data.dialect).vocabulary.pad
    loss = held_out(model.network, data, crystals, none, tokens=8192, pad=pad).per_crystal
    requests = chosen_requests(data, crystals, texts)
    made = sample_quality(model.network, data.dialect, (), requests, 0)
    at_best = loss - float(numbers[crystals].mean())
    return (
        f"{steps} steps, {loss:.1f} nats a description, at least {at_best:.1f} a crystal, "
        f"{made.valid:.1%} of {made.samples} strictly valid at once"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--crystals", type=int, default=8000)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--texts", type=int, default=300)
    arguments = parser.parse_args()
    passes = arguments.passes
    one = chosen(load_dataset(arguments.data), arguments.crystals)
    print("\ncanonical:", measured(one, np.zeros(len(one)), passes, arguments.texts))
    many, numbers = rewritten(one, 0, passes)
    print("\nrandom descriptions:", measured(many, numbers, 1, arguments.texts))


if __name__ == "__main__":
    main()
