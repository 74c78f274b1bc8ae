# SPDX-License-Identifier: Apache-2.0
"""Inputs made after public bug reports, by small scripts that lie beside the test data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

CASES = Path(os.environ.get("PHASE_FUSION_TEST_CASES", ROOT.parent / "shared" / "cases"))


@pytest.fixture(scope="session")
def awkward(tmp_path_factory) -> Callable[[str], Path]:
    """Return a function that gives the folder made once by `make_<n>.py`, or skips with the reason."""
    folders: dict[str, Path] = {}

    def make(number: str) -> Path:
        if not (CASES / f"make_{number}.py").exists():
            pytest.skip(f"no make_{number}.py in {CASES} (set PHASE_FUSION_TEST_CASES)")
        if number not in folders:
            place = tmp_path_factory.mktemp(f"awkward_{number}") / "cases"
            shutil.copytree(CASES, place)
            command = [sys.executable, str(place / f"make_{number}.py")]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            folders[number] = place / number
        return folders[number]

    return make
