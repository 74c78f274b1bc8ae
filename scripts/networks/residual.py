"""A fast residual 3D encoder for small volumes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn

from scripts.networks.convolution import GuardedConv3d
from scripts.networks.size import check_size

NormSpec = str | tuple[str, dict] | list


def halving_stride(size: list[int]) -> list[int]:
    """Return the stride per axis that halves an axis as long as 3 voxels or more are left of it.

    >>> halving_stride([28, 7, 4])
    [2, 2, 1]
    """
    return [2 if (int(n) + 1) // 2 >= 3 else 1 for n in size]


class ResidualStage(nn.Module):
    """One residual block; halves long axes unless it is told to keep the size.

    y = relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)), the first convolution and the shortcut strided.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: MONAI's normalisation name, or (name, arguments).
        halve: halve the axes that stay 3 voxels or longer.
    """

    __constants__ = ("project",)

    def __init__(self, in_channels: int, out_channels: int, norm: NormSpec, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.conv1 = GuardedConv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)
        self.conv2 = GuardedConv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)
        self.project = halve or in_channels != out_channels
        self.shortcut = GuardedConv3d(in_channels, out_channels, 1, bias=False) if self.project else nn.Identity()
        self.shortcut_norm = (
            get_norm_layer(norm, spatial_dims=3, channels=out_channels) if self.project else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C_in, D, H, W] -> [N, C_out, d, h, w]."""
        stride = halving_stride([x.size(2), x.size(3), x.size(4)]) if self.halve else [1, 1, 1]
        y = torch.relu_(self.norm1(self.conv1.convolve(x, stride)))
        y = self.norm2(self.conv2(y))
        if self.project:
            x = self.shortcut_norm(self.shortcut.convolve(x, stride))
        return torch.relu_(y + x)


class ResidualEncoder(nn.Module):
    """Residual 3D encoder whose first convolution already halves the volume.

    A stem and one residual block per width. The stem and every block but the first halve each axis for as long
    as 3 voxels or more are left of it, so that a thin stack of slices keeps its slices: 28 x 28 x 28 becomes
    14, 14, 7, 4, 4 voxels per side, and 8 x 96 x 96 ends as 4 x 6 x 6.

    Args:
        in_channels: channels of the volume.
        widths: channels of the blocks; the stem has the first.
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
        self, in_channels: int = 1, widths: Sequence[int] = (16, 32, 64, 128), norm: NormSpec = "batch"
    ) -> None:
        super().__init__()
        norm = tuple(norm) if isinstance(norm, list) else norm
        self.out_dim: int = widths[-1]
        self.min_size: tuple[int, int, int] = (3, 3, 3)
        self.stem = GuardedConv3d(in_channels, widths[0], 3, padding=1, bias=False)
        self.stem_norm = get_norm_layer(norm, spatial_dims=3, channels=widths[0])
        self.stages = nn.ModuleList(
            ResidualStage(before, width, norm, halve=i > 0)
            for i, (before, width) in enumerate(zip((widths[0], *widths[:-1]), widths, strict=True))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Encode volumes into feature maps."""
        check_size(x, self.min_size, "ResidualEncoder")
        x = self.stem.convolve(x, halving_stride([x.size(2), x.size(3), x.size(4)]))
        x = torch.relu_(self.stem_norm(x))
        for stage in self.stages:
            x = stage(x)
        return x
