"""Batch normalisation that goes on where a batch has no variance."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class _Guarded(nn.modules.batchnorm._BatchNorm):
    """What the guarded layers share; see `GuardedBatchNorm3d`."""

    def forward(self, input: Tensor) -> Tensor:  # the name is torch's
        """Normalise."""
        varies = self.training and input.numel() > input.size(1)
        if varies and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        rate = 0.1 if self.momentum is None else self.momentum  # None is left alone, see guard_normalisation
        mean, variance = self.running_mean, self.running_var
        return functional.batch_norm(input, mean, variance, self.weight, self.bias, varies, rate, self.eps)


class GuardedBatchNorm3d(_Guarded, nn.BatchNorm3d):
    """`torch.nn.BatchNorm3d` that takes a single value per channel as evaluation would.

    One case whose map is one voxel has no variance: its normalised value would be 0 whatever it is, and torch
    refuses it. Such a case is normalised by the running statistics instead, which it leaves as they are. It
    happens where one encoder per phase meets a phase that one case of a batch has. Weights and their names
    are those of `torch.nn.BatchNorm3d`, and so are all other results.

    Shape: [N, C, D, H, W] -> the same.
    """


class GuardedBatchNorm2d(_Guarded, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` that takes a single value per channel as evaluation would.

    As `GuardedBatchNorm3d`.

    Shape: [N, C, H, W] -> the same.
    """


def guard_normalisation(network: nn.Module) -> nn.Module:
    """Turn every plain `torch.nn.BatchNorm3d` and `BatchNorm2d` of a network into a guarded one, in place.

    Those without running statistics, or with cumulative ones (momentum None), are left alone.

    >>> type(guard_normalisation(nn.Sequential(nn.BatchNorm3d(4)))[0]).__name__
    'GuardedBatchNorm3d'
    """
    guarded: dict[type, type] = {nn.BatchNorm2d: GuardedBatchNorm2d, nn.BatchNorm3d: GuardedBatchNorm3d}
    for module in network.modules():
        if type(module) in guarded and module.track_running_stats and module.momentum is not None:
            module.__class__ = guarded[type(module)]
    return network
