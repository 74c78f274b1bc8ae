# SPDX-License-Identifier: Apache-2.0
"""A results folder of version 0.1.0 as it was before code moved to the workbench: it still runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
from scripts.moved import MOVED, moved

KEPT = Path(__file__).with_name("kept")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    shutil.copytree(KEPT, tmp_path / "kept")
    return tmp_path / "kept"


def assert_predicts_the_same(folder: Path) -> None:
    found, before = (
        pandas.read_csv(place / "predictions.csv", index_col="case").filter(regex="^p_") for place in (folder, KEPT)
    )
    assert len(before.columns) == 2
    np.testing.assert_allclose(found.loc[before.index], before, atol=1e-6)


@pytest.mark.parametrize("name", sorted(MOVED))
def test_every_name_of_before_is_found(name):
    package, _, last = name.rpartition(".")
    assert callable(moved(package, last))


def test_names_of_before_lead_nowhere_else():
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        moved("scripts.fusion", "Nothing")


@pytest.mark.slow
def test_it_is_evaluated_with_the_same_figures(kept, bundle, small_phantom, tmp_path):
    files = [str(kept / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    out = tmp_path / "out"
    bundle("evaluating", files, bundle_root=str(kept), dataset_dir=str(small_phantom), output_dir=str(out))
    assert_predicts_the_same(out)
    before, now = (json.loads((folder / "metrics.json").read_text()) for folder in (KEPT, out))
    assert now["macro"] == before["macro"]
    assert {"report.html", "missing_phases.csv", "worst_errors.png"} <= {path.name for path in out.iterdir()}


def test_it_predicts_and_explains(kept, bundle, small_phantom, tmp_path):
    inference = str(kept / "configs" / "inference.yaml")
    common = {"bundle_root": str(kept), "dataset_dir": str(small_phantom)}
    bundle("inferring", [inference], output_dir=str(tmp_path / "out"), **common)
    assert_predicts_the_same(tmp_path / "out")
    files = [inference, str(kept / "configs" / "explain.yaml")]
    bundle(
        "explaining", files, case="test", explanations=["contribution"],
        output_dir=str(tmp_path / "explained"), **common,
    )  # fmt: skip
    assert any((tmp_path / "explained").rglob("contributions.csv"))
