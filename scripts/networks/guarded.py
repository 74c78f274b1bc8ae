# SPDX-License-Identifier: Apache-2.0
"""Convolutions that are computed correctly on very small and very flat inputs, and normalisation of single values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def missing_voxels(size: list[int], kernel: list[int], stride: list[int], padding: list[int]) -> list[int]:
    """Return how many voxels an input lacks along each axis for the CPU to convolve it correctly.

    Measured with torch 2.13 on an AVX512-BF16 processor: in bfloat16, and with kernels of 7 also in float32,
    weight gradients are off by orders of magnitude or NaN, and memory is sometimes corrupted, if an input is
    shorter than the kernel (or, with a stride, equally short), or if a strided convolution leaves a single
    voxel.

    Args:
        size: voxels of the input along its axes.
        kernel: extent of the kernel in voxels (dilation included).
        stride: step in voxels.
        padding: zeros added on both sides, in voxels.

    >>> missing_voxels([2, 7, 3], kernel=[3, 3, 3], stride=[1, 1, 1], padding=[1, 1, 1])
    [1, 0, 0]
    >>> missing_voxels([2, 7, 3], kernel=[3, 3, 3], stride=[2, 2, 2], padding=[1, 1, 1])
    [2, 0, 1]
    """
    missing: list[int] = []
    for axis in range(len(size)):
        k, s = kernel[axis], stride[axis]
        least = k if s == 1 else max(k + 1, k + s - 2 * padding[axis])
        missing.append(max(0, least - size[axis]))
    return missing


class GuardedConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` that extends degenerate volumes with zeros and crops the result.

    Zeros after the end of the volume are what its padding holds anyway, so the result is the same, while the
    processor only sees shapes that it computes correctly (see `missing_voxels`). Weights and their names are
    those of `torch.nn.Conv3d`. It can be scripted, and traced for a fixed size.

    Shape: [N, C_in, D, H, W] -> [N, C_out, d, h, w].

    Reference: wrong results of small bfloat16 convolutions on CPUs, pytorch issue #169688.
    """

    def forward(self, input: Tensor) -> Tensor:  # the name is that of torch.nn.Conv3d
        return self.convolve(input, [self.stride[0], self.stride[1], self.stride[2]])

    def convolve(self, input: Tensor, stride: list[int]) -> Tensor:
        """Convolve with a stride chosen at the call."""
        padding = [int(self.padding[0]), int(self.padding[1]), int(self.padding[2])]
        if input.device.type == "cpu":
            size = [int(input.size(2)), int(input.size(3)), int(input.size(4))]
            kernel = [(self.kernel_size[i] - 1) * self.dilation[i] + 1 for i in range(3)]
            d, h, w = missing_voxels(size, kernel, stride, padding)
            if d + h + w > 0:
                longer = functional.pad(input, [0, w, 0, h, 0, d])
                out = torch.conv3d(longer, self.weight, self.bias, stride, padding, self.dilation, self.groups)
                keep = [(size[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(3)]
                return out[:, :, : keep[0], : keep[1], : keep[2]]
        return torch.conv3d(input, self.weight, self.bias, stride, padding, self.dilation, self.groups)


def same_size(in_dim: int, out_dim: int, kernel: Sequence[int], bias: bool = True) -> GuardedConv3d:
    """Return a convolution that keeps the size of a volume.

    Args:
        in_dim: channels of its input.
        out_dim: channels of its result.
        kernel: extent along each axis in voxels, odd.
        bias: add one number per channel.
    """
    first, second, third = kernel
    padding = (first // 2, second // 2, third // 2)
    return GuardedConv3d(in_dim, out_dim, (first, second, third), padding=padding, bias=bias)


class GuardedConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` that extends degenerate planes with zeros and crops the result.

    As `GuardedConv3d`; in bfloat16, weight gradients of a strided convolution are wrong on planes whose last
    axis has a single pixel.

    Shape: [N, C_in, H, W] -> [N, C_out, h, w].
    """

    def forward(self, input: Tensor) -> Tensor:  # the name is that of torch.nn.Conv2d
        return self.convolve(input, [self.stride[0], self.stride[1]])

    def convolve(self, input: Tensor, stride: list[int]) -> Tensor:
        """Convolve with a stride chosen at the call."""
        padding = [int(self.padding[0]), int(self.padding[1])]
        if input.device.type == "cpu":
            size = [int(input.size(2)), int(input.size(3))]
            kernel = [(self.kernel_size[i] - 1) * self.dilation[i] + 1 for i in range(2)]
            h, w = missing_voxels(size, kernel, stride, padding)
            if h + w > 0:
                longer = functional.pad(input, [0, w, 0, h])
                out = torch.conv2d(longer, self.weight, self.bias, stride, padding, self.dilation, self.groups)
                keep = [(size[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
                return out[:, :, : keep[0], : keep[1]]
        return torch.conv2d(input, self.weight, self.bias, stride, padding, self.dilation, self.groups)


def guard_convolutions(network: nn.Module) -> nn.Module:
    """Turn every plain `torch.nn.Conv3d` and `Conv2d` of a network into a guarded one, in place.

    Weights, their names and the results do not change. Convolutions whose padding is given as a word ("same")
    or is not of zeros are left alone.

    >>> type(guard_convolutions(nn.Sequential(nn.Conv3d(1, 4, 3)))[0]).__name__
    'GuardedConv3d'
    """
    guarded: dict[type, type] = {nn.Conv2d: GuardedConv2d, nn.Conv3d: GuardedConv3d}
    for module in network.modules():
        plain = type(module) in guarded and module.padding_mode == "zeros"
        if plain and not isinstance(module.padding, str):
            module.__class__ = guarded[type(module)]
    return network


class _Guarded(nn.modules.batchnorm._BatchNorm):
    """Shared by the guarded layers; see `GuardedBatchNorm3d`."""

    def forward(self, input: Tensor) -> Tensor:  # the name is torch's
        varies = self.training and input.numel() > input.size(1)
        if varies and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        rate = 0.1 if self.momentum is None else self.momentum  # None is left alone, see guard_normalisation
        mean, variance = self.running_mean, self.running_var
        return functional.batch_norm(input, mean, variance, self.weight, self.bias, varies, rate, self.eps)


class GuardedBatchNorm3d(_Guarded, nn.BatchNorm3d):
    """`torch.nn.BatchNorm3d` that normalises a single value per channel as in evaluation.

    A single case whose map is one voxel has no variance: its normalised value would always be 0, and torch
    refuses it. Such a case is normalised by the running statistics instead, without updating them. It occurs
    with one encoder per phase, where only one case of a batch has the phase. Weights and their names are those
    of `torch.nn.BatchNorm3d`, and so are all other results.

    Shape: [N, C, D, H, W] -> the same.
    """


class GuardedBatchNorm2d(_Guarded, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` that normalises a single value per channel as in evaluation.

    As `GuardedBatchNorm3d`.

    Shape: [N, C, H, W] -> the same.
    """


class GuardedInstanceNorm3d(nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` that takes a single voxel per channel, which torch refuses: it becomes the bias.

    Shape: [N, C, D, H, W] -> the same.
    """

    def forward(self, input: Tensor) -> Tensor:  # the name is torch's
        """Normalise."""
        fast = torch.backends.cudnn.enabled
        return torch.instance_norm(input, self.weight, self.bias, None, None, True, 0.1, self.eps, fast)


def guard_normalisation(network: nn.Module) -> nn.Module:
    """Turn every plain normalisation layer of a network that has a guarded twin into it, in place.

    Batch normalisation without running statistics, or with cumulative ones (momentum None), is left alone, and
    so is instance normalisation with running statistics.

    >>> type(guard_normalisation(nn.Sequential(nn.BatchNorm3d(4)))[0]).__name__
    'GuardedBatchNorm3d'
    """
    guarded: dict[type, type] = {nn.BatchNorm2d: GuardedBatchNorm2d, nn.BatchNorm3d: GuardedBatchNorm3d}
    for module in network.modules():
        if type(module) in guarded and module.track_running_stats and module.momentum is not None:
            module.__class__ = guarded[type(module)]
        elif type(module) is nn.InstanceNorm3d and not module.track_running_stats:
            module.__class__ = GuardedInstanceNorm3d
    return network
