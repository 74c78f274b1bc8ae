"""From clinical values by name to one tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms import MapTransform


class EncodeClinicald(MapTransform):
    """Turns the clinical values of a case into one row of a table: float32 [T], NaN where a value is missing.

    A number stays as it is; a category becomes its position in the column's `values`. Standardising is left
    to the network, which keeps its statistics with its weights. A case without a table has a row of NaN.

    Args:
        keys: key of {column: value}.
        columns: full declarations of the columns; their order is that of T.

    Shape: {column: value} -> [T], with T = 0 where there are no columns.

    Raises:
        ValueError: a category that the column does not declare.

    >>> columns = [{"name": "age", "kind": "number"}]
    >>> columns += [{"name": "sex", "kind": "category", "values": ["F", "M"]}]
    >>> EncodeClinicald(columns=columns)({"clinical": {"sex": "M"}})["clinical"]
    tensor([nan, 1.])
    """

    def __init__(self, keys: str = "clinical", columns: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(keys)
        self.columns = [dict(column) for column in columns]

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        for key in self.keys:
            values = item.get(key) or {}
            row = [self._encode(item, column, values.get(column["name"])) for column in self.columns]
            item[key] = torch.tensor(row, dtype=torch.float32)
        return item

    def _encode(self, item: Mapping[Any, Any], column: Mapping[str, Any], value: float | str | None) -> float:
        if value is None:
            return math.nan
        if column["kind"] == "number":
            return float(value)
        if value not in column["values"]:
            raise ValueError(
                f"case {item.get('case', '?')}: clinical value {column['name']!r} must be one of "
                f"{column['values']}, found {value!r}; correct it, or leave it out when it is missing"
            )
        return float(column["values"].index(value))
