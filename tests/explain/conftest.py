# SPDX-License-Identifier: Apache-2.0
"""Networks and cases that the tests of the explanations share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from scripts import build
from torch import Tensor, nn

PHASES = ["pre", "arterial", "portal"]
COLUMNS = [{"name": "age", "kind": "number"}, {"name": "sex", "kind": "category", "values": ["F", "M"]}]
FUSIONS = sorted(path.stem for path in (Path(__file__).parents[2] / "configs" / "fusion").glob("*.yaml"))
WITH_TABLE = ("daft", "film", "table")


@cache
def built(fusion: str, encoder: str, share: bool, table: bool) -> nn.Module:
    """Build a network with three classes in eval mode."""
    torch.manual_seed(0)
    columns = COLUMNS if table or fusion in WITH_TABLE else []
    made = build(PHASES, encoder, fusion, columns, num_classes=3, share_encoder=share)
    for parameter in made.parameters():  # layers that start at 0 would explain nothing
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return made.eval()


@pytest.fixture
def network() -> Callable[..., nn.Module]:
    """Return a function that gives a fresh network by the names of its fragments."""

    def make(fusion: str = "concat", encoder: str = "residual", share: bool = True, table: bool = False):
        return copy.deepcopy(built(fusion, encoder, share, table))

    return make


@pytest.fixture
def image() -> Tensor:
    """One case of three phases."""
    return torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(1))
