"""How much each phase moved the probability of a class away from what the network says without any."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scripts.explain.shapley import coalitions, is_read, shapley_values
from scripts.networks import table_encoders


@dataclass(frozen=True)
class Contributions:
    """What each phase, and the clinical table, contributed to one prediction.

    Attributes:
        start: float64 [K], probability of each class that the network gives without any phase or table.
        prediction: float64 [K], predicted probability of each class.
        values: float64 [M, K], one row per phase and, where the network reads one, a last row for the
            clinical table; the rows sum to prediction - start.
        present: bool [M], what the case has.
    """

    start: Tensor
    prediction: Tensor
    values: Tensor
    present: Tensor


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
    r"""Divide the way from the network's answer without data to its prediction, by exact Shapley values.

    .. math:: v(S) = \mathrm{softmax}(f(x_S))

    where x_S is the case with only the phases in S, the others being absent; the clinical table, where the
    network reads one and the case has a value, is one more player. M players take 2^M network runs.

    v of nothing is the network's own answer to a case without any phase or table, as every other v is. So a
    player by whom the network's answers change little contributes little, whatever else it reads. Class
    frequencies in its place would be another model's answer, and their distance from the network's own
    would be credited to whoever comes first.

    What the case lacks is no player, and neither is what the network does not read (it changes the network's
    output for no subset by more than rounding does): both contribute exactly 0.

    Args:
        network: in eval mode; returns logits.
        image: one case.
        present: phases that are there.
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
    value[-1] = output[-1]  # what is not read changes it by rounding alone
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
    image: Tensor,
    present: Tensor,
    shown: Tensor,
    without: Callable[[Tensor, Tensor, Tensor], Tensor] | None,
) -> Tensor:
    """Return the case as it is seen in n ways: shown [n, P] -> [n, P, D, H, W]."""
    if without is None:
        return image.expand(len(shown), *image.shape)
    return torch.stack([without(image, present, row) for row in shown])


def _predict(
    network: nn.Module, images: Tensor, shown: Tensor, table_shown: Tensor, clinical: Tensor | None
) -> Tensor:
    """Return the probabilities [n, K] of a case seen in n ways: shown [n, P], table_shown [n, 0 or 1]."""
    table = None
    if clinical is not None:
        hidden = ~table_shown.any(dim=1, keepdim=True).to(clinical.device)
        table = clinical.expand(len(shown), -1).masked_fill(hidden, math.nan)
    logits = network(images, clinical=table, present=shown.to(images.device))
    return logits.double().softmax(dim=1).cpu()
