# SPDX-License-Identifier: Apache-2.0
"""What each phase contributed to a prediction, by exact Shapley values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import torch
from scripts.networks.table_encoder import table_encoders
from torch import Tensor, nn

MOST_PLAYERS = 8  # 2^8 = 256 coalitions; each further player doubles the work


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

    The values sum to v(all) - v(none). A player that never changes v gets 0; two interchangeable players get the
    same.

    Args:
        value: v of every subset, in the order of `coalitions`.

    Shape: [2^M, ...] -> [M, ...], float64.

    Raises:
        ValueError: the number of rows is not a power of 2.

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
        (value[subsets[:, player]] - value[~subsets[:, player]]).abs().max() > tolerance for player in range(players)
    ]
    return torch.tensor(changes, dtype=torch.bool)


@dataclass(frozen=True)
class Contributions:
    """What each phase, and the clinical table, contributed to one prediction.

    Attributes:
        values: float64 [M, K], one row per phase and, where the network reads one, a last row for the
            clinical table; the rows sum to prediction - start.
    """

    start: Tensor  # float64 [K], probability of each class that the network gives without any phase or table
    prediction: Tensor  # float64 [K], predicted probability of each class
    values: Tensor
    present: Tensor  # bool [M], what the case has


def reads_table(network: nn.Module) -> bool:
    """Return whether a network reads the clinical table."""
    return bool(table_encoders(network))


@torch.no_grad()
def phase_contributions(
    network: nn.Module,
    image: Tensor,
    present: Tensor,
    clinical: Tensor | None = None,
    batch_size: int = 16,
    without: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Contributions:
    r"""Divide the change from the network's answer without data to its prediction, by exact Shapley values.

    .. math:: v(S) = \mathrm{softmax}(f(x_S))

    where x_S is the case with only the phases in S, the others being absent; the clinical table, where the
    network reads one and the case has a value, is one more player. M players take 2^M network runs.

    v of the empty set is, like every other v, the network's own answer: to a case without any phase or table.
    So a player that changes the network's answers little contributes little. Class frequencies in its place
    would be the answer of another model, and their distance from the network's own would be credited to
    whichever player comes first.

    What the case lacks is not a player, nor is what the network does not read (for no subset does it change
    the output by more than rounding): both contribute exactly 0.

    Args:
        clinical: the case's table, NaN where a value is missing; None without one.
        batch_size: subsets per network run.
        without: called as ``without(image, present, shown)``; gives the image as it is prepared from the
            phases shown alone, where phases depend on each other (see `scripts.engines.images_without`);
            None: `image` for all.

    Shape: image [P, D, H, W], present and shown [P] bool, clinical [T].

    Raises:
        ValueError: more than 8 players.

    Reference: Lundberg and Lee, A unified approach to interpreting model predictions, NeurIPS 2017, eq. 4.

    >>> from scripts import build
    >>> network = build(["pre", "portal"], fusion="mean").eval()
    >>> found = phase_contributions(network, torch.rand(2, 8, 8, 8), torch.tensor([True, True]))
    >>> torch.allclose(found.values.sum(dim=0), found.prediction - found.start)
    True
    """
    there = present.bool().cpu()
    if reads_table(network):
        has_table = clinical is not None and not bool(clinical.isnan().all())
        there = torch.cat([there, torch.tensor([has_table])])
    players = there.nonzero().flatten()
    seen = torch.zeros(2 ** len(players), len(there), dtype=torch.bool)
    seen[:, players] = coalitions(len(players))
    parts = seen.tensor_split([len(present)], dim=1)
    runs = zip(*(part.split(batch_size) for part in parts), strict=True)
    output = torch.cat(
        [
            _predict(network, _images(image, present, shown, without), shown, table_shown, clinical)
            for shown, table_shown in runs
        ]
    )
    read = is_read(output)
    value = output[_rows_of(read)]
    value[-1] = output[-1]  # players that are not read change it only by rounding
    values = torch.zeros(len(there), output.size(1), dtype=torch.float64)
    if len(value) > 1:
        values[players[read]] = shapley_values(value)
    start = value[0] if len(value) > 1 else output[-1]
    return Contributions(start.clone(), output[-1].clone(), values, there)


def _rows_of(read: Tensor) -> Tensor:
    """Return the rows of `coalitions` whose players are all read, in the order of their own coalitions."""
    weights = 2 ** read.nonzero().flatten()
    return (coalitions(len(weights)) * weights).sum(dim=1)


def _images(
    image: Tensor, present: Tensor, shown: Tensor, without: Callable[[Tensor, Tensor, Tensor], Tensor] | None
) -> Tensor:
    """Return the case with only the phases shown, for n subsets: shown [n, P] -> [n, P, D, H, W]."""
    if without is None:
        return image.expand(len(shown), *image.shape)
    return torch.stack([without(image, present, row) for row in shown])


def _predict(network: nn.Module, images: Tensor, shown: Tensor, table_shown: Tensor, clinical: Tensor | None) -> Tensor:
    """Return the probabilities [n, K] of a case for n subsets: shown [n, P], table_shown [n, 0 or 1]."""
    table = None
    if clinical is not None:
        hidden = ~table_shown.any(dim=1, keepdim=True).to(clinical.device)
        table = clinical.expand(len(shown), -1).masked_fill(hidden, math.nan)
    logits = network(images, clinical=table, present=shown.to(images.device))
    return logits.double().softmax(dim=1).cpu()
