"""Training's network output reduced to its logits."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import MapTransform


class SelectLogitsd(MapTransform):
    """Replaces the dictionary that a network returns in training by its ``logits``.

    Args:
        keys: entries that may hold such a dictionary; a tensor is left as it is.

    Example:
        >>> SelectLogitsd(keys="pred")({"pred": {"logits": 3, "weights": 4}})
        {'pred': 3}
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            if isinstance(result[key], dict):
                result[key] = result[key]["logits"]
        return result
