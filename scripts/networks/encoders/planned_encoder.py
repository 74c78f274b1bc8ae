# SPDX-License-Identifier: Apache-2.0
"""A residual encoder whose kernels and strides suit the voxels of its volumes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scripts.networks.encoders.residual import ResidualStage, ResidualStem, start_for_rectifiers
from scripts.networks.guarded import guard_normalisation
from scripts.networks.parts import check_size
from scripts.networks.plan import divisors, plan_stages
from torch import Tensor, nn


class PlannedEncoder(nn.Module):
    """A stem at the full size of a volume, then residual blocks, with the kernels and strides of `plan_stages`.

    The first stage keeps the voxels of the volume, which outlines need and classes do not. Thick slices have
    flat kernels, and a patch of one slice is read in 2D. Where the plan has fewer stages than there are
    widths, the last of them keep the size.

    Args:
        in_channels: channels of the volume.
        widths: channels of the stages, fine to coarse.
        spacing: mm between voxels along each axis.
        patch_size: voxels of a patch along each axis.
        norm: normalisation, as MONAI names it. Instances, not batches, as few patches pass at once.

    Attributes:
        kernels: of every stage, voxels.
        min_size: least number of voxels along the three axes.

    Shape: [N, in_channels, D, H, W] -> [N, widths[-1], d, h, w].

    Raises:
        ValueError: for a volume below the least size.

    Reference: Isensee et al., nnU-Net revisited, MICCAI 2024 (residual encoders); He et al., CVPR 2016.

    >>> encoder = PlannedEncoder(in_channels=1, widths=[4, 8], spacing=[1, 1, 5], patch_size=[32, 32, 5])
    >>> [list(maps.shape) for maps in encoder.stage_maps(torch.zeros(1, 1, 32, 32, 5))]
    [[1, 4, 32, 32, 5], [1, 8, 16, 16, 5]]
    """

    def __init__(
        self,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128),
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        patch_size: Sequence[int] = (64, 64, 64),
        norm: str | Sequence = ("instance", {"affine": True}),
    ) -> None:
        super().__init__()
        norm = norm if isinstance(norm, str) else tuple(norm)
        kernels, strides = plan_stages(spacing, patch_size, max_stages=len(widths))
        further = len(widths) - len(strides)
        self.kernels: list[list[int]] = kernels + kernels[-1:] * further
        strides = strides + [[1, 1, 1]] * further
        self.out_dim: int = widths[-1]
        self.least: list[int] = divisors(strides)
        self.min_size: tuple[int, int, int] = (self.least[0], self.least[1], self.least[2])
        self.stages = nn.ModuleList([ResidualStem(in_channels, widths[0], norm, 3, self.kernels[0], strides[0])])
        for level in range(1, len(widths)):
            stage = ResidualStage(widths[level - 1], widths[level], norm, 3, self.kernels[level], strides[level])
            self.stages.append(stage)
        start_for_rectifiers(guard_normalisation(self))

    def forward(self, x: Tensor) -> Tensor:
        """Encode volumes into feature maps."""
        return self.stage_maps(x)[-1]

    @torch.jit.export
    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the maps of every stage, from fine to coarse."""
        check_size(x, self.least, "PlannedEncoder")
        found: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found
