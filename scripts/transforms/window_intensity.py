"""A fixed window of intensities, for CT."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .intensity import Intensity, Item


class WindowIntensityd(Intensity):
    r"""Maps a window of intensities to [0, 1] and clips what lies outside it.

    .. math:: y = \mathrm{clip}\left(\frac{x - lower}{upper - lower}, 0, 1\right)

    Args:
        keys: key of the phases on their common grid.
        lower: HU (or whatever the volume is measured in) that becomes 0.
        upper: HU that becomes 1.

    Raises:
        ValueError: `upper` is not above `lower`.

    >>> import torch
    >>> inside = {"portal": torch.tensor([True, True, False])}
    >>> item = {"image": {"portal": torch.tensor([-500.0, 40.0, 0.0])}, "inside": inside}
    >>> WindowIntensityd(lower=-160.0, upper=240.0)(item)["image"]["portal"].tolist()
    [0.0, 0.5, 0.0]
    """

    def __init__(self, keys: str = "image", lower: float = -160.0, upper: float = 240.0) -> None:
        super().__init__(keys)
        if not lower < upper:
            raise ValueError(f"WindowIntensityd: `upper` must be above `lower`, found {lower} to {upper}")
        self.lower, self.upper = float(lower), float(upper)

    def rules(self, item: Item) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        return dict.fromkeys(item[self.key], self._rescale)

    def _rescale(self, values: np.ndarray) -> np.ndarray:
        return np.clip((values - self.lower) / (self.upper - self.lower), 0.0, 1.0)
