# SPDX-License-Identifier: Apache-2.0
"""Random geometry: one draw per case, the same for all its phases."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


class RandomGeometry:
    r"""Flips, rotates, scales and shifts each case of a batch, all phases alike, with a single interpolation.

    About the centre of the grid, in mm,

    .. math:: x \mapsto (1 + s)\, R(\omega)\, F x + t

    with F a flip of each axis with its own probability, R the rotation by \|ω\| about the axis ω, each
    component of ω uniform in ± `rotate`, s in ± `scale`, and each component of t in ± `translate` voxels.
    Lengths are in mm, so a case with anisotropic voxels is rotated without shear. Points that come from outside
    the grid are 0; absent phases stay exactly 0. A single slice stays in its plane.

    Args:
        flip: probability of a flip along D, H, W.
        rotate: largest rotation about each axis in degrees; one number, or three for D, H, W.
        scale: largest relative change of size.
        translate: largest shift along each axis in voxels; one number, or three for D, H, W.
        probability: share of the cases that are rotated, scaled and shifted (flips have their own
            probabilities).
        spacing: voxel size along D, H, W in mm; only ratios matter.

    Raises:
        ValueError: a probability outside [0, 1], a negative strength, a scale of 1 or more, or a spacing not
            above 0.

    Shape:
        image ``[B, P, D, H, W]`` -> image ``[B, P, D, H, W]``
    """

    def __init__(
        self,
        flip: Sequence[float] = (0.0, 0.0, 0.0),
        rotate: float | Sequence[float] = 0.0,
        scale: float = 0.0,
        translate: float | Sequence[float] = 0.0,
        probability: float = 1.0,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        if len(flip) != 3 or not all(0 <= value <= 1 for value in (*flip, probability)):
            raise ValueError(
                "RandomGeometry: `flip` (three) and `probability` must be within [0, 1], found "
                f"{list(flip)} and {probability}"
            )
        for name, value in (("rotate", rotate), ("scale", scale), ("translate", translate)):
            if not all(part >= 0 for part in _per_axis(value)):
                raise ValueError(f"RandomGeometry: `{name}` must be 0 or more, found {value}")
        if not scale < 1:
            raise ValueError(f"RandomGeometry: `scale` must be below 1, found {scale}")
        if len(spacing) != 3 or not all(value > 0 for value in spacing):
            raise ValueError(f"RandomGeometry: `spacing` must be three numbers above 0 mm, found {list(spacing)}")
        self.flip = torch.tensor([float(value) for value in flip])
        self.rotate = torch.tensor([math.radians(part) for part in _per_axis(rotate)])
        self.translate = torch.tensor(_per_axis(translate))
        self.scale = float(scale)
        self.probability = float(probability)
        self.spacing = torch.tensor([float(value) for value in spacing])

    def __call__(self, image: Tensor, present: Tensor | None = None) -> Tensor:
        return moved_cases(image, *self.draw(len(image), self.probability, size=image.shape[2:]))

    def together(self, image: Tensor, mask: Tensor, not_drawn: int) -> tuple[Tensor, Tensor]:
        """Move images and their masks alike; masks by nearest neighbour, 0 where they come in from outside.

        Args:
            image: ``[B, P, D, H, W]``.
            mask: ``[B, M, D, H, W]``, whole numbers.
            not_drawn: value of every voxel of a mask that is not there, which it keeps.
        """
        geometry = self.draw(len(image), self.probability, size=image.shape[2:])
        missing = (mask.flatten(2) == not_drawn).any(dim=2)
        moved = warp(mask.float(), *geometry, mode="nearest").to(mask.dtype)
        moved[missing] = not_drawn
        return moved_cases(image, *geometry), moved

    def draw(
        self,
        cases: int,
        probability: float = 1.0,
        generator: torch.Generator | None = None,
        size: Sequence[int] = (2, 2, 2),
    ) -> tuple[Tensor, Tensor]:
        """Draw one geometry per case on the CPU.

        Args:
            cases: number of cases.
            probability: share of the cases that are rotated, scaled and shifted.
            generator: None draws from torch's global generator.
            size: voxels along D, H, W; of an axis of one voxel nothing is turned out, or shifted along it.

        Returns:
            matrices ``[B, 3, 3]`` and shifts ``[B, 3]`` in voxels along D, H, W: x -> matrix x + shift about
            the centre.
        """
        drawn = torch.rand(cases, 11, generator=generator)
        changed = (drawn[:, 10:] < probability).float()
        signed = (2 * drawn[:, :7] - 1) * changed
        for axis in (axis for axis, count in enumerate(size) if count == 1):
            signed[:, [other for other in range(3) if other != axis]] = 0.0
            signed[:, 4 + axis] = 0.0
        x, y, z = (signed[:, :3] * self.rotate).unbind(dim=1)
        zero = torch.zeros_like(x)
        skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)  # cross product with ω
        rotation = torch.linalg.matrix_exp(skew) * (1 + self.scale * signed[:, 3]).view(-1, 1, 1)
        in_voxels = rotation * self.spacing / self.spacing[:, None]  # voxels -> mm, rotate, mm -> voxels
        sign = 1 - 2 * (drawn[:, 7:10] < self.flip).float()
        return in_voxels * sign[:, None], signed[:, 4:7] * self.translate

    def fixed(self, number: int, seed: int = 0) -> list[Callable[[Tensor], Tensor]]:
        """Return `number` geometries, the identity first, that are the same for every case and batch.

        For test-time augmentation. The k-th geometry does not depend on `number`.

        Args:
            number: how many, including the identity.
            seed: of the draw; torch's global generator is neither read nor advanced.

        Raises:
            ValueError: a number below 1.
        """
        if number < 1:
            raise ValueError(f"RandomGeometry.fixed: `number` must be at least 1, found {number}")
        matrices, shifts = self.draw(number - 1, generator=torch.Generator().manual_seed(seed))
        return [unchanged, *(FixedGeometry(*geometry) for geometry in zip(matrices, shifts, strict=True))]


def moved_cases(image: Tensor, matrices: Tensor, shifts: Tensor) -> Tensor:
    """Move each case as `warp` does; a case that stays where it is keeps its voxels exactly."""
    unmoved = (matrices == torch.eye(3)).all(dim=(1, 2)) & (shifts == 0).all(dim=1)
    if not unmoved.any():
        return warp(image, matrices, shifts)
    moved = (~unmoved).nonzero().squeeze(1)
    image = image.clone()
    if len(moved):
        on_device = moved.to(image.device)
        image[on_device] = warp(image[on_device], matrices[moved], shifts[moved])
    return image


def _per_axis(value: float | Sequence[float]) -> list[float]:
    """Return one value for each of the three axes."""
    parts = [float(part) for part in value] if isinstance(value, Sequence) else [float(value)] * 3
    if len(parts) != 3:
        raise ValueError(f"RandomGeometry: a value per axis must be three numbers, found {list(parts)}")
    return parts


def unchanged(image: Tensor) -> Tensor:
    """Return the image itself."""
    return image


class FixedGeometry:
    """Applies one geometry to all cases: image ``[B, P, D, H, W]`` -> image of the same shape."""

    def __init__(self, matrix: Tensor, shift: Tensor) -> None:
        self.matrix, self.shift = matrix, shift

    def __call__(self, image: Tensor) -> Tensor:
        cases = len(image)
        return warp(image, self.matrix.expand(cases, 3, 3), self.shift.expand(cases, 3))


def warp(image: Tensor, matrices: Tensor, shifts: Tensor, mode: str = "bilinear") -> Tensor:
    """Move each case by x -> matrix x + shift about the centre of its grid, by one trilinear interpolation.

    Args:
        image: ``[B, P, D, H, W]``.
        matrices: ``[B, 3, 3]``, voxels along D, H, W.
        shifts: ``[B, 3]``, voxels along D, H, W.
        mode: ``bilinear``, which in three dimensions is trilinear; ``nearest`` for labels.
    """
    size = torch.tensor(image.shape[2:])
    half = (size - 1).clamp_min(1) / 2  # voxels from the centre to the border voxels, which are ±1 to grid_sample
    inverse = torch.linalg.inv(matrices)  # grid_sample asks where each output voxel comes from
    scaled = torch.cat([inverse * half, -inverse @ shifts[..., None]], dim=2) / half[:, None]
    columns = scaled.flip(1).to(image)[..., None, None, None]  # grid_sample takes W, H, D
    depth, height, width = (
        ((torch.arange(count) - (count - 1) / 2) / part).to(image) for count, part in zip(size, half, strict=True)
    )
    plane = columns[:, :, 1] * height[:, None] + columns[:, :, 2] * width
    grid = plane + (columns[:, :, 0] * depth[:, None, None] + columns[:, :, 3])  # broadcast over contiguous rows of W
    grid = grid.permute(0, 2, 3, 4, 1)
    return grid_sample(image, grid, mode=mode, padding_mode="zeros", align_corners=True)
