# SPDX-License-Identifier: Apache-2.0
"""The clinical table as one feature vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class TableEncoder(nn.Module):
    """Encodes the clinical values of a case into one token; any of them may be missing.

    h     = b + sum over numbers j of (w_j z_j, or m_j where missing) + sum over categories j of e_j[value]
    z_j   = (x_j - mean_j) / sd_j, clipped to [-5, 5], so that a misplaced decimal point does little harm
    token = W silu(h) + c, or h itself without a hidden layer, where the encoder is linear in z; with several
            hidden layers, each computes W silu(.) + c of the one before

    m_j and the extra row of e_j for a missing category are learned, because a missing value may be informative.
    They start at 0, as do all e_j, so that a value never seen in training has no effect later. For the same
    reason, a number without two different training values gets sd = inf, hence z = 0.

    Mean and standard deviation are buffers, and so part of the checkpoint; `fit` sets them.

    Args:
        columns: full declarations of the columns, in the order of T.
        out_dim: C, the width of the token.
        hidden: width of the hidden layer, or a list of widths, one per layer; 0 or [] is none.

    Shape: clinical [B, T] with NaN where missing, or None -> token [B, C] and whether it is present [B]. The
        token of a case without any value is 0 and counts as absent.

    Raises:
        ValueError: no columns, widths that are not positive, or a table with a different number of columns.

    Reference: sum of feature embeddings as in Gorishniy et al., Revisiting deep learning models for tabular
        data, NeurIPS 2021 (feature tokenizer).

    >>> encoder = TableEncoder([{"name": "age", "kind": "number"}], out_dim=8)
    >>> encoder.fit([{"clinical": {"age": 50.0}}, {"clinical": {"age": 70.0}}, {"clinical": {}}])
    >>> encoder.mean, encoder.sd
    (tensor([60.]), tensor([10.]))
    """

    def __init__(self, columns: Sequence[Mapping[str, Any]], out_dim: int, hidden: int | Sequence[int] = 16) -> None:
        super().__init__()
        if not columns:
            raise ValueError("TableEncoder needs at least one clinical column, found none; name them in `clinical`")
        widths = _widths(hidden)
        kinds = [column["kind"] for column in columns]
        numbers = [index for index, kind in enumerate(kinds) if kind == "number"]
        categories = [index for index, kind in enumerate(kinds) if kind == "category"]
        counts = [len(columns[index]["values"]) for index in categories]
        firsts = [sum(counts[:position]) + position for position in range(len(counts))]
        self.columns = [dict(column) for column in columns]
        self.num_columns = len(columns)
        self.out_dim = out_dim
        self.cut_off = 5.0  # standard deviations; a number farther from the mean is clipped to this distance
        self.names = [str(columns[index]["name"]) for index in numbers]
        self.number_index, self.category_index = fixed(numbers), fixed(categories)
        self.count, self.first = fixed(counts), fixed(firsts)  # rows of each category in `category`
        self.mean = nn.Buffer(torch.zeros(len(numbers)))
        self.sd = nn.Buffer(torch.ones(len(numbers)))
        width, bound = (widths or [out_dim])[0], 1 / math.sqrt(len(columns))
        self.number = nn.Parameter(torch.empty(len(numbers), width).uniform_(-bound, bound))
        self.number_missing = nn.Parameter(torch.zeros(len(numbers), width))
        self.category = nn.Parameter(torch.zeros(sum(counts) + len(counts), width))  # last of each: missing
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        steps = [layer for pair in pairwise([*widths, out_dim]) for layer in (nn.SiLU(), nn.Linear(*pair)) if widths]
        self.out = nn.Sequential(*steps) if steps else nn.Identity()

    def fit(self, cases: Sequence[Mapping[str, Any]]) -> None:
        """Set mean and standard deviation from the given cases, which must be training cases only."""
        for position, name in enumerate(self.names):
            values = [float(case["clinical"][name]) for case in cases if name in case.get("clinical", {})]
            known = torch.tensor(values, dtype=torch.float64)
            varies = len(set(values)) > 1
            self.mean[position] = known.mean() if values else 0.0
            self.sd[position] = known.std(correction=0) if varies else math.inf

    def cut_off_columns(self, clinical: Sequence[float]) -> list[str]:
        """Return the columns whose number is clipped, for the values [T] of one case, NaN where missing."""
        z = (torch.as_tensor(clinical, device=self.mean.device)[self.number_index] - self.mean) / self.sd
        return [name for name, far in zip(self.names, z.abs() > self.cut_off, strict=True) if far]

    def forward(self, clinical: Tensor | None, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the table.

        Args:
            clinical: [B, T], or None where no case has a table.
            image: any tensor with the length and device of the batch.
        """
        shape = [image.size(0), self.num_columns]
        if clinical is None:
            clinical = torch.full(shape, math.nan, dtype=torch.float32, device=image.device)
        if not torch.jit.is_tracing() and [clinical.size(0), clinical.size(-1)] != shape:
            raise ValueError(
                f"the network was built for a clinical table [B, {self.num_columns}], found shape "
                f"{list(clinical.shape)} for {shape[0]} cases; its columns must be those of the training"
            )
        missing = clinical.isnan()
        values = torch.where(missing, torch.zeros_like(clinical), clinical).float()
        there = ~missing.all(dim=1)
        no_number = missing[:, self.number_index]
        # sd = inf makes z 0 for a number that did not vary in training
        z = ((values[:, self.number_index] - self.mean) / self.sd).clamp(-self.cut_off, self.cut_off)
        z = torch.where(no_number, torch.zeros_like(z), z)
        code = torch.where(missing[:, self.category_index], self.count, values[:, self.category_index].long())
        h = self.bias + z @ self.number + no_number.to(z.dtype) @ self.number_missing
        # all categories share one embedding matrix; `first` is the row where each begins
        h = h + functional.embedding(code + self.first, self.category).sum(dim=1)
        token = self.out(h)
        return torch.where(there.unsqueeze(1), token, torch.zeros_like(token)), there


def _widths(hidden: int | Sequence[int]) -> list[int]:
    """Return the widths of the hidden layers."""
    widths = list(hidden) if isinstance(hidden, Sequence) else [hidden] if hidden else []
    if not all(isinstance(width, int) and not isinstance(width, bool) and width > 0 for width in widths):
        raise ValueError(
            f"hidden must be a width or a list of widths, whole numbers of at least 1, found {hidden!r}; 0 "
            "or [] is no hidden layer"
        )
    return widths


def fixed(values: Sequence[int]) -> nn.Buffer:
    """Return whole numbers as a buffer that is not saved, since the columns determine them."""
    return nn.Buffer(torch.tensor(values, dtype=torch.long), persistent=False)


def table_encoders(network: nn.Module) -> list[TableEncoder]:
    """Return a network's encoders of the clinical table."""
    return [module for module in network.modules() if isinstance(module, TableEncoder)]
