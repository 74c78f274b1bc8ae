"""From a label file, which is what an annotation server stores, to the label of a case."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import MapTransform

from scripts.data.nearest import listing


class ReadLabeld(MapTransform):
    """Reads the label of a case from a JSON file; an index stays as it is, a case without a label too.

    The file names the class, and may add what the model needs to know of the case::

        {"label": "high", "clinical": {"age": 61}, "point": [12.0, -40.5, 88.0]}

    An answer of the model that was confirmed as it is, {"prediction": [{"label": ..., "score": ...}, ...]},
    is read as well: its class is the one with the highest score. Upper and lower case do not count.

    Args:
        keys: key of the label: an index, or the path of a JSON file.
        classes: class names; the label becomes its index.

    Raises:
        ValueError: the file is no JSON object, or names no known class.
    """

    def __init__(self, keys: str = "label", classes: Sequence[str] = ()) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.classes = list(classes)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            if isinstance(item[key], str | Path):
                content = _read(Path(item[key]))
                item |= {name: content[name] for name in ("clinical", "box", "point") if name in content}
                item[key] = self._index(content, Path(item[key]))
        return item

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
