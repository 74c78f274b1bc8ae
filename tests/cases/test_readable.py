# SPDX-License-Identifier: Apache-2.0
"""Cases that `inferring` goes through once: what the grid cuts is told in one line for all of them."""

from __future__ import annotations

import logging

import pytest
from monai.transforms import Compose, Transform
from scripts.cases.batches import ReadableLoader
from scripts.cases.cache import cached_dataset


class Exceeding(Transform):
    """Says that the grid cuts the region of a case called large."""

    def __call__(self, data: dict) -> dict:
        return data | {"region_exceeds_grid": data["case"].startswith("large")}


def test_cut_regions_are_told_once_with_count_and_names(caplog: pytest.LogCaptureFixture) -> None:
    cases = [{"case": name} for name in ("large_1", "small", "large_2", "large_3")]
    loader = ReadableLoader(cached_dataset(cases, Compose([Exceeding()]), cache="none"), batch_size=2)

    with caplog.at_level(logging.WARNING):
        assert len(list(loader)) == 2

    told = [record.getMessage() for record in caplog.records if "larger than the grid" in record.getMessage()]
    assert len(told) == 1
    assert "in 3 of 4 cases: large_1, large_2, large_3;" in told[0]
