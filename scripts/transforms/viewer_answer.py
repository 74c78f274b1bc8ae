# SPDX-License-Identifier: Apache-2.0
"""Results for viewers: whether a case is called positive, and the prediction painted on the image grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform
from scripts.cases.positive import positive_index
from scripts.transforms.region import asked, given_box, given_point
from scripts.volumes.grid import bounds
from scripts.volumes.label_map import sample_labels
from scripts.volumes.volume import Volume


class JudgePositived(MapTransform):
    """Adds to ``item["result"]`` the positive class, its threshold, and whether its probability reaches it.

    The threshold is read from the weights at each call, since a server may train them in the meantime. With
    more than two classes nothing is added.

    Args:
        keys: key of the class probabilities [K].
        classes: class names.
        positive: name of the positive class; None is the last.
        model_file: the weights file.
    """

    def __init__(
        self, keys: str = "pred", classes: Sequence[str] = (), positive: str | None = None, model_file: str = ""
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
    """Return positive_class, threshold and positive of one case; empty with more than two classes."""
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
    """Return the threshold in a weights file with this time stamp; 0.5 if an older model has none."""
    state = torch.load(file, map_location="cpu", weights_only=True)
    return float(state.get("calibration.threshold", 0.5))


class PaintPredictiond(MapTransform):
    """Paints the predicted class over the region that the model looked at, on the grid of the requested file.

    A voxel is 1 + the index of the most probable class inside the region and 0 outside. The region is the case's
    mask or box, a ball around its point, what a network outlined (of several pieces the one that the model looked
    at), or the whole volume if that is what the model looks at. The probabilities are stored in
    ``item["result"]``, which viewers show alongside.

    Args:
        keys: key of the class probabilities [K].
        classes: class names.
        columns: declarations of the clinical columns that the model reads.
        options: values typed by the user, by column; empty texts are unknown.

    Shape: [K] -> uint8 [1, X, Y, Z], in the axis order of the file.

    Reference: the result has the format of MONAI Label's classification answer.
    """

    def __init__(
        self,
        keys: str = "pred",
        classes: Sequence[str] = (),
        columns: Sequence[Mapping[str, Any]] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(keys)
        self.classes = list(classes)
        chosen = {name: value for name, value in (options or {}).items() if not isinstance(value, list | tuple)}
        self.clinical = {
            str(column["name"]): chosen.get(column["name"]) if str(chosen.get(column["name"]) or "").strip() else None
            for column in columns
        }

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        volume = item["volumes"][shown_phase(item)]
        inside = painted_voxels(item, volume)
        for key in self.keys:
            probability = torch.as_tensor(item[key]).as_subclass(torch.Tensor).float().cpu()
            painted = np.where(inside, np.uint8(int(probability.argmax()) + 1), np.uint8(0))
            item[key] = torch.from_numpy(painted[None])
            scores = zip(self.classes, probability.tolist(), strict=True)
            item["result"] = {
                **item.get("result", {}),
                "prediction": [
                    {"idx": index, "label": name, "score": score} for index, (name, score) in enumerate(scores)
                ],
            } | ({"clinical": self.clinical} if self.clinical else {})
        item["image_meta_dict"] = {"original_affine": volume.affine, "spatial_shape": volume.shape}
        item.pop("image", None)
        return item


def shown_phase(item: Mapping[Any, Any]) -> str:
    """Return the phase in the requested file, else, or if the file holds several, the reference phase."""
    asked_for, reference = item.get("image_path"), str(item["reference"])
    for phase in (reference, *item["volumes"]):
        if asked_for is not None and item["volumes"][phase].path.resolve() == Path(str(asked_for)).resolve():
            return phase
    return reference


def painted_voxels(item: Mapping[Any, Any], volume: Volume) -> np.ndarray:
    """Return which voxels of the volume belong to the region, bool [X, Y, Z]."""
    if item.get("outline") is not None:
        outline = item["outline"]
        return sample_labels(outline.read() > 0, outline.affine, volume.affine, volume.shape, 1)[0] > 0
    if item.get("roi") is not None:
        return mask_on(item["roi"], volume)
    index = np.stack(np.meshgrid(*(np.arange(size) for size in volume.shape), indexing="ij"), axis=-1)
    position = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    box = given_box(item, np.eye(3))
    if box is None:
        return np.ones(volume.shape, dtype=bool)
    if not asked(item, "box"):
        centre, side = given_point(item)
        distance = np.linalg.norm(position - centre, axis=-1)
        return distance <= max(side / 2, float(distance.min()))  # at least one voxel, however small the ball
    low, high = bounds(box, np.eye(3))
    return ((position >= low) & (position <= high)).all(axis=-1)


def mask_on(mask: Volume, volume: Volume) -> np.ndarray:
    """Return the mask (above 0) on the grid of a volume by nearest-neighbour sampling, bool [X, Y, Z]."""
    from scipy.ndimage import affine_transform

    inside = mask.read() > 0
    change = np.linalg.inv(mask.affine) @ volume.affine
    if mask.shape == volume.shape and np.allclose(change, np.eye(4), atol=1e-4):
        return inside
    return affine_transform(inside.astype(np.uint8), change, output_shape=volume.shape, order=0) > 0
