# SPDX-License-Identifier: Apache-2.0
"""One strategy of each family is scripted and traced by default, all others by `make test-slow`."""

from __future__ import annotations

import pytest

FAMILIES = ("concat", "cross_attention", "low_rank_tensor", "cbam", "multi_level", "late_mean", "early", "film", "abaf")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name, _, case = item.name.partition("[")
        if name == "test_scripted_and_traced_networks_give_the_same" and not case.startswith(
            tuple(f"{family}-" for family in FAMILIES)
        ):
            item.add_marker(pytest.mark.slow)
