# SPDX-License-Identifier: Apache-2.0
"""report.html of a comparison, and of a training that shows one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas
import pytest
from scripts.files.errors import message_of
from workbench.report.comparison_page import report_comparison

from tests.report.page import Page


@pytest.fixture
def copy(compared, tmp_path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(compared, folder, ignore=shutil.ignore_patterns("models", "scripts", "tensorboard"))
    return folder


def shown(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_every_strategy_has_the_numbers_of_the_tables(compared):
    page = shown(compared)
    summary = pandas.read_csv(compared / "summary.csv")
    rows = {row[0]: row for row in page.table("Strategies")[1:]}
    assert set(rows) == set(summary["strategy"])
    for row in summary.itertuples():
        cell = rows[row.strategy][{"auc": 1, "accuracy": 3}[row.metric]]
        found = [float(number) for number in re.findall(r"\d\.\d{3}", cell)]
        assert found == pytest.approx([row.pooled, row.pooled_lower, row.pooled_upper], abs=5.1e-4)
    pairs = pandas.read_csv(compared / "pairs.csv").query("metric == 'auc' and by == 'patient'")
    found = {row[0]: row for row in page.table("Differences")[1:]}
    for row in pairs.itertuples():
        cells = found[f"{row.first} − {row.second}"]
        assert float(cells[1].split()[0]) == pytest.approx(row.difference, abs=5.1e-4)
        assert float(cells[2]) == pytest.approx(row.p_holm, abs=5.1e-4)
    costs = pandas.read_csv(compared / "costs.csv").groupby("strategy")["inference_ms"].median()
    for strategy, _, _, milliseconds in page.table("Costs")[1:]:
        assert float(milliseconds) == pytest.approx(costs[strategy], rel=6e-3)


def test_n_is_everywhere_and_the_best_is_named(compared):
    page = shown(compared)
    captions = [caption.text for caption in page.all("figcaption")]
    assert len(captions) == 5
    assert all("n = 40 cases, 2 folds, 1 repeat" in one for one in captions[:4])
    assert "n = 12 jobs" in captions[4]
    summary = pandas.read_csv(compared / "summary.csv").query("metric == 'auc'")
    best = summary.loc[summary["pooled"].idxmax(), "strategy"]
    (headline,) = [one.text for one in page.all("p") if one.attributes.get("class") == "headline"]
    assert headline.startswith(f"{best} has the highest pooled AUC of 6 strategies and baselines, 0.")


def test_bars_lie_where_their_numbers_are(compared):
    """In percent of an axis whose ticks are its numbers."""
    page = shown(compared)
    (forest,) = [one for one in page.all("figure") if one.attributes.get("class") == "forest"]
    ticks = {}
    for one in forest.all("span"):
        if "style" in one.attributes:
            ticks[float(one.text)] = float(re.findall(r"[\d.]+", one.attributes["style"])[0])
    start, end = min(ticks), max(ticks)
    assert (ticks[start], end, ticks[end]) == (0.0, 1.0, 100.0)
    summary = pandas.read_csv(compared / "summary.csv").query("metric == 'auc'").set_index("strategy")
    lines = [one for one in forest.all("div") if one.attributes.get("class") == "strategy"]
    assert len(lines) == len(summary)
    for line in lines:
        row = summary.loc[line.all("span")[0].text]
        (bar,) = [one.attributes for one in line.all("line") if one.attributes["class"] == "bar"]
        places = [bar["x1"], line.all("circle")[0].attributes["cx"], bar["x2"]]
        found = [start + (end - start) * float(place.rstrip("%")) / 100 for place in places]
        assert found == pytest.approx([row.pooled_lower, row.pooled, row.pooled_upper], abs=1e-3)


def test_warnings_are_planted(copy):
    (copy / "logs" / "gated_r1_f1_s0.log").touch()
    table = pandas.read_csv(copy / "comparison.csv", dtype=str)
    table.loc[0, "torch"] = "1.0"
    table.to_csv(copy / "comparison.csv", index=False)
    report_comparison(copy)
    found = [one.text for one in shown(copy).all("strong")]
    assert found[0] == "1 job began and left no result: gated_r1_f1_s0."
    assert found[1] == "Each strategy was tested on 2 test parts only."
    assert found[2].startswith("The jobs ran with 2 versions of torch: 1.0, 2.")
    many = pandas.concat([table.assign(repeat=str(repeat)) for repeat in (1, 2, 3)])
    many.assign(torch="2.13.0").to_csv(copy / "comparison.csv", index=False)
    (copy / "logs" / "gated_r1_f1_s0.log").unlink()
    report_comparison(copy)
    assert shown(copy).all("strong") == []
    assert "n = 40 cases, 2 folds, 3 repeats" in shown(copy).all("figcaption")[0].text


def test_the_report_of_a_training_shows_a_comparison(copy, bundle):
    job = copy / "jobs" / "concat_r1_f1_s0"
    files = ["configs/report.yaml"]
    assert "Comparison copy" not in [one.text for one in shown(job).all("h2")]
    bundle("reporting", files, bundle_root=str(job), comparison=str(copy))
    titles = [one.text for one in shown(job).all("h2")]
    assert titles[-3:] == ["Comparison copy", "Reporting checklists", "How these figures came about"]
    assert shown(job).table("Strategies") == shown(copy).table("Strategies")
    (copy / "report.html").unlink()
    bundle("reporting", files, bundle_root=str(copy))
    assert shown(copy).all("h1")[0].text == "Comparison copy"


def test_an_unfinished_comparison_is_named(copy, bundle):
    (copy / "summary.csv").unlink()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle("reporting", ["configs/report.yaml"], bundle_root=str(copy))
    assert "must hold a finished comparison, found no summary.csv; run the same" in str(message_of(caught.value))
