# SPDX-License-Identifier: Apache-2.0
"""The labels that an annotation server stores: a class in a JSON file, or a mask drawn by a viewer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import MapTransform
from scripts.files.plain_text import listing
from scripts.volumes.open import image_ending, open_volume


class ReadLabeld(MapTransform):
    """Reads the label of a case from a JSON file; an index, or a missing label, is left unchanged.

    The file names the class and may add what the model needs to know about the case::

        {"label": "high", "clinical": {"age": 61}, "point": [12.0, -40.5, 88.0]}

    A confirmed answer of the model, {"prediction": [{"label": ..., "score": ...}, ...]}, is read as the class
    with the highest score. Letter case is ignored.

    A mask, as a viewer saves it, has the value of its class: 1 for the first. It becomes the ``roi``, too, the
    region that the model looks at.

    Args:
        keys: key of the label: an index, or the path of a JSON file or a mask.
        classes: class names; the label becomes its index.

    Raises:
        ValueError: the file is neither a JSON object nor a mask, or names no known class, or several.
    """

    def __init__(self, keys: str = "label", classes: Sequence[str] = ()) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.classes = list(classes)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            if not isinstance(item[key], str | Path):
                continue
            path = Path(item[key])
            if image_ending(path):
                item |= {key: self._drawn(path), "roi": str(path)}
            else:
                content = _read(path)
                item |= {name: content[name] for name in ("clinical", "box", "point") if name in content}
                item[key] = self._index(content, path)
        return item

    def _drawn(self, path: Path) -> int:
        """Return the index of the one class that a mask shows."""
        voxels = open_volume(str(path), "label").read()
        values = np.unique(voxels[voxels != 0])
        if len(values) != 1 or values[0] not in range(1, len(self.classes) + 1):
            known = ", ".join(f"{value} is {name}" for value, name in enumerate(self.classes, start=1))
            found = ", ".join(f"{value:g}" for value in values[:5]) or "nothing but 0"
            raise ValueError(
                f"label file {path}: a mask must show one class ({known}), found {found}; save it with that value "
                "alone, or a JSON file that names the class"
            )
        return int(values[0]) - 1

    def _index(self, content: dict[str, Any], path: Path) -> int:
        label = content.get("label")
        if label is None and content.get("prediction"):
            label = max(content["prediction"], key=lambda entry: entry["score"])["label"]
        indices = {name.lower(): index for index, name in enumerate(self.classes)}
        if str(label).lower() not in indices:
            raise ValueError(
                f"label file {path}: 'label' must be one of {listing(str(label), self.classes)}, found "
                f'{label!r}; write {{"label": "{self.classes[0]}"}}'
            )
        return indices[str(label).lower()]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"label file {path} must be readable JSON, found {type(error).__name__}: {error}; write "
            '{"label": "<class>"}'
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f'label file {path} must hold an object {{"label": "<class>"}}, found {content!r}')
    return content


class ReadMaskd(MapTransform):
    """Takes the mask that a server stores as the label of a case as its ``roi``; no label is left unchanged.

    Args:
        keys: key of the label: the path of a mask, whose values are structures.

    Raises:
        ValueError: the file is no mask.
    """

    def __init__(self, keys: str = "label") -> None:
        super().__init__(keys, allow_missing_keys=True)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            if isinstance(item[key], str | Path):
                if not image_ending(Path(item[key])):
                    raise ValueError(
                        f"label file {item[key]} must be a mask, from which outlines are learned (.nii.gz, .nrrd), "
                        "found another file; delete this label, or outline the case and save that"
                    )
                item["roi"] = str(item.pop(key))
        return item
