# SPDX-License-Identifier: Apache-2.0
"""The order of the cases depends on the seed and the epoch alone."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events
from scripts.cases.batches import EpochBatchSampler
from torch.utils.data import DataLoader


def order(sampler: EpochBatchSampler, epoch: int) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize("length", range(1, 12))
@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_each_case_once_and_no_batch_of_one_where_it_can_be_avoided(length, batch_size):
    sampler = EpochBatchSampler(length, batch_size, seed=3)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(case for batch in batches for case in batch) == list(range(length))
    if length > 1 and batch_size > 1:
        assert min(map(len, batches)) > 1
    assert max(map(len, batches)) <= batch_size + (length % batch_size == 1)


def test_the_order_of_an_epoch_needs_no_history():
    run, resumed = (EpochBatchSampler(20, 4, seed=0) for _ in range(2))
    history = [order(run, epoch) for epoch in range(1, 6)]
    assert order(resumed, 4) == history[3]
    assert len({str(batches) for batches in history}) == 5
    assert order(EpochBatchSampler(20, 4, seed=1), 4) != history[3]


def test_without_shuffling_the_order_stays():
    sampler = EpochBatchSampler(7, 3, seed=0, shuffle=False)
    assert order(sampler, 1) == order(sampler, 2) == [[0, 1, 2], [3, 4, 5, 6]]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_engine_gets_the_order_of_its_epoch(workers):
    sampler = EpochBatchSampler(9, 4, seed=0)
    loader = DataLoader(torch.arange(9), batch_sampler=sampler, num_workers=workers)
    seen: list[list[int]] = []
    engine = Engine(lambda _, batch: seen.append(batch.tolist()))
    engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: sampler.set_epoch(engine.state.epoch))
    engine.run(loader, max_epochs=3)
    fresh = EpochBatchSampler(9, 4, seed=0)
    assert seen == [batch for epoch in (1, 2, 3) for batch in order(fresh, epoch)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4, 0), r"length must be a whole number of at least 1, found 0"),
        ((5, 0, 0), r"batch_size must be .* found 0"),
        ((5, 2.5, 0), r"batch_size must be .* found 2.5"),
        ((5, 2, -1), r"seed must be .* found -1"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        EpochBatchSampler(*arguments)
