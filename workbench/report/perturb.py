# SPDX-License-Identifier: Apache-2.0
r"""Faults of an image, at stated strengths: what the network sees, made worse.

They are applied to prepared images (cropped, resampled, after the intensity rule), to the present phases alone. `SD` is
the standard deviation of a phase over its voxels that are not exactly 0, so that a strength means the same under every
intensity rule.

=====================  ========  ======================================================================================
noise                  SD        white Gaussian noise of this SD; voxels of exactly 0 (padding) stay 0
blur                   mm        Gaussian of this SD
bias field             ±         times exp(polynomial of degree 3), coefficients uniform in ± strength (`RandBiasField`)
ringing                alpha     frequencies above (1 - strength) 0.71 of the longest axis cut off (`GibbsNoise`)
k-space spike          SD        stripes of this amplitude, from one wrong point of k-space (`KSpaceSpikeNoise`)
motion during a scan   mm        the patient moves this far, twice: parts of k-space are those of the moved image
shift between phases   mm        every phase but the first present one is moved this far, each in a direction of its own
=====================  ========  ======================================================================================

Directions, noise and places depend on seed, case and fault, not on the strength or the batch: along a curve the same
fault grows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Change = Callable[[Tensor, float, np.random.Generator, np.ndarray], Tensor]
"""Phases [P, D, H, W], strength, source of randomness, mm per voxel [3] -> phases, worse."""


@dataclass(frozen=True)
class Fault:
    """A fault, and the strengths at which it is tried."""

    name: str
    unit: str
    strengths: tuple[float, ...]
    change: Change
    phases: int = 1  # least number of present phases


def spread(phases: Tensor) -> Tensor:
    """Return the SD of each phase over its voxels that are not 0: [P, D, H, W] -> [P, 1, 1, 1]."""
    there = phases != 0
    n = there.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1)
    mean = phases.sum(dim=(1, 2, 3), keepdim=True) / n
    return (torch.where(there, phases - mean, 0).square().sum(dim=(1, 2, 3), keepdim=True) / n).sqrt()


def noise(phases: Tensor, strength: float, random: np.random.Generator, _: np.ndarray) -> Tensor:
    drawn = torch.from_numpy(random.standard_normal(tuple(phases.shape), dtype=np.float32))
    return torch.where(phases != 0, phases + strength * spread(phases) * drawn, phases)


def blur(phases: Tensor, strength: float, _: np.random.Generator, spacing: np.ndarray) -> Tensor:
    from monai.transforms import GaussianSmooth

    return torch.as_tensor(GaussianSmooth(sigma=(strength / spacing).tolist())(phases))


def bias_field(phases: Tensor, strength: float, random: np.random.Generator, _: np.ndarray) -> Tensor:
    from monai.transforms import RandBiasField

    field = RandBiasField(degree=3, coeff_range=(-strength, strength), prob=1.0)
    changed = []
    for phase in phases:  # each was scanned with a field of its own
        field.set_random_state(int(random.integers(2**31)))
        changed.append(torch.as_tensor(field(phase[None]))[0])
    return torch.stack(changed)


def ringing(phases: Tensor, strength: float, _: np.random.Generator, __: np.ndarray) -> Tensor:
    from monai.transforms import GibbsNoise

    return torch.as_tensor(GibbsNoise(alpha=strength)(phases))


def spike(phases: Tensor, strength: float, random: np.random.Generator, _: np.ndarray) -> Tensor:
    from monai.transforms import KSpaceSpikeNoise

    size = np.array(phases.shape[1:])
    changed = []
    for phase, amplitude in zip(phases, (strength * spread(phases)).flatten().tolist(), strict=True):
        away = np.round(size * random.uniform(0.1, 0.3, 3) * random.choice([-1, 1], 3)).astype(int)
        place = tuple(int(at) for at in size // 2 + away)
        level = float(np.log(max(amplitude * size.prod(), 1e-10)))
        changed.append(torch.as_tensor(KSpaceSpikeNoise(loc=place, k_intensity=level)(phase[None]))[0])
    return torch.stack(changed)


def moved(k_space: Tensor, way: np.ndarray) -> Tensor:
    """Return the spectrum [..., D, H, W] of an image that is moved by `way` [3], in voxels (the Fourier shift)."""
    ramp = torch.zeros(k_space.shape[-3:], dtype=torch.float64)
    for axis, step in enumerate(way):
        shape = [1, 1, 1]
        shape[axis] = -1
        ramp = ramp + float(step) * torch.fft.fftfreq(k_space.shape[axis - 3], dtype=torch.float64).reshape(shape)
    return k_space * torch.exp(-2j * torch.pi * ramp)


def motion(phases: Tensor, strength: float, random: np.random.Generator, spacing: np.ndarray) -> Tensor:
    spectrum = torch.fft.fftn(phases.double(), dim=(1, 2, 3))
    axis = int(np.argmax(phases.shape[1:]))  # lines are read one after the other along the longest axis
    lines = phases.shape[1 + axis]
    order = torch.fft.fftshift(torch.arange(lines))  # from the lowest negative to the highest positive frequency
    starts = np.sort(random.choice(np.arange(1, lines), 2, replace=False)) if lines > 2 else np.array([1])
    for start in starts:  # from this line on the patient lies elsewhere
        other = moved(spectrum, strength * direction(random) / spacing)
        rest = order[int(start) :]
        spectrum.index_copy_(1 + axis, rest, other.index_select(1 + axis, rest))
    return torch.fft.ifftn(spectrum, dim=(1, 2, 3)).real.to(phases)


def shift(phases: Tensor, strength: float, random: np.random.Generator, spacing: np.ndarray) -> Tensor:
    from monai.transforms import Affine

    changed = [phases[0]]
    for phase in phases[1:]:
        way = (strength * direction(random) / spacing).tolist()
        place = Affine(translate_params=way, padding_mode="zeros", image_only=True)
        changed.append(torch.as_tensor(place(phase[None]))[0])
    return torch.stack(changed)


def direction(random: np.random.Generator) -> np.ndarray:
    """Draw a direction, uniform on the sphere: [3]."""
    drawn = random.standard_normal(3)
    return drawn / max(float(np.linalg.norm(drawn)), 1e-12)


FAULTS = (
    Fault("noise", "SD", (0.25, 0.5, 1.0), noise),
    Fault("blur", "mm", (1.0, 2.0, 4.0), blur),
    Fault("bias field", "± coefficient", (0.1, 0.2, 0.4), bias_field),
    Fault("ringing", "alpha", (0.4, 0.6, 0.8), ringing),
    Fault("k-space spike", "SD", (0.25, 0.5, 1.0), spike),
    Fault("motion during a scan", "mm", (2.0, 4.0, 8.0), motion),
    Fault("shift between phases", "mm", (2.0, 4.0, 8.0), shift, phases=2),
)
"""All faults, each from hardly visible to gross."""


def perturb(
    image: Tensor,
    present: Tensor,
    fault: Fault,
    strength: float,
    cases: Sequence[str],
    seed: int,
    spacing: Sequence[float],
) -> Tensor:
    """Return a batch with a fault; absent phases stay as they are, and so do cases of too few phases for it.

    Args:
        cases: names, which determine the draws together with the seed.
        spacing: mm per voxel.

    Shape:
        image: [B, P, D, H, W]. present: [B, P] bool.
    """
    changed = image.clone()
    for row, case in enumerate(cases):
        there = present[row]
        if int(there.sum()) >= fault.phases:
            random = np.random.default_rng([seed, zlib.crc32(case.encode()), zlib.crc32(fault.name.encode())])
            phases = image[row, there].float().cpu().as_subclass(Tensor)
            worse = fault.change(phases, strength, random, np.asarray(spacing, dtype=float))
            changed[row, there] = worse.as_subclass(Tensor).to(changed)
    return changed
