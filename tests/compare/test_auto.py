# SPDX-License-Identifier: Apache-2.0
"""`auto`: the rule, the inner folds, a comparison whose trainings are stood in for, and a choice by the command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas
import pytest
from scripts.cases.splits import SPLITS
from scripts.metrics.paired import corrected_t_test
from scripts.metrics.predictions import write_predictions
from workbench.compare import jobs
from workbench.compare.auto import Nested, candidates_of, one_standard_error
from workbench.compare.folds import make_folds
from workbench.compare.jobs import Job, Place
from workbench.compare.pool import Pool

from tests.report.page import Page

from .test_comparing import failing

ROOT = Path(__file__).resolve().parents[2]
SKILL = {"concat": 1.0, "mean": 0.9, "single_portal": 0.0}
WEIGHTS = {"concat": 300, "mean": 200, "single_portal": 100}
OWN = {
    "strategies": ["auto", "concat", "mean"],
    "candidates": ["concat", "mean", "single_portal"],
    "inner_folds": 3,
    "compared_with": [],
    "clinical": [],
    "cache": "none",
}


def test_the_cheapest_within_one_standard_error_of_the_best_is_chosen():
    scores = {"best": [0.9, 0.8, 0.7], "near": [0.75, 0.75, 0.75], "far": [0.74, 0.74, 0.74]}
    error = 0.1 / 3**0.5  # of the best: .8 - .058 = .742
    assert 0.74 < 0.8 - error < 0.75
    assert one_standard_error(scores, {"best": 9, "near": 5, "far": 1}) == ["near", "best"]
    assert one_standard_error(scores, {"best": 5, "near": 5, "far": 1}) == ["best", "near"], "then the higher mean"
    assert one_standard_error({"one": [0.5, 0.5], "two": [0.6, 0.6]}, {"one": 1, "two": 9}) == ["two"]


def test_inner_folds_hold_every_case_outside_the_test_part_once_and_no_patient_twice(tmp_path):
    patients = [f"p{i // 2}" for i in range(80)]
    labels = ["low" if i // 2 % 2 else "high" for i in range(80)]
    items = [{"case": f"c{i}", "patient": p, "label": y} for i, (p, y) in enumerate(zip(patients, labels, strict=True))]
    nested = Nested(Place(tmp_path, tmp_path, "none", tmp_path), Pool("x", [], [], [], items), ["a", "b"], 4, 0.25, 0)
    drawn = set()
    for fold in make_folds(labels, patients, 5, 2, 0.25, seed=0):
        parts = nested.parts(fold, fold.name)
        assert list(parts) == [f"{fold.name}_i{k}" for k in (1, 2, 3, 4)]
        tested = [case for part in parts.values() for case in part.test]
        assert sorted(tested) == sorted([*fold.training, *fold.validation])
        drawn.add(tuple(tested))
        for part in parts.values():
            seen = [{patients[case] for case in group} for group in (part.training, part.validation, part.test)]
            assert sum(map(len, seen)) == len(set().union(*seen))
            assert not set().union(*seen) & {patients[case] for case in fold.test}
    assert len(drawn) == 10, "each fold is divided by a draw of its own"


@pytest.mark.parametrize(
    ("candidates", "outlined", "line"),
    [
        (["concat"], False, "chooses among 2 networks or more, found .concat.; name them in --candidates"),
        (["concat", "random_forest"], False, "chooses among 2 networks or more, found 'random_forest'"),
        (["concat", "auto"], False, "found 'auto'"),
        (None, True, "cannot choose where networks outline, .* take auto out of `strategies`"),
    ],
)
def test_what_cannot_be_chosen_among_gets_one_line(candidates, outlined, line):
    with pytest.raises(ValueError, match=line):
        candidates_of(candidates, ["auto", "concat"], outlined)


def stand_in(place: Place, job: Job) -> dict:
    """Predict by the label and noise in place of a training."""
    document = json.loads((place.fold(job) / "dataset.json").read_text())
    classes, test = document["classes"], document["test"]
    label = [classes.index(case["label"]) for case in test]
    seed = [job.repeat, job.fold, *map(ord, job.strategy + job.fold_name)]
    score = SKILL[job.strategy] * np.array(label) + np.random.default_rng(seed).normal(size=len(label))
    risk = 1 / (1 + np.exp(-score))
    cases, patients = ([case[key] for case in test] for key in ("case", "patient"))
    file = place.output(job) / "predictions.csv"
    write_predictions(file, cases, np.stack([1 - risk, risk], axis=1), classes, label, patients=patients)
    costs = {"training_seconds": 2.0, "inference_ms": 1.0}
    return {"parameters": WEIGHTS[job.strategy], "epochs": 1, "device": "cpu", "costs": costs}


def auc_of(row: Path) -> float:
    return json.loads(row.read_text())["metrics"]["auc"]


@pytest.fixture(scope="module")
def nested(bundle, settings, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("auto") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "train", stand_in)
        bundle("comparing", ["configs/compare.yaml"], **settings | OWN | {"output_dir": str(folder)})
    return folder


def test_auto_has_the_predictions_of_what_its_inner_folds_chose(nested):
    choices = pandas.read_csv(nested / "choices.csv")
    assert len(choices) == 2 * 3
    table = pandas.read_csv(nested / "comparison.csv").set_index(["strategy", "fold"])
    for fold, found in choices.groupby("fold"):
        rows = nested / "inner" / "rows"
        inner = {name: [auc_of(file) for file in sorted(rows.glob(f"{name}_r1_f{fold}_i*"))] for name in SKILL}
        first = one_standard_error(inner, WEIGHTS)[0]
        row = found[found["chosen"] == 1].iloc[0]
        assert row["candidate"] == first
        assert row["auc"] == pytest.approx(fmean(inner[first]), abs=1e-6)
        own, chosen = (nested / "jobs" / f"{name}_r1_f{fold}_s0" / "predictions.csv" for name in ("auto", first))
        assert own.read_bytes() == chosen.read_bytes()
        assert table.loc[("auto", fold), "parameters"] == WEIGHTS[first]
    costs = pandas.read_csv(nested / "costs.csv").set_index("strategy")["training_seconds"]
    assert set(costs["auto"]) == {2.0 * (9 + 1)}, "choosing is paid for, too"
    assert "single_portal" not in table.index.get_level_values("strategy"), "only a candidate"


def test_the_report_says_what_was_chosen_and_what_is_optimistic(nested):
    page = Page((nested / "report.html").read_text(encoding="utf-8"))
    chosen = {row[0]: row[1] for row in page.table("What auto chose")[1:]}
    counts = pandas.read_csv(nested / "choices.csv").groupby("candidate")["chosen"].sum()
    assert chosen == {name: f"{counts[name]} of 2" for name in SKILL}
    beside = {row[0]: row for row in page.table("auto beside")[1:]}
    table = pandas.read_csv(nested / "comparison.csv").pivot_table(index="fold", columns="strategy", values="auc")
    mean = table[["concat", "mean"]].mean(axis=1)
    test = corrected_t_test(table["auto"], mean, 20, 20)
    assert float(beside["mean of 2 candidates"][1].split()[0]) == pytest.approx(mean.mean(), abs=6e-4)
    assert float(beside["mean of 2 candidates"][3].split()[0]) == pytest.approx(test.difference, abs=6e-4)
    best = table[["concat", "mean"]].mean().idxmax()
    assert list(beside) == ["auto", "mean of 2 candidates", f"{best}, named afterwards"]
    assert "that row is optimistic" in (nested / "comparison.md").read_text()


def test_a_choice_that_was_interrupted_goes_on_with_the_same_bytes(nested, bundle, settings, tmp_path, monkeypatch):
    folder, done = tmp_path / "out", []
    shutil.copytree(nested, folder)
    (folder / "inner" / "rows" / "mean_r1_f2_i3_s0.json").unlink()
    (folder / "rows" / "auto_r1_f1_s0.json").unlink()

    def count(place: Place, job: Job) -> dict:
        done.append(job.name)
        return stand_in(place, job)

    monkeypatch.setattr(jobs, "train", count)
    bundle("comparing", ["configs/compare.yaml"], **settings | OWN | {"output_dir": str(folder)})
    assert done == ["mean_r1_f2_i3_s0"]
    for name in ("comparison.csv", "summary.csv", "choices.csv", "auto.csv"):
        assert (folder / name).read_bytes() == (nested / name).read_bytes()
    message = failing(bundle, folder, settings | OWN | {"inner_folds": 2})
    assert "other values of inner_folds" in message
    message = failing(bundle, tmp_path / "new", settings | OWN | {"inner_folds": 30})
    assert "outside the test part of r1_f1 again: class" in message
    assert "give --inner_folds 10" in message
    assert not (tmp_path / "new" / "jobs").exists()


@pytest.mark.slow
def test_killed_while_choosing_the_command_ends_with_the_chosen_model(settings, small_phantom, bundle, tmp_path):
    """`run choosing` in a process of its own, killed in the inner folds, then again until the model is there."""
    own = {key: value for key, value in settings.items() if key not in ("folds", "repeats", "strategies", "draws")}
    own |= {"candidates": ["concat", "single_portal"], "inner_folds": 2, "clinical": [], "jobs": 1}
    folder = tmp_path / "chosen"
    line = [sys.executable, "-m", "monai.bundle", "run", "choosing", "--config_file", "configs/compare.yaml"]
    for key, value in (own | {"output_dir": folder}).items():
        line += [f"--{key}", str(value)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    process = subprocess.Popen(line, start_new_session=True, **quiet)
    while not list(folder.glob("inner/rows/*")) and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {file.name: file.stat().st_mtime_ns for file in folder.glob("inner/rows/*")}
    assert kept
    assert not (folder / "chosen").exists()
    bundle("choosing", ["configs/compare.yaml"], **own | {"output_dir": str(folder)})
    for name, changed in kept.items():
        assert (folder / "inner" / "rows" / name).stat().st_mtime_ns == changed
    choices = pandas.read_csv(folder / "chosen" / "choices.csv")
    trained = json.loads((folder / "chosen" / "configs" / "metadata.json").read_text())
    assert trained
    assert choices["chosen"].sum() == 1
    held = pandas.read_csv(folder / "chosen" / "predictions.csv")["case"]
    document = json.loads((small_phantom / "dataset.json").read_text())
    assert sorted(held) == sorted(case["case"] for case in document["test"])
    inner = [json.loads(file.read_text()) for file in folder.glob("inner/folds/*/dataset.json")]
    seen = {case["case"] for one in inner for split in SPLITS for case in one[split]}
    assert not seen & set(held), "no test case has a part in the choice"
