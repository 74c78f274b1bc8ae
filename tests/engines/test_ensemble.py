# SPDX-License-Identifier: Apache-2.0
"""Several models together: the mean of what each says alone."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from scripts.engines.ensemble import ensemble_folders
from scripts.files.errors import message_of
from scripts.metrics.predictions import read_predictions
from scripts.networks.builder import build
from scripts.networks.calibration import Ensemble


def perturbed(network, seed: int):
    torch.manual_seed(seed)
    found = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return found.eval()


def test_softmax_is_the_mean_of_the_members_probabilities():
    network = build(phases=["a", "b"], num_classes=3)
    members = [perturbed(network, seed) for seed in range(3)]
    members[1].calibration.temperature.fill_(2.5)
    image, present = torch.rand(4, 2, 16, 16, 16), torch.tensor([[True, True]] * 3 + [[False, True]])
    with torch.inference_mode():
        found = Ensemble(members).eval()(image, present=present).softmax(dim=-1)
        alone = [member(image, present=present).softmax(dim=-1) for member in members]
    torch.testing.assert_close(found, torch.stack(alone).mean(dim=0))
    assert (torch.stack(alone).std(dim=0) > 1e-3).any(), "the members say the same"


def test_threshold_and_class_frequencies_are_the_means_of_the_members():
    network = build(phases=["a", "b"], num_classes=2)
    members = [perturbed(network, seed) for seed in range(2)]
    for member, threshold, prior in zip(members, (0.2, 0.6), ([0.5, 0.5], [0.7, 0.3]), strict=True):
        member.calibration.threshold.fill_(threshold)
        member.calibration.prior.copy_(torch.tensor(prior))
    found = Ensemble(members)
    found.combine_calibrations()
    assert float(found.calibration.threshold) == pytest.approx(0.4)
    assert found.calibration.prior.tolist() == pytest.approx([0.6, 0.4])
    assert float(found.calibration.temperature) == 1


def test_an_ensemble_needs_members():
    with pytest.raises(ValueError, match="at least 1 member"):
        Ensemble([])


def test_folders_by_list_and_by_pattern(tmp_path):
    for name in ("b_2", "a_1", "b_1"):
        (tmp_path / name).mkdir()
    (tmp_path / "b_3").touch()
    pattern = str(tmp_path / "b_*")
    assert ensemble_folders(pattern) == [str(tmp_path / "b_1"), str(tmp_path / "b_2")]
    mixed = [str(tmp_path / "b_2"), pattern, str(tmp_path / "a_1")]
    assert ensemble_folders(mixed) == [str(tmp_path / name) for name in ("b_2", "b_1", "a_1")]
    with pytest.raises(FileNotFoundError, match=r"must name results folders, found none at .*c_\*"):
        ensemble_folders([pattern, str(tmp_path / "c_*")])


@pytest.fixture(scope="module")
def models(trained, tmp_path_factory) -> list[Path]:
    """Three models of one configuration with different weights."""
    folders = []
    for number in range(3):
        folder = tmp_path_factory.mktemp("models") / f"model_{number}"
        shutil.copytree(trained, folder)
        state = torch.load(folder / "models" / "model.pt", weights_only=True)
        torch.manual_seed(number)
        for name, value in state.items():
            if name.endswith("weight"):
                value.add_(0.05 * torch.randn_like(value))
        state["calibration.threshold"].fill_((0.2, 0.3, 0.55)[number])
        torch.save(state, folder / "models" / "model.pt")
        (folder / "models" / "evidence.npz").unlink()
        folders.append(folder)
    return folders


@pytest.mark.parametrize("run_id", [pytest.param("evaluating", marks=pytest.mark.slow), "inferring"])
def test_the_bundle_averages_what_each_model_says_alone(run_id, models, bundle, small_phantom, tmp_path):
    def predict(folder: Path, output: Path, **overrides) -> np.ndarray:
        names = ["train.yaml", "evaluate.yaml"] if run_id == "evaluating" else ["inference.yaml"]
        files = [str(folder / "configs" / name) for name in names]
        bundle(
            run_id, files, bundle_root=str(folder), output_dir=str(output), dataset_dir=str(small_phantom), **overrides
        )
        return read_predictions(output / "predictions.csv").probabilities

    alone = [predict(folder, tmp_path / folder.name) for folder in models]
    together = predict(models[0], tmp_path / "together", ensemble=[str(folder) for folder in models])
    np.testing.assert_allclose(together, np.mean(alone, axis=0), atol=1e-6)
    assert np.std(alone, axis=0).max() > 1e-3, "the models say the same"
    table = pandas.read_csv(tmp_path / "together" / "predictions.csv")
    assert set(table["positive_class"]) == {"high"}
    assert ((table["called_positive"] == "yes") == (table["p_high"] >= 0.35)).all()
    if run_id == "evaluating":
        found = json.loads((tmp_path / "together" / "metrics.json").read_text())
        assert found["at_threshold"]["threshold"] == pytest.approx(0.35)
        assert "the mean of the thresholds that 3 models fitted" in found["at_threshold"]["chosen_by"]
        assert found["calibration"] is None, "each member has a temperature of its own"
        assert "the mean of the thresholds that 3 models" in (tmp_path / "together" / "report.html").read_text()


def test_members_of_another_configuration_are_refused(models, bundle, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(models[1], other)
    file = other / "configs" / "metadata.json"
    content = json.loads(file.read_text())
    content["model_configuration"]["spacing"] = [1.0, 1.0, 1.0]
    file.write_text(json.dumps(content))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle(
            "inferring",
            [str(models[0] / "configs" / "inference.yaml")],
            bundle_root=str(models[0]),
            output_dir=str(tmp_path / "out"),
            ensemble=[str(models[0]), str(other)],
        )
    message = message_of(caught.value)
    assert message is not None
    assert f"the model in {other} was trained with another configuration: spacing" in message
    assert not (tmp_path / "out").exists()
