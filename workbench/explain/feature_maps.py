# SPDX-License-Identifier: Apache-2.0
"""Where the cells of a feature map lie in the input volume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from monai.visualize.class_activation_maps import ModelWithHooks
from torch import Tensor, nn
from torch.nn.functional import grid_sample
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AvgPoolNd, _MaxPoolNd


class CellPlaces:
    r"""Follows a forward pass and notes where the cells of its maps lie.

    Cell i of a convolution or pooling of kernel k, dilation r, stride s and padding p is centred on cell
    :math:`s i + r (k - 1) / 2 - p` of its input. So if the cells of its input are at :math:`f + d i`, those
    of its output are at

    .. math:: f + d \left(r \frac{k - 1}{2} - p\right) + d s i

    A layer padded by half its kernel keeps the first cell on the first voxel; pooling of 2 without padding
    moves it by half a cell, a patch of 4 voxels to voxel 1.5. Parallel layers with maps of one size
    (shortcuts, dense connections) place them alike. Other layers that halve an axis are assumed to be padded
    by half their kernel, like the convolutions of `ResidualEncoder`.
    """

    def __init__(self, size: Sequence[int]) -> None:
        self.known: list[dict[int, tuple[float, float]]] = [{int(voxels): (0.0, 1.0)} for voxels in size]
        self.size = [int(voxels) for voxels in size]

    def follow(self, encoders: Iterable[nn.Module]) -> list[Any]:
        """Hook into the layers of encoders; return the handles that remove the hooks."""
        layers = (_ConvNd, _AvgPoolNd, _MaxPoolNd)
        return [
            part.register_forward_hook(self._note)
            for encoder in encoders
            for part in encoder.modules()
            if isinstance(part, layers)
        ]

    def _note(self, layer: Any, inputs: tuple[Any, ...], output: Any) -> None:
        axes = len(self.size)
        if not isinstance(output, Tensor) or output.dim() != axes + 2 or isinstance(layer.padding, str):
            return
        names = ("kernel_size", "stride", "padding", "dilation")
        settings = [_per_axis(getattr(layer, name, 1), axes) for name in names]
        for axis, (kernel, stride, padding, dilation) in enumerate(zip(*settings, strict=True)):
            before, after = inputs[0].shape[2 + axis], output.shape[2 + axis]
            if before not in self.known[axis] and kernel == stride:  # patches; the last one was padded
                before = next((voxels for voxels in self.known[axis] if 0 < before - voxels < stride), before)
            if after in self.known[axis] or before not in self.known[axis]:
                continue
            first, step = self.known[axis][before]
            self.known[axis][after] = (first + step * (dilation * (kernel - 1) / 2 - padding), step * stride)

    def of(self, cells: Sequence[int]) -> tuple[list[float], list[float]]:
        """Return the position of the first cell and the distance between cells along each axis, in voxels.

        Args:
            cells: number of cells of the map along each axis.
        """
        found = [
            known.get(count) or _halved(voxels, count)
            for known, voxels, count in zip(self.known, self.size, cells, strict=True)
        ]
        return [first for first, _ in found], [step for _, step in found]


def _per_axis(value: int | Sequence[int], axes: int) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value)


def _halved(voxels: int, cells: int) -> tuple[float, float]:
    """Return first position and distance of cells if the axis was halved j times, rounded up, else evenly spread.

    >>> _halved(28, 7), _halved(16, 5)
    ((0.0, 4.0), (1.1, 3.2))
    """
    for j in range(voxels.bit_length() + 1):
        if -(-voxels // 2**j) == cells:
            return 0.0, float(2**j)
    step = voxels / cells
    return (step - 1) / 2, step


COARSEST = 4  # voxels


class EncoderMaps(ModelWithHooks):
    """Gives MONAI's visualisers the feature maps of every phase, and their gradients.

    If an encoder reads planes beside the whole volume, the maps are those of the volume.

    The layer is chosen by a rule, not by its name: the deepest maps inside `network.encoder`, which every
    network that reads images has, with at least one cell per 4 voxels along every axis; the encoder's output
    if there are none. Deeper cells are larger than most lesions, and each of them sees the whole volume.

    MONAI's own hooks keep one output of one layer. Here the outputs of all calls are kept in order, so that one
    encoder called once for all phases, one called phase by phase, and one encoder per phase all give maps
    [P, C, d, h, w].

    The score is the log odds of the class, log(p_k / (1 - p_k)), rather than its logit: adding a constant to all
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
        hooks += [part.register_forward_hook(keep_fine) for encoder in self.encoders for part in encoder.modules()]
        hooks += [encoder.register_forward_hook(keep_call) for encoder in self.encoders]
        try:
            with torch.enable_grad():
                # with an input that requires gradients, the maps of a frozen network have gradients, too
                logits = self.model(x.detach().requires_grad_(), **kwargs)
                self.score = self.class_score(logits, class_idx)
                gradients = torch.autograd.grad(self.score, maps, allow_unused=True, retain_graph=retain_graph)
        finally:
            for hook in hooks:
                hook.remove()
        filled = [torch.zeros_like(m) if g is None else g for m, g in zip(maps, gradients, strict=True)]
        return logits, (torch.cat(maps).detach().contiguous(),), (torch.cat(filled).contiguous(),)

    def upsampler(self, size: Sequence[int]) -> Callable[[Tensor], Tensor]:
        """Return the function that upsamples the maps of the last call, each cell to the centre of what it reads.

        MONAI's `default_upsampler` stretches the cells over the volume instead, which misses the centre by up to
        half a cell.
        """
        return lambda maps: place_cells(maps, size, *self.places.of(maps.shape[2:]))


def volume_reader(encoder: nn.Module) -> nn.Module:
    """Return the part of an encoder that reads whole volumes, if it also reads planes; else the encoder."""
    volume = getattr(encoder, "volume", None)
    return volume if isinstance(volume, nn.Module) else encoder


def place_cells(maps: Tensor, size: Sequence[int], first: Sequence[float], step: Sequence[float]) -> Tensor:
    """Interpolate maps trilinearly to voxels, cell i of an axis at voxel first + step i.

    Args:
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
