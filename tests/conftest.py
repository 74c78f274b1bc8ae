# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several areas share: a small phantom, and a model trained on it for a few epochs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigWorkflow

from tests.bad_input_page import Page

pytest_plugins = ["tests.datasets"]

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("PHASE_FUSION_TEST_DATA", ROOT.parent / "shared" / "data"))

# One thread for each worker of pytest-xdist, since two share two cores.
torch.set_num_threads(1 if os.environ.get("PYTEST_XDIST_WORKER") else 2)


@pytest.fixture(scope="session", autouse=True)
def own_data_home(tmp_path_factory) -> Iterator[Path]:
    """A place of its own for the list of trained folders, so that no test writes into the user's."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data_home")
        patch.setenv("XDG_DATA_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def test_data():
    """Return a function that gives the folder of a real dataset, or skips with the reason."""

    def folder(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"no {name} in {DATA} (set PHASE_FUSION_TEST_DATA)")
        return DATA / name

    return folder


@contextmanager
def no_pixels() -> Iterator[None]:
    """Leave out what takes most of the time of a tiny training: turning its figures into pixels."""
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda self, file, **options: Path(file).touch())
        patch.setattr(SummaryWriter, "add_figure", lambda self, *figure, **options: None)
        yield


@pytest.fixture
def without_pixels() -> Iterator[None]:
    """For tests that look at no figure."""
    with no_pixels():
        yield


@pytest.fixture(scope="session")
def small_phantom(tmp_path_factory) -> Path:
    """A phantom of 40 patients."""
    from workbench.prepare.phantom.dataset import make_phantom

    folder = tmp_path_factory.mktemp("phantom")
    make_phantom(folder / "small", seed=0, splits={"training": 24, "validation": 8, "test": 8})
    return folder / "small"


def run_bundle(run_id: str, files: list[str], **overrides) -> ConfigWorkflow:
    """Run a configuration in this process, as `monai.bundle run` does, and return the workflow."""
    from scripts.engines.output_place import end_runs

    workflow = ConfigWorkflow(
        config_file=[str(ROOT / file) if not Path(file).is_absolute() else file for file in files],
        workflow_type="train" if run_id in ("training", "evaluating") else "infer",
        logging_file=False,
        run_id=run_id,
        **overrides,
    )
    try:
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    finally:
        end_runs()
    return workflow


@pytest.fixture(scope="session")
def bundle():
    """Return the function that runs a configuration of the bundle in this process."""
    return run_bundle


@pytest.fixture(scope="session")
def quick(small_phantom) -> dict:
    """Overrides that make a training take seconds."""
    return {
        "bundle_root": str(ROOT),
        "dataset_dir": str(small_phantom),
        "spacing": [4.0, 4.0, 4.0],
        "grid_size": [16, 16, 16],
        "max_epochs": 2,
    }


@pytest.fixture(scope="session")
def trained(bundle, quick, tmp_path_factory) -> Path:
    """A results folder of a model trained for two epochs."""
    folder = tmp_path_factory.mktemp("results") / "quick"
    bundle("training", ["configs/train.yaml"], output_dir=str(folder), **quick)
    return folder


@pytest.fixture(scope="session")
def say():
    """Return the function by which a test notes in docs/bad-input.md what a mistake says (see `Page.say`)."""
    page = Page(ROOT / "docs" / "bad-input.md", bool(os.environ.get("WRITE_BAD_INPUT")))
    yield page.say
    if page.writing:
        page.write()
