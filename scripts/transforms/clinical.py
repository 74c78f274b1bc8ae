# SPDX-License-Identifier: Apache-2.0
"""From clinical values by name to one tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms import MapTransform
from torch import Tensor


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


class ClinicalDropout:
    """Hides the whole clinical table of a training case with a probability, and each value of the others.

    A few numbers name a patient of a small cohort: a network that conditions the images on them can learn
    every answer by heart, and never looks at the images. Where values are missing it has to. It also learns
    what to say for a patient whose table is incomplete, or empty. Draws follow from torch's CPU generator.

    Args:
        probability: that a table is hidden, and that a value of any other table is; 0 hides none.

    Raises:
        ValueError: a probability outside [0, 1).

    Shape:
        clinical ``[B, T]`` -> ``[B, T]``, NaN where hidden

    Reference: Neverova et al., ModDrop: adaptive multi-modal gesture recognition, IEEE TPAMI 2016, with the
    table as a modality.
    """

    def __init__(self, probability: float = 0.0) -> None:
        if not 0 <= probability < 1:
            raise ValueError(f"clinical_dropout must be at least 0 and below 1, found {probability}")
        self.probability = float(probability)

    def __call__(self, clinical: Tensor) -> Tensor:
        if self.probability == 0:
            return clinical
        draw = torch.rand(len(clinical), 1 + clinical.shape[1]).to(clinical.device) < self.probability
        hidden = draw[:, :1] | draw[:, 1:]
        return torch.where(hidden, torch.full_like(clinical, math.nan), clinical)
