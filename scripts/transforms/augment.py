# SPDX-License-Identifier: Apache-2.0
"""Random transforms of a whole batch on its device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.transforms import Compose, MapTransform, Randomizable, Transform
from torch import Tensor

KEY = "image"
"""Key of the image in dictionary transforms."""
SEEDS = 2**32
"""MONAI's transforms take seeds below this."""


class AugmentBatch:
    """Applies random transforms to a batch of cases, one after the other.

    All draws come from torch's CPU generator, so ``torch.manual_seed`` makes them repeatable: the geometry on
    every device, the noise on devices of the same kind.

    Args:
        transforms: a MONAI transform, of arrays or of dictionaries (key `image`), is applied to each case
            (`PerCase`); any other is called as ``transform(image, present)`` and returns the new image.

    Shape:
        image ``[B, P, D, H, W]``, present ``[B, P]`` bool -> image ``[B, P, D, H, W]``
    """

    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = [PerCase(one) if isinstance(one, Transform) else one for one in transforms]

    def __call__(self, image: Tensor, present: Tensor) -> Tensor:
        for transform in self.transforms:
            image = transform(image, present)
        return image


class PerCase:
    """Applies a MONAI transform to each case of a batch separately, with separate random draws.

    The transform sees the present phases as channels of one image, so a spatial transform moves them alike, and
    an intensity transform treats them as it treats channels. It does not see absent phases, which stay
    unchanged. It is seeded for each case from torch's CPU generator.

    Args:
        transform: of arrays, or of dictionaries with the key `image`.

    Raises:
        ValueError: another key; when called, an image that the transform rejects or whose shape it changes.

    Shape:
        image ``[B, P, D, H, W]``, present ``[B, P]`` bool -> image ``[B, P, D, H, W]``
    """

    def __init__(self, transform: Any) -> None:
        self.transform, self.name = transform, type(transform).__name__
        keys = _keys(transform)
        if not keys <= {KEY}:
            raise ValueError(
                f"augmentation: the keys of {self.name} must be `{KEY}`, found {', '.join(sorted(keys))}; "
                "correct `keys`"
            )
        self.keyed = bool(keys)

    def __call__(self, image: Tensor, present: Tensor) -> Tensor:
        seeds = torch.randint(SEEDS, (len(image),)).tolist()
        shown = present.repeat_interleave(image.shape[1] // present.shape[1], dim=1)  # all views of a phase
        changed = image.clone()
        for row, seed in enumerate(seeds):
            if shown[row].any():
                changed[row, shown[row]] = self._one(image[row, shown[row]], seed)
        return changed

    def _one(self, image: Tensor, seed: int) -> Tensor:
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed)
        try:
            found = self.transform({KEY: image})[KEY] if self.keyed else self.transform(image)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise ValueError(
                f"augmentation: {self.name} must take images of {list(image.shape)}, found: {reason}; "
                "correct its settings, or leave it out"
            ) from error
        if found.shape != image.shape:
            raise ValueError(
                f"augmentation: {self.name} must keep the shape {list(image.shape)}, found "
                f"{list(found.shape)}; correct its settings, or leave it out"
            )
        return torch.as_tensor(found).as_subclass(Tensor).to(image)


def _keys(transform: Any) -> set[str]:
    """Return the keys of a transform, or of those that it composes; empty for array transforms."""
    if isinstance(transform, Compose):
        return {key for one in transform.transforms for key in _keys(one)}
    return {str(key) for key in transform.keys} if isinstance(transform, MapTransform) else set()


LARGEST_SEED = 2**62


class RandomIntensity:
    r"""Varies gain, offset, contrast and noise of each phase separately; absent phases stay exactly 0.

    .. math:: y = s\, c(x) + b + \sigma \varepsilon, \qquad c(x) = \mathrm{sign}(x)\, m\, (|x| / m)^{\gamma}

    with s uniform in 1 ± `scale`, b in ± `shift`, σ in [0, `noise`] and log γ in ± log(1 + `gamma`), drawn
    once per channel (a phase, or one view of it) of each case; ε is white Gaussian noise, m the largest \|x\| of
    the channel. Padding (exactly 0) is kept, so that it looks the same in training and inference.

    Args:
        scale: largest relative change of the gain.
        shift: largest offset, in units of the intensity rule.
        noise: largest standard deviation of the noise, in units of the image.
        gamma: largest relative change of the exponent; 0 keeps the contrast.
        probability: share of the channels that are changed.

    Raises:
        ValueError: a negative strength, a scale of 1 or more, or a probability outside [0, 1].

    Shape:
        image ``[B, P, D, H, W]``, present ``[B, P]`` bool -> image ``[B, P, D, H, W]``
    """

    def __init__(
        self, scale: float = 0.0, shift: float = 0.0, noise: float = 0.0, gamma: float = 0.0, probability: float = 1.0
    ) -> None:
        for name, value in (("scale", scale), ("shift", shift), ("noise", noise), ("gamma", gamma)):
            if not value >= 0:
                raise ValueError(f"RandomIntensity: `{name}` must be 0 or more, found {value}")
        if not scale < 1:
            raise ValueError(f"RandomIntensity: `scale` must be below 1, found {scale}")
        if not 0 <= probability <= 1:
            raise ValueError(f"RandomIntensity: `probability` must be within [0, 1], found {probability}")
        self.scale, self.shift, self.noise, self.gamma = (float(scale), float(shift), float(noise), float(gamma))
        self.probability = float(probability)

    def __call__(self, image: Tensor, present: Tensor) -> Tensor:
        draw = torch.rand(5, *image.shape[:2])
        seed = int(torch.randint(LARGEST_SEED, ()))  # the noise is drawn on the device, seeded from the CPU generator
        active = (draw[4] < self.probability).float()
        signed = (2 * draw - 1) * active
        by_channel = present.repeat_interleave(image.shape[1] // present.shape[1], dim=1)  # all views of a phase
        here = by_channel.to(image.device)[..., None, None, None]

        def per_phase(values: Tensor) -> Tensor:
            return torch.where(here, values.to(image)[..., None, None, None], 0.0)

        changed = image
        if self.gamma:
            exponent = per_phase((1 + self.gamma) ** signed[3])
            top = image.abs().amax(dim=(2, 3, 4), keepdim=True).clamp_min(torch.finfo(image.dtype).tiny)
            changed = image.sign() * top * (image.abs() / top) ** exponent
        changed = torch.addcmul(per_phase(self.shift * signed[1]), per_phase(1 + self.scale * signed[0]), changed)
        if self.noise:
            generator = torch.Generator(image.device).manual_seed(seed)
            noise = torch.empty_like(image).normal_(generator=generator)
            changed.addcmul_(noise, per_phase(self.noise * draw[2] * active))
        inside = torch.ne(image, 0, out=torch.empty_like(image))  # 1 or 0 as floats: faster than a boolean fill
        return changed.mul_(inside)


class PhaseDropout:
    """Marks each phase of a training case as absent with a given probability, but never all of them.

    Each phase draws u uniform in [0, 1) and stays if u >= `probability`. If none would stay, the one with the
    largest u does. All draws come from torch's CPU generator.

    Args:
        probability: of hiding a phase; 0 hides none.

    Raises:
        ValueError: a probability outside [0, 1).

    Shape:
        present ``[B, P]`` bool -> ``[B, P]`` bool

    Reference: Neverova et al., ModDrop: adaptive multi-modal gesture recognition, IEEE TPAMI 2016.

    >>> torch.equal(PhaseDropout(0.0)(torch.eye(3) > 0), torch.eye(3) > 0)
    True
    """

    def __init__(self, probability: float = 0.0) -> None:
        if not 0 <= probability < 1:
            raise ValueError(f"phase_dropout must be at least 0 and below 1, found {probability}")
        self.probability = float(probability)

    def __call__(self, present: Tensor) -> Tensor:
        if self.probability == 0:
            return present
        draw = torch.rand(present.shape).to(present.device).masked_fill(~present, -1.0)
        last = draw == draw.amax(dim=1, keepdim=True)
        return present & ((draw >= self.probability) | last)
