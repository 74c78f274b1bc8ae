# SPDX-License-Identifier: Apache-2.0
"""From the fused maps of all stages to one map on the voxels of the image, by choice of a decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.layers.utils import get_norm_layer
from scripts.networks.decoders import INSTANCE, Context, FeaturePyramid, Kernels, SkipDecoder, resize
from scripts.networks.guarded import same_size
from torch import Tensor, nn


class UNetDecoder(SkipDecoder):
    """The way up of a U-Net over all stages, with instance normalisation.

    A result has the channels of the next finer stage already, so that few are brought to its size.

    Args:
        in_dims: channels of the maps, fine to coarse.
        out_dims: channels of the stages.
        kernels: of the convolution at each level.

    Attributes:
        dims: channels of the results.

    Shape: L maps [B, C_l, d_l, h_l, w_l] -> L maps [B, dims_l, d_l, h_l, w_l].
    """

    def __init__(self, in_dims: Sequence[int], out_dims: Sequence[int], kernels: Kernels) -> None:
        self.dims = [out_dims[0], *out_dims[:-1]]
        super().__init__(in_dims, self.dims, kernels, INSTANCE)

    @staticmethod
    def reads(count: int) -> list[int]:
        """Return which of `count` stages are read: all."""
        return list(range(count))


class PyramidDecoder(nn.Module):
    """A feature pyramid, the first of whose results is replaced by the sum of all: p_1 + resize(p_2) + ...

    Args:
        in_dims: channels of the maps, fine to coarse.
        out_dims: channels of the stages; those of the pyramid are as many as their most.
        kernels: of the convolution at each level.

    Attributes:
        dims: channels of the results.

    Shape: L maps [B, C_l, d_l, h_l, w_l] -> L maps [B, dims_l, d_l, h_l, w_l].

    Reference: Kirillov et al., Panoptic feature pyramid networks, CVPR 2019, section 3.1.
    """

    def __init__(self, in_dims: Sequence[int], out_dims: Sequence[int], kernels: Kernels) -> None:
        super().__init__()
        self.pyramid = FeaturePyramid(in_dims, max(out_dims), kernels)
        self.dims = [max(out_dims)] * len(in_dims)

    @staticmethod
    def reads(count: int) -> list[int]:
        """Return which of `count` stages are read: all."""
        return list(range(count))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Pass down what coarse maps know, and add it up."""
        found = self.pyramid(maps)
        total = found[0]
        for one in found[1:]:
            total = total + resize(one, total)
        found[0] = total
        return found


class DeepLabDecoder(nn.Module):
    """Atrous context of the coarsest stage, laid beside the finest; the stages between are not read.

    c = aspp(a_L);  d = relu(norm(conv [a_1, resize(relu(norm(conv c)))]))

    Args:
        in_dims: channels of the finest and of the coarsest map, or of the only one.
        out_dims: channels of the results; the last, those of the context, a multiple of 4.
        kernels: of the convolution at each level.

    Attributes:
        dims: channels of the results.

    Shape: L maps [B, C_l, d_l, h_l, w_l] -> L maps [B, dims_l, d_l, h_l, w_l], L = 1 or 2.

    Raises:
        ValueError: another width of the context.

    Reference: Chen et al., Encoder-decoder with atrous separable convolution for semantic image segmentation,
    ECCV 2018 (DeepLabv3+).
    """

    def __init__(self, in_dims: Sequence[int], out_dims: Sequence[int], kernels: Kernels) -> None:
        super().__init__()
        if out_dims[-1] % 4:
            raise ValueError(
                f"the context of decoder deeplab needs a width that is a multiple of 4, found {out_dims[-1]} (the "
                "smaller of `width` and of the channels of the encoder's last stage); change `width`"
            )
        self.context = Context(in_dims[-1], out_dims[-1], kernels[-1])
        self.decoder = SkipDecoder([*in_dims[:-1], out_dims[-1]], out_dims, kernels, INSTANCE)
        self.dims = list(out_dims)

    @staticmethod
    def reads(count: int) -> list[int]:
        """Return which of `count` stages are read: the finest and the coarsest."""
        return sorted({0, count - 1})

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Look far, and come back to the finest map."""
        return self.decoder(maps[:-1] + [self.context(maps[-1])])


class FullSize(nn.Module):
    """The last step: what was decoded, brought to the image's own voxels and refined by a map that has them.

    relu(norm(conv [a_0, resize(U d_1)]))           U: a 1 x 1 x 1 convolution to the channels of the result

    Interpolated logits alone would have edges as smooth as the finest stage is coarse; the map a_0 has seen
    the voxels themselves.

    Args:
        dim: channels of a_0.
        decoded_dim: channels of d_1.
        out_dim: channels of the result.
        kernel: of the convolution.

    Shape: [B, dim, D, H, W] and [B, decoded_dim, d, h, w] -> [B, out_dim, D, H, W].
    """

    def __init__(self, dim: int, decoded_dim: int, out_dim: int, kernel: Sequence[int]) -> None:
        super().__init__()
        self.reduce = same_size(decoded_dim, out_dim, [1, 1, 1])
        self.convolution = same_size(dim + out_dim, out_dim, kernel)
        self.norm = get_norm_layer(INSTANCE, spatial_dims=3, channels=out_dim)

    def forward(self, fine: Tensor, decoded: Tensor) -> Tensor:
        """Refine."""
        coarse = resize(self.reduce(decoded), fine)
        return torch.relu(self.norm(self.convolution(torch.cat([fine, coarse], dim=1))))


DECODERS: dict[str, type[UNetDecoder] | type[PyramidDecoder] | type[DeepLabDecoder]] = {
    "unet": UNetDecoder,
    "pyramid": PyramidDecoder,
    "deeplab": DeepLabDecoder,
}
"""By the name in the configuration."""
