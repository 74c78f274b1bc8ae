# SPDX-License-Identifier: Apache-2.0
"""CT is told from MR by its values, on a phantom in HU and on real cardiac MR."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import yaml
from workbench.prepare.phase_scale import propose_intensity
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings


def test_hounsfield_units_get_a_window(small_phantom):
    dataset = json.loads((small_phantom / "dataset.json").read_text())
    cases = [
        {**case, "image": {phase: str(small_phantom / path) for phase, path in case["image"].items()}}
        for case in dataset["training"]
    ]
    rule, why = propose_intensity(cases, dataset["phases"])
    assert why.startswith("CT: window in HU")
    assert rule["_target_"] == "scripts.transforms.WindowIntensityd"
    assert rule["lower"] < 0 < rule["upper"]


def test_magnetic_resonance_gets_z_scores(test_data, tmp_path):
    prepare(
        Settings(layout="acdc", source=test_data("acdc_ed_es"), output=tmp_path / "acdc", quality=False)
    )  # the images of patient 074 are those of patient 076
    overlay = yaml.safe_load((tmp_path / "acdc" / "data.yaml").read_text())
    assert overlay["intensity"]["_target_"] == "scripts.transforms.ZScoreIntensityd"
    assert overlay["intensity"]["joint"] is True


def test_one_phase_with_negative_noise_is_no_ct(tmp_path):
    rng, cases = np.random.default_rng(0), []
    for case in range(4):
        image = {}
        for phase, level in (("t1", 300), ("dwi", 30)):
            voxels = rng.normal(level, level / 3, (12, 12, 12)) * (rng.random((12, 12, 12)) < 0.5)
            voxels[0, 0, 0] = -level / 2  # -150 and -15
            image[phase] = str(tmp_path / f"{case}_{phase}.nii.gz")
            nibabel.save(nibabel.Nifti1Image(voxels.astype(np.float32), np.eye(4)), image[phase])
        cases.append({"case": f"c{case}", "image": image})
    rule, _ = propose_intensity(cases, ["t1", "dwi"])
    assert rule["_target_"] == "scripts.transforms.ZScoreIntensityd"
