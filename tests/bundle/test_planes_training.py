# SPDX-License-Identifier: Apache-2.0
"""From a tree of 2D images, one per plane and phase, to a trained model and its predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from monai.bundle import ConfigParser
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PHASES = {"PS": "pre", "DMQ": "arterial", "MMQ": "portal"}
PLANES = ["Axial", "Coronal", "Sagittal"]
CASES = 14
MISSING = ("DMQ", "Coronal", 3)
SMALL = {
    "_target_": "scripts.networks.encoders.MonaiResNetEncoder",
    "_mode_": "callable",
    "model": "resnet10",
    "spatial_dims": 2,
}


def level(case: int, phase: int, plane: int) -> int:
    """The grey level by which an image is known."""
    return 20 + 10 * case + 3 * phase + plane


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """Cases whose file names sort in another order in every plane; one image is missing, sizes differ."""
    root = tmp_path_factory.mktemp("planes") / "root"
    rng = np.random.default_rng(0)
    for i, folder in enumerate(PHASES):
        for j, plane in enumerate(PLANES):
            for case in range(CASES):
                if (folder, plane, case) == MISSING:
                    continue
                name = [f"{case}_axial", f"Coronal_{case}", f"{folder}-{case}"][j]
                split = "train" if case < 10 else "val"
                file = root / folder / plane / split / "ab"[case % 2] / f"{name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.full((24 + case, 20), level(case, i, j)) + rng.integers(-2, 3, (24 + case, 20))
                SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels.astype(np.uint8)), str(file))
    return root


@pytest.fixture(scope="module")
def prepared(tree, tmp_path_factory) -> Path:
    return prepare(Settings(tree, "planes", tmp_path_factory.mktemp("prepared"))).parent


def overlay(prepared: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([ROOT / "configs/train.yaml", prepared / "data.yaml"])
    parser["bundle_root"] = str(ROOT)
    return parser


def test_channels_are_joined_by_case_whatever_the_order_of_the_files(prepared):
    parser = overlay(prepared)
    cases = read_cases(prepared, parser.get_parsed_content("channels"), ["a", "b"])
    steps = parser.get_parsed_content("train#preprocessing")
    seen = 0
    for item in [*cases.training, *cases.validation, *cases.test]:
        case, found = int(item["case"]), steps(dict(item))
        image = np.asarray(found["image"])
        assert image.shape == (9, 1, *parser["grid_size"][1:])
        assert found["present"].tolist() == [True, True, True]
        for channel in range(9):
            phase, plane = divmod(channel, 3)
            if (list(PHASES)[phase], PLANES[plane], case) == MISSING:
                assert not image[channel].any()
            else:
                assert round(float(image[channel].mean()) * 255) == level(case, phase, plane)
            seen += 1
    assert seen == 9 * CASES


def test_the_network_is_of_phases_and_views_and_a_missing_image_is_an_absent_token(prepared):
    parser = overlay(prepared)
    parser["plane_encoder"] = SMALL
    network = parser.get_parsed_content("network_def").train()
    cases = read_cases(prepared, parser.get_parsed_content("channels"), ["a", "b"])
    steps = parser.get_parsed_content("train#preprocessing")
    everyone = {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}
    batch = [steps(dict(everyone[str(case)])) for case in (MISSING[2], 5)]
    image = torch.stack([torch.as_tensor(item["image"]) for item in batch]).as_subclass(torch.Tensor)
    present = torch.stack([item["present"] for item in batch])
    outputs = network(image, present=present)
    assert outputs["present"].tolist() == [[True, True, True, True, False, True, True, True, True], [True] * 9]


@pytest.mark.slow
def test_it_trains_evaluates_and_predicts(bundle, prepared, tmp_path):
    folder = tmp_path / "results"
    files = ["configs/train.yaml", "configs/fusion/gated.yaml", str(prepared / "data.yaml")]
    small = {"bundle_root": str(ROOT), "plane_encoder": SMALL, "max_epochs": 2, "batch_size": 4, "cache": "none"}
    bundle("training", files, output_dir=str(folder), missing_phases=True, **small)
    with (folder / "phase_weights.csv").open(encoding="utf-8", newline="") as stream:
        assert next(csv.reader(stream))[-3:] == ["portal axial", "portal coronal", "portal sagittal"]
    assert "arterial" in (folder / "missing_phases.csv").read_text(encoding="utf-8")
    meta = json.loads((folder / "configs/metadata.json").read_text(encoding="utf-8"))
    image = meta["network_data_format"]["inputs"]["image"]
    assert image["num_channels"] == 9
    assert image["channel_def"]["4"] == "arterial_coronal"
    output = tmp_path / "predictions"
    bundle(
        "inferring", [str(folder / "configs/inference.yaml")], bundle_root=str(folder),
        dataset_dir=str(prepared), output_dir=str(output),
    )  # fmt: skip
    with (output / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["case"] for row in csv.DictReader(stream)} == {str(case) for case in range(CASES)}
