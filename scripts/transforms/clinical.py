# SPDX-License-Identifier: Apache-2.0
"""Encoding the clinical values of a case as a tensor, and hiding them at random in training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms import MapTransform
from torch import Tensor


class EncodeClinicald(MapTransform):
    """Encodes the clinical values of a case as one row: float32 [T], NaN where a value is missing.

    Numbers are kept; a category becomes its index in the column's `values`. Standardisation is left to the
    network, which stores its statistics with its weights. A case without a table gets a row of NaN.

    Args:
        keys: key of the mapping {column: value}.
        columns: full declarations of the columns, in the order of T.

    Shape: {column: value} -> [T]; T = 0 without columns.

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
    """Hides the whole clinical table of a training case with a given probability, and otherwise each value.

    In a small cohort a few numbers identify a patient: a network that conditions the images on them can
    memorise every answer and never look at the images. Hidden values prevent that, and also teach the network
    to predict from an incomplete or empty table. All draws come from torch's CPU generator.

    Args:
        probability: of hiding a table, and of hiding each value of the other tables; 0 hides none.

    Raises:
        ValueError: a probability outside [0, 1).

    Shape:
        clinical ``[B, T]`` -> ``[B, T]``, NaN where hidden

    Reference: Neverova et al., ModDrop: adaptive multi-modal gesture recognition, IEEE TPAMI 2016, here with
    the table as a modality.
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
