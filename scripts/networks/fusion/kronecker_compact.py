# SPDX-License-Identifier: Apache-2.0
"""Kronecker fusion by a sketch of fixed length in place of the outer product."""

from __future__ import annotations

import math

import torch
from scripts.networks.fusion.base import TokenFusion, zero_absent
from torch import Tensor, nn
from torch.nn import functional


class TensorSketch(nn.Module):
    r"""Computes a sketch of fixed length of the outer product x_1 ⊗ ... ⊗ x_M without ever forming it.

    count sketch of x_m:   c_m[d] = sum over i with h_m(i) = d of s_m(i) x_m[i]
    sketch               = c_1 * ... * c_M  (circular convolution) = IDFT(prod over m of DFT(c_m))

    Hashes h and signs s are drawn once from `seed`, independently of the global random state, and are buffers
    of the state dict. Over the draws, <sketch(x), sketch(y)> has mean prod over m of <x_m, y_m>, the inner
    product of the outer products. For a single draw the two correlate: with D = 256, vectors of length 64 and
    pairs x_m, y_m of any similarity, by 0.97, 0.89 and 0.72 for M = 2, 3 and 4. Multiplying the count sketches
    themselves, without the DFT, gives 0.53, 0.17 and about 0. A test measures this.

    Row d of the DFT matrix is the transform of a unit impulse at d. The DFT of a count sketch is therefore a
    matrix product with the rows h_m(0), h_m(1), ..., in real arithmetic, which exports to ONNX. It needs no
    scatter, whose order of addition differs between runs on a GPU.

    Args:
        num_vectors: M.
        in_dim: N, length of each vector.
        sketch_dim: D, length of the sketch. The two DFT matrices hold D (D / 2 + 1) numbers each.
        seed: seed of the hashes and signs.

    Shape: x [B, M, N] -> [B, D].

    Reference: Pham and Pagh, Fast and scalable polynomial kernels via explicit feature maps, KDD 2013; Gao et
    al., Compact bilinear pooling, CVPR 2016.
    """

    def __init__(self, num_vectors: int, in_dim: int, sketch_dim: int = 256, seed: int = 0) -> None:
        super().__init__()
        self.num_vectors = num_vectors
        self.hashes: Tensor
        self.signs: Tensor
        self.cosine: Tensor
        self.sine: Tensor
        self.share: Tensor
        generator = torch.Generator().manual_seed(seed)
        shape = (num_vectors, in_dim)
        self.register_buffer("hashes", torch.randint(sketch_dim, shape, generator=generator))
        self.register_buffer("signs", 2.0 * torch.randint(2, shape, generator=generator) - 1.0)
        frequencies = torch.arange(sketch_dim // 2 + 1)  # of a real signal; the others are their conjugates
        turns = (torch.arange(sketch_dim).unsqueeze(1) * frequencies) % sketch_dim  # exact, before any rounding
        angle = turns.double() * (2 * math.pi / sketch_dim)
        share = torch.full(frequencies.shape, 2.0 / sketch_dim)  # in the inverse DFT; half without a conjugate
        share[(2 * frequencies) % sketch_dim == 0] /= 2
        self.register_buffer("cosine", angle.cos().float(), persistent=False)
        self.register_buffer("sine", -angle.sin().float(), persistent=False)
        self.register_buffer("share", share, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.signs
        real, imaginary = self._transform(x, 0)
        for m in range(1, self.num_vectors):
            a, b = self._transform(x, m)
            real, imaginary = real * a - imaginary * b, real * b + imaginary * a
        return (real * self.share) @ self.cosine.t() + (imaginary * self.share) @ self.sine.t()

    def _transform(self, x: Tensor, m: int) -> tuple[Tensor, Tensor]:
        """Return real and imaginary part of the DFT of the count sketch of vector m, [B, D / 2 + 1] each."""
        rows = self.hashes[m]
        return x[:, m] @ self.cosine.index_select(0, rows), x[:, m] @ self.sine.index_select(0, rows)


class KroneckerCompact(TokenFusion):
    """Multiplies all features of all phases as `Kronecker` does, but in a sketch of fixed length.

    z_m   = layer_norm(f_m) / sqrt(M C)                                   the whole token, |z_m|^2 = 1 / M
    fused = relu(W sketch([1; z_1] ⊗ ... ⊗ [1; z_M]) + b)

    The sketch preserves inner products of the outer products in expectation (see `TensorSketch`), has the same
    length for any number of phases, and needs no narrow projection before it. An absent phase enters as [1; 0],
    which leaves the product over the others. The squared norm of the product lies between 1 and
    (1 + 1/M)^M < e, so W can start from a standard normal distribution for every M.

    Args:
        num_tokens: M.
        in_dim: C.
        sketch_dim: D, length of the sketch; its noise falls as 1 / sqrt(D).
        hidden: F, width of the fused vector; None: as wide as one token.
        seed: seed of the hashes, which are part of the weights file.

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
        tokens = zero_absent(tokens, present)
        z = functional.layer_norm(tokens, [self.in_dim]) * self.scale  # absent tokens stay 0
        factors = torch.cat([torch.ones_like(z[:, :, :1]), z], dim=2)
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(self.sketch(factors))), aux
