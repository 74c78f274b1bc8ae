# SPDX-License-Identifier: Apache-2.0
"""Maps of several stages, fine to coarse, in; maps that know of each other out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks import FeaturePyramidNetwork, SimpleASPP
from monai.networks.layers.utils import get_norm_layer
from scripts.networks.guarded import guard_convolutions, same_size
from torch import Tensor, nn
from torch.nn import functional

Kernels = Sequence[Sequence[int]]
"""Extent of the convolutions at each level, [k_1, k_2, k_3] voxels, odd: [3, 3, 1] on thick slices."""

INSTANCE = ("instance", {"affine": True})


def resize(maps: Tensor, like: Tensor) -> Tensor:
    """Bring maps [N, C, ...] to the size of others by trilinear interpolation."""
    size = [like.size(2), like.size(3), like.size(4)]
    if [maps.size(2), maps.size(3), maps.size(4)] == size:
        return maps
    return functional.interpolate(maps, size=size, mode="trilinear", align_corners=False)


class FeaturePyramid(nn.Module):
    """MONAI's feature pyramid: what coarse maps know is added to finer ones, from the top down.

    p_L = U_L a_L;  p_l = U_l a_l + resize(p_{l+1})         U: 1 x 1 x 1 convolutions
    out_l = relu(conv_3x3x3 p_l)

    Args:
        in_dims: channels of the maps, fine to coarse.
        out_dim: channels of every result.
        kernels: of the convolution at each level; None: 3 x 3 x 3.

    Shape: L maps [B, C_l, d_l, h_l, w_l] -> L maps [B, out_dim, d_l, h_l, w_l].

    Reference: Lin et al., Feature pyramid networks for object detection, CVPR 2017.
    """

    def __init__(self, in_dims: Sequence[int], out_dim: int, kernels: Kernels | None = None) -> None:
        super().__init__()
        pyramid = FeaturePyramidNetwork(3, list(in_dims), out_dim)
        if kernels is not None:
            pyramid.layer_blocks = nn.ModuleList(same_size(out_dim, out_dim, kernel) for kernel in kernels)
        self.pyramid = guard_convolutions(pyramid)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Pass down what coarse maps know."""
        named: dict[str, Tensor] = {}
        for i, one in enumerate(maps):
            named[str(i)] = one
        found: list[Tensor] = []
        for one in self.pyramid(named).values():
            found.append(torch.relu(one))
        return found


class SkipDecoder(nn.Module):
    """The way up of a U-Net: coarse results are concatenated with the finer map, not added to it.

    d_L = relu(norm(conv a_L));  d_l = relu(norm(conv [a_l, resize(d_{l+1})]))

    MONAI's `UpCat` doubles the size at each step; the stages of small volumes do not always halve, so that
    the results are interpolated to the size of the finer map instead.

    Args:
        in_dims: channels of the maps, fine to coarse.
        out_dims: channels of every result, or of each.
        kernels: of the convolution at each level; None: 3 x 3 x 3.
        norm: normalisation, as MONAI names it; None: there is none.

    Shape: L maps [B, C_l, d_l, h_l, w_l] -> L maps [B, F_l, d_l, h_l, w_l].

    Reference: Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, MICCAI
    2015.
    """

    def __init__(
        self,
        in_dims: Sequence[int],
        out_dims: int | Sequence[int],
        kernels: Kernels | None = None,
        norm: str | tuple | None = None,
    ) -> None:
        super().__init__()
        count = len(in_dims)
        out = [out_dims] * count if isinstance(out_dims, int) else list(out_dims)
        taken = [dim + more for dim, more in zip(in_dims, [*out[1:], 0], strict=True)]
        every = list(zip(taken, out, kernels or [[3, 3, 3]] * count, strict=True))
        every.reverse()  # the coarsest first: the order in which they are used
        self.convolutions = nn.ModuleList(same_size(*one) for one in every)
        self.norms = nn.ModuleList(
            nn.Identity() if norm is None else get_norm_layer(norm, spatial_dims=3, channels=dim) for _, dim, _ in every
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Decode from coarse to fine."""
        found: list[Tensor] = []
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):  # noqa: B905 # TorchScript
            one = maps[len(maps) - 1 - i]
            if i > 0:
                one = torch.cat([one, resize(found[0], one)], dim=1)
            found.insert(0, torch.relu(norm(convolution(one))))
        return found


class Context(nn.Module):
    """MONAI's atrous spatial pyramid pooling: convolutions that look 1, 2, 4 and 6 cells far, side by side.

    Its normalisation is over groups of channels, for a batch has cases of different phases.

    Args:
        dim: channels.
        out_dim: channels of the result, a multiple of 4; None: as many.
        kernel: of the convolutions.

    Shape: [B, dim, d, h, w] -> [B, out_dim, d, h, w].

    Reference: Chen et al., Encoder-decoder with atrous separable convolution for semantic image segmentation,
    ECCV 2018.
    """

    def __init__(self, dim: int, out_dim: int | None = None, kernel: Sequence[int] = (3, 3, 3)) -> None:
        super().__init__()
        kernels: Any = (1, *[tuple(kernel)] * 3)  # MONAI's hint speaks of numbers, its code takes one per axis
        norm = ("group", {"num_groups": 4})
        aspp = SimpleASPP(3, dim, (out_dim or dim) // 4, kernel_sizes=kernels, norm_type=norm)
        self.aspp = guard_convolutions(aspp)

    def forward(self, maps: Tensor) -> Tensor:
        """Look far."""
        return self.aspp(maps)
