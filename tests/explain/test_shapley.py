# SPDX-License-Identifier: Apache-2.0
"""Shapley values against their definition, and the axioms that define them."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor
from workbench.explain.contributions import coalitions, is_read, shapley_values


def by_orders(value: Tensor) -> Tensor:
    """What each player adds on arrival, averaged over all orders of arrival: the definition."""
    players = len(value).bit_length() - 1
    orders = list(permutations(range(players)))
    total = torch.zeros(players, *value.shape[1:], dtype=torch.float64)
    for order in orders:
        there = 0
        for player in order:
            total[player] += value[there + 2**player] - value[there]
            there += 2**player
    return total / len(orders)


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_values_are_the_mean_over_all_orders_of_arrival(players):
    value = torch.rand(2**players, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(players))
    found = shapley_values(value)
    torch.testing.assert_close(found, by_orders(value), rtol=0, atol=1e-14)
    torch.testing.assert_close(found.sum(dim=0), value[-1] - value[0], rtol=0, atol=1e-14)


def test_who_adds_nothing_gets_exactly_nothing_and_equals_get_the_same():
    subsets = coalitions(4).double()
    value = (subsets[:, 0] + subsets[:, 1] * subsets[:, 2]) ** 2  # 1 and 2 are exchangeable, 3 is idle
    found = shapley_values(value)
    assert found[3] == 0
    assert found[1] == found[2] > 0
    assert is_read(value).tolist() == [True, True, True, False]


def test_eight_players_are_exact_and_nine_are_refused():
    weights = torch.arange(8.0, dtype=torch.float64)
    torch.testing.assert_close(shapley_values(coalitions(8).double() @ weights), weights)
    with pytest.raises(ValueError, match=r"at most 8 phases .* found 9: they would take 512 network runs"):
        coalitions(9)


def test_a_table_that_lacks_a_subset_is_refused():
    with pytest.raises(ValueError, match="2\\^M subsets, found 7 rows"):
        shapley_values(torch.zeros(7))
