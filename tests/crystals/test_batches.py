"""Batches: every text once an epoch, nothing lost to padding or cutting, the same for a step."""

from __future__ import annotations

import numpy as np
import pytest
from made_data import made_data

from bondwright.crystals.batches import Batches, cut, make_batch

LENGTHS = np.random.default_rng(3).integers(5, 90, 700).tolist()


@pytest.fixture
def batches() -> Batches:
    data = made_data(LENGTHS)
    return Batches(data, np.arange(50, 700), tokens=1000, seed=4, epochs=3, pad=0)


def test_every_crystal_comes_once_in_every_epoch(batches: Batches) -> None:
    seen = [batches.at(step).crystals for step in range(batches.steps)]
    ends = [step for step in range(batches.steps) if batches.epoch_of(step + 1) % 1 == 0]
    assert len(ends) == 3
    assert ends[-1] == batches.steps - 1
    first = 0
    for end in ends:
        epoch = np.concatenate(seen[first : end + 1])
        assert np.array_equal(np.sort(epoch), np.arange(50, 700))
        first = end + 1


def test_a_step_has_the_same_batch_whatever_was_asked_before(batches: Batches) -> None:
    data = made_data(LENGTHS)
    fresh = Batches(data, np.arange(50, 700), tokens=1000, seed=4, epochs=3, pad=0)
    for step in (batches.steps - 1, 0, batches.steps // 2):
        assert np.array_equal(batches.at(step).ids, fresh.at(step).ids)
    other = Batches(data, np.arange(50, 700), tokens=1000, seed=5, epochs=3, pad=0)
    assert not np.array_equal(other.at(0).crystals, fresh.at(0).crystals)
    assert not np.array_equal(fresh.at(0).crystals, fresh.at(fresh.steps // 3).crystals)


def test_batches_keep_to_their_size_and_waste_little(batches: Batches) -> None:
    sizes = [batches.at(step).ids.size for step in range(batches.steps)]
    used = sum(int((batches.at(step).targets >= 0).sum()) for step in range(batches.steps))
    assert max(sizes) <= 1000
    assert used == 3 * (sum(LENGTHS[50:]) - 650)  # the last token of a text predicts nothing
    assert used / sum(sizes) > 0.9


def test_rows_are_texts_shifted_by_one_token() -> None:
    data = made_data([4, 6])
    batch = make_batch(data, [1, 0], pad=0)
    assert batch.ids.tolist() == [data.ids[4:9].tolist(), [*data.ids[:3].tolist(), 0, 0]]
    assert batch.targets.tolist() == [data.ids[5:10].tolist(), [*data.ids[1:4].tolist(), -1, -1]]


def test_processes_share_a_batch_without_overlap() -> None:
    batch = make_batch(made_data([5] * 7), list(range(7)), pad=0)
    parts = [batch.share(rank, 3).crystals for rank in range(3)]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(7))


def test_a_text_longer_than_a_batch_is_a_batch_of_its_own() -> None:
    lengths = np.array([10, 10, 50])
    assert [b.tolist() for b in cut(np.arange(3), lengths, 30)] == [[0, 1], [2]]
