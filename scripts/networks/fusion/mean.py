"""The mean of the present tokens, each behind a layer of its phase."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import TokenFusion, zero_absent


class Mean(TokenFusion):
    """Averages what the present tokens say, each read by a layer of its own phase.

    h_m   = relu(W_m f_m + b_m)
    fused = sum over present m of h_m / number of present tokens; 0 when none is present

    The layers tell the phases apart: behind an encoder that all phases share, an average of plain tokens is
    the same when arterial and portal images change places.

    Args:
        num_tokens: M.
        in_dim: C.
        phase_layers: False averages the tokens as they are, h_m = f_m: no weights.

    Shape: tokens [B, M, C], present [B, M] -> [B, C].

    Reference: Havaei et al., HeMIS: hetero-modal image segmentation, MICCAI 2016 (back ends of modalities,
    and the first moment over them).
    """

    def __init__(self, num_tokens: int, in_dim: int, phase_layers: bool = True) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(in_dim, in_dim), nn.ReLU()) if phase_layers else nn.Identity()
            for _ in range(num_tokens)
        )

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        tokens = zero_absent(tokens, present)
        said: list[Tensor] = []
        for m, layer in enumerate(self.layers):
            said.append(layer(tokens[:, m]))
        aux: dict[str, Tensor] = {}
        return mean_over_present(torch.stack(said, dim=1), present), aux


def mean_over_present(tokens: Tensor, present: Tensor) -> Tensor:
    """Average the present tokens [B, M, C] of every case: [B, C], 0 for a case without any.

    >>> import torch
    >>> mean_over_present(torch.tensor([[[1.0], [2.0], [6.0]]]), torch.tensor([[True, False, True]]))
    tensor([[3.5000]])
    """
    count = present.sum(dim=1, keepdim=True).clamp_min(1)
    return zero_absent(tokens, present).sum(dim=1) / count
