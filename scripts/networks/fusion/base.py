# SPDX-License-Identifier: Apache-2.0
"""Base classes and shared functions of the fusion strategies: over tokens, decisions and feature maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class TokenFusion(nn.Module):
    """Fuses the tokens of a case into one vector. Every strategy is a subclass.

    The contract, which one test checks for all strategies:

    * ``forward(tokens [B, M, C], present [B, M] bool)`` returns fused [B, F] and a dict, possibly empty, of
      further results; ``weights`` [B, M] sum to 1 over the present tokens;
    * the content of an absent token, even NaN, changes neither results nor gradients: call `zero_absent` first;
    * cases do not influence each other;
    * it can be scripted, and has `out_dim`, from which the next layer takes its width.

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
    """Set the values of absent slots to 0, NaN included (multiplying by the mask would keep NaN).

    Args:
        values: tokens, volumes or feature maps, whose first axes are those of `present`.
        present: bool.
    """
    keep = present
    while keep.dim() < values.dim():
        keep = keep.unsqueeze(-1)
    return torch.where(keep, values, torch.zeros_like(values))


def softmax_over_present(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax over the present tokens: scores [B, M] -> weights [B, M], 0 where absent.

    A case without any token gets weights 0.

    >>> softmax_over_present(torch.zeros(1, 3), torch.tensor([[True, False, True]]))
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    # -1e9, not -inf: a case without any token would give NaN, also in gradients
    weights = torch.where(present, scores, torch.full_like(scores, -1e9)).softmax(dim=1)
    return torch.where(present, weights, torch.zeros_like(weights))


class DecisionFusion(nn.Module):
    """Combines the predictions of the single phases. Every strategy is a subclass.

    The contract, which one test checks for all strategies:

    * ``forward(phase_logits [B, P, K], present [B, P] bool)`` returns logits [B, K], whose softmax is exactly
      the combined probability, and a dict, possibly empty, of further results; ``weights`` [B, P] sum to 1 over
      the present phases; a strategy that does not interpret phase_logits by softmax returns new
      ``phase_logits`` [B, P, K], whose softmax is the prediction of each phase alone;
    * a case without any phase gets the uniform probability;
    * the content of an absent phase, even NaN, changes neither results nor gradients;
    * cases do not influence each other; it can be scripted.

    Args:
        num_phases: P.
        num_classes: K.
    """

    of_probabilities = True  # whether phase_logits are read by softmax alone, as those of ordered grades must be

    def __init__(self, num_phases: int, num_classes: int) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.num_classes = num_classes

    def forward(self, phase_logits: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Combine phase logits [B, P, K] into logits [B, K]."""
        raise NotImplementedError


def log_mixture(phase_logits: Tensor, scores: Tensor, present: Tensor) -> Tensor:
    """Return the log of a weighted mean of probabilities, [B, K], with weights softmax(scores).

    log sum over present p of w_p softmax(phase_logits_p), computed in logarithms throughout

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
    """Fuses the feature maps of a case into one map. Every strategy is a subclass.

    The contract, which one test checks for all strategies, is that of `TokenFusion` with maps for tokens:

    * ``forward(maps, present [B, M] bool)`` takes a list of M maps [B, C, d, h, w], whose sizes may differ,
      and returns one map [B, F, d, h, w] and a dict, possibly empty, of further results; ``weights`` [B, M] sum
      to 1 over the present maps;
    * the content of an absent map, even NaN, changes neither results nor gradients: `align` ensures that;
    * cases do not influence each other: no batch normalisation;
    * it can be scripted, and has `out_dim`.

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
    """Resample maps to one grid, the finest along each axis, by trilinear interpolation.

    Args:
        maps: M maps [B, C, d, h, w], which may differ in size.
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
