"""How much each phase moved the probability of a class away from the prior."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scripts.explain.shapley import coalitions, is_read, shapley_values
from scripts.networks import TableEncoder


@dataclass(frozen=True)
class Contributions:
    """What each phase, and the clinical table, contributed to one prediction.

    Attributes:
        prior: float64 [K], probability of each class before anything is seen.
        prediction: float64 [K], predicted probability of each class.
        values: float64 [M, K], one row per phase and, where the network reads one, a last row for the
            clinical table; the rows sum to prediction - prior.
        present: bool [M], what the case has.
    """

    prior: Tensor
    prediction: Tensor
    values: Tensor
    present: Tensor


def reads_table(network: nn.Module) -> bool:
    """Return whether a network reads the clinical table."""
    return any(isinstance(module, TableEncoder) for module in network.modules())


@torch.no_grad()
def phase_contributions(
    network: nn.Module,
    image: Tensor,
    present: Tensor,
    prior: Tensor,
    clinical: Tensor | None = None,
    batch_size: int = 16,
) -> Contributions:
    r"""Divide the way from the prior to the prediction between the phases, by exact Shapley values.

    .. math:: v(S) = \mathrm{softmax}(f(x_S)), \qquad v(\emptyset) = \mathrm{prior}

    where x_S is the case with only the phases in S, the others being absent; the clinical table, where the
    network reads one and the case has a value, is one more player. M players take 2^M network runs.

    What the case lacks is no player, and neither is what the network does not read (it changes the network's
    output for no subset): both contribute exactly 0. Where the network reads nothing of a case, nothing
    contributes, and its prediction is what it says without data.

    Args:
        network: in eval mode; returns logits.
        image: one case.
        present: phases that are there.
        prior: class frequencies, e.g. `network.calibration.prior`.
        clinical: the case's table, NaN where a value is missing; None without one.
        batch_size: subsets per network run.

    Shape: image [P, D, H, W], present [P] bool, prior [K], clinical [T].

    Raises:
        ValueError: more than 8 players.

    Reference: Lundberg and Lee, A unified approach to interpreting model predictions, NeurIPS 2017, eq. 4.

    >>> from scripts import build
    >>> network = build(["pre", "portal"], fusion="mean").eval()
    >>> present, prior = torch.tensor([True, True]), torch.tensor([0.7, 0.3])
    >>> found = phase_contributions(network, torch.rand(2, 8, 8, 8), present, prior)
    >>> torch.allclose(found.values.sum(dim=0), found.prediction - found.prior)
    True
    """
    there = present.bool().cpu()
    if reads_table(network):
        has_table = clinical is not None and not bool(clinical.isnan().all())
        there = torch.cat([there, torch.tensor([has_table])])
    players = there.nonzero().flatten()
    seen = torch.zeros(2 ** len(players), len(there), dtype=torch.bool)
    seen[:, players] = coalitions(len(players))
    output = torch.cat([_predict(network, image, part, clinical) for part in seen.split(batch_size)])
    read = is_read(output)
    value = output[_rows_of(read)]
    prediction = output[-1].clone()
    prior = prior.double().cpu()
    values = torch.zeros(len(there), len(prior), dtype=torch.float64)
    if len(value) > 1:
        value[0] = prior
        values[players[read]] = shapley_values(value)
    return Contributions(prior, prediction, values, there)


def _rows_of(read: Tensor) -> Tensor:
    """Return the rows of `coalitions` whose players are all read, in the order of their own coalitions."""
    weights = 2 ** read.nonzero().flatten()
    return (coalitions(len(weights)) * weights).sum(dim=1)


def _predict(network: nn.Module, image: Tensor, seen: Tensor, clinical: Tensor | None) -> Tensor:
    """Return the probabilities [n, K] of a case seen in n ways: seen [n, M] bool."""
    count, phases = len(seen), len(image)
    seen = seen.to(image.device)
    table = None
    if clinical is not None:
        hidden = ~seen[:, phases:].any(dim=1, keepdim=True)
        table = clinical.expand(count, -1).masked_fill(hidden, math.nan)
    logits = network(image.expand(count, *image.shape), clinical=table, present=seen[:, :phases])
    return logits.double().softmax(dim=1).cpu()
