# SPDX-License-Identifier: Apache-2.0
"""What the fusion strategies share: over tokens, over decisions, over feature maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class TokenFusion(nn.Module):
    """Fuses the tokens of a case into one vector. Every strategy is a sub-class.

    The contract, held by one test over all strategies:

    * ``forward(tokens [B, M, C], present [B, M] bool)`` returns fused [B, F] and a dict, maybe empty, of
      further results; ``weights`` [B, M] sum to 1 over the present tokens;
    * what an absent token holds, even NaN, changes neither results nor gradients: call `zero_absent` first;
    * cases do not influence each other;
    * it scripts, and knows `out_dim`, so that the next layer is built without typing a width.

    Args:
        num_tokens: M, the number of tokens (phases).
        in_dim: C, the width of a token.
        out_dim: F, the width of the fused vector.
    """

    def __init__(self, num_tokens: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.in_dim = in_dim
        self.out_dim = out_dim

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse tokens [B, M, C] into [B, F]."""
        raise NotImplementedError


def zero_absent(values: Tensor, present: Tensor) -> Tensor:
    """Set everything of absent slots to 0, NaN included (a product with the mask would keep NaN).

    Args:
        values: [B, ..., further axes]: tokens, volumes or feature maps.
        present: bool, of the first axes of `values`.
    """
    keep = present
    while keep.dim() < values.dim():
        keep = keep.unsqueeze(-1)
    return torch.where(keep, values, torch.zeros_like(values))


def softmax_over_present(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax over the present tokens: scores [B, M] -> weights [B, M], 0 where absent.

    A case without any token has weights 0.

    >>> softmax_over_present(torch.zeros(1, 3), torch.tensor([[True, False, True]]))
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    weights = torch.where(present, scores, torch.full_like(scores, -1e9)).softmax(dim=1)
    return torch.where(present, weights, torch.zeros_like(weights))


class DecisionFusion(nn.Module):
    """Combines what each phase alone says about the class. Every strategy is a sub-class.

    The contract, held by one test over all strategies:

    * ``forward(phase_logits [B, P, K], present [B, P] bool)`` returns logits [B, K], whose softmax is exactly
      the combined probability, and a dict, maybe empty, of further results; ``weights`` [B, P] sum to 1 over
      the present phases; a strategy that reads phase_logits otherwise than by softmax returns new
      ``phase_logits`` [B, P, K], whose softmax is what each phase alone says;
    * a case without any phase has the uniform probability;
    * what an absent phase holds, even NaN, changes neither results nor gradients;
    * cases do not influence each other; it scripts.

    Args:
        num_phases: P.
        num_classes: K.
    """

    def __init__(self, num_phases: int, num_classes: int) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.num_classes = num_classes

    def forward(self, phase_logits: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Combine phase logits [B, P, K] into logits [B, K]."""
        raise NotImplementedError


def log_mixture(phase_logits: Tensor, scores: Tensor, present: Tensor) -> Tensor:
    """Return the log of a weighted mean of probabilities, [B, K], with weights softmax(scores).

    log sum over present p of w_p softmax(phase_logits_p), computed without leaving the logarithm

    Args:
        phase_logits: [B, P, K]; absent phases may hold anything.
        scores: [B, P]; the softmax runs over the present phases.
        present: [B, P] bool.

    A case without any phase gets the uniform probability.

    >>> phase_logits = torch.tensor([[[0.98, 0.02], [0.28, 0.72]]]).log()
    >>> log_mixture(phase_logits, torch.zeros(1, 2), torch.tensor([[True, True]])).exp()
    tensor([[0.6300, 0.3700]])
    """
    log_weights = torch.where(present, scores, torch.full_like(scores, -1e9)).log_softmax(dim=1)
    log_probability = zero_absent(phase_logits, present).log_softmax(dim=2)
    return (log_weights.unsqueeze(2) + log_probability).logsumexp(dim=1)


class MapFusion(nn.Module):
    """Fuses the feature maps of a case into one map. Every strategy is a sub-class.

    The contract, held by one test over all strategies, is that of `TokenFusion` with maps for tokens:

    * ``forward(maps, present [B, M] bool)`` takes a list of M maps [B, C, d, h, w], whose sizes may differ,
      and returns one map [B, F, d, h, w] and a dict, maybe empty, of further results; ``weights`` [B, M] sum
      to 1 over the present maps;
    * what an absent map holds, even NaN, changes neither results nor gradients: `align` sees to that;
    * cases do not influence each other: no batch normalisation;
    * it scripts, and knows `out_dim`.

    Args:
        num_maps: M, the number of maps (phases, or phases times views).
        in_dim: C, the channels of a map.
        out_dim: F, the channels of the fused map.
    """

    def __init__(self, num_maps: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.num_maps = num_maps
        self.in_dim = in_dim
        self.out_dim = out_dim

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse M maps [B, C, d, h, w] into one [B, F, d, h, w]."""
        raise NotImplementedError


def align(maps: list[Tensor], present: Tensor) -> Tensor:
    """Bring maps onto one grid, the finest of each axis, by trilinear interpolation.

    Args:
        maps: M maps [B, C, d, h, w], each of its own size.
        present: [B, M] bool.

    Returns:
        [B, M, C, d, h, w], 0 where absent.

    >>> maps = [torch.ones(1, 2, 4, 4, 1), torch.ones(1, 2, 2, 2, 3)]
    >>> align(maps, torch.tensor([[True, True]])).shape
    torch.Size([1, 2, 2, 4, 4, 3])
    """
    size = [0, 0, 0]
    for one in maps:
        for axis in range(3):
            size[axis] = max(size[axis], one.size(axis + 2))
    aligned: list[Tensor] = []
    for m, one in enumerate(maps):
        clean = zero_absent(one, present[:, m])
        if [one.size(2), one.size(3), one.size(4)] != size:
            clean = functional.interpolate(clean, size=size, mode="trilinear", align_corners=False)
        aligned.append(clean)
    return torch.stack(aligned, dim=1)
