# SPDX-License-Identifier: Apache-2.0
"""predictions.csv, metrics.json and the text table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.engines.environment import write_metrics
from scripts.figures.table import format_table
from scripts.files.atomic import check_writable, write_atomically, write_tensors
from scripts.metrics.predictions import read_predictions, write_predictions
from scripts.metrics.rows import classification_table, confidence_intervals, threshold_row

P = np.array([[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]])
CLASSES = ["low", "high"]


def test_the_columns_are_as_documented(tmp_path: Path) -> None:
    path = write_predictions(
        tmp_path / "new" / "predictions.csv", ["c1", "c2", "c3"], P, CLASSES, [0, 1, 1], ["test"] * 3
    )
    assert path.read_text().splitlines() == [
        "case,split,true,predicted,p_low,p_high",
        "c1,test,low,low,0.75,0.25",
        "c2,test,high,low,0.5,0.5",
        "c3,test,high,high,0.1,0.9",
    ]


def test_without_labels_there_is_no_column_true(tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "p.csv", ["c1", "c2", "c3"], P, CLASSES)
    assert path.read_text().splitlines()[0] == "case,predicted,p_low,p_high"
    assert read_predictions(path).labels is None


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = np.exp(rng.normal(size=(200, 3), scale=6)).astype(np.float32)
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    classes = ["gutartig, klein", 'grade "II"', "恶性"]
    cases = [f"case {i}" for i in range(200)]
    labels: list[int | None] = [None if i % 7 == 0 else i % 3 for i in range(200)]
    path = write_predictions(tmp_path / "p.csv", cases, probabilities, classes, labels, patients=[c[:6] for c in cases])
    found = read_predictions(path)
    assert (found.cases, found.classes, found.labels) == (cases, classes, labels)
    assert (found.patients, found.splits) == ([c[:6] for c in cases], None)
    np.testing.assert_array_equal(found.probabilities.astype(np.float32), probabilities)


FORMULAS = ["=1+1", "+x", "-x", "@SUM(A1)", "\t=1", "'=x", "''+x", "＝1", "-1", "'tis", "=cmd|' /C calc'!A0"]


def test_no_name_is_a_formula_and_all_come_back(tmp_path: Path) -> None:
    cases = [f"{name}{number}" for number, name in enumerate(FORMULAS)]
    labels = [number % 2 for number in range(len(cases))]
    probabilities = np.tile([-0.0, 1.0], (len(cases), 1))
    path = write_predictions(
        tmp_path / "p.csv", cases, probabilities, ["-low", "=high"], labels, cases[::-1], cases,
        [([f"+{case}"], ["@b"]) for case in cases], positive="=high",
    )  # fmt: skip
    with path.open(newline="", encoding="utf-8") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    formulas = [cell for cell in cells if cell[:1] in set("=+-@\t\r＝") and cell != "-0"]
    assert formulas == ["-18"] * 3  # a number
    found = read_predictions(path)
    assert (found.cases, found.splits, found.patients) == (cases, cases[::-1], cases)
    assert (found.classes, found.labels) == (["-low", "=high"], labels)
    assert found.clinical_missing == [["@b"]] * len(cases)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "p.csv", ["c1", "c2", "c3"], P, CLASSES)
    before = path.read_text()
    with pytest.raises(ValueError, match="case c2: predicted twice"):
        write_predictions(path, ["c1", "c2", "c2"], P, CLASSES)

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1]}, "column true must have one value per case, found 2 for 3"),
        ({"labels": [0, 5, 1]}, r"case c2: label must lie in 0..1, found 5"),
        ({"probabilities": np.where(P == 0.9, np.nan, P)}, "case c3: probabilities must be finite"),
        ({"classes": ["a", "b", "c"]}, "one column per class"),
        ({"cases": ["c1", "c2"]}, "one row of probabilities per case"),
    ],
)
def test_bad_predictions_are_not_written(tmp_path: Path, change: dict, message: str) -> None:
    arguments = {"cases": ["c1", "c2", "c3"], "probabilities": P, "classes": CLASSES, **change}
    with pytest.raises(ValueError, match=message):
        write_predictions(tmp_path / "p.csv", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,predicted,p_low,p_high\nc1,low,0.5,half\n", "line 2: p_high must be a number, found 'half'"),
        ("case,true,p_low,p_high\nc1,middle,0.5,0.5\n", "line 2: true must be one of .*found 'middle'"),
        ("case,predicted\nc1,low\n", "at least two columns p_<class>"),
        ("case,p_low,p_high\n", "0 rows"),
        ("case,p_low,p_high\nc1,0.5\n", "line 2: p_high must be a number, found ''"),
        ("case,p_low,p_high\nc1,0.5,0.9\n", "case c1: .*sum to 1"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_predictions(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,p_a,p_b,p_a\nx,.5,.5,.1\n", r"'p_a' in row 1 as column 2 and 4; restore"),
        ("case,p_a,p_b\n\udcff,.5,.5\n", r"must be a CSV file in UTF-8, found: .*; restore it"),
    ],
    ids=["twice", "no UTF-8"],
)
def test_what_is_no_table_of_the_bundle_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=message) as caught:
        read_predictions(tmp_path / "p.csv")
    assert str(tmp_path / "p.csv") in str(caught.value)


def test_a_name_may_be_longer_than_the_csv_module_s_limit(tmp_path: Path) -> None:
    name = "x" * 200_000
    path = write_predictions(tmp_path / "p.csv", [name], P[:1], CLASSES)
    assert read_predictions(path).cases == [name]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"p\.csv is not there"):
        read_predictions(tmp_path / "p.csv")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file/results cannot be written .*choose another output_dir"):
        check_writable(tmp_path / "file" / "results")
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(ValueError, match=r"p\.csv is a folder"):
        write_predictions(tmp_path / "p.csv", ["c1", "c2", "c3"], P, CLASSES)


def test_a_run_that_is_stopped_while_it_tries_its_folder_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def stopped(path: Path) -> None:
        path.write_text("")
        raise SystemExit(143)

    monkeypatch.setattr(Path, "touch", stopped)
    with pytest.raises(SystemExit):
        check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_metrics_json_holds_figures_seed_versions_and_machine(tmp_path: Path) -> None:
    intervals = confidence_intervals(P, [0, 1, 1], draws=50)
    rows = classification_table(P, [0, 1, 1], CLASSES, intervals)
    path = write_metrics(tmp_path / "metrics.json", rows, CLASSES, "test", 7, intervals[-1])
    content = json.loads(path.read_text())
    assert (content["name"], content["n"], content["classes"], content["seed"]) == ("test", 3, CLASSES, 7)
    assert content["macro"]["accuracy"] == pytest.approx(2 / 3)
    assert [row["class"] for row in content["per_class"]] == CLASSES
    assert content["intervals"]["accuracy"]["draws"] == 50
    assert content["versions"]["torch"].startswith("2.")
    assert content["threads"] >= 1
    bounds = intervals[-1]["accuracy"].bounds
    assert content["macro"]["accuracy_interval"] == bounds
    assert f'"accuracy_interval": [{bounds[0]}, {bounds[1]}]' in path.read_text(), "on one line"
    first = path.read_bytes()
    assert write_metrics(path, rows, CLASSES, "test", 7, intervals[-1]).read_bytes() == first


def test_undefined_metrics_are_null(tmp_path: Path) -> None:
    rows = classification_table(P, [1, 1, 1], CLASSES)
    content = json.loads(write_metrics(tmp_path / "m.json", rows, CLASSES, "test").read_text())
    assert content["macro"]["auc"] is None


def test_the_table_is_aligned_and_says_what_it_shows() -> None:
    intervals = confidence_intervals(P, [0, 1, 1])
    rows = classification_table(P, [0, 1, 1], ["low", "a very long name of a class indeed"], intervals)
    lines = format_table(rows, "test: 3 cases", 3).splitlines()
    assert lines[0] == "test: 3 cases"
    header, low, _, rule, macro = lines[1:6]
    assert set(rule) == {"-"}
    for heading, value in (("cases", "1 of 3"), ("AUC", "1.000"), ("F1", "0.667")):
        assert low[header.index(heading) :].startswith(value)
    assert "a very long…indeed " in lines[3]
    assert macro.startswith("macro")
    start = lines.index("All classes together [95% interval over 3 patients]:")
    figures = dict(line.strip().split("  ", 1) for line in lines[start + 1 :])
    assert figures["accuracy"].strip().startswith("0.667 [0.")
    assert figures["Brier score (0 is best)"].strip().startswith("0.107")
    assert not [name for name in figures if "quadratic" in name], "it is the plain kappa with two classes"


def test_the_table_shows_the_threshold_and_what_the_temperature_changed() -> None:
    rows = classification_table(P, [0, 1, 1], CLASSES)
    at_threshold = threshold_row(P, [0, 1, 1], CLASSES, 0.4, draws=0)
    calibration = {"temperature": 2.0, "brier_before": 0.2, "brier_after": 0.1, "ece_before": 0.3}
    text = format_table(rows, "test", None, at_threshold, calibration)
    assert "0.107   0.200 before division by temperature 2.00" in text
    assert "At the model's threshold, high (the positive class) from P(high) = 0.400:" in text
    assert "net benefit                              0.667   0.444 if every case were called high" in text
    assert "before division" not in format_table(rows, calibration={**calibration, "temperature": 1.0})


def test_the_table_shows_what_is_undefined_and_why() -> None:
    text = format_table(classification_table(P, [1, 1, 1], CLASSES))
    assert "-: undefined." in text
    assert "high: every case has class high" in text
    assert "[ ]" not in text


def test_a_state_that_was_read_and_goes_on_is_written_with_the_same_bytes(tmp_path: Path) -> None:
    rows = [{"epoch": number, "best": 1.0} for number in (1.0, 2.0)]
    whole = write_tensors(tmp_path / "whole.pt", {"best": torch.ones(2), "rows": rows})
    read = torch.load(write_tensors(tmp_path / "first.pt", {"rows": rows[:1]}), weights_only=True)
    again = write_tensors(tmp_path / "again.pt", {"best": torch.ones(2), "rows": read["rows"] + rows[1:]})
    assert whole.read_bytes() == again.read_bytes()
