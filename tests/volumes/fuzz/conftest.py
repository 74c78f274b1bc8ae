# SPDX-License-Identifier: Apache-2.0
"""Fuzzing: the same inputs each time, no deadline, nothing kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def fuzz() -> Callable[..., None]:
    """Return a function that calls a check with many values of a strategy, derandomised."""
    from hypothesis import HealthCheck, Phase, given, settings

    def run(examples: int, check: Callable[[Any], None], strategy: Any) -> None:
        profile = settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        profile(given(strategy)(check))()

    return run


@pytest.fixture(scope="session")
def one_line() -> Callable[[BaseException, str], str]:
    """Return a function that asserts that an error is one printable line which names a thing."""

    def line(error: BaseException, *named: str) -> str:
        text = str(error)
        assert len(text.splitlines()) == 1, text
        assert text.encode("utf-8")
        assert any(name in text for name in named), text
        return text

    return line
