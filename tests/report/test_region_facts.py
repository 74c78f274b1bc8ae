# SPDX-License-Identifier: Apache-2.0
"""What the report says of regions is what the transforms do."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from workbench.report.dataset import region_facts

CONFIG = {
    "phases": ["pre"],
    "reference_phase": "pre",
    "spacing": [1.0, 1.0, 1.0],
    "grid_size": [24, 24, 24],
    "orientation": "RAS",
    "region": {"_target_": "scripts.transforms.MaskRegiond", "margin": 2.0, "component": "largest"},
}


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A case with one lesion, one with two far ones, one with a large one, and one whose mask is gone."""
    one, two, large = (slice(4, 12),) * 3, (slice(50, 55),) * 3, (slice(10, 40),) * 3
    entries = []
    for case, pieces in (("one", [one]), ("two", [one, two]), ("large", [large]), ("gone", [one])):
        mask = np.zeros((64, 64, 64), dtype=np.uint8)
        for piece in pieces:
            mask[piece] = 1
        for name, voxels in (("pre", mask + np.uint8(1)), ("lesion", mask)):
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / f"{case}_{name}.nii.gz")
        entries.append({"case": case, "image": {"pre": f"{case}_pre.nii.gz"}, "roi": f"{case}_lesion.nii.gz"})
    (tmp_path / "gone_lesion.nii.gz").unlink()
    document = {"name": "d", "phases": ["pre"], "classes": ["a", "b"], "test": entries}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    return tmp_path


def test_cut_cases_are_named(dataset) -> None:
    share = round(125 / (125 + 512), 4)
    found = region_facts(dataset, CONFIG)
    assert found == {"cases": 3, "cropped": ["large"], "left_out": {"two": share}}
    every = CONFIG | {"region": CONFIG["region"] | {"component": "all"}}
    assert region_facts(dataset, every) == {"cases": 3, "cropped": ["large", "two"], "left_out": {}}


def test_where_there_is_no_region_it_says_why(dataset) -> None:
    whole = {"_target_": "scripts.transforms.WholeVolumeRegiond", "keys": "image"}
    assert region_facts(dataset, CONFIG | {"region": whole}) == {"reason": "the region is the whole volume"}
    assert "dataset folder" in region_facts(dataset / "none", CONFIG)["reason"]
    assert region_facts(dataset, {})["reason"] == "the model's folder holds no region rule"
