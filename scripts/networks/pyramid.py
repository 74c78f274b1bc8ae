"""From maps of several stages, fine to coarse, to maps that know of each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import FeaturePyramidNetwork, SimpleASPP
from torch import Tensor, nn
from torch.nn import functional

from scripts.networks.convolution import GuardedConv3d, guard_convolutions


class FeaturePyramid(nn.Module):
    """MONAI's feature pyramid: what coarse maps know is added to finer ones, from the top down.

    p_L = U_L a_L;  p_l = U_l a_l + resize(p_{l+1})         U: 1 x 1 x 1 convolutions
    out_l = relu(conv_3x3x3 p_l)

    Args:
        in_dims: channels of the maps, fine to coarse.
        out_dim: channels of every result.

    Shape: L maps [B, C_l, d_l, h_l, w_l] -> L maps [B, out_dim, d_l, h_l, w_l].

    Reference: Lin et al., Feature pyramid networks for object detection, CVPR 2017.
    """

    def __init__(self, in_dims: Sequence[int], out_dim: int) -> None:
        super().__init__()
        self.pyramid = guard_convolutions(FeaturePyramidNetwork(3, list(in_dims), out_dim))

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

    d_L = relu(conv_3x3x3 a_L);  d_l = relu(conv_3x3x3 [a_l, resize(d_{l+1})])

    MONAI's `UpCat` doubles the size at each step; the stages of small volumes do not always halve, so that
    the results are interpolated to the size of the finer map instead.

    Args:
        in_dims: channels of the maps, fine to coarse.
        out_dim: channels of every result.

    Shape: L maps [B, C_l, d_l, h_l, w_l] -> L maps [B, out_dim, d_l, h_l, w_l].

    Reference: Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, MICCAI
    2015.
    """

    def __init__(self, in_dims: Sequence[int], out_dim: int) -> None:
        super().__init__()
        coarse = [0 if level == len(in_dims) - 1 else out_dim for level in range(len(in_dims))]
        self.convolutions = nn.ModuleList(  # the coarsest first: the order in which they are used
            GuardedConv3d(dim + more, out_dim, 3, padding=1)
            for dim, more in reversed(list(zip(in_dims, coarse, strict=True)))
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Decode from coarse to fine."""
        found: list[Tensor] = []
        for i, convolution in enumerate(self.convolutions):
            one = maps[len(maps) - 1 - i]
            if i > 0:
                size = [one.size(2), one.size(3), one.size(4)]
                coarse = functional.interpolate(found[0], size=size, mode="trilinear", align_corners=False)
                one = torch.cat([one, coarse], dim=1)
            found.insert(0, torch.relu(convolution(one)))
        return found


class Context(nn.Module):
    """MONAI's atrous spatial pyramid pooling: convolutions that look 1, 2, 4 and 6 cells far, side by side.

    Its normalisation is over groups of channels, for a batch has cases of different phases.

    Args:
        dim: channels, a multiple of 4.

    Shape: [B, dim, d, h, w] -> [B, dim, d, h, w].

    Reference: Chen et al., Encoder-decoder with atrous separable convolution for semantic image segmentation,
    ECCV 2018.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        aspp = SimpleASPP(3, dim, dim // 4, norm_type=("group", {"num_groups": 4}))
        self.aspp = guard_convolutions(aspp)

    def forward(self, maps: Tensor) -> Tensor:
        """Look far."""
        return self.aspp(maps)
