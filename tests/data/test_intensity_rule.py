"""CT is told from MR by its values, on a phantom in HU and on real cardiac MR."""

from __future__ import annotations

import json

import yaml

from scripts.data import prepare
from scripts.data.intensity_rule import propose_intensity


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
        layout="acdc", source=test_data("acdc_ed_es"), output=tmp_path / "acdc"
    )  # the images of patient 074 are those of patient 076
    overlay = yaml.safe_load((tmp_path / "acdc" / "data.yaml").read_text())
    assert overlay["intensity"]["_target_"] == "scripts.transforms.ZScoreIntensityd"
    assert overlay["intensity"]["joint"] is True
