# SPDX-License-Identifier: Apache-2.0
"""`run validating`: calibration against scikit-learn, what differs in the data, and a model at another hospital."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
from scipy.special import expit, logit, softmax
from scripts.cases.splits import SPLITS
from scripts.files.errors import message_of
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from workbench.validate.recalibration import calibration_intercept, calibration_slope, fit_recalibration, recalibrated
from workbench.validate.shift import Feature

from tests.conftest import no_pixels
from tests.report.page import Page


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Risks that are too high and too extreme: truly logit P = 0.5 logit(p) - 1."""
    rng = np.random.default_rng(0)
    risk = expit(rng.normal(0, 2, 4000))
    return risk, rng.uniform(size=4000) < expit(0.5 * logit(risk) - 1)


def test_the_slope_is_that_of_a_logistic_regression_on_the_logit(drawn):
    risk, there = drawn
    fitted = LogisticRegression(C=1e12, tol=1e-10).fit(logit(risk)[:, None], there)
    assert calibration_slope(risk, there) == pytest.approx(fitted.coef_[0, 0], abs=1e-4)
    assert calibration_slope(risk, there) == pytest.approx(0.5, abs=0.05)


def test_the_intercept_makes_the_mean_risk_right_and_weights_count_as_copies(drawn):
    risk, there = drawn
    found = calibration_intercept(risk, there)
    assert expit(logit(risk) + found).mean() == pytest.approx(there.mean(), abs=1e-9)
    assert found < 0, "the risks are too high"
    weights = np.random.default_rng(1).integers(0, 3, len(risk)).astype(float)
    copies = np.repeat(np.arange(len(risk)), weights.astype(int))
    assert calibration_slope(risk, there, weights) == pytest.approx(calibration_slope(risk[copies], there[copies]))
    assert np.isnan(calibration_intercept(risk, np.ones(len(risk), bool)))
    assert np.isnan(calibration_slope(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])))


def test_recalibration_undoes_a_known_distortion_of_two_and_of_three_classes(drawn):
    risk, there = drawn
    values = fit_recalibration(np.stack([1 - risk, risk], axis=1), there.astype(int))
    after = recalibrated(np.stack([1 - risk, risk], axis=1), values)[:, 1]
    assert calibration_slope(after, there) == pytest.approx(1, abs=1e-3)
    assert calibration_intercept(after, there) == pytest.approx(0, abs=1e-3)
    assert (np.argsort(after) == np.argsort(risk)).all(), "the order of the cases stays"
    rng = np.random.default_rng(2)
    said = softmax(rng.normal(0, 2, (6000, 3)), axis=1)
    true = softmax(0.6 * np.log(said) + [0, 1, -0.5], axis=1)
    label = (true.cumsum(axis=1) < rng.uniform(size=(6000, 1))).sum(axis=1)
    assert fit_recalibration(said, label) == pytest.approx([0.6, 1, -0.5], abs=0.1)
    with pytest.raises(ValueError, match="needs 20 cases and 5 of each class, found 10 with"):
        fit_recalibration(said[:10], label[:10])


def test_a_difference_is_in_standard_deviations():
    assert Feature("x", [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]).difference == pytest.approx(2.0)
    assert Feature("x", [[2.0, 2.0], [2.0, 2.0]]).difference == 0.0
    assert Feature("x", [[2.0, 2.0], [3.0, 3.0]]).difference == np.inf
    assert np.isnan(Feature("x", [[], [3.0, 3.0]]).difference)


def write_other(source: Path, folder: Path, **changes: object) -> Path:
    """Write the dataset.json of another hospital: new names of patients, and the order of the classes reversed."""
    document = json.loads((source / "dataset.json").read_text())
    for split in SPLITS:
        for case in document[split]:
            case["image"] = {phase: str(source / path) for phase, path in case["image"].items() if phase != "pre"}
            case["roi"] = str(source / case["roi"])
            case["case"] = case["patient"] = f"other_{case['case']}"
    document |= {"name": "elsewhere", "classes": document["classes"][::-1]} | changes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module")
def validated(bundle, trained, small_phantom, tmp_path_factory) -> tuple[Path, str]:
    """The folder of a validation with recalibration, and what stood on the screen."""
    import contextlib
    import io

    data = write_other(small_phantom, tmp_path_factory.mktemp("other"))
    folder, screen = data / "out", io.StringIO()
    own = {"bundle_root": str(trained), "dataset_dir": str(data), "output_dir": str(folder)}
    with no_pixels(), contextlib.redirect_stdout(screen):
        bundle("validating", ["configs/validate.yaml"], recalibration=0.5, draws=50, **own)
    return folder, screen.getvalue()


def test_every_case_with_a_class_counts_and_both_hospitals_stand_side_by_side(validated, trained):
    folder, screen = validated
    found = pandas.read_csv(folder / "evaluation" / "predictions.csv")
    assert len(found) == 40
    groups = json.loads((folder / "validation.json").read_text())["groups"]
    ends = [name.split(", ")[-1] for name in groups]
    assert ends == ["own test", "elsewhere", "the rest as it is", "the rest recalibrated"]
    for name, file in zip(
        groups, (trained / "predictions.csv", folder / "evaluation" / "predictions.csv"), strict=False
    ):
        there = pandas.read_csv(file)
        auc = roc_auc_score(there["true"] == "high", there["p_high"])
        assert groups[name]["AUC"]["value"] == pytest.approx(auc)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    rows = {row[0]: row[1:] for row in page.table("The model at both hospitals")[1:]}
    assert rows["cases (patients)"] == ["8 (8)", "40 (40)", "20 (20)", "20 (20)"]
    assert {"calibration intercept (0) of high", "calibration slope (1) of high"} <= set(rows)
    assert "sets of 90%: hold the true class" in rows
    shift = {row[0]: row[1:] for row in page.table("What differs")[1:]}
    assert shift["pre is missing"][1] == "100% of 40"
    assert "◀" in shift["pre is missing"][2]
    assert shift["class high"][0] == "50% of 32"
    assert "the classes are matched by name" in screen
    assert "No case there has phase pre." in screen
    assert "the name of one that trained" not in screen


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({split: [] for split in SPLITS}, "needs the class of each case, found none of 0 cases"),
        ({"phases": ["arterial", "portal"]}, "phase 'pre' is not among the phases"),
        ("labels", "label 'benign' is not among the classes"),
        (
            "nothing",
            "needs the class of each case, found none of 40 cases with one in .*predict them by `run inferring`",
        ),
    ],
)
def test_a_dataset_that_does_not_fit_gets_one_line(changes, line, bundle, trained, small_phantom, tmp_path):
    own = changes if isinstance(changes, dict) else {}
    data = write_other(small_phantom, tmp_path / "other", **own)
    if changes in ("labels", "nothing"):
        document = json.loads((data / "dataset.json").read_text())
        cases = [case for split in SPLITS for case in document.pop(split)]
        for case in cases:
            del case["label"]
            case |= {"label": "benign"} if changes == "labels" else {}
        document |= {"test": cases} if changes == "labels" else {"unlabelled": cases}
        (data / "dataset.json").write_text(json.dumps(document))
    place = {"bundle_root": str(trained), "dataset_dir": str(data), "output_dir": str(tmp_path / "out")}
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle("validating", ["configs/validate.yaml"], **place)
    message = message_of(caught.value) or ""
    assert re.search(line, message), message
    assert "\n" not in message


def test_a_folder_without_a_model_gets_one_line(bundle, small_phantom, tmp_path):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle("validating", ["configs/validate.yaml"], bundle_root=str(tmp_path), dataset_dir=str(small_phantom))
    assert "must hold a trained model, found no configs/train.yaml" in (message_of(caught.value) or "")


@pytest.mark.slow
def test_the_patients_of_the_training_are_counted(bundle, trained, small_phantom, tmp_path, capsys):
    place = {"bundle_root": str(trained), "dataset_dir": str(small_phantom), "output_dir": str(tmp_path / "out")}
    with no_pixels():
        bundle("validating", ["configs/validate.yaml"], draws=20, **place)
    assert "32 patients of 40 have the name of one that trained" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "out")
