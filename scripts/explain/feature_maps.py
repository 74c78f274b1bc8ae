"""Feature maps of every phase and their gradients, for the class activation maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.visualize.class_activation_maps import ModelWithHooks
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from scripts.explain.cells import CellPlaces

COARSEST = 4  # voxels


class EncoderMaps(ModelWithHooks):
    """Gives MONAI's visualisers feature maps of every phase, and their gradients.

    Of an encoder that reads planes beside the whole volume, the maps are those of the volume.

    The layer is chosen by a rule, not by its name: the deepest maps inside `network.encoder`, which every
    network that reads images has, with at least one cell per 4 voxels along every axis; the encoder's output
    where there are none. Deeper cells are larger than most lesions, and each has seen the whole volume.

    MONAI's own hooks keep one output of one layer. Here those of all calls of the encoder are kept in order,
    so that one encoder called once for all phases, one called phase by phase, and one encoder per phase all
    give maps [P, C, d, h, w].

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
        parts = list(encoder) if isinstance(encoder, nn.ModuleList) else [encoder]
        self.encoders = [volume_reader(part) for part in parts]

    def class_score(self, logits: Tensor, class_idx: int) -> Tensor:
        """Return the log odds of a class: logits [1, K] -> scalar."""
        others = [k for k in range(logits.size(1)) if k != class_idx]
        return logits[0, class_idx] - logits[0, others].logsumexp(dim=0)

    def __call__(self, x: Tensor, class_idx: Any = None, retain_graph: bool = False, **kwargs: Any) -> Any:
        """Return logits [1, K], and the maps [P, C, d, h, w] and their gradients, each in a tuple."""
        least = [-(-size // COARSEST) for size in x.shape[2:]]
        inner: list[Tensor] = []
        maps: list[Tensor] = []

        def keep_fine(module: nn.Module, inputs: Any, output: Any) -> None:
            volume = isinstance(output, Tensor) and output.dim() == 5
            if volume and all(size >= limit for size, limit in zip(output.shape[2:], least, strict=True)):
                inner.append(output)

        def keep_call(module: nn.Module, inputs: Any, output: Tensor) -> None:
            if not inner and not isinstance(output, Tensor):
                raise ValueError(
                    "heat maps need a network that reads whole volumes, found one that reads planes; take "
                    "them out of `explanations`, occlusion shows the place"
                )
            maps.append(inner[-1] if inner else output)
            inner.clear()

        self.places = CellPlaces(x.shape[2:])
        hooks = self.places.follow(self.encoders)
        hooks += [
            part.register_forward_hook(keep_fine) for encoder in self.encoders for part in encoder.modules()
        ]
        hooks += [encoder.register_forward_hook(keep_call) for encoder in self.encoders]
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

    def upsampler(self, size: Sequence[int]) -> Callable[[Tensor], Tensor]:
        """Return what brings the maps of the last call to voxels, each cell to the middle of what it reads.

        MONAI's `default_upsampler` stretches the cells over the volume instead, which is beside the middle by
        up to half a cell.

        Args:
            size: voxels along the three axes.
        """
        return lambda maps: place_cells(maps, size, *self.places.of(maps.shape[2:]))


def volume_reader(encoder: nn.Module) -> nn.Module:
    """Return the part of an encoder that reads whole volumes, where it reads planes beside them."""
    volume = getattr(encoder, "volume", None)
    return volume if isinstance(volume, nn.Module) else encoder


def place_cells(maps: Tensor, size: Sequence[int], first: Sequence[float], step: Sequence[float]) -> Tensor:
    """Interpolate maps trilinearly to voxels, cell i of an axis at voxel first + step i.

    Args:
        maps: [N, 1, d, h, w].
        size: voxels along the three axes.
        first: position of the first cell along each axis, voxels.
        step: distance of two cells along each axis, voxels.

    Shape: [N, 1, d, h, w] -> [N, 1, D, H, W].

    >>> maps = torch.zeros(1, 1, 4, 4, 4)
    >>> maps[0, 0, 2, 1, 0] = 1
    >>> torch.unravel_index(place_cells(maps, [16, 16, 16], [1, 1, 1], [4, 4, 4]).argmax(), (16, 16, 16))
    (tensor(9), tensor(5), tensor(0))
    """
    axes = []
    for voxels, cells, start, distance in zip(size, maps.shape[2:], first, step, strict=True):
        positions = (torch.arange(voxels, device=maps.device, dtype=maps.dtype) - start) / distance
        axes.append(2 * positions / max(cells - 1, 1) - 1)
    where = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)  # x, y, z: last axis first
    where = where.expand(len(maps), *where.shape)
    return grid_sample(maps, where, mode="bilinear", padding_mode="border", align_corners=True)
