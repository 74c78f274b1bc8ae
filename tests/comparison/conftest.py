"""A comparison of two strategies over two folds, as small as one can be, run once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STRATEGIES = ["concat", "single_portal"]
BASELINES = ["single_arterial", "table", "logistic_regression"]


@contextmanager
def no_pixels() -> Iterator[None]:
    """Leave out what takes most of the time of a tiny training: turning its figures into pixels."""
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda self, file, **options: Path(file).touch())
        yield


@pytest.fixture(autouse=True)
def without_pixels() -> Iterator[None]:
    """No test of this folder looks at a figure."""
    with no_pixels():
        yield


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
