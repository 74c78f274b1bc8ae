# SPDX-License-Identifier: Apache-2.0
"""A training that also learns masks, by the real command."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import yaml
from scripts.engines.checkpoint import Checkpoints

FILES = ["configs/train.yaml", "configs/training/with_masks.yaml"]


def weights(folder, file: str = "model.pt") -> dict:
    return torch.load(folder / "models" / file, weights_only=True)


@pytest.fixture
def without_half_of_the_masks(small_phantom, tmp_path):
    """The small phantom, its regions given by points; every second training case has no mask, nor has any other."""
    folder = tmp_path / "data"
    shutil.copytree(small_phantom, folder)
    document = json.loads((folder / "dataset.json").read_text())
    for split in ("training", "validation", "test"):
        for number, entry in enumerate(document[split]):
            if split != "training" or number % 2:
                entry.pop("roi")
    (folder / "dataset.json").write_text(json.dumps(document))
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("without_pixels")
def test_weight_zero_is_the_training_without_and_resuming_goes_on_with_the_decoder(
    trained, bundle, quick, tmp_path, monkeypatch
):
    bundle("training", FILES, output_dir=str(tmp_path / "zero"), mask_weight=0, **quick)
    expected, found = weights(trained), weights(tmp_path / "zero")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (tmp_path / "zero" / "predictions.csv").read_bytes() == (trained / "predictions.csv").read_bytes()

    save = Checkpoints._save_last

    def keep_first(self, trainer):
        save(self, trainer)
        if trainer.state.epoch == 1:
            shutil.copy(self.last_file, tmp_path / "first.pt")

    monkeypatch.setattr(Checkpoints, "_save_last", keep_first)
    bundle("training", FILES, output_dir=str(tmp_path / "whole"), **quick)
    learned = weights(tmp_path / "whole")
    assert learned.keys() == expected.keys()
    assert not all(torch.equal(expected[name], learned[name]) for name in expected)
    monkeypatch.setattr(Checkpoints, "_save_last", save)
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    shutil.copy(tmp_path / "first.pt", tmp_path / "stopped" / "models" / "last.pt")
    bundle("training", FILES, output_dir=str(tmp_path / "stopped"), resume=True, **quick)
    whole, stopped = (weights(tmp_path / name, "last.pt") for name in ("whole", "stopped"))
    for part in ("network", "training_only"):
        assert whole[part].keys() == stopped[part].keys()
        assert all(torch.equal(whole[part][name], stopped[part][name]) for name in whole[part])


@pytest.mark.usefixtures("without_pixels")
def test_cases_without_masks_train_and_the_results_folder_needs_none(
    without_half_of_the_masks, bundle, quick, tmp_path
):
    folder = tmp_path / "some"
    whole = {"region": {"_target_": "scripts.transforms.WholeVolumeRegiond", "keys": "image"}}
    settings = quick | whole | {"dataset_dir": str(without_half_of_the_masks), "max_epochs": 1}
    bundle("training", FILES, output_dir=str(folder), **settings)
    inference = yaml.safe_load((folder / "configs" / "inference.yaml").read_text())
    assert "WithMasks" not in json.dumps(inference)
    assert "with_masks" not in json.dumps(inference)
    configs = [str(folder / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    bundle("evaluating", configs, bundle_root=str(folder), output_dir=str(tmp_path / "again"))
    assert (tmp_path / "again" / "predictions.csv").read_bytes() == (folder / "predictions.csv").read_bytes()
    bundle(
        "inferring", [str(folder / "configs" / "inference.yaml")], bundle_root=str(folder),
        dataset_dir=str(without_half_of_the_masks), output_dir=str(tmp_path / "new"),
    )  # fmt: skip
    assert (tmp_path / "new" / "predictions.csv").is_file()
