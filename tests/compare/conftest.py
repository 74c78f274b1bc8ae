# SPDX-License-Identifier: Apache-2.0
"""A comparison of two strategies over two folds, as small as one can be, run once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import no_pixels

STRATEGIES = ["concat", "single_portal"]
BASELINES = ["single_arterial", "table", "logistic_regression", "random_forest"]


@pytest.fixture(autouse=True)
def no_figures(without_pixels: None) -> None:
    """No test of this folder looks at a figure."""


@pytest.fixture(scope="session")
def settings(quick, tmp_path_factory) -> dict:
    """Overrides of compare.yaml and train.yaml that make a comparison take seconds."""
    return quick | {
        "max_epochs": 1,
        "phases": ["arterial", "portal"],
        "clinical": ["age", "sex"],
        "strategies": STRATEGIES,
        "folds": 2,
        "repeats": 1,
        "draws": 50,
        "jobs": 1,
        "cache_dir": str(tmp_path_factory.mktemp("cache")),
    }


@pytest.fixture(scope="session")
def compared(bundle, settings, tmp_path_factory) -> Path:
    """Results folder of a comparison."""
    folder = tmp_path_factory.mktemp("comparison") / "out"
    with no_pixels():
        bundle("comparing", ["configs/compare.yaml"], output_dir=str(folder), **settings)
    return folder
