"""Equivalent descriptions of a crystal: data to train on that cost no labels.

A crystal has one canonical text, but origin and axes (`wyckoff_moves`), the point that stands for
an orbit and the order of equal sites could be others. A network that sees another description at
every step has more to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bondwright.crystals.batches import Batch
from bondwright.crystals.crystal import ON_POSITION, electronegativity_order, letter_order
from bondwright.crystals.dataset import Prepared
from bondwright.crystals.dialects import dialect
from bondwright.crystals.wyckoff import parameters_of
from bondwright.crystals.wyckoff_canonical import UNIT
from bondwright.crystals.wyckoff_cell import free_parameters
from bondwright.crystals.wyckoff_moves import moves, polar_axes
from bondwright.crystals.wyckoff_vocabulary import VOCABULARY
from bondwright.errors import InputError

DIALECT = "wyckoff"


def check_augmentable(name: str) -> None:
    """Refuse dialects whose texts cannot be described anew.

    Raises:
        InputError: it is not the wyckoff dialect.
    """
    if name != DIALECT:
        raise InputError(
            f"--augment: crystals can be described anew in the dialect {DIALECT}, not in {name}; "
            "leave it out."
        )


def describe_anew(ids: Sequence[int], random: np.random.Generator) -> list[int]:
    """Return another text of the same crystal and of the same length.

    Args:
        ids: a whole text of the wyckoff dialect.
        random: draws the description, all choices of origin, axes and points alike.

    Raises:
        InputError: the text is not a crystal.
    """
    crystal = dialect(DIALECT).decode(ids)
    group, order = crystal.space_group, electronegativity_order()
    move = moves(group)[random.integers(len(moves(group)))]
    axes = list(polar_axes(group))
    shift = move.shift.copy()
    shift[axes] = random.random(len(axes))
    sites: list[tuple[int, int, float, str, NDArray[np.int64]]] = []
    for site in crystal.sites:
        letter = move.letters[site.letter]
        point = move.rotation @ np.array(site.position) + shift
        choices = parameters_of(group, letter, point, ON_POSITION)
        steps = np.rint(choices[random.integers(len(choices))] * UNIT).astype(np.int64) % UNIT
        place = letter_order(letter)
        sites.append((order[site.element], place, random.random(), site.element, steps))
    # Formula, number of its units, group and cell are the same in all descriptions.
    text = list(ids[: 3 + 2 * len(crystal.counts) + 2 * len(free_parameters(group))])
    for _, place, _, element, steps in sorted(sites, key=lambda site: site[:3]):
        text += [VOCABULARY.id_of[element], VOCABULARY.ids["letter"][place]]
        for step in steps.tolist():
            text.append(VOCABULARY.ids["hundredths"][step // 100])
            text.append(VOCABULARY.ids["decimals"][step % 100])
    return [*text, VOCABULARY.end]


def augmented(batch: Batch, data: Prepared, seed: Sequence[int]) -> Batch:
    """Return a batch with other descriptions of the same crystals.

    Args:
        batch: some crystals of `data`.
        data: the data set.
        seed: decides, with the number of a crystal, its description.
    """
    ids, targets = batch.ids.copy(), batch.targets.copy()
    for row, crystal in enumerate(batch.crystals.tolist()):
        known = data.ids[data.offsets[crystal] : data.offsets[crystal + 1]].tolist()
        text = describe_anew(known, np.random.default_rng([*seed, crystal]))
        ids[row, : len(text) - 1] = text[:-1]
        targets[row, : len(text) - 1] = text[1:]
    return Batch(ids, targets, batch.crystals)
