"""A fast residual 3D encoder for small volumes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn

from scripts.networks.convolution import GuardedConv3d
from scripts.networks.size import check_size


def halving_stride(size: list[int]) -> list[int]:
    """Return the stride per axis that halves an axis as long as 3 voxels or more are left of it.

    >>> halving_stride([28, 7, 4])
    [2, 2, 1]
    """
    return [2 if (int(n) + 1) // 2 >= 3 else 1 for n in size]


class ResidualStage(nn.Module):
    """One residual block that halves long axes.

    y = relu(norm(conv(relu(norm(conv(x))))) + norm(conv_1x1x1(x))), the first and last convolution strided.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: MONAI's normalisation name, or (name, arguments).

    Shape: [N, in_channels, D, H, W] -> [N, out_channels, d, h, w].
    """

    def __init__(self, in_channels: int, out_channels: int, norm: str | tuple) -> None:
        super().__init__()
        self.conv1 = GuardedConv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)
        self.conv2 = GuardedConv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)
        self.shortcut = GuardedConv3d(in_channels, out_channels, 1, bias=False)
        self.shortcut_norm = get_norm_layer(norm, spatial_dims=3, channels=out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        stride = halving_stride([x.size(2), x.size(3), x.size(4)])
        y = torch.relu_(self.norm1(self.conv1.convolve(x, stride)))
        y = self.norm2(self.conv2(y))
        return torch.relu_(y + self.shortcut_norm(self.shortcut.convolve(x, stride)))


class ResidualStem(nn.Module):
    """First features of a volume, halved: where voxels are many, one strided and one residual convolution.

    Args:
        in_channels: channels of the volume.
        out_channels: channels of the output.
        norm: MONAI's normalisation name, or (name, arguments).

    Shape: [N, in_channels, D, H, W] -> [N, out_channels, d, h, w].
    """

    def __init__(self, in_channels: int, out_channels: int, norm: str | tuple) -> None:
        super().__init__()
        self.conv1 = GuardedConv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)
        self.conv2 = GuardedConv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stem."""
        x = torch.relu_(self.norm1(self.conv1.convolve(x, halving_stride([x.size(2), x.size(3), x.size(4)]))))
        return torch.relu_(self.norm2(self.conv2(x)) + x)


class ResidualEncoder(nn.Module):
    """Residual 3D encoder whose first convolution already halves the volume.

    A stem, then one residual block for every further width. Each of them halves an axis for as long as 3
    voxels or more are left of it, so that a thin stack of slices keeps its slices: 28 x 28 x 28 becomes 14,
    7, 4 and again 4 voxels per side, and 8 x 96 x 96 ends as 4 x 6 x 6.

    Args:
        in_channels: channels of the volume.
        widths: channels of the stem and of the blocks.
        norm: normalisation, as MONAI names it: ``batch``, ``instance`` or ``[group, {num_groups: 8}]``.

    Shape: [N, in_channels, D, H, W] -> [N, widths[-1], d, h, w].

    Raises:
        ValueError: for a volume below `min_size`.

    Reference: He et al., Deep residual learning for image recognition, CVPR 2016 (block of figure 5, left).

    >>> encoder = ResidualEncoder(in_channels=1)
    >>> encoder(torch.zeros(2, 1, 28, 28, 28)).shape
    torch.Size([2, 128, 4, 4, 4])
    """

    def __init__(
        self, in_channels: int = 1, widths: Sequence[int] = (16, 32, 64, 128), norm: str | Sequence = "batch"
    ) -> None:
        super().__init__()
        norm = norm if isinstance(norm, str) else tuple(norm)
        self.out_dim: int = widths[-1]
        self.min_size: tuple[int, int, int] = (3, 3, 3)
        self.stem = ResidualStem(in_channels, widths[0], norm)
        self.stages = nn.Sequential(
            *(ResidualStage(before, width, norm) for before, width in itertools.pairwise(widths))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Encode volumes into feature maps."""
        check_size(x, list(self.min_size), "ResidualEncoder")
        return self.stages(self.stem(x))

    @torch.jit.export
    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the maps of the stem and of every block, from fine to coarse."""
        check_size(x, list(self.min_size), "ResidualEncoder")
        found: list[Tensor] = [self.stem(x)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found
