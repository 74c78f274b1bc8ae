# SPDX-License-Identifier: Apache-2.0
r"""Last layer for classes that are ordered grades (CORN).

The features f of a case answer K - 1 questions, each of which only the cases with at least grade k ask: "is it more?"

.. math:: P(y > k \mid y \ge k) = \sigma(z_k + \log(K - 1 - k)), \quad z = W f + b, \qquad k = 0, \dots, K - 2

The constant only shifts the bias, so that z = 0 gives all grades the same probability. The grades follow as

.. math:: p_k = P(y > k - 1) - P(y > k) = (1 - P(y > k \mid y \ge k)) \prod_{j < k} P(y > j \mid y \ge j)

so that :math:`P(y > k)` falls with k whatever the weights are. The paper's loss, the cross-entropy of every question
over the cases that ask it, adds up to the cross-entropy of p; it divides by the number of questions asked,
`ClassificationLoss` by that of cases.

Reference: Shi, Cao, Raschka, Deep neural networks for rank-consistent ordinal regression based on conditional
    probabilities (CORN), Pattern Analysis and Applications 26, 2023 (arXiv 2111.08851, 2021), sections 3.3 and 3.4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def log_grades(steps: Tensor) -> Tensor:
    """Return the log probabilities of K ordered grades, [..., K], from z [..., K - 1].

    >>> log_grades(torch.zeros(1, 3)).exp()
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    left = torch.arange(steps.size(-1), 0, -1, device=steps.device, dtype=steps.dtype)  # grades above k: K - 1, ..., 1
    steps = steps + left.log()
    at_least = functional.pad(functional.logsigmoid(steps).cumsum(dim=-1), [1, 0])  # log P(y >= k)
    stops = functional.pad(functional.logsigmoid(-steps), [0, 1])  # log P(y = k | y >= k)
    return at_least + stops


class GradeHead(nn.Linear):
    """Maps features to the log probabilities of K ordered grades, by K - 1 weight vectors.

    Args:
        in_dim: F.
        num_classes: K.

    Shape: [..., F] -> [..., K].
    """

    def __init__(self, in_dim: int, num_classes: int) -> None:
        super().__init__(in_dim, num_classes - 1)

    def forward(self, input: Tensor) -> Tensor:  # the name is that of torch.nn.Linear
        return log_grades(functional.linear(input, self.weight, self.bias))


def is_ordinal(network: nn.Module) -> bool:
    """Return whether a network, or a member of an ensemble, was built for ordered grades."""
    return any(getattr(part, "ordinal", False) for part in network.modules())
