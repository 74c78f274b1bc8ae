"""Exact Shapley values: a gain divided fairly between the players who made it."""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

MOST_PLAYERS = 8
"""2^8 = 256 coalitions; each further player doubles the work."""


def coalitions(num_players: int) -> Tensor:
    """Return every subset of M players, bool [2^M, M]; row i holds player m where bit m of i is 1.

    Raises:
        ValueError: more than 8 players.

    >>> coalitions(2).int().tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    if num_players > MOST_PLAYERS:
        raise ValueError(
            f"exact contributions are for at most {MOST_PLAYERS} phases (with the clinical table), found "
            f"{num_players}: they would take {2**num_players:,} network runs per case; take 'contribution' "
            "out of `explanations`"
        )
    return (torch.arange(2**num_players).unsqueeze(1) >> torch.arange(num_players)) % 2 == 1


def shapley_values(value: Tensor) -> Tensor:
    r"""Divide v(all) - v(none) between the players by what each adds, averaged over all orders of arrival.

    .. math:: \phi_m = \sum_{S \not\ni m} \frac{|S|!\,(M - |S| - 1)!}{M!} \, (v(S \cup m) - v(S))

    The values sum to v(all) - v(none). A player who never changes v gets 0; two who are exchangeable get the
    same.

    Args:
        value: v of every subset, in the order of `coalitions`.

    Shape: [2^M, ...] -> [M, ...], float64.

    Raises:
        ValueError: a number of rows that is no power of 2.

    Reference: Shapley, A value for n-person games, 1953.

    >>> shapley_values(torch.tensor([0.0, 1.0, 0.0, 1.0])).tolist()  # all is due to the first
    [1.0, 0.0]
    """
    players = len(value).bit_length() - 1
    if len(value) != 2**players:
        raise ValueError(f"value must have one row for each of the 2^M subsets, found {len(value)} rows")
    value, subsets = value.double(), coalitions(players)
    values = value.new_zeros(players, *value.shape[1:])
    for player in range(players):
        for index in (~subsets[:, player]).nonzero().flatten().tolist():
            others = int(subsets[index].sum())
            gain = value[index + 2**player] - value[index]
            values[player] += gain / (players * comb(players - 1, others))
    return values


def is_read(value: Tensor, tolerance: float = 1e-6) -> Tensor:
    """Return which players change the value of at least one subset, bool [M].

    Args:
        value: as for `shapley_values`.
        tolerance: changes up to this are rounding.

    >>> is_read(torch.tensor([0.0, 1.0, 0.0, 1.0])).tolist()
    [True, False]
    """
    players = len(value).bit_length() - 1
    subsets = coalitions(players)
    changes = [
        (value[subsets[:, player]] - value[~subsets[:, player]]).abs().max() > tolerance
        for player in range(players)
    ]
    return torch.tensor(changes, dtype=torch.bool)
