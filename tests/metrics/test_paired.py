# SPDX-License-Identifier: Apache-2.0
"""Paired tests against brute force, the literal formulas and simulation."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, ttest_rel
from scripts.metrics.delong import auc_covariance
from scripts.metrics.paired import bootstrap_difference, corrected_t_test, delong_test, holm
from scripts.metrics.predictions import write_predictions
from sklearn.metrics import roc_auc_score
from workbench.compare.pairs import compare_all


def two_models(n: int = 40, seed: int = 0, ties: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two correlated binary models [n, 2] and labels; rounded, so that there are ties."""
    rng = np.random.default_rng([seed, 5])
    label = (np.arange(n) % 3 == 0).astype(int)
    common = rng.normal(size=n)
    scores = [common + rng.normal(size=n) + gain * label for gain in (2.0, 0.8)]
    p = [1 / (1 + np.exp(-score)) for score in scores]
    p = [np.round(values, 1) for values in p] if ties else p
    return np.stack([1 - p[0], p[0]], axis=1), np.stack([1 - p[1], p[1]], axis=1), label


def kernel(x: float, y: float) -> float:
    return 1.0 if x > y else 0.5 if x == y else 0.0


def brute_force(scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's S10 / m + S01 / n, from the double sum over all pairs."""
    positives, negatives = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    m, n, count = len(positives), len(negatives), scores.shape[1]
    v10, v01 = np.zeros((m, count)), np.zeros((n, count))
    for (i, x), (j, y), r in product(enumerate(positives), enumerate(negatives), range(count)):
        value = kernel(scores[x, r], scores[y, r])
        v10[i, r] += value / n
        v01[j, r] += value / m
    return v10.mean(axis=0), np.cov(v10.T) / m + np.cov(v01.T) / n


def test_the_covariance_is_delongs_double_sum() -> None:
    first, second, label = two_models()
    scores = np.stack([first[:, 1], second[:, 1]], axis=1)
    aucs, covariance = auc_covariance(scores, np.stack([label == 1] * 2, axis=1))
    expected, expected_covariance = brute_force(scores, label)
    np.testing.assert_allclose(aucs, expected, atol=1e-12)
    np.testing.assert_allclose(covariance, expected_covariance, atol=1e-14)
    assert aucs[0] == pytest.approx(roc_auc_score(label, scores[:, 0]))


def test_clustered_covariance_is_obuchowskis_formula() -> None:
    """Her equations literally, with sums over the positive and negative units of each cluster."""
    first, second, label = two_models(60)
    scores = np.stack([first[:, 1], second[:, 1]], axis=1)
    cluster = np.random.default_rng(1).integers(0, 25, 60)
    positives, negatives = label == 1, label == 0
    m, n = positives.sum(), negatives.sum()
    v10, v01, theta = np.zeros((60, 2)), np.zeros((60, 2)), np.zeros(2)
    for r in range(2):
        for i in np.flatnonzero(positives):
            v10[i, r] = np.mean([kernel(scores[i, r], y) for y in scores[negatives, r]])
        for j in np.flatnonzero(negatives):
            v01[j, r] = np.mean([kernel(x, scores[j, r]) for x in scores[positives, r]])
        theta[r] = v10[positives, r].mean()
    clusters = np.unique(cluster)
    count = len(clusters)
    with_positive, with_negative = len(np.unique(cluster[positives])), len(np.unique(cluster[negatives]))
    s10, s01, s11 = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2))
    for c in clusters:
        mine = cluster == c
        x = v10[mine & positives].sum(axis=0) - (mine & positives).sum() * theta
        y = v01[mine & negatives].sum(axis=0) - (mine & negatives).sum() * theta
        s10 += with_positive / ((with_positive - 1) * m) * np.outer(x, x)
        s01 += with_negative / ((with_negative - 1) * n) * np.outer(y, y)
        s11 += count / (count - 1) * np.outer(x, y)
    expected = s10 / m + s01 / n + (s11 + s11.T) / (m * n)
    _, covariance = auc_covariance(scores, np.stack([positives] * 2, axis=1), cluster)
    np.testing.assert_allclose(covariance, expected, atol=1e-14)


def test_the_z_test_from_the_brute_force_covariance() -> None:
    first, second, label = two_models()
    aucs, covariance = brute_force(np.stack([first[:, 1], second[:, 1]], axis=1), label)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    found = delong_test(first, second, label)
    assert found.difference == pytest.approx(aucs[0] - aucs[1])
    assert found.p_value == pytest.approx(2 * norm.sf(abs(aucs[0] - aucs[1]) / error))
    assert found.lower == pytest.approx(found.difference - 1.959964 * error)
    back = delong_test(second, first, label)
    assert (back.difference, back.p_value) == pytest.approx((-found.difference, found.p_value))


def test_copies_of_patients_are_no_evidence() -> None:
    first, second, label = two_models()
    once = delong_test(first, second, label)
    copies = [np.repeat(values, 4, axis=0) for values in (first, second, label)]
    patients = [f"p{i}" for i in np.repeat(np.arange(40), 4)]
    assert delong_test(*copies, patients).p_value == pytest.approx(once.p_value)
    assert delong_test(*copies).p_value < once.p_value / 2, "cases taken for patients look too sure"
    plain = bootstrap_difference(first, second, label, "brier")
    clustered = bootstrap_difference(*copies, "brier", patients)
    assert (clustered.lower, clustered.upper) == pytest.approx((plain.lower, plain.upper))


def test_equal_models_and_degenerate_ones() -> None:
    first, second, label = two_models()
    found = delong_test(first, first, label)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    perfect = np.stack([1.0 - label, label], axis=1).astype(float)
    lost = delong_test(perfect, perfect[:, ::-1], label)
    assert (lost.difference, lost.p_value) == (1.0, None)
    assert "use the bootstrap" in lost.note
    assert delong_test(first, second, (np.arange(40) == 3).astype(int)).note.startswith("needs at least 2 patients")
    with pytest.raises(ValueError, match="at least 2 classes, found only class 0"):
        delong_test(first, second, np.zeros(40, dtype=int))
    with pytest.raises(ValueError, match="one row of probabilities per case, found 39 for 40"):
        delong_test(first, second[:39], label)


def test_three_classes_compare_the_mean_auc() -> None:
    rng = np.random.default_rng(2)
    label = np.arange(90) % 3
    raw = [rng.normal(size=(90, 3)) + gain * np.eye(3)[label] for gain in (1.5, 0.5)]
    first, second = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in raw)
    found = delong_test(first, second, label)
    assert found.first == pytest.approx(roc_auc_score(label, first, multi_class="ovr"))
    by_bootstrap = bootstrap_difference(first, second, label, "auc", draws=4000)
    assert found.difference == pytest.approx(by_bootstrap.difference)
    assert found.upper - found.lower == pytest.approx(by_bootstrap.upper - by_bootstrap.lower, rel=0.08)


@pytest.mark.parametrize("metric", ["auc", "accuracy", "ece", "kappa"])
def test_the_bootstrap_draws_both_models_together(metric: str) -> None:
    first, second, label = two_models(200, ties=False)
    found = bootstrap_difference(first, second, label, metric)
    assert found.difference == pytest.approx(found.first - found.second)
    same = bootstrap_difference(first, first, label, metric)
    assert (same.lower, same.upper, same.p_value) == (0.0, 0.0, 1.0), "what is common cancels"
    if metric == "auc":
        delong = delong_test(first, second, label)
        assert found.upper - found.lower == pytest.approx(delong.upper - delong.lower, rel=0.08)
        assert found.p_value < 0.05


@pytest.mark.slow
def test_both_tests_reject_at_their_level_where_models_are_equally_good() -> None:
    rejected = {"delong": 0, "bootstrap": 0}
    runs = 200
    for run in range(runs):
        rng = np.random.default_rng([run, 6])
        label = rng.permutation(np.arange(80) % 2)
        common = rng.normal(size=80) + 1.2 * label
        p = [1 / (1 + np.exp(-(common + 0.8 * rng.normal(size=80)))) for _ in range(2)]
        first, second = (np.stack([1 - values, values], axis=1) for values in p)
        rejected["delong"] += delong_test(first, second, label).p_value < 0.05
        draw = bootstrap_difference(first, second, label, "auc", draws=400, seed=run)
        rejected["bootstrap"] += draw.p_value < 0.05
    assert 2 <= rejected["delong"] <= 20, "5% of 200 is 10, give or take 3 standard errors"
    assert 2 <= rejected["bootstrap"] <= 20


def test_the_corrected_t_test_by_hand_and_against_the_plain_one() -> None:
    a, b = [0.80, 0.82, 0.85, 0.79, 0.84], [0.78, 0.79, 0.84, 0.80, 0.81]
    d = np.subtract(a, b)
    found = corrected_t_test(a, b, n_train=80, n_test=20)
    statistic = d.mean() / np.sqrt((1 / 5 + 20 / 80) * d.var(ddof=1))
    plain = ttest_rel(a, b)
    assert statistic == pytest.approx(plain.statistic * np.sqrt((1 / 5) / (1 / 5 + 1 / 4)))
    assert found.p_value > plain.pvalue
    assert corrected_t_test(a, b, 1e12, 1).p_value == pytest.approx(plain.pvalue, rel=1e-6)
    assert corrected_t_test(a, a, 80, 20).p_value == 1.0
    assert corrected_t_test([0.9, 0.8], [0.8, 0.7], 80, 20).p_value is None
    for wrong in (([0.8], [0.7]), ([0.8, 0.9], [0.7]), ([0.8, np.nan], [0.7, 0.6])):
        with pytest.raises(ValueError, match=r"folds|finite"):
            corrected_t_test(*wrong, 80, 20)


def test_holm_is_the_step_down_procedure() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(0, 0.1, 6)
        adjusted = np.array(holm(p))
        for level in (0.01, 0.05, 0.1):
            rejected = set()
            for step, i in enumerate(np.argsort(p)):
                if p[i] > level / (6 - step):
                    break
                rejected.add(int(i))
            assert set(np.flatnonzero(adjusted <= level).tolist()) == rejected
    assert holm([]) == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.5])


def test_all_pairs_from_files_in_any_order(tmp_path: Path) -> None:
    first, second, label = two_models()
    cases, patients = [f"c{i}" for i in range(40)], [f"p{i // 2}" for i in range(40)]
    third = (first + second) / 2
    for name, p in (("a", first), ("b", second), ("c", third)):
        order = np.random.default_rng(ord(name)).permutation(40)
        rows = {"labels": [int(label[i]) for i in order], "patients": [patients[i] for i in order]}
        file = tmp_path / name / "predictions.csv"
        write_predictions(file, [cases[i] for i in order], p[order], ["low", "high"], **rows)
    files = {name: tmp_path / name / "predictions.csv" for name in "abc"}
    rows = compare_all(files)
    assert [(row["first"], row["second"]) for row in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert rows[0]["p_value"] == pytest.approx(delong_test(first, second, label, patients).p_value)
    assert [row["p_holm"] for row in rows] == holm([row["p_value"] for row in rows])
    assert (rows[0]["n"], rows[0]["n_patients"]) == (40, 20)
    line = [sys.executable, "-m", "workbench.compare.pairs", *(str(tmp_path / name) for name in "abc")]
    printed = subprocess.run([*line, "--metric", "brier"], capture_output=True, text=True, check=True).stdout
    assert len(printed.splitlines()) == 4
    assert "brier, 40 cases of 20 patients, paired bootstrap" in printed
    write_predictions(files["c"], cases[:39] + ["other"], third, ["low", "high"], label.tolist())
    failed = subprocess.run(line, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "must hold the same cases to be compared, found 2" in failed.stderr
    assert "Traceback" not in failed.stderr
