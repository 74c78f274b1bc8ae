# SPDX-License-Identifier: Apache-2.0
"""Kernels and strides of a network's stages, planned from the voxels that it will see."""

from __future__ import annotations

from collections.abc import Sequence

LEAST_EDGE = 4
"""Voxels that an axis keeps at least when it is halved, as in nnU-Net."""


def plan_stages(
    spacing: Sequence[float], patch_size: Sequence[int], max_stages: int = 6
) -> tuple[list[list[int]], list[list[int]]]:
    """Plan kernels and strides by nnU-Net's rule: the cells of the maps become cubes, and only then cubes grow.

    Stage 0 has the patch's own voxels. From one stage to the next an axis is halved if its spacing is less than
    twice the smallest of those that can be halved: which keep 4 voxels or more (6 or more where it is the only
    one). A kernel is 1 along an axis until its spacing is less than twice the smallest of all, and 3 from then
    on; the last stage has kernels of 3. So thick slices have flat kernels and are not halved until pixels are as
    long as slices are thick. An axis of a single voxel is never halved, has kernels of 1, and its spacing does
    not count: a patch of one slice gets a 2D network.

    Args:
        spacing: mm between voxels along each axis.
        patch_size: voxels of a patch along each axis.
        max_stages: stages at most.

    Returns:
        Kernels and strides, voxels, one [k_1, k_2, k_3] and [s_1, s_2, s_3] per stage; the first stride is 1.

    Raises:
        ValueError: for sizes that are no positive numbers, or another number of axes.

    Reference: Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical image
    segmentation, Nature Methods 2021, supplementary note 2.

    >>> plan_stages(spacing=[1.5, 1.5, 8.0], patch_size=[96, 96, 8])
    ([[3, 3, 1], [3, 3, 1], [3, 3, 3], [3, 3, 3], [3, 3, 3]], [[1, 1, 1], [2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 1]])
    >>> plan_stages(spacing=[1.0, 1.0, 1.0], patch_size=[16, 16, 1])
    ([[3, 3, 1], [3, 3, 1], [3, 3, 1]], [[1, 1, 1], [2, 2, 1], [2, 2, 1]])
    """
    if len(spacing) != len(patch_size) or min(spacing) <= 0 or min(patch_size) < 1 or max_stages < 1:
        raise ValueError(
            "spacing must hold mm above 0, patch_size voxels from 1 on, for the same axes, and max_stages 1 or more, "
            f"found {list(spacing)}, {list(patch_size)} and {max_stages}; correct them"
        )
    mm, size = [float(one) for one in spacing], [int(one) for one in patch_size]
    axes = [axis for axis, voxels in enumerate(size) if voxels > 1]
    kernel = [1] * len(size)
    kernels: list[list[int]] = []
    strides = [[1] * len(size)]
    while len(strides) < max_stages:
        halved = [axis for axis in axes if size[axis] >= 2 * LEAST_EDGE]
        finest = min((mm[axis] for axis in halved), default=0.0)
        halved = [axis for axis in halved if mm[axis] < 2 * finest]
        if not halved or (len(halved) == 1 and size[halved[0]] < 3 * LEAST_EDGE):
            break
        kernel = widened(kernel, mm, axes)
        kernels.append(kernel)
        strides.append([2 if axis in halved else 1 for axis in range(len(size))])
        for axis in halved:
            mm[axis], size[axis] = 2 * mm[axis], (size[axis] + 1) // 2
    return [*kernels, [3 if axis in axes else 1 for axis in range(len(kernel))]], strides


def widened(kernel: list[int], mm: list[float], axes: list[int]) -> list[int]:
    """Return a kernel that is 3 along the axes whose spacing is by now less than twice the smallest."""
    finest = min(mm[axis] for axis in axes)
    return [3 if axis in axes and mm[axis] < 2 * finest else before for axis, before in enumerate(kernel)]


def divisors(strides: Sequence[Sequence[int]]) -> list[int]:
    """Return what the size of a volume must be a multiple of along each axis, for every stage to halve evenly.

    >>> divisors([[1, 1, 1], [2, 2, 1], [2, 2, 2]])
    [4, 4, 2]
    """
    found = [1] * len(strides[0])
    for stride in strides:
        found = [before * step for before, step in zip(found, stride, strict=True)]
    return found
