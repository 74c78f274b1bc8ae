# SPDX-License-Identifier: Apache-2.0
"""MONAI's vision transformer as an encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks import nets
from scripts.networks.guarded import guard_convolutions
from scripts.networks.parts import check_size
from torch import Tensor, nn
from torch.nn import functional


class MonaiViTEncoder(nn.Module):
    """`monai.networks.nets.ViT` for volumes of any size: its tokens, arranged on their grid, are the map.

    z   = conv_p(x) + e                  patches of p voxels; e learned on a base grid, interpolated to x
    map = layer_norm(blocks(z))          each token at the position of its patch

    A volume that is no whole number of patches long is padded with zeros at its end.

    Args:
        in_channels: channels of the volume.
        patch_size: p, edge of a patch in voxels.
        hidden_size: width of a token, a multiple of `num_heads`.
        mlp_dim: width of the feed-forward layers.
        num_layers: number of blocks; every second one ends a stage, all of one size.
        num_heads: heads of the attention.
        base_grid: patches per axis for which the position embeddings are learned.
        dropout: fraction of the attention and of the feed-forward layers dropped in training.

    Shape: [N, in_channels, D, H, W] -> [N, hidden_size, D/p, H/p, W/p], rounded up.

    Raises:
        ValueError: a volume below `min_size`, one patch.

    Reference: Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021; position embeddings for other sizes
    as in its section 3.2.
    """

    def __init__(
        self,
        in_channels: int = 1,
        patch_size: int = 4,
        hidden_size: int = 192,
        mlp_dim: int = 384,
        num_layers: int = 6,
        num_heads: int = 6,
        base_grid: Sequence[int] = (8, 8, 8),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.net = nets.ViT(
            in_channels=in_channels,
            img_size=[patch_size * cells for cells in base_grid],
            patch_size=patch_size,
            hidden_size=hidden_size,
            mlp_dim=mlp_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            dropout_rate=dropout,
        )
        for block in self.net.blocks:
            block.norm_cross_attn = nn.Identity()  # of a second input, which is never given: would not learn
        guard_convolutions(self.net)
        self.patch_size = patch_size
        self.base_grid: list[int] = list(base_grid)
        self.out_dim = hidden_size
        self.min_size: tuple[int, int, int] = (patch_size, patch_size, patch_size)
        self.model = "vit"

    def forward(self, x: Tensor) -> Tensor:
        """Encode volumes into feature maps."""
        return self.stage_maps(x)[-1]

    @torch.jit.export
    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the maps of every second block, the last one normalised; all of one size."""
        check_size(x, list(self.min_size), "MonaiViTEncoder")
        x = self.embed(x)
        shape = [-1, self.out_dim, int(x.size(2)), int(x.size(3)), int(x.size(4))]
        tokens = x.flatten(2).transpose(1, 2)
        found: list[Tensor] = []
        for i, block in enumerate(self.net.blocks):
            tokens = block(tokens)
            if i % 2 == 1:
                found.append(tokens.transpose(1, 2).reshape(shape))
        found[-1] = self.net.norm(tokens).transpose(1, 2).reshape(shape)
        return found

    def embed(self, x: Tensor) -> Tensor:
        """Cut into patches, add position embeddings: [N, in_channels, D, H, W] -> [N, hidden_size, d, h, w]."""
        p = self.patch_size
        d, h, w = int(-x.size(2) % p), int(-x.size(3) % p), int(-x.size(4) % p)
        x = self.net.patch_embedding.patch_embeddings(functional.pad(x, [0, w, 0, h, 0, d]))
        places = self.net.patch_embedding.position_embeddings.transpose(1, 2).unflatten(2, self.base_grid)
        size = [int(x.size(2)), int(x.size(3)), int(x.size(4))]
        if size != self.base_grid:
            places = functional.interpolate(places, size=size, mode="trilinear", align_corners=False)
        return x + places
