"""Grad-CAM++ of every phase."""

from __future__ import annotations

from typing import Any

import torch
from monai.visualize import GradCAMpp
from monai.visualize.class_activation_maps import ModelWithHooks
from torch import Tensor, nn


class EncoderMaps(ModelWithHooks):
    """Gives MONAI's visualisers the last feature maps of every phase, and their gradients.

    The layer is chosen by one rule: the output of `network.encoder`, which every network that reads images
    has; the feature maps that are averaged into the phase's features. MONAI's own hooks keep one output of
    one layer. Here all outputs of one run are kept in order, so that one encoder called once for all phases,
    one called phase by phase, and one encoder per phase all give maps [P, C, d, h, w].

    The score is the log odds of the class, log p_k / (1 - p_k), rather than its logit: adding a number to all
    logits changes no probability, and must not change the map.

    Args:
        network: in eval mode, with an attribute `encoder`: a module, or a `torch.nn.ModuleList` of one per
            phase.

    Raises:
        ValueError: a network without an encoder.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, ())
        encoder = getattr(network, "encoder", None)
        if encoder is None:
            raise ValueError(
                f"heat maps need a network that reads images, found {type(network).__name__} without "
                "`encoder`; take the heat maps out of `explanations`"
            )
        self.encoders = list(encoder) if isinstance(encoder, nn.ModuleList) else [encoder]

    def class_score(self, logits: Tensor, class_idx: int) -> Tensor:
        """Return the log odds of a class: logits [1, K] -> scalar."""
        others = [k for k in range(logits.size(1)) if k != class_idx]
        return logits[0, class_idx] - logits[0, others].logsumexp(dim=0)

    def __call__(self, x: Tensor, class_idx: Any = None, retain_graph: bool = False, **kwargs: Any) -> Any:
        """Return logits [1, K], and the maps [P, C, d, h, w] and their gradients, each in a tuple."""
        maps: list[Tensor] = []
        hooks = [
            encoder.register_forward_hook(lambda module, inputs, output: maps.append(output))
            for encoder in self.encoders
        ]
        try:
            with torch.enable_grad():
                # an input that asks for gradients gives them to the maps of a frozen network, too
                logits = self.model(x.detach().requires_grad_(), **kwargs)
                self.score = self.class_score(logits, class_idx)
                gradients = torch.autograd.grad(
                    self.score, maps, allow_unused=True, retain_graph=retain_graph
                )
        finally:
            for hook in hooks:
                hook.remove()
        filled = [torch.zeros_like(m) if g is None else g for m, g in zip(maps, gradients, strict=True)]
        return logits, (torch.cat(maps).detach().contiguous(),), (torch.cat(filled).contiguous(),)


def grad_cam(
    network: nn.Module, image: Tensor, present: Tensor, class_index: int, clinical: Tensor | None = None
) -> Tensor:
    """Return where in each phase Grad-CAM++ finds evidence for a class.

    The maps have the encoder's resolution (one value per 8 to 16 voxels) and are interpolated. They are
    relative: the hottest voxel of the case is 1, phases can be compared with each other, cases cannot.

    Args:
        network: in eval mode.
        image: one case.
        present: phases that are there; absent ones have no heat.
        class_index: the class that is explained.
        clinical: the case's table, or None.

    Shape: image [P, D, H, W], present [P] bool, clinical [T] -> [P, D, H, W], from 0 to 1. One map serves all
        phases where one encoder reads them together (`early`); only the phase that is read has heat where a
        network reads one (`single`, see its attribute `encoded_phases`).

    Raises:
        ValueError: a network without an encoder.

    Reference: Chattopadhay et al., Grad-CAM++: generalized gradient-based visual explanations for deep
        convolutional networks, WACV 2018.
    """
    visualiser: Any = GradCAMpp(EncoderMaps(network), (), postprocessing=lambda heat: heat)  # type: ignore[arg-type]
    table = None if clinical is None else clinical.unsqueeze(0)
    heat = visualiser(image.unsqueeze(0), class_idx=class_index, clinical=table, present=present.unsqueeze(0))
    read = list(getattr(network, "encoded_phases", range(len(image))))
    result = torch.zeros_like(image)
    result[read] = heat[:, 0].detach().expand(len(read), -1, -1, -1)
    result[~present.bool()] = 0
    return result / result.max().clamp_min(torch.finfo(result.dtype).tiny)
