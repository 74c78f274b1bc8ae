"""The bundle's files, run from a folder that is not the bundle's."""

from __future__ import annotations

import json

import pytest

from scripts.files.errors import message_of


def test_training_writes_its_results_where_it_was_started(bundle, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {key: value for key, value in quick.items() if key != "bundle_root"} | {"max_epochs": 1}
    bundle("training", ["configs/train.yaml"], name="away", **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    described = json.loads((tmp_path / "results" / "away" / "configs" / "metadata.json").read_text())
    assert described["eval_metrics"]["test_cases"] == 8


def test_misspelt_keys_are_found_there_too(bundle, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {key: value for key, value in quick.items() if key != "bundle_root"}
    with pytest.raises(RuntimeError) as caught:
        bundle("training", ["configs/train.yaml"], max_epoch=1, **settings)
    assert "did you mean 'max_epochs'?" in (message_of(caught.value) or "")
    assert list(tmp_path.iterdir()) == []


def test_inference_there_says_that_the_weights_are_not_there(bundle, small_phantom, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError) as caught:
        bundle("inferring", ["configs/inference.yaml"], dataset_dir=str(small_phantom))
    assert "models/model.pt does not exist; train first, or give --bundle_root" in (
        message_of(caught.value) or ""
    )
    assert list(tmp_path.iterdir()) == []
