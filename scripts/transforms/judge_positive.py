"""Whether a case is called positive, for tools that show one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from monai.transforms import MapTransform

from scripts.evaluation.positive import positive_index


class JudgePositived(MapTransform):
    """Adds to ``item["result"]`` the positive class, its threshold, and whether its probability reaches it.

    The threshold is read from the weights at each call, since labels may teach them meanwhile. With more than
    two classes nothing is added.

    Args:
        keys: key of the class probabilities [K].
        classes: class names.
        positive: name of the positive one; None is the last.
        model_file: the weights.
    """

    def __init__(
        self,
        keys: str = "pred",
        classes: Sequence[str] = (),
        positive: str | None = None,
        model_file: str = "",
    ) -> None:
        super().__init__(keys)
        self.classes = list(classes)
        self.positive = positive
        self.model_file = model_file

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        for key in self.keys:
            probability = torch.as_tensor(item[key]).as_subclass(torch.Tensor).float().cpu()
            judged = judge(probability.tolist(), self.classes, self.positive, self.model_file)
            item["result"] = {**item.get("result", {}), **judged}
        return item


def judge(
    probabilities: Sequence[float], classes: Sequence[str], positive: str | None, model_file: str | Path
) -> dict[str, Any]:
    """Return positive_class, threshold and positive of one case; nothing with more than two classes."""
    if len(classes) != 2:
        return {}
    k = positive_index(classes, positive)
    file = Path(model_file)
    threshold = _threshold(file, file.stat().st_mtime_ns)
    return {
        "positive_class": classes[k], "threshold": threshold, "positive": bool(probabilities[k] >= threshold)
    }  # fmt: skip


@lru_cache(maxsize=4)
def _threshold(file: Path, _: int) -> float:
    """Return the threshold in a weights file of a given age; 0.5 in one of before models had one."""
    state = torch.load(file, map_location="cpu", weights_only=True)
    return float(state.get("calibration.threshold", 0.5))
