# SPDX-License-Identifier: Apache-2.0
"""A fast residual encoder for small volumes, and for planes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.utils import get_norm_layer
from scripts.networks.guarded import GuardedConv2d, GuardedConv3d
from scripts.networks.parts import check_size
from torch import Tensor, nn

CONVOLUTIONS: dict[int, type[GuardedConv2d] | type[GuardedConv3d]] = {2: GuardedConv2d, 3: GuardedConv3d}
"""Number of spatial axes -> class of the convolution."""


def halving_stride(size: list[int]) -> list[int]:
    """Return the stride per axis: 2 where at least 3 voxels are left after halving, else 1.

    >>> halving_stride([28, 7, 4])
    [2, 2, 1]
    """
    return [2 if (int(n) + 1) // 2 >= 3 else 1 for n in size]


class TwoConvolutions(nn.Module):
    """Two convolutions with their normalisation, the first strided: what a residual block is made of.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: MONAI's normalisation name, or (name, arguments).
        spatial_dims: 3 for volumes, 2 for planes.
        kernel: extent of the convolutions along each axis, odd; None: 3.
        stride: step along each axis; None: what halves long axes, see `halving_stride`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: str | tuple,
        spatial_dims: int,
        kernel: Sequence[int] | None = None,
        stride: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        convolution: Any = CONVOLUTIONS[spatial_dims]
        self.stride: list[int] | None = None if stride is None else list(stride)
        extent = tuple(kernel or [3] * spatial_dims)
        padding = tuple(one // 2 for one in extent)
        self.conv1 = convolution(in_channels, out_channels, extent, padding=padding, bias=False)
        self.norm1 = get_norm_layer(norm, spatial_dims=spatial_dims, channels=out_channels)
        self.conv2 = convolution(out_channels, out_channels, extent, padding=padding, bias=False)
        self.norm2 = get_norm_layer(norm, spatial_dims=spatial_dims, channels=out_channels)

    def step(self, x: Tensor) -> list[int]:
        """Return the stride for a volume."""
        stride = self.stride
        return halving_stride(list(x.shape)[2:]) if stride is None else stride


class ResidualStage(TwoConvolutions):
    """One residual block that halves long axes, or those that it is told to; arguments as in `TwoConvolutions`.

    y = relu(norm(conv(relu(norm(conv(x))))) + norm(conv_1x1x1(x))), the first and last convolution strided.

    Shape: [N, in_channels, D, H, W] -> [N, out_channels, d, h, w].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: str | tuple,
        spatial_dims: int,
        kernel: Sequence[int] | None = None,
        stride: Sequence[int] | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, norm, spatial_dims, kernel, stride)
        self.shortcut = CONVOLUTIONS[spatial_dims](in_channels, out_channels, 1, bias=False)
        self.shortcut_norm = get_norm_layer(norm, spatial_dims=spatial_dims, channels=out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        stride = self.step(x)
        y = torch.relu_(self.norm1(self.conv1.convolve(x, stride)))
        y = self.norm2(self.conv2(y))
        return torch.relu_(y + self.shortcut_norm(self.shortcut.convolve(x, stride)))


class ResidualStem(TwoConvolutions):
    """The first two convolutions, one strided and one residual; the stride saves work where voxels are many.

    y = relu(norm(conv(x))), strided;  out = relu(norm(conv(y)) + y)

    Arguments as in `TwoConvolutions`.

    Shape: [N, in_channels, D, H, W] -> [N, out_channels, d, h, w].
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stem."""
        x = torch.relu_(self.norm1(self.conv1.convolve(x, self.step(x))))
        return torch.relu_(self.norm2(self.conv2(x)) + x)


def start_for_rectifiers(network: nn.Module) -> None:
    """Draw the weights of all convolutions as it suits rectifiers (He et al., ICCV 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class ResidualEncoder(nn.Module):
    """Residual encoder whose first convolution already halves the volume.

    A stem, then one residual block for every further width. Each of them halves an axis as long as at least 3
    voxels are left, so that a thin stack of slices keeps its slices: 28 x 28 x 28 becomes 14, 7, 4 and again
    4 voxels per side, and 8 x 96 x 96 ends as 4 x 6 x 6.

    Args:
        in_channels: channels of the volume.
        widths: channels of the stem and of the blocks.
        norm: normalisation, as MONAI names it: ``batch``, ``instance`` or ``[group, {num_groups: 8}]``.
        spatial_dims: 3 for volumes, 2 for planes.

    Attributes:
        min_size: minimum number of voxels along the three axes; volumes only.

    Shape: [N, in_channels, D, H, W] -> [N, widths[-1], d, h, w]; planes lack the axis D.

    Raises:
        ValueError: a volume below the minimum size, or `spatial_dims` other than 2 or 3.

    Reference: He et al., Deep residual learning for image recognition, CVPR 2016 (block of figure 5, left).

    >>> encoder = ResidualEncoder(in_channels=1)
    >>> encoder(torch.zeros(2, 1, 28, 28, 28)).shape
    torch.Size([2, 128, 4, 4, 4])
    """

    def __init__(
        self,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128),
        norm: str | Sequence = "batch",
        spatial_dims: int = 3,
    ) -> None:
        super().__init__()
        if spatial_dims not in CONVOLUTIONS:
            raise ValueError(f"spatial_dims must be 3 for volumes or 2 for planes, found {spatial_dims!r}; correct it")
        norm = norm if isinstance(norm, str) else tuple(norm)
        self.out_dim: int = widths[-1]
        self.least: list[int] = [3] * spatial_dims
        if spatial_dims == 3:
            self.min_size: tuple[int, int, int] = (3, 3, 3)
        self.stem = ResidualStem(in_channels, widths[0], norm, spatial_dims)
        self.stages = nn.Sequential(
            *(ResidualStage(before, width, norm, spatial_dims) for before, width in itertools.pairwise(widths))
        )
        start_for_rectifiers(self)

    def forward(self, x: Tensor) -> Tensor:
        """Encode volumes into feature maps."""
        check_size(x, self.least, "ResidualEncoder")
        return self.stages(self.stem(x))

    @torch.jit.export
    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the maps of the stem and of every block, from fine to coarse."""
        check_size(x, self.least, "ResidualEncoder")
        found: list[Tensor] = [self.stem(x)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found
