# SPDX-License-Identifier: Apache-2.0
"""Training, evaluation and inference as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
import yaml

ROOT = Path(__file__).resolve().parents[2]


def command(run_id: str, files: str, **overrides) -> list[str]:
    line = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", files]
    for key, value in overrides.items():
        line += [f"--{key}", str(value)]
    return line


def test_results_folder_is_complete(trained):
    expected = [
        "configs/train.yaml",
        "configs/train.json",
        "configs/inference.yaml",
        "configs/inference.json",
        "configs/evaluate.yaml",
        "configs/metadata.json",
        "configs/logging.conf",
        "models/model.pt",
        "models/last.pt",
        "models/evidence.npz",
        "scripts/__init__.py",
        "LICENSE",
        "metrics.json",
        "predictions.csv",
        "roc.png",
        "precision_recall.png",
        "confusion_matrix.png",
        "reliability.png",
        "decision_curve.png",
        "features.csv",
        "features_pca.png",
        "features_tsne.png",
        "missing_phases.csv",
        "missing_phases.png",
        "worst_errors.png",
        "learning_curves.png",
        "learning_curves.csv",
        "first_batch.png",
        "environment.json",
        "evaluation.json",
        "report.html",
    ]
    assert [name for name in expected if not (trained / name).is_file()] == []
    assert list((trained / "tensorboard").iterdir())
    assert not [name for name in os.listdir(trained) if name.startswith(".")]


def test_results_describe_the_training_not_the_default(trained):
    config = yaml.safe_load((trained / "configs" / "inference.yaml").read_text())
    assert config["grid_size"] == [16, 16, 16]
    assert config["bundle_root"] == "."
    meta = json.loads((trained / "configs" / "metadata.json").read_text())
    assert meta["network_data_format"]["inputs"]["image"]["spatial_shape"] == [16, 16, 16]
    macro = json.loads((trained / "metrics.json").read_text())["macro"]
    scores = {"test_auc": macro["auc"], "test_accuracy": macro["accuracy"], "test_cases": 8}
    assert meta["eval_metrics"] == scores
    assert meta["data_source"] == "small"
    shipped = json.loads((ROOT / "configs" / "metadata.json").read_text())
    assert meta["description"] != shipped["description"]
    record = json.loads((trained / "environment.json").read_text())
    assert record["seed"] == 0
    assert record["threads"] == torch.get_num_threads()
    assert record["versions"]["torch"].startswith("2.13.0")


def test_metrics_are_those_of_the_predictions(trained):
    from sklearn.metrics import roc_auc_score

    table = pandas.read_csv(trained / "predictions.csv")
    macro = json.loads((trained / "metrics.json").read_text())["macro"]
    assert len(table) == 8
    assert macro["auc"] == pytest.approx(roc_auc_score(table["true"] == "high", table["p_high"]))
    assert macro["accuracy"] == pytest.approx((table["true"] == table["predicted"]).mean())


@pytest.mark.slow
@pytest.mark.usefixtures("without_pixels")
def test_the_model_is_calibrated_on_its_validation_split_and_the_report_says_so(
    trained, bundle, quick, tmp_path, monkeypatch
):
    """8 validation cases tell neither temperature nor threshold; where they are taken to, both are fitted."""
    plain = json.loads((trained / "metrics.json").read_text())
    assert plain["calibration"]["temperature"] == 1
    assert plain["at_threshold"]["threshold"] == 0.5
    again = tmp_path / "again"
    shutil.copytree(trained, again)
    for name, value in (
        ("FEWEST_CASES", 2), ("LIKELIHOOD_DROP", 0.0), ("FEWEST_PER_CLASS", 2), ("LEVEL", 1.1),
    ):  # fmt: skip
        monkeypatch.setattr(f"scripts.metrics.calibration.{name}", value)
    bundle("training", ["configs/train.yaml"], output_dir=str(again), resume=True, **quick)
    state = torch.load(again / "models" / "model.pt", weights_only=True)
    found = json.loads((again / "metrics.json").read_text())
    temperature, threshold = (state[f"calibration.{name}"] for name in ("temperature", "threshold"))
    assert state["calibration.prior"].tolist() == [0.5, 0.5]
    assert found["calibration"]["temperature"] == float(temperature) != 1
    assert found["at_threshold"]["threshold"] == float(threshold) != 0.5
    assert found["macro"]["auc"] == plain["macro"]["auc"]
    assert found["macro"]["accuracy"] == plain["macro"]["accuracy"]
    assert found["calibration"]["brier_before"] == pytest.approx(plain["macro"]["brier"], abs=1e-6)
    said = pandas.read_csv(trained / "predictions.csv")["p_high"]
    logit = torch.logit(torch.tensor(said.to_numpy())) / temperature
    calibrated = pandas.read_csv(again / "predictions.csv")["p_high"]
    np.testing.assert_allclose(torch.sigmoid(logit), calibrated, atol=1e-5)

    # killed after the calibration: calibrating once more starts from the logits before it
    monkeypatch.undo()
    bundle("training", ["configs/train.yaml"], output_dir=str(again), resume=True, **quick)
    for name in ("models/model.pt", "predictions.csv"):
        assert (again / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.usefixtures("without_pixels")
def test_evaluation_of_the_results_folder_repeats_the_test_table(trained, small_phantom, bundle, tmp_path):
    """On a dataset that has no other split, as external test cases have."""
    content = json.loads((small_phantom / "dataset.json").read_text())
    external = small_phantom / "external.json"
    external.write_text(json.dumps({**content, "training": [], "validation": []}))
    files = [str(trained / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    bundle("evaluating", files, bundle_root=str(trained), dataset_dir=str(external), output_dir=str(tmp_path))
    before, after = (pandas.read_csv(folder / "predictions.csv") for folder in (trained, tmp_path))
    pandas.testing.assert_frame_equal(before, after)


def test_inference_gives_the_same_probabilities_without_labels(trained, small_phantom, bundle, tmp_path):
    """A folder with one subfolder per case, where no file tells the class."""
    dataset = json.loads((small_phantom / "dataset.json").read_text())
    for item in dataset["test"]:
        folder = tmp_path / "cases" / item["case"]
        folder.mkdir(parents=True)
        for phase, path in item["image"].items():
            shutil.copyfile(small_phantom / path, folder / f"{phase}.nii.gz")
        shutil.copyfile(small_phantom / item["roi"], folder / "lesion.nii.gz")
    bundle(
        "inferring",
        [str(trained / "configs" / "inference.yaml")],
        bundle_root=str(trained),
        dataset_dir=str(tmp_path / "cases"),
        output_dir=str(tmp_path / "out"),
    )
    assert sorted(os.listdir(tmp_path / "out")) == [".run", "predictions.csv"]
    found = pandas.read_csv(tmp_path / "out" / "predictions.csv").set_index("case")
    known = pandas.read_csv(trained / "predictions.csv").set_index("case")
    assert "true" not in found
    np.testing.assert_allclose(found.loc[known.index, "p_high"], known["p_high"], atol=1e-6)


@pytest.mark.usefixtures("without_pixels")
def test_one_seed_gives_one_result(trained, bundle, quick, tmp_path):
    bundle("training", ["configs/train.yaml"], output_dir=str(tmp_path / "again"), **quick)
    first, second = (folder / "models" / "model.pt" for folder in (trained, tmp_path / "again"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("without_pixels")
def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(trained, bundle, quick, tmp_path):
    """One epoch, then resumed to the second; the schedule spans two epochs both times."""
    folder = tmp_path / "halves"
    schedule = {"lr_schedule#max_epochs": 2}
    bundle("training", ["configs/train.yaml"], output_dir=str(folder), **(quick | {"max_epochs": 1}), **schedule)
    bundle("training", ["configs/train.yaml"], output_dir=str(folder), resume=True, **quick, **schedule)
    for name in ("learning_curves.csv", "predictions.csv"):
        assert (folder / name).read_bytes() == (trained / name).read_bytes()


def test_resuming_with_other_settings_names_them_and_changes_nothing(trained, bundle, quick):
    before = {file: file.read_bytes() for file in trained.rglob("*") if file.is_file()}
    with pytest.raises(RuntimeError) as caught:
        bundle("training", ["configs/train.yaml"], output_dir=str(trained), resume=True, learning_rate=0.1, **quick)
    from scripts.files.errors import message_of

    assert "other values of learning_rate" in (message_of(caught.value) or "")
    assert {file: file.read_bytes() for file in trained.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    "overlay",
    [
        "training/tiny_dataset",
        *(pytest.param(f"training/{name}", marks=pytest.mark.slow) for name in ("sgd", "plateau")),
    ],
)
@pytest.mark.usefixtures("without_pixels")
def test_training_overlays_train(overlay, bundle, quick, tmp_path):
    settings = quick | ({"val_interval": 2} if overlay.endswith("tiny_dataset") else {})
    files = ["configs/train.yaml", f"configs/{overlay}.yaml"]
    workflow = bundle("training", files, output_dir=str(tmp_path / "out"), **settings)
    curves = pandas.read_csv(tmp_path / "out" / "learning_curves.csv")
    iterations = workflow.parser.get_parsed_content("train#trainer").state.iteration
    assert len(curves) == (iterations // 2 if overlay.endswith("tiny_dataset") else 2)
    assert np.isfinite(curves["train_loss"]).all()


FRAGMENTS = sorted(path.stem for path in (ROOT / "configs" / "fusion").glob("*.yaml"))
QUICK = ("abaf", "early")  # one per kind of network


@pytest.mark.parametrize(
    "strategy", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FRAGMENTS]
)
@pytest.mark.usefixtures("without_pixels")
def test_every_strategy_trains_and_its_folder_predicts(strategy, bundle, quick, tmp_path):
    files = ["configs/train.yaml", f"configs/fusion/{strategy}.yaml"]
    folder = tmp_path / strategy
    clinical = ["age", "sex"] if strategy in ("film", "daft", "table") else []
    bundle("training", files, output_dir=str(folder), **(quick | {"max_epochs": 1, "clinical": clinical}))
    bundle(
        "inferring",
        [str(folder / "configs" / "inference.yaml")],
        bundle_root=str(folder),
        output_dir=str(tmp_path / "out"),
    )
    found = pandas.read_csv(tmp_path / "out" / "predictions.csv").set_index("case")
    known = pandas.read_csv(folder / "predictions.csv").set_index("case")
    np.testing.assert_allclose(found.loc[known.index, "p_high"], known["p_high"], atol=1e-6)


@pytest.mark.slow
def test_a_training_that_was_stopped_before_its_first_epoch_begins_it_again(bundle, quick, tmp_path, monkeypatch):
    def stop(folder, *_):
        (folder / "configs").mkdir(exist_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("scripts.engines.results.write_bundle", stop)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):  # in the place of a refused folder
            bundle("training", ["configs/train.yaml"], **quick, output_dir=str(tmp_path / "out"), resume=resume)


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_weights(quick, tmp_path):
    """Kill -9 after the first epoch; the continued run ends with the weights of an undisturbed one."""
    settings = quick | {"max_epochs": 4}
    line = command("training", "configs/train.yaml", output_dir=tmp_path / "killed", **settings)
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "models" / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "metrics.json").exists()
    subprocess.run([*line, "--resume", "True"], cwd=ROOT, check=True, capture_output=True)
    whole = command("training", "configs/train.yaml", output_dir=tmp_path / "whole", **settings)
    subprocess.run(whole, cwd=ROOT, check=True, capture_output=True)
    for name in ("models/model.pt", "models/last.pt", "learning_curves.csv", "predictions.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
