# SPDX-License-Identifier: Apache-2.0
"""The zip of the bundle as shipped, and that of a results folder, each unpacked where nothing else lies."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from workbench.package.packing import package

ROOT = Path(__file__).resolve().parents[2]


def unpack(file: Path, folder: Path) -> Path:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    return folder / "multiphase_fusion_classification"


@pytest.fixture(scope="session")
def shipped_zip(tmp_path_factory) -> Path:
    return package(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def shipped(shipped_zip, tmp_path_factory) -> Path:
    """The bundle as shipped, unpacked."""
    return unpack(shipped_zip, tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="session")
def own_zip(trained, tmp_path_factory) -> Path:
    return package(trained, tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="session")
def own(own_zip, tmp_path_factory) -> Path:
    """The bundle of a results folder, unpacked."""
    return unpack(own_zip, tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="session")
def python():
    """Return a function that runs Python in a folder, where this repository cannot be imported."""

    def run(*arguments: str, cwd: Path, **variables: str) -> str:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
        done = subprocess.run(
            [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run
