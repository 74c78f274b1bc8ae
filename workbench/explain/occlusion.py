# SPDX-License-Identifier: Apache-2.0
"""Where a network looks: by class activation maps, and by covering a part of one phase."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from monai.visualize import GradCAM, GradCAMpp, OcclusionSensitivity
from torch import Tensor, nn
from workbench.explain.feature_maps import EncoderMaps


class LayerCAM(GradCAM):
    r"""Weighs every cell of every channel by its own gradient, where Grad-CAM has one weight per channel.

    .. math:: M = \mathrm{relu}\left(\sum_c \mathrm{relu}(\partial s / \partial A_c) \, A_c\right)

    With a non-linear fusion, one weight per channel would lose where the network found its evidence.

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
        present: which phases the case has; absent ones get no heat.
        class_index: the class that is explained.

    Shape: image [P, D, H, W], present [P] bool, clinical [T] -> [P, D, H, W], from 0 to 1. All phases share
    one map if one encoder reads them together (`early`); if a network reads one phase (`single`, see its
    attribute `encoded_phases`), only that one has heat.

    Raises:
        ValueError: a network without an encoder.
    """
    return _relative_heat(LayerCAM, network, image, present, class_index, clinical)


def grad_cam(
    network: nn.Module, image: Tensor, present: Tensor, class_index: int, clinical: Tensor | None = None
) -> Tensor:
    """Return where in each phase Grad-CAM++ finds evidence for a class; otherwise like `layer_cam`.

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


@torch.no_grad()
def predict_case(network: nn.Module, image: Tensor, present: Tensor, clinical: Tensor | None) -> Tensor:
    """Return the probabilities [K] of one case: image [P, D, H, W], present [P], clinical [T]."""
    table = None if clinical is None else clinical.unsqueeze(0)
    return network(image.unsqueeze(0), clinical=table, present=present.unsqueeze(0))[0].softmax(dim=0)


class CoveredPhase(nn.Module):
    """The prediction as a function of which part of one phase is visible.

    Args:
        phase: index of the phase that is covered.
        inside: voxels of this phase that show something; covered ones become their mean.

    Shape: image [P, D, H, W], present [P], clinical [T], inside [D, H, W]; visible [n, 1, d, h, w], 1 visible
        and 0 covered, over `box`, the bounding box of `inside` -> logits [n, K].
    """

    def __init__(
        self, network: nn.Module, image: Tensor, present: Tensor, clinical: Tensor | None, phase: int, inside: Tensor
    ) -> None:
        super().__init__()
        self.network, self.image, self.present, self.clinical = network, image, present, clinical
        self.phase = phase
        corners = inside.nonzero()
        low, high = corners.amin(dim=0).tolist(), (corners.amax(dim=0) + 1).tolist()
        self.box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
        covered = torch.where(inside, image[phase][inside].mean(), image[phase])  # padding stays as it is
        self.seen, self.covered = image[phase][self.box], covered[self.box]
        self.eval()  # MONAI restores the mode it finds, which must not be training mode

    def forward(self, visible: Tensor) -> Tensor:
        """Classify the case with a part of the phase covered."""
        count = len(visible)
        image = self.image.repeat(count, 1, 1, 1, 1)
        image[(slice(None), self.phase, *self.box)] = self.covered + visible[:, 0] * (self.seen - self.covered)
        table = None if self.clinical is None else self.clinical.expand(count, -1)
        image = image.contiguous(memory_format=torch.channels_last_3d)
        return self.network(image, clinical=table, present=self.present.expand(count, -1))


class Occlusion:
    """Covers one phase window by window, and measures by how much the probability of a class drops.

    MONAI's `OcclusionSensitivity` covers all channels at once; here each phase is covered alone, and only
    where it shows something.

    Args:
        window: edge of the covered cube in mm; at least one voxel, at most the visible part of the phase.
        overlap: of neighbouring windows, as a fraction of their edge, from 0 to below 1.
        batch_size: windows per network run.

    Raises:
        ValueError: a window or an overlap out of range.

    Reference: Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014, sect. 4.2.
    """

    def __init__(
        self,
        window: float = 16.0,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        overlap: float = 0.25,
        batch_size: int = 32,
    ) -> None:
        if not window > 0:
            raise ValueError(f"the window of the occlusion must be above 0 mm, found {window}")
        if not 0 <= overlap < 1:
            raise ValueError(f"the overlap of the occlusion's windows must lie in [0, 1), found {overlap}")
        self.size = [max(1, round(window / step)) for step in spacing]
        self.overlap = overlap
        self.batch_size = batch_size

    @torch.no_grad()
    def __call__(
        self,
        network: nn.Module,
        image: Tensor,
        present: Tensor,
        inside: Tensor,
        class_index: int,
        clinical: Tensor | None = None,
    ) -> Tensor:
        """Return the drop of the class's probability when a voxel's surroundings are covered.

        Args:
            inside: voxels that show something, not padding.
            class_index: the class that is explained.

        Shape: image [P, D, H, W], present [P] bool, inside [P, D, H, W] bool, clinical [T] -> [P, D, H, W];
            from -1 to 1, positive where the voxels support the class, 0 outside and in absent phases.
        """
        probability = predict_case(network, image, present, clinical)[class_index]
        heat = torch.zeros_like(image)
        for phase in present.nonzero().flatten().tolist():
            if inside[phase].any():
                covered = CoveredPhase(network, image, present, clinical, phase, inside[phase])
                drop = probability - self._covered_probability(covered)[class_index]
                heat[phase][covered.box] = drop * inside[phase][covered.box]
        return heat

    def _covered_probability(self, covered: CoveredPhase) -> Tensor:
        """Return the probabilities [K, d, h, w], each voxel's averaged over the windows that cover it."""
        visible = torch.ones_like(covered.seen)[None, None]
        visualiser = OcclusionSensitivity(
            covered,
            mask_size=[min(edge, extent) for edge, extent in zip(self.size, covered.seen.shape, strict=True)],
            n_batch=self.batch_size,
            verbose=False,
            mode=0.0,  # of `visible`: the window is covered
            overlap=self.overlap,
            activate=lambda logits: logits.softmax(dim=1),
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Using a non-tuple sequence")  # MONAI indexes by lists
            probabilities, _ = visualiser(visible)
        return torch.as_tensor(probabilities)[0].as_subclass(Tensor)
