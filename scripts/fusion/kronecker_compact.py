"""The outer product of all phases, sketched."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.fusion.base import TokenFusion, zero_absent
from scripts.fusion.tensor_sketch import TensorSketch


class KroneckerCompact(TokenFusion):
    """Multiplies all features of all phases as `Kronecker` does, in a sketch of fixed length.

    z_m   = layer_norm(f_m) / sqrt(M C)                                   the whole token, |z_m|^2 = 1 / M
    fused = relu(W sketch([1; z_1] ⊗ ... ⊗ [1; z_M]) + b)

    The sketch keeps inner products of the outer products in expectation (see `TensorSketch`), costs the same
    for any number of phases, and needs no narrow projection before it. An absent phase enters as [1; 0]: what
    remains is the product over the others. The squared norm of the product lies between 1 and
    (1 + 1/M)^M < e, so that W starts from a standard normal distribution for every M.

    Args:
        num_tokens: M.
        in_dim: C.
        sketch_dim: D, length of the sketch; its noise falls as 1 / sqrt(D).
        hidden: F, width of the fused vector; None: as wide as one token.
        seed: of the hashes, which are part of the weights file.

    Shape: tokens [B, M, C], present [B, M] -> [B, hidden].

    Reference: Gao et al., Compact bilinear pooling, CVPR 2016; Fukui et al., Multimodal compact bilinear
    pooling, EMNLP 2016; here with 1 appended as in Zadeh et al., EMNLP 2017.
    """

    def __init__(
        self, num_tokens: int, in_dim: int, sketch_dim: int = 256, hidden: int | None = None, seed: int = 0
    ) -> None:
        super().__init__(num_tokens, in_dim, out_dim=hidden or in_dim)
        self.scale = (num_tokens * in_dim) ** -0.5
        self.sketch = TensorSketch(num_tokens, in_dim + 1, sketch_dim, seed)
        self.mix = nn.Linear(sketch_dim, self.out_dim)
        nn.init.normal_(self.mix.weight)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        tokens = zero_absent(tokens, present)
        z = functional.layer_norm(tokens, [self.in_dim]) * self.scale  # an absent token stays 0
        factors = torch.cat([torch.ones_like(z[:, :, :1]), z], dim=2)
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(self.sketch(factors))), aux
