# SPDX-License-Identifier: Apache-2.0
"""`run comparing` from beginning to end, on one thread in this process."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from scripts.files.errors import message_of
from scripts.metrics.paired import corrected_t_test, delong_test, holm
from scripts.metrics.predictions import read_predictions
from sklearn.metrics import roc_auc_score

from .conftest import BASELINES, STRATEGIES

TABLES = ("comparison.csv", "summary.csv", "pairs.csv")


def again(bundle, folder: Path, settings: dict, files: tuple[str, ...] = ("configs/compare.yaml",)) -> None:
    bundle("comparing", list(files), output_dir=str(folder), **settings)


def failing(bundle, folder: Path, settings: dict, files: tuple[str, ...] = ("configs/compare.yaml",)) -> str:
    """Compare, and return the one line that says what is wrong."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        again(bundle, folder, settings, files)
    message = message_of(caught.value)
    assert message, f"no line for the user: {caught.value!r}"
    assert "\n" not in message
    return message


@pytest.mark.slow
def test_every_strategy_and_baseline_is_trained_on_every_fold(compared):
    table = pandas.read_csv(compared / "comparison.csv")
    jobs = {(row.strategy, row.fold) for row in table.itertuples()}
    assert jobs == {(name, fold) for name in STRATEGIES + BASELINES for fold in (1, 2)}
    assert len(table) == 12
    assert set(table["threads"]) == {1}
    for fold, rows in table.groupby("fold"):
        dataset = json.loads((compared / "folds" / f"r1_f{fold}" / "dataset.json").read_text())
        assert set(rows["n"]) == {len(dataset["test"])}
        assert set(rows["n_training"]) == {len(dataset["training"])}
    costs = pandas.read_csv(compared / "costs.csv")
    assert (costs[["training_seconds", "inference_ms"]].min() >= 0).all()


@pytest.mark.slow
def test_metrics_are_those_of_the_predictions(compared):
    for row in pandas.read_csv(compared / "comparison.csv").itertuples():
        found = pandas.read_csv(compared / "jobs" / f"{row.strategy}_r1_f{row.fold}_s0" / "predictions.csv")
        assert row.auc == pytest.approx(roc_auc_score(found["true"] == "high", found["p_high"]), abs=1e-6)
        assert row.accuracy == pytest.approx((found["true"] == found["predicted"]).mean(), abs=1e-6)


@pytest.mark.slow
def test_a_job_is_the_training_a_user_would_start(compared, bundle, settings, tmp_path):
    """The same fold, strategy and seed by `run training`, on one thread."""
    job = compared / "jobs" / "concat_r1_f2_s0"
    own = {key: settings[key] for key in ("bundle_root", "spacing", "grid_size", "max_epochs", "phases", "clinical")}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        bundle(
            "training",
            ["configs/train.yaml", "configs/fusion/concat.yaml"],
            **own,
            dataset_dir=str(compared / "folds" / "r1_f2"),
            output_dir=str(tmp_path / "alone"),
        )
    finally:
        torch.set_num_threads(threads)
    name = "predictions.csv"
    assert (tmp_path / "alone" / name).read_bytes() == (job / name).read_bytes()
    assert not (job / "models" / "last.pt").exists()


@pytest.mark.slow
def test_pooled_predictions_hold_every_case_once(compared, small_phantom):
    document = json.loads((small_phantom / "dataset.json").read_text())
    cases = sorted(entry["case"] for split in ("training", "validation", "test") for entry in document[split])
    for strategy in STRATEGIES + BASELINES:
        assert read_predictions(compared / "predictions" / f"{strategy}.csv").cases == cases


@pytest.mark.slow
def test_summary_and_pairs_follow_from_rows_and_predictions(compared):
    table = pandas.read_csv(compared / "comparison.csv").set_index("strategy")
    summary = pandas.read_csv(compared / "summary.csv").query("metric == 'auc'").set_index("strategy")
    for strategy in STRATEGIES + BASELINES:
        pooled = read_predictions(compared / "predictions" / f"{strategy}.csv")
        auc = roc_auc_score(pooled.labels, pooled.probabilities[:, 1])
        assert summary.loc[strategy, "pooled"] == pytest.approx(auc, abs=1e-6)
        assert summary.loc[strategy, "mean"] == pytest.approx(table.loc[strategy, "auc"].mean(), abs=1e-6)
    pairs = pandas.read_csv(compared / "pairs.csv").query("metric == 'auc'")
    by_patient = pairs.query("by == 'patient'").set_index(["first", "second"])
    assert len(by_patient) == 15
    one, other = (read_predictions(compared / "predictions" / f"{name}.csv") for name in STRATEGIES)
    test = delong_test(one.probabilities, other.probabilities, one.labels, one.patients)
    assert by_patient.loc[tuple(STRATEGIES), "p_value"] == pytest.approx(test.p_value, abs=1e-6)
    np.testing.assert_allclose(by_patient["p_holm"], holm(by_patient["p_value"]), atol=2e-5)
    by_fold = pairs.query("by == 'fold'").set_index(["first", "second"])
    test = corrected_t_test(*(table.loc[name, "auc"].tolist() for name in STRATEGIES), 1, 1)
    assert by_fold.loc[tuple(STRATEGIES), "p_value"] == pytest.approx(test.p_value, abs=1e-4)


@pytest.mark.slow
def test_the_report_names_every_strategy_with_its_interval(compared):
    text = (compared / "comparison.md").read_text()
    assert "40 cases of an unknown number of patients" in text
    assert "2 folds, 1 repeat, 1 training seed; 1 thread" in text
    summary = pandas.read_csv(compared / "summary.csv").query("metric == 'auc'").set_index("strategy")
    for strategy in STRATEGIES + BASELINES:
        line = next(line for line in text.splitlines() if line.startswith(f"| {strategy} |"))
        value, lower, upper = (float(number) for number in re.findall(r"[01]\.\d+", line.split("|")[2]))
        row = summary.loc[strategy]
        assert [value, lower, upper] == pytest.approx(
            [row["pooled"], row["pooled_lower"], row["pooled_upper"]], abs=6e-4
        )


@pytest.mark.slow
def test_a_lost_job_is_done_again_with_the_same_bytes_and_no_other(compared, bundle, settings, tmp_path):
    """As after a kill: no row, an unfinished folder; and a further strategy joins without training others."""
    folder = tmp_path / "out"
    shutil.copytree(compared, folder)
    before = {name: (folder / name).read_bytes() for name in TABLES}
    kept = (folder / "rows" / "concat_r1_f2_s0.json").stat().st_mtime_ns
    (folder / "rows" / "concat_r1_f1_s0.json").unlink()
    (folder / "rows" / "logistic_regression_r1_f2_s0.json").unlink()
    (folder / "jobs" / "concat_r1_f1_s0" / "predictions.csv").unlink()
    shutil.rmtree(folder / "predictions")
    again(bundle, folder, settings)
    assert {name: (folder / name).read_bytes() for name in TABLES} == before
    assert (folder / "rows" / "concat_r1_f2_s0.json").stat().st_mtime_ns == kept


MISTAKES = {
    "another value": ({"max_epochs": 2}, "holds a comparison with other values of max_epochs; give"),
    "other folds": ({"folds": 3, "seed": 1}, "holds a comparison with other values of folds, seed; give"),
    "other cases": ({"splits": ["training", "test"]}, "other values of dataset.json; give"),
    "misspelt strategy": ({"strategies": ["concatt"]}, "strategy 'concatt' is not among .*nearest: 'concat'"),
    "a single phase": ({"strategies": ["single"]}, "strategy 'single' is not among .*'single_"),
    "misspelt key": ({"max_epoch": 2}, "unknown key 'max_epoch'.*max_epochs"),
    "too few patients": ({"folds": 30}, "must have at least one patient for each of the 30 folds, found"),
    "too small a grid": ({"grid_size": [2, 2, 2]}, "strategy concat: grid_size must be at least"),
    "no table": ({"clinical": [], "strategies": ["film"]}, "strategy film: .*table"),
    "nothing to regress on": (
        {"clinical": [], "strategies": ["logistic_regression"]},
        "logistic_regression reads the clinical table",
    ),
    "unknown backend": ({"backend": "slurm", "repeats": 2}, "backend must be one of .*found 'slurm'"),
    "scheduler without dask": ({"scheduler": "tcp://x:1", "repeats": 2}, "needs --backend dask"),
    "no jobs": ({"jobs": 0, "repeats": 2}, "jobs must be a whole number from 1 to"),
    "no seeds": ({"training_seeds": []}, "training_seeds must be"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_line_before_any_training(mistake, compared, bundle, settings):
    changes, expected = MISTAKES[mistake]
    before = sorted((compared / "jobs").iterdir())
    message = failing(bundle, compared, settings | changes)
    assert re.search(expected, message), message
    assert sorted((compared / "jobs").iterdir()) == before


@pytest.mark.slow
def test_another_folder_is_left_alone(bundle, settings, tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "metrics.json").touch()
    message = failing(bundle, tmp_path / "training", settings)
    assert "holds something other than a comparison; give another --name" in message
    assert [path.name for path in (tmp_path / "training").iterdir()] == ["metrics.json"]


@pytest.mark.slow
def test_a_job_that_fails_is_named_and_the_others_are_done(compared, bundle, settings, tmp_path):
    """Its fold names an image that is no more; everything else is kept and need not be repeated."""
    folder = tmp_path / "out"
    shutil.copytree(compared, folder)
    for name in ("concat_r1_f1_s0", "table_r1_f1_s0"):
        (folder / "rows" / f"{name}.json").unlink()
    shutil.rmtree(folder / "jobs" / "concat_r1_f1_s0")
    (folder / "jobs" / "concat_r1_f1_s0").touch()  # a file where its folder belongs
    message = failing(bundle, folder, settings)
    assert "1 of 12 jobs failed, the first: concat_r1_f1_s0: " in message
    assert str(folder / "logs" / "concat_r1_f1_s0.log") in message
    assert (folder / "rows" / "table_r1_f1_s0.json").is_file()
    assert "Traceback" in (folder / "logs" / "concat_r1_f1_s0.log").read_text()


@pytest.mark.slow
def test_settings_hold_for_all_trainings_and_nested_ones_too(compared):
    """What a user sets is written once as an overlay; compare.yaml's own keys are not in it."""
    import yaml

    overlay = yaml.safe_load((compared / "settings.yaml").read_text())
    assert overlay["max_epochs"] == 1
    assert overlay["missing_phases"] is False, "it would be drawn in every job"
    assert not list((compared / "jobs").glob("*/missing_phases.*"))
    assert overlay["clinical"] == ["age", "sex"]
    assert not {"folds", "repeats", "strategies", "jobs", "seed", "name", "comparing"} & set(overlay)
    for job in (compared / "jobs").iterdir():
        if (job / "configs").is_dir():
            trained = yaml.safe_load((job / "configs" / "train.yaml").read_text())
            assert trained["grid_size"] == [16, 16, 16]
            assert trained["name"] == job.name
