"""3D convolutions that stay right under bfloat16 autocast on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def is_degenerate(size: list[int], kernel: list[int], stride: list[int], padding: list[int]) -> bool:
    """Return whether the CPU's bfloat16 kernels may compute this convolution wrongly.

    Measured with torch 2.13 on an AVX512-BF16 processor against float32, over all volumes of 1 to 8 voxels
    per side: weight gradients are off by orders of magnitude or NaN, and memory is sometimes corrupted, when a
    volume is no longer than the kernel along an axis (a stride-1 convolution is right again at equality), or
    when a strided convolution leaves a single voxel along an axis. The rule covers all cases that were found and
    a few right ones beside them; such volumes are so small that float32 costs nothing.

    Args:
        size: voxels of the input along its three axes.
        kernel: extent of the kernel in voxels (dilation included).
        stride: step in voxels.
        padding: zeros added on both sides, in voxels.

    >>> is_degenerate([2, 7, 7], [3, 3, 3], [1, 1, 1], [1, 1, 1])
    True
    >>> is_degenerate([7, 7, 7], [3, 3, 3], [2, 2, 2], [1, 1, 1])
    False
    """
    for axis in range(3):
        n, k, s = size[axis], kernel[axis], stride[axis]
        if k > 1 and (n < k or (s > 1 and n == k)):
            return True
        if s > 1 and (n + 2 * padding[axis] - k) // s == 0:
            return True
    return False


class GuardedConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` that computes degenerate volumes in float32 (see `is_degenerate`).

    Weights and their names are those of `torch.nn.Conv3d`. It scripts; a *traced* network records the choice made
    for the traced volume, and should be run without autocast.

    Shape: [N, C_in, D, H, W] -> [N, C_out, d, h, w].

    Reference: wrong results of small bfloat16 convolutions on CPUs, pytorch issue #169688.
    """

    def forward(self, input: Tensor) -> Tensor:  # the names are those of torch.nn.Conv3d
        """Convolve."""
        return self.convolve(input, [self.stride[0], self.stride[1], self.stride[2]])

    def convolve(self, input: Tensor, stride: list[int]) -> Tensor:
        """Convolve with a stride chosen at the call."""
        padding = [int(self.padding[0]), int(self.padding[1]), int(self.padding[2])]
        if input.device.type == "cpu" and self.padding_mode == "zeros":
            size = [int(input.size(2)), int(input.size(3)), int(input.size(4))]
            kernel = [(self.kernel_size[i] - 1) * self.dilation[i] + 1 for i in range(3)]
            if is_degenerate(size, kernel, stride, padding):
                return self.convolve_float32(input, stride, padding)
        return torch.conv3d(input, self.weight, self.bias, stride, padding, self.dilation, self.groups)

    def convolve_float32(self, input: Tensor, stride: list[int], padding: list[int]) -> Tensor:
        """Convolve in float32, whatever autocast says."""
        # torch.convolution is not on the list of autocast, torch.conv3d is; the context is for TorchScript's own list
        with torch.autocast(device_type="cpu", enabled=False):
            return torch.convolution(
                input.float(),
                self.weight.float(),
                self.bias,
                stride,
                padding,
                self.dilation,
                False,
                [0, 0, 0],
                self.groups,
            )


def guard_convolutions(network: nn.Module) -> nn.Module:
    """Turn every plain `torch.nn.Conv3d` of a network into a `GuardedConv3d`, in place.

    Weights, their names and the forward results in float32 stay as they are. Convolutions whose padding is a word
    ("same") or not zeros are left alone.

    >>> type(guard_convolutions(nn.Sequential(nn.Conv3d(1, 4, 3)))[0]).__name__
    'GuardedConv3d'
    """
    for module in network.modules():
        if type(module) is nn.Conv3d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = GuardedConv3d
    return network
