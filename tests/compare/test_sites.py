# SPDX-License-Identifier: Apache-2.0
"""Leaving one site out: each site is one observation, named wherever its fold is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
from scipy.stats import ttest_rel
from scripts.metrics.paired import corrected_t_test
from scripts.metrics.predictions import write_predictions
from workbench.compare import jobs
from workbench.compare.folds import make_folds
from workbench.compare.report import pairwise_tests, part_values, summarise
from workbench.compare.training import fit_regression

from tests.report.page import Page

SITES = ["St. Mary's / North", "02", "Zürich"]


def rows_of(values: np.ndarray, sites: list[str] | None) -> list[dict]:
    """Rows of two strategies: AUC [strategy, fold, repeat], of 20 cases per fold."""
    return [
        {
            "strategy": strategy, "repeat": repeat + 1, "fold": fold + 1, "seed": 0,
            **({} if sites is None else {"site": sites[fold]}),
            "n_training": 16 * (values.shape[1] - 1), "n_validation": 4 * (values.shape[1] - 1), "n": 20,
            "metrics": {"auc": value, "accuracy": value},
        }
        for strategy, of_strategy in zip(("one", "two"), values, strict=True)
        for fold, of_fold in enumerate(of_strategy)
        for repeat, value in enumerate(of_fold)
    ]  # fmt: skip


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    """Pooled predictions of two strategies; the tests by fold do not read them."""
    found, labels = {}, [0, 1] * 10
    for name, shift in (("one", 0.0), ("two", 0.1)):
        risk = np.linspace(0.1, 0.8, 20) + shift * np.array(labels)
        found[name] = write_predictions(
            tmp_path / f"{name}.csv", [f"c{i}" for i in range(20)], np.stack([1 - risk, risk], axis=1),
            ["low", "high"], labels,
        )  # fmt: skip
    return found


def test_repeats_of_a_site_are_one_observation(files):
    values = np.random.default_rng(0).uniform(0.6, 0.9, (2, 3, 4))
    rows = rows_of(values, SITES)
    (test,) = [row for row in pairwise_tests(rows, files, 50, 0) if (row["metric"], row["by"]) == ("auc", "fold")]
    one, two = values.mean(axis=2)
    plain = ttest_rel(one, two)
    assert test["difference"] == pytest.approx(one.mean() - two.mean())
    assert test["p_value"] == pytest.approx(corrected_t_test(one, two, 40, 20).p_value)
    assert test["p_value"] > plain.pvalue, "the training parts overlap"
    (mean,) = [row for row in summarise(rows, files, 50, 0) if (row["strategy"], row["metric"]) == ("one", "auc")]
    assert mean["folds"] == 3
    assert mean["mean"] == pytest.approx(one.mean())
    assert set(part_values(rows, "one", "auc")) == set(SITES)


def test_repeats_of_drawn_folds_are_observations_of_their_own(files):
    values = np.random.default_rng(1).uniform(0.6, 0.9, (2, 3, 4))
    rows = rows_of(values, None)
    (test,) = [row for row in pairwise_tests(rows, files, 50, 0) if (row["metric"], row["by"]) == ("auc", "fold")]
    expected = corrected_t_test(values[0].ravel(), values[1].ravel(), 40, 20)
    assert test["p_value"] == pytest.approx(expected.p_value)


def test_more_repeats_of_the_same_values_change_nothing(files):
    values = np.random.default_rng(2).uniform(0.6, 0.9, (2, 3, 1))
    once, thrice = (
        pairwise_tests(rows_of(np.repeat(values, repeats, axis=2), SITES), files, 50, 0) for repeats in (1, 3)
    )
    for before, after in zip(once, thrice, strict=True):
        assert after["p_value"] == pytest.approx(before["p_value"])
        assert (after["lower"], after["upper"]) == pytest.approx((before["lower"], before["upper"]))


def test_a_site_without_a_class_is_left_out_of_the_test_and_not_filled(files):
    values = np.random.default_rng(3).uniform(0.6, 0.9, (2, 4, 2))
    rows = rows_of(values, [*SITES, "empty"])
    for row in rows:
        if row["site"] == "empty":
            row["metrics"]["auc"] = None
    (test,) = [row for row in pairwise_tests(rows, files, 50, 0) if (row["metric"], row["by"]) == ("auc", "fold")]
    assert test["difference"] == pytest.approx(float(np.diff(values[::-1, :3].mean(axis=(1, 2)))[0]))


def test_the_name_of_a_fold_is_safe_in_file_names_and_tells_sites_apart():
    sites = ["a/b", "a b", "../up", "", "$x@y#z%", "Ü" * 60]
    labels = ["low", "high"] * 12
    given = [sites[i // 2 % 6] for i in range(24)]
    folds = make_folds(labels, [f"p{i}" for i in range(24)], 5, 1, 0.3, seed=0, sites=given)
    names = [fold.name for fold in folds]
    assert len({name.casefold() for name in names}) == 6
    assert {fold.site for fold in folds} == set(sites)
    assert not any(set(name) & set("/\\. $@#%'\"") for name in names)
    assert max(map(len, names)) <= 46


@pytest.fixture(scope="module")
def at_sites(bundle, settings, small_phantom, tmp_path_factory) -> tuple[Path, str]:
    """A comparison over three sites with two repeats, all of whose jobs are regressions; and its screen."""
    import contextlib
    import io

    data = tmp_path_factory.mktemp("sites")
    document = json.loads((small_phantom / "dataset.json").read_text())
    cases = [case for split in ("training", "validation", "test") for case in document[split]]
    by_class = {name: [case for case in cases if case["label"] == name] for name in ("low", "high")}
    for group in by_class.values():
        for number, case in enumerate(group):
            case["site"] = SITES[number % 3]
            case["image"] = {name: str(small_phantom / path) for name, path in case["image"].items()}
            if "roi" in case:
                case["roi"] = str(small_phantom / case["roi"])
    (data / "dataset.json").write_text(json.dumps(document | {"training": cases, "validation": [], "test": []}))
    folder, screen = data / "out", io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(screen):
        patch.setattr(jobs, "train", fit_regression)
        own = settings | {"dataset_dir": str(data), "output_dir": str(folder), "cache": "none"}
        own |= {"leave_one_site_out": True, "repeats": 2, "strategies": ["concat"], "splits": ["training"]}
        bundle("comparing", ["configs/compare.yaml"], **own)
        first = screen.getvalue()
        # as a version before sites were named left it: the same command takes up its folders
        shutil.copytree(folder, data / "earlier")
        for file in [*(data / "earlier").glob("*/*_r?_f?_*"), *(data / "earlier").glob("folds/*")]:
            stem = file.name
            for name in ("_St-Mary-s-North", "_02", "_Zürich"):
                stem = stem.replace(name, "")
            if file.suffix == ".json":
                row = json.loads(file.read_text())
                del row["site"]
                file.write_text(json.dumps(row))
            file.rename(file.with_name(stem))
        patch.setattr(jobs, "run_job", None)  # nothing is to be trained again
        bundle("comparing", ["configs/compare.yaml"], **own | {"output_dir": str(data / "earlier")})
    return folder, first


def test_every_output_names_the_sites(at_sites):
    folder, screen = at_sites
    table = pandas.read_csv(folder / "comparison.csv", dtype={"site": str})
    assert set(table["site"]) == set(SITES)
    assert set(pandas.read_csv(folder / "costs.csv", dtype={"site": str})["site"]) == set(SITES)
    for row in table.itertuples():
        dataset = json.loads(next((folder / "folds").glob(f"r{row.repeat}_f{row.fold}_*/dataset.json")).read_text())
        assert {case["site"] for case in dataset["test"]} == {row.site}
    assert {path.name for path in (folder / "folds").iterdir()} == {
        f"r{repeat}_{name}" for repeat in (1, 2) for name in ("f1_02", "f2_St-Mary-s-North", "f3_Zürich")
    }
    assert (folder / "jobs" / "concat_r2_f3_Zürich_s0").is_dir()
    text = (folder / "comparison.md").read_text()
    assert "3 sites left out in turn (02, St. Mary's / North, Zürich), 2 repeats" in text
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    shown = {row[0]: row for row in page.table("AUC at each site")[1:]}
    header = page.table("AUC at each site")[0]
    for site in SITES:
        assert any(line.startswith(f"  {site}, ") and " low, " in line for line in screen.splitlines())
        line = next(line for line in text.splitlines() if line.startswith(f"| {site} |"))
        expected = table.query("strategy == 'concat' and site == @site")["auc"].mean()
        head = next(line for line in text.splitlines() if line.startswith("| site |"))
        at = [cell.strip() for cell in head.split("|")].index("concat")
        assert float(line.split("|")[at]) == pytest.approx(expected, abs=6e-4)
        assert float(shown[site][header.index("concat")]) == pytest.approx(expected, abs=6e-4)
    groups = pandas.read_csv(folder / "subgroups.csv", dtype={"group": str})
    assert set(groups["group"]) == set(SITES)
    shown = {row[0]: row for row in page.table("Pooled AUC of each group by site")}
    at = shown["site"].index("concat")
    for row in groups.query("strategy == 'concat'").itertuples():
        assert shown[row.group][1] == str(row.n)
        assert shown[row.group][at].startswith("too few" if np.isnan(row.auc) else f"{row.auc:.3f} [")
    named = [one.text for one in page.all("span") if one.attributes.get("class") == "name"]
    assert {f"{site} ({n})" for site, n in groups.set_index("group")["n"].items()} <= set(named)
    cautions = [one.text for one in page.all("strong")]
    assert f"Each strategy was tested at 3 sites only: {', '.join(sorted(SITES))}." in cautions


def test_a_comparison_of_before_sites_were_named_goes_on(at_sites):
    folder, _ = at_sites
    for name in ("comparison.csv", "summary.csv", "pairs.csv"):
        assert (folder.parent / "earlier" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("sites", [3, 5, 8])
def test_two_equal_strategies_differ_as_rarely_as_the_level_says(files, sites, repeats, correlated):
    """With sites that share nothing, and with the correlation 1 / sites that overlapping training gives."""
    runs, found = 4000, 0
    rng = np.random.default_rng([sites, repeats, correlated])
    share = 1 / sites if correlated else 0.0
    names = [f"site {number}" for number in range(sites)]
    for _ in range(runs):
        common = np.sqrt(share) * rng.normal() + np.sqrt(1 - share) * rng.normal(size=(sites, 1))
        drawn = 0.5 + 0.01 * (common + 0.5 * rng.normal(size=(sites, repeats)))
        rows = rows_of(np.stack([drawn, np.full_like(drawn, 0.5)]), names)
        one, two = (part_values(rows, name, "auc") for name in ("one", "two"))
        n_train, n_test = 20 * (sites - 1), 20
        found += corrected_t_test(list(one.values()), list(two.values()), n_train, n_test).p_value < 0.05
    assert found / runs < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / runs)
    assert found > 0


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [1, 3])
def test_the_level_holds_for_real_classifiers_that_share_their_training_sites(repeats):
    """Two equal strategies, each with its own features: whichever training cases suit, suit at all sites."""
    rng = np.random.default_rng([repeats, 9])
    runs, found = 1500, 0
    for _ in range(runs):
        label = np.tile([0, 1], 90)
        site = np.repeat([0, 1, 2], 60)
        strength = 0.25 + 0.1 * rng.normal(size=(3, 2, 6))  # of each feature, at each site
        x = rng.normal(size=(180, 2, 6)) + label[:, None, None] * strength[site]
        auc = np.zeros((2, 3, repeats))
        for left_out in range(3):
            rest, test = np.flatnonzero(site != left_out), site == left_out
            for repeat in range(repeats):
                fitted = rng.permutation(rest)[: int(0.8 * len(rest))]
                for strategy in range(2):
                    known, truth = x[fitted, strategy], label[fitted]
                    direction = known[truth == 1].mean(axis=0) - known[truth == 0].mean(axis=0)
                    score = x[test, strategy] @ np.linalg.solve(np.cov(known.T), direction)
                    positive = label[test] == 1
                    auc[strategy, left_out, repeat] = (score[positive][:, None] > score[~positive]).mean()
        rows = rows_of(auc, SITES)
        one, two = (list(part_values(rows, name, "auc").values()) for name in ("one", "two"))
        found += corrected_t_test(one, two, 120, 60).p_value < 0.05
    assert 0 < found / runs < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / runs)
