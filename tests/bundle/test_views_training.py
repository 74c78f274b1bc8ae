# SPDX-License-Identifier: Apache-2.0
"""A model of views from training to prediction: tokens by name, contributions by phase."""

from __future__ import annotations

import csv

import pytest


@pytest.fixture(scope="module")
def trained_on_views(bundle, quick, tmp_path_factory):
    """A results folder of a model that reads three views of each phase, trained for one epoch."""
    folder = tmp_path_factory.mktemp("results") / "views"
    files = ["configs/train.yaml", "configs/fusion/gated.yaml", "configs/views/three_views.yaml"]
    bundle("training", files, output_dir=str(folder), **quick | {"max_epochs": 1})
    return folder


def header(file) -> list[str]:
    with file.open(encoding="utf-8", newline="") as stream:
        return next(csv.reader(stream))


@pytest.mark.slow
def test_weights_are_named_by_phase_and_view_and_missing_phases_by_phase(trained_on_views):
    names = [f"{phase} {view}" for phase in ("pre", "arterial", "portal") for view in ("axial", "coronal", "sagittal")]
    assert header(trained_on_views / "phase_weights.csv")[-9:] == names


@pytest.mark.slow
def test_a_results_folder_predicts_and_explains_by_phase(bundle, trained_on_views, tmp_path, quick):
    files = [str(trained_on_views / "configs" / "inference.yaml"), "configs/explain.yaml"]
    common = {"bundle_root": str(trained_on_views), "dataset_dir": quick["dataset_dir"]}
    bundle("inferring", files[:1], output_dir=str(tmp_path / "predictions"), **common)
    assert (tmp_path / "predictions" / "predictions.csv").is_file()
    output = tmp_path / "explanations"
    bundle("explaining", files, output_dir=str(output), case="test", explanations=["contribution"], **common)
    table = (output / "contributions.csv").read_text(encoding="utf-8")
    assert "arterial" in table
    assert "axial" not in table
