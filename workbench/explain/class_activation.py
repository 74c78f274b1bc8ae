# SPDX-License-Identifier: Apache-2.0
"""Class activation maps of every phase: where the feature maps speak for a class."""

from __future__ import annotations

from typing import Any

import torch
from monai.visualize import GradCAM, GradCAMpp
from torch import Tensor, nn
from workbench.explain.feature_maps import EncoderMaps


class LayerCAM(GradCAM):
    r"""Weighs every cell of every channel by its own gradient, where Grad-CAM has one weight per channel.

    .. math:: M = \mathrm{relu}\left(\sum_c \mathrm{relu}(\partial s / \partial A_c) \, A_c\right)

    One weight per channel loses the place where networks with a non-linear fusion found their evidence.

    Reference: Jiang et al., LayerCAM: exploring hierarchical class activation maps for localization, IEEE
    Transactions on Image Processing 2021, eq. 6 and 7.
    """

    def compute_map(  # type: ignore[override]
        self, x: Tensor, class_idx: Any = None, retain_graph: bool = False, layer_idx: int = -1, **kwargs: Any
    ) -> Tensor:
        """Return the map [P, 1, d, h, w] in the cells of the layer."""
        _, maps, gradients = self.nn_module(x, class_idx=class_idx, retain_graph=retain_graph, **kwargs)
        return (gradients[layer_idx].relu() * maps[layer_idx]).sum(dim=1, keepdim=True).relu()


def layer_cam(
    network: nn.Module, image: Tensor, present: Tensor, class_index: int, clinical: Tensor | None = None
) -> Tensor:
    """Return where in each phase LayerCAM finds evidence for a class.

    The maps have cells of 4 voxels or less and are interpolated. They are relative: the hottest voxel of the
    case is 1, so that phases can be compared with each other; cases cannot.

    Args:
        present: phases that are there; absent ones have no heat.
        class_index: the class that is explained.

    Shape: image [P, D, H, W], present [P] bool, clinical [T] -> [P, D, H, W], from 0 to 1. One map serves all
        phases where one encoder reads them together (`early`); only the phase that is read has heat where a
        network reads one (`single`, see its attribute `encoded_phases`).

    Raises:
        ValueError: a network without an encoder.
    """
    return _relative_heat(LayerCAM, network, image, present, class_index, clinical)


def grad_cam(
    network: nn.Module, image: Tensor, present: Tensor, class_index: int, clinical: Tensor | None = None
) -> Tensor:
    """Return where in each phase Grad-CAM++ finds evidence for a class; otherwise as `layer_cam`.

    Reference: Chattopadhay et al., Grad-CAM++: generalized gradient-based visual explanations for deep
    convolutional networks, WACV 2018.
    """
    return _relative_heat(GradCAMpp, network, image, present, class_index, clinical)


def _relative_heat(
    method: type[GradCAM], network: nn.Module, image: Tensor, present: Tensor, class_index: int, clinical: Tensor | None
) -> Tensor:
    """Run one of MONAI's visualisers and divide by the hottest voxel."""
    maps = EncoderMaps(network)
    visualiser: Any = method(
        maps,  # type: ignore[arg-type]
        (),  # type: ignore[arg-type]
        upsampler=maps.upsampler,
        postprocessing=lambda heat: heat,
    )
    table = None if clinical is None else clinical.unsqueeze(0)
    heat = visualiser(image.unsqueeze(0), class_idx=class_index, clinical=table, present=present.unsqueeze(0))
    read = list(getattr(network, "encoded_phases", range(len(image))))
    result = torch.zeros_like(image)
    result[read] = heat[:, 0].detach().expand(len(read), -1, -1, -1)
    result[~present.bool()] = 0
    return result / result.max().clamp_min(torch.finfo(result.dtype).tiny)
