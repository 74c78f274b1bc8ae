# SPDX-License-Identifier: Apache-2.0
"""What MONAI and the model zoo require of a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from monai.bundle import ConfigWorkflow
from scripts.engines.metadata import metadata
from scripts.engines.output_place import end_runs
from scripts.engines.twins import INFERENCE_KEYS, MARK, shared_from, write_inference

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"


def read(name: str) -> dict:
    return yaml.safe_load((CONFIGS / name).read_text())


@pytest.mark.parametrize("name", ["train", "inference"])
def test_json_twin_equals_its_yaml(name):
    assert json.loads((CONFIGS / f"{name}.json").read_text()) == read(f"{name}.yaml"), "run `make twins`"


def test_inference_shares_its_sections_with_the_training():
    train, inference = ((CONFIGS / f"{name}.yaml").read_text() for name in ("train", "inference"))
    assert shared_from(train, inference) == inference, "run `make twins`"
    assert MARK in inference


def test_twins_carry_a_change_of_the_training_over_to_inference(tmp_path):
    for name in ("train.yaml", "inference.yaml"):
        (tmp_path / name).write_text((CONFIGS / name).read_text())
    train = (CONFIGS / "train.yaml").read_text()
    changed = train.replace("spacing: [2.0, 2.0, 2.0]", "spacing: [1.0, 1.0, 3.0]")
    step = "    - {_target_: SpatialPadd, keys: image, spatial_size: 8}\n"
    changed = changed.replace("    - '@image_filter'\n", f"    - '@image_filter'\n{step}")
    (tmp_path / "train.yaml").write_text(changed)
    write_inference(tmp_path)
    found = yaml.safe_load((tmp_path / "inference.yaml").read_text())
    assert found["spacing"] == [1.0, 1.0, 3.0]
    steps = found["preprocessing"]["transforms"]
    assert steps[6:8] == ["@image_filter", {"_target_": "SpatialPadd", "keys": "image", "spatial_size": 8}]
    assert steps[-1]["_target_"] == "DeleteItemsd"
    before = read("inference.yaml")
    rest = {key: value for key, value in found.items() if key not in ("spacing", "preprocessing")}
    assert rest == {key: before[key] for key in rest}


def test_the_main_configuration_can_be_read_as_a_whole():
    assert len((CONFIGS / "train.yaml").read_text().splitlines()) <= 260


def test_metadata_describes_the_default_configuration():
    meta = json.loads((CONFIGS / "metadata.json").read_text())
    assert meta == json.loads(json.dumps(metadata(meta, read("train.yaml")))), "run `make twins`"
    assert meta["version"] in meta["changelog"]


def test_metadata_pins_what_requirements_pin():
    meta = json.loads((CONFIGS / "metadata.json").read_text())
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    assert meta["pytorch_version"] == pinned.pop("torch")
    assert meta["monai_version"] == pinned.pop("monai")
    assert meta["numpy_version"] == pinned.pop("numpy")
    assert meta["required_packages_version"] == pinned


def test_training_and_inference_agree_on_every_shared_key():
    train, inference = read("train.yaml"), read("inference.yaml")
    shared = (set(train) & set(inference)) - INFERENCE_KEYS
    assert {"phases", "classes", "network_def", "region", "intensity"} <= shared
    assert {key: train[key] for key in shared} == {key: inference[key] for key in shared}


def test_training_and_inference_prepare_a_case_alike():
    train = read("train.yaml")["train"]["preprocessing"]["transforms"]
    inference = read("inference.yaml")["preprocessing"]["transforms"]
    assert train[0]["_target_"] == "scripts.transforms.ReadLabeld"
    assert train[1:-1] == inference[:-1]


def test_every_key_of_the_main_configurations_is_explained():
    for name in ("train.yaml", "inference.yaml", "compare.yaml", "report.yaml", "check.yaml", "measure.yaml"):
        head = (
            (CONFIGS / name)
            .read_text()
            .partition("# ---------------------------------------------------------------- data")[0]
        )
        for line in head.splitlines():
            key = line.partition(":")[0]
            plain = ("imports", "network_def", "initialize", "comparing", "run", "reporting", "checking", "measuring")
            if key.isidentifier() and key not in plain:
                assert "# " in line, f"{name}: {key} has no comment"


@pytest.mark.parametrize(
    ("kind", "files"),
    [("train", ["train.yaml"]), ("train", ["train.yaml", "evaluate.yaml"]), ("infer", ["inference.yaml"])],
)
def test_monai_finds_every_property(kind, files, trained, small_phantom):
    workflow = ConfigWorkflow(
        config_file=[str(trained / "configs" / file) for file in files],
        workflow_type=kind,
        logging_file=False,
        bundle_root=str(trained),
        output_dir=str(trained / "unused"),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    end_runs()  # as at the end of the process
    assert not (trained / "unused").exists(), "a folder that was taken and not written into goes again"


def test_import_is_light():
    heavy = "('torch', 'itk', 'sklearn', 'matplotlib')"
    code = f"import sys, scripts; print(any(n in sys.modules for n in {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
