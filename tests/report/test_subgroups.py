# SPDX-License-Identifier: Apache-2.0
"""Sites and subgroups in the report: figure, tables, and a warning of each kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scripts.metrics.predictions import read_predictions
from scripts.metrics.subgroups import Labelled, compare_groups
from workbench.report.contents import read_contents
from workbench.report.report import report_folder
from workbench.report.subgroups import subgroup_cautions, subgroup_figure

from .conftest import CLASSES
from .page import Page


def with_groups(clean: Path, folder: Path, columns: dict[str, list[str]], worse: str = "") -> Path:
    """Copy the clean folder, and give its metrics.json the groups; the predictions of one group become random."""
    shutil.copytree(clean, folder)
    found = read_predictions(folder / "predictions.csv")
    label = np.array(found.labels)
    compared = Labelled(found.probabilities.copy(), label, CLASSES, found.cases, 199, 0, 0.5)
    for group in columns.values():
        own = np.array(group) == worse
        compared.probability[own] = np.random.default_rng(0).permutation(compared.probability[own])
    groups = [(by, group, sorted(set(group))) for by, group in columns.items()]
    metrics = json.loads((folder / "metrics.json").read_text()) | {"subgroups": compare_groups(compared, groups)}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    subgroup_figure(metrics["subgroups"], "test", folder / "subgroups.png")
    return folder


def test_large_groups_that_are_alike_are_shown_and_not_warned_of(clean: Path, tmp_path: Path) -> None:
    folder = with_groups(clean, tmp_path / "a", {"missing_phases": ["all phases", "without pre"] * 200})
    assert list(subgroup_cautions(read_contents(folder))) == []
    page = Page(report_folder(folder).read_text())
    rows = {row[0]: row for row in page.table("By missing phases")}
    assert rows["missing phases"] == [
        "missing phases",
        "cases",
        *CLASSES,
        "AUC",
        "accuracy",
        "sensitivity",
        "specificity",
    ]
    found = json.loads((folder / "metrics.json").read_text())["subgroups"][0]
    assert rows["without pre"][4].startswith(f"{found['groups'][1]['auc']:.3f} [")
    assert rows["all"][1] == "400"
    assert rows["largest gap"][4].startswith(f"{found['gaps'][0]['gap']:.3f} [")
    assert [one.text for one in page.all("h2")].index("Sites and subgroups") > 0
    assert "Metrics of each site and group" in [one.text for one in page.all("h3")]


def test_a_gap_is_warned_of_with_its_groups_and_numbers(clean: Path, tmp_path: Path) -> None:
    folder = with_groups(clean, tmp_path / "a", {"site": ["A", "B"] * 200}, worse="B")
    found = json.loads((folder / "metrics.json").read_text())["subgroups"][0]["gaps"][0]
    first = next(iter(subgroup_cautions(read_contents(folder)))).found
    assert first.startswith("The AUC differs by site: ")
    assert f"a gap of {found['gap']:.3f} [" in first


def test_small_groups_and_gaps_that_nobody_could_see_are_warned_of(clean: Path, tmp_path: Path) -> None:
    site = ["A"] * 2 + ["B"] * 24 + ["C"] * 364 + [f"D{i}" for i in range(10)]
    cautions = list(subgroup_cautions(read_contents(with_groups(clean, tmp_path / "a", {"site": site}))))
    few = "site: A (2), D0 (1), D1 (1), D2 (1), D3 (1), ... (11 in all)"
    assert cautions[0].found == f"Groups too small to tell how good the model is there: {few}."
    assert "fewer than 5 patients of a class" in cautions[0].advice
    assert cautions[-1].found.startswith(
        "The reported cases cannot show that the AUC is alike in all groups: by site (up to"
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_the_figure_has_a_row_for_each_group_whatever_its_name(tmp_path: Path, classes: int) -> None:
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(classes), 90)
    found = Labelled(
        probability, np.arange(90) % classes, [f"c{k}" for k in range(classes)], [f"p{i}" for i in range(90)], 20, 0
    )
    names = ["St. Mary's / North $x$", "Zürich", "西", *(f"small {i}" for i in range(60))]
    group = [names[i % 3] for i in range(30)] + [names[3 + i] for i in range(60)]
    scores = compare_groups(found, [("site", group, names), ("sex", ["not recorded"] * 90, ["not recorded"])])
    figure = subgroup_figure(scores, "test", tmp_path / "subgroups.png")
    assert figure is not None
    assert len(figure.axes) == (3 if classes == 2 else 2)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[:3] == ["site", "St. Mary's / North $x$ (10)", "Zürich (10)"]
    assert "26 more in subgroups.csv" in figure.get_suptitle()
    assert [text.get_text() for text in figure.axes[0].texts].count("too few") == (36 if classes == 2 else 39)
    assert subgroup_figure([]) is None
