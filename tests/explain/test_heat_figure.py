# SPDX-License-Identifier: Apache-2.0
"""heat.png says what was predicted, what is true and how large the effect is, and does not dramatise."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from scripts.volumes.open import open_volume
from workbench.explain.case_explanation import CaseExplanation
from workbench.explain.heat_figure import DARK, LEAST_POINTS, heat_figure

CLASSES = ["$low$ <b>", "high"]


def explained(folder: Path, points: float, label: int | None, explained_class: int = 1) -> CaseExplanation:
    """A case whose white phase "pre" loses some points of probability at one voxel; "late" is missing."""
    voxels = np.full((12, 12, 6), 1000.0)
    voxels[0] = 0
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / "pre.nii.gz")
    heat = np.zeros((12, 12, 6), np.float32)
    heat[6, 6, 3] = points / 100
    return CaseExplanation(
        case="c1",
        probabilities=torch.tensor([0.3, 0.7]),
        explained=explained_class,
        label=label,
        contributions=None,
        heat={"occlusion": {"pre": heat}},
        grid_affine=np.eye(4),
        volumes={"pre": open_volume(folder / "pre.nii.gz")},
        reference="pre",
        lesion=None,
    )


def test_truth_and_prediction_are_said(tmp_path):
    def title(**more) -> str:
        return heat_figure(explained(tmp_path, 5, **more), ["pre", "late"], CLASSES).get_suptitle()

    assert title(label=0) == "c1\npredicted: 'high' (70%), truth: '$low$ <b>'"
    assert title(label=None) == "c1\npredicted: 'high' (70%), truth: not known"
    asked = "c1\npredicted: 'high' (70%), truth: 'high'\nexplained: the probability of '$low$ <b>' (30%)"
    assert title(label=1, explained_class=0) == asked


@pytest.mark.parametrize(("points", "end"), [(0.5, LEAST_POINTS), (35.0, 35.0)])
def test_a_small_change_is_pale_and_the_scale_is_stated(tmp_path, points, end):
    figure = heat_figure(explained(tmp_path, points, 1), ["pre", "late"], CLASSES, tmp_path / "heat.png")
    heat = [image for axes in figure.axes for image in axes.images if image.get_cmap().name == "coolwarm"]
    assert heat[0].get_clim() == pytest.approx((-end, end))
    assert np.max(heat[0].get_alpha()) == pytest.approx(0.85 * (points / end) ** 0.7, rel=1e-3)
    (bar,) = [axes for axes in figure.axes if "points of probability" in axes.get_ylabel()]
    assert bar.get_ylim() == pytest.approx((-end, end))
    said = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert f"hottest point ({points:.1f}):\npre" in said
    assert said.count("missing") == 2


def test_white_tissue_is_darkened_under_heat(tmp_path):
    figure = heat_figure(explained(tmp_path, 20, 1), ["pre"], CLASSES)
    grey = [image for axes in figure.axes for image in axes.images if image.get_cmap().name == "gray"]
    scan, under = (image.norm(image.get_array()).max() for image in grey)
    assert (scan, under) == pytest.approx((1.0, DARK), abs=0.01)
