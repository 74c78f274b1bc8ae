"""Random transforms of a whole batch, on its device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor


class AugmentBatch:
    """Applies random transforms, one after the other, to a batch of cases.

    All draws follow from torch's CPU generator, so ``torch.manual_seed`` repeats them: the geometry
    on every device, the noise on the same kind of device.

    Args:
        transforms: each is called as ``transform(image, present)`` and returns the new image.

    Shape:
        image ``[B, P, D, H, W]``, present ``[B, P]`` bool -> image ``[B, P, D, H, W]``
    """

    def __init__(self, transforms: Sequence[Callable[[Tensor, Tensor], Tensor]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Tensor, present: Tensor) -> Tensor:
        for transform in self.transforms:
            image = transform(image, present)
        return image
