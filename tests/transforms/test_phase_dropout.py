# SPDX-License-Identifier: Apache-2.0
"""Phase dropout hides phases at its rate, and never all of a case."""

from __future__ import annotations

import pytest
import torch
from scripts.engines.inferer import PrepareBatch
from scripts.transforms.augment import PhaseDropout


def test_phases_fall_independently_at_the_rate_and_one_always_stays():
    torch.manual_seed(0)
    present = torch.tensor([[True, True, False], [False, True, False]]).repeat(20_000, 1)
    kept = PhaseDropout(0.4)(present)
    assert not (kept & ~present).any()
    assert kept.any(dim=1).all()
    assert kept[1::2].equal(present[1::2])  # the only phase of a case
    both, first, second = (
        float((kept[::2, :2] == torch.tensor(row)).all(dim=1).float().mean())
        for row in ([True, True], [True, False], [False, True])
    )
    # Neither falls: 0.6^2. Only one stays: 0.6 * 0.4, and half of the 0.4^2 in which both would fall.
    assert (both, first, second) == pytest.approx((0.36, 0.32, 0.32), abs=0.012)


def test_no_dropout_draws_nothing():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    present = torch.ones(4, 3, dtype=torch.bool)
    assert PhaseDropout(0.0)(present) is present
    assert torch.equal(torch.rand(3), expected)


def test_the_batch_says_that_a_hidden_phase_is_absent():
    torch.manual_seed(0)
    batch = {"image": torch.rand(64, 3, 2, 2, 2), "present": torch.ones(64, 3, dtype=torch.bool)}
    hidden = PrepareBatch(phase_dropout=PhaseDropout(0.5))(batch)[3]["present"]
    assert 0.3 < hidden.float().mean() < 0.7
    assert PrepareBatch()(batch)[3]["present"].all()


@pytest.mark.parametrize("probability", [-0.1, 1.0, float("nan")])
def test_a_probability_out_of_range_is_named(probability):
    with pytest.raises(ValueError, match="phase_dropout must be at least 0 and below 1, found"):
        PhaseDropout(probability)
