"""Where the cells of a feature map lie in the volume that it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AvgPoolNd, _MaxPoolNd


class CellPlaces:
    r"""Follows a forward pass and notes where the cells of its maps lie.

    A convolution or pooling of kernel k, dilation r, stride s and padding p reads for its cell i what is
    centred on cell :math:`s i + r (k - 1) / 2 - p` of its input. So with cells at :math:`f + d i` in its
    input, those of its output are at

    .. math:: f + d \left(r \frac{k - 1}{2} - p\right) + d s i

    Padded by half its kernel, a layer keeps the first cell on the first voxel; pooling of 2 without padding
    moves it by half a cell, a patch of 4 voxels to voxel 1.5. Layers side by side that give maps of one size
    (shortcuts, dense connections) place them alike. Other layers that halve an axis are taken for padded by
    half their kernel, as the convolutions of `ResidualEncoder`.

    Args:
        size: voxels along the axes.
    """

    def __init__(self, size: Sequence[int]) -> None:
        self.known: list[dict[int, tuple[float, float]]] = [{int(voxels): (0.0, 1.0)} for voxels in size]
        self.size = [int(voxels) for voxels in size]

    def follow(self, encoders: Iterable[nn.Module]) -> list[Any]:
        """Listen to the layers of encoders; returns the handles by which to stop."""
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
            if before not in self.known[axis] and kernel == stride:  # patches, the last one filled up
                before = next((voxels for voxels in self.known[axis] if 0 < before - voxels < stride), before)
            if after in self.known[axis] or before not in self.known[axis]:
                continue
            first, step = self.known[axis][before]
            self.known[axis][after] = (first + step * (dilation * (kernel - 1) / 2 - padding), step * stride)

    def of(self, cells: Sequence[int]) -> tuple[list[float], list[float]]:
        """Return the place of the first cell and the distance of two, along each axis of a map, in voxels.

        Args:
            cells: of the map along the axes.
        """
        found = [
            known.get(count) or _halved(voxels, count)
            for known, voxels, count in zip(self.known, self.size, cells, strict=True)
        ]
        return [first for first, _ in found], [step for _, step in found]


def _per_axis(value: int | Sequence[int], axes: int) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value)


def _halved(voxels: int, cells: int) -> tuple[float, float]:
    """Return first place and distance of cells whose axis was halved j times, rounded up, else stretched.

    >>> _halved(28, 7), _halved(16, 5)
    ((0.0, 4.0), (1.1, 3.2))
    """
    for j in range(voxels.bit_length() + 1):
        if -(-voxels // 2**j) == cells:
            return 0.0, float(2**j)
    step = voxels / cells
    return (step - 1) / 2, step
