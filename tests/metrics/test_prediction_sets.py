# SPDX-License-Identifier: Apache-2.0
"""Prediction sets: coverage as promised, equality with the textbook's quantile, too few cases, the file's binding."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripts.engines.served import PredictionSetsd
from scripts.metrics.prediction_sets import (
    FILE,
    LEVELS,
    Evidence,
    evidence_of,
    one_per_patient,
    read_evidence,
    too_few,
    unimodal,
    write_evidence,
)
from scripts.metrics.scores import brier_score

RUNS, TESTED = 1000, 40


def drawn(rng: np.random.Generator, n: int, classes: int = 3, rare: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities [n, K] of an imperfect model, and labels [n] that are not quite drawn from them."""
    share = np.array([*[1.0] * (classes - 1), rare])
    label = rng.choice(classes, n, p=share / share.sum())
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[label]
    found = np.exp(logits)
    return found / found.sum(axis=1, keepdims=True), label


def coverage(n: int, level: float) -> tuple[float, float]:
    """Return the mean coverage over runs that draw both calibration and test cases, and its standard error."""
    rng = np.random.default_rng([n, round(1000 * level)])
    runs = []
    for _ in range(RUNS):
        evidence = Evidence([drawn(rng, n)], "calibration")
        probability, label = drawn(rng, TESTED)
        runs.append(evidence.sets(probability[None], level)[np.arange(TESTED), label].mean())
    return float(np.mean(runs)), float(np.std(runs) / math.sqrt(RUNS))


@pytest.mark.parametrize(
    "level", [0.9, *(pytest.param(level, marks=pytest.mark.slow) for level in LEVELS if level != 0.9)]
)
@pytest.mark.parametrize("n", [16, 40, 200])
def test_the_mean_coverage_is_the_exact_one_within_its_monte_carlo_error(n: int, level: float) -> None:
    expected = min(1.0, math.ceil((n + 1) * (1 - (1 - level)) - 1e-9) / (n + 1))
    found, error = coverage(n, level)
    assert abs(found - expected) <= 4 * error, (n, level, found, expected)
    assert error < 0.005


def test_a_set_holds_the_classes_up_to_the_quantile_of_the_scores_ties_included() -> None:
    rng = np.random.default_rng(1)
    known, label = drawn(rng, 40)
    known, probability = known.round(1), drawn(rng, 200)[0].round(1)  # many ties
    scores = np.sort(1 - known[np.arange(40), label])
    for level in LEVELS:
        limit = scores[math.ceil(41 * level - 1e-9) - 1]
        found = Evidence([(known, label)], "calibration").sets(probability[None], level)
        assert np.array_equal(found, 1 - probability <= limit)


def test_it_equals_mapie() -> None:
    mapie = pytest.importorskip("mapie.classification")
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        """Takes probabilities for features."""

        classes_ = np.arange(3)

        def fit(self, *_: Any) -> Given:
            return self

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            return x

        def predict(self, x: np.ndarray) -> np.ndarray:
            return x.argmax(axis=1)

    rng = np.random.default_rng(2)
    known, label = drawn(rng, 60)
    probability, _ = drawn(rng, 300)
    oracle = mapie.SplitConformalClassifier(
        Given(), confidence_level=list(LEVELS), prefit=True, conformity_score="lac"
    ).conformalize(known, label)
    expected = oracle.predict_set(probability)[1]
    for i, level in enumerate(LEVELS):
        found = Evidence([(known, label)], "calibration").sets(probability[None], level)
        assert np.array_equal(found, expected[:, :, i])


def test_per_class_the_rare_class_is_covered_as_often_as_the_others() -> None:
    rng = np.random.default_rng(3)
    hits: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(300):
        evidence = Evidence([drawn(rng, 400, rare=0.15)], "calibration")
        probability, label = drawn(rng, 400, rare=0.15)
        for by_class, found in hits.items():
            inside = evidence.sets(probability[None], 0.9, by_class)
            found.append(inside[label == 2, 2].mean())
    n_rare = 400 * 0.15 / 2.15
    assert 0.9 - 0.01 <= np.mean(hits[True]) <= 0.9 + 1 / n_rare + 0.01


def test_with_too_few_cases_per_class_all_count_and_with_too_few_of_all_the_set_is_full() -> None:
    assert [n for n in range(60) if too_few(n, 0.9)] == list(range(9))
    assert [n for n in range(60) if too_few(n, 0.95)] == list(range(19))
    rng = np.random.default_rng(4)
    probability = drawn(rng, 50, 2)[0][None]
    for few, falls_back in ((8, True), (9, False)):
        known, label = drawn(rng, 40 + few, 2)
        label = np.repeat([0, 1], [40, few])
        evidence = Evidence([(known, label)], "calibration")
        by_class, marginal = evidence.sets(probability, 0.9, by_class=True), evidence.sets(probability, 0.9)
        assert np.array_equal(by_class[:, 1], marginal[:, 1]) == falls_back
        assert np.array_equal(by_class[:, 0], evidence.p_values(probability, by_class=True)[:, 0] > 0.1 + 1e-9)
    evidence = Evidence([drawn(rng, 8, 2)], "calibration")
    assert evidence.sets(probability, 0.9).all()
    assert "too few calibration cases (8) for 90%, 95%" in evidence.described(probability[0, :1], ["a", "b"])["from"]
    with pytest.raises(ValueError, match=r"must lie between 0 and 1, found 1\.5"):
        evidence.sets(probability, 1.5)


def test_folds_count_each_case_by_the_model_that_did_not_see_it() -> None:
    rng = np.random.default_rng(5)
    parts = [drawn(rng, n) for n in (7, 9, 7, 9)]  # two folds, twice
    probability = np.stack([drawn(rng, 5)[0] for _ in parts])
    found = Evidence(parts, "folds", rounds=2).p_values(probability)
    for case in range(5):
        for k in range(3):
            above = sum(
                1 - known[i, y] >= 1 - given[case, k]
                for (known, label), given in zip(parts, probability, strict=True)
                for i, y in enumerate(label)
            )
            assert found[case, k] == pytest.approx((1 + above / 2) / 17)


def weights_with(folder: Path, content: bytes = b"weights") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pt").write_bytes(content)
    return folder / "model.pt"


def written(folder: Path, seed: int = 0, **settings: Any) -> Path:
    file = weights_with(folder, f"weights {seed}".encode())
    known, _ = drawn(np.random.default_rng(seed), 30)
    names = [f"p{i}" for i in range(30)]
    write_evidence(file, known, np.arange(30) % 3, names, names, **({"source": "calibration"} | settings))
    return file


def test_evidence_comes_back_as_it_was_the_same_bytes_each_time_and_without_names(tmp_path: Path) -> None:
    file = written(tmp_path)
    known, _ = drawn(np.random.default_rng(0), 30)
    found = evidence_of(file)
    assert found is not None
    assert (found.count(), found.count(1)) == (30, 10)
    chosen = sorted(range(30), key=lambda i: f"p{i}")
    assert np.array_equal(found.parts[0][0], known[chosen])
    first = file.with_name(FILE).read_bytes()
    assert b"p12" not in first
    written(tmp_path)
    assert file.with_name(FILE).read_bytes() == first
    assert evidence_of(weights_with(tmp_path / "old")) is None


def pickled(file: Path) -> None:
    np.savez(file, probability=np.array([brier_score], dtype=object))


def other_labels(file: Path) -> None:
    with np.load(file) as stored:
        changed = dict(stored) | {"label": stored["label"] + 7}
    np.savez(file, **changed)


def test_what_was_tampered_with_is_refused_in_one_line(tmp_path: Path, say: Callable[..., Any]) -> None:
    file = written(tmp_path / "a")
    (tmp_path / "a" / "model.pt").write_bytes(b"other weights")
    with pytest.raises(ValueError, match=r"must belong to model\.pt beside it, found that of other weights") as caught:
        read_evidence(file)
    assert "\n" not in str(caught.value)
    say("Weights and checkpoints", "evidence for prediction sets of other weights", caught.value)
    (tmp_path / "a" / "global.pt").write_bytes(b"weights of a federation")
    assert read_evidence(tmp_path / "a" / "global.pt") is None, "the neighbour's"
    for change in (pickled, other_labels, lambda one: one.write_bytes(b"no zip")):
        file = written(tmp_path / "b")
        change(file.with_name(FILE))
        with pytest.raises(ValueError, match=r"evidence\.npz must be what a training wrote, found") as caught:
            read_evidence(file)
        assert "\n" not in str(caught.value)


def test_an_ensemble_on_shared_cases_has_the_mean_of_its_models_on_others_none(tmp_path: Path) -> None:
    files = [str(written(tmp_path / str(seed), seed)) for seed in (0, 1)]
    found = evidence_of(files)
    assert found is not None
    assert found.source == "calibration"
    each = [evidence_of(file) for file in files]
    mean = np.mean([one.parts[0][0] for one in each if one is not None], axis=0)
    assert np.allclose(found.parts[0][0], mean)
    other = weights_with(tmp_path / "other")
    known, label = drawn(np.random.default_rng(2), 4)
    write_evidence(other, known, label, list("abcd"), list("abcd"), "validation")
    assert evidence_of([*files, str(other)]) is None
    assert evidence_of([*files, str(weights_with(tmp_path / "none"))]) is None


def test_an_ensemble_of_folds_has_the_cases_of_every_part_once(tmp_path: Path) -> None:
    files = [written(tmp_path / str(seed), seed, source="validation") for seed in range(4)]
    for seed, file in enumerate(files):
        names = [f"f{seed % 2}_{i}" for i in range(30)]
        known, _ = drawn(np.random.default_rng(seed), 30)
        write_evidence(file, known, np.arange(30) % 3, names, names, "folds", f"{seed // 2 + 1}, 0")
    found = evidence_of([str(file) for file in files])
    assert found is not None
    assert (found.source, found.rounds, found.count(), len(found.parts)) == ("folds", 2, 60, 4)
    alone = evidence_of(files[0])
    assert alone is not None
    assert alone.source == "validation"


def test_of_a_patient_with_several_cases_one_counts() -> None:
    cases = ["c3", "c1", "c2", "c4"]
    chosen = one_per_patient(cases, ["a", "a", "a", "b"])
    assert len(chosen) == 2
    assert 3 in chosen
    again = one_per_patient(cases[::-1], ["b", "a", "a", "a"])
    assert {cases[i] for i in chosen} == {cases[::-1][i] for i in again}


def test_a_server_answers_with_sets_and_reads_new_evidence(tmp_path: Path) -> None:
    file = written(tmp_path)
    step = PredictionSetsd(classes=["a", "b", "c"], model_file=str(file))
    item = {"pred": [0.98, 0.01, 0.01], "result": {"positive": True}}
    answer = step(item)["result"]
    assert answer["positive"] is True
    assert [at["level"] for at in answer["prediction_sets"]["levels"]] == list(LEVELS)
    assert answer["prediction_sets"]["levels"][1]["set"] == ["a"]
    assert answer["prediction_sets"]["levels"][1]["decision"] == "decided"
    (tmp_path / "model_before_labels.pt").write_bytes(b"before")
    assert "prediction_sets" not in step(item | {"model_filename": "model_before_labels.pt"})["result"]
    file.with_name(FILE).unlink()
    assert "prediction_sets" not in step(item)["result"]


def graded(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities [n, 5] of grades whose order the model does not quite keep, and labels [n]."""
    label = rng.integers(5, size=n)
    logits = rng.normal(size=(n, 5)) - 0.7 * np.abs(np.arange(5) - label[:, None])
    found = np.exp(logits)
    return found / found.sum(axis=1, keepdims=True), label


def smallest_interval(inside: np.ndarray) -> np.ndarray:
    """Return the smallest interval that holds a set of grades [K]."""
    found = np.zeros_like(inside)
    if inside.any():
        found[inside.argmax() : len(inside) - inside[::-1].argmax()] = True
    return found


@pytest.mark.parametrize("n", [16, 40, 200])
def test_intervals_of_grades_have_the_exact_coverage(n: int) -> None:
    rng, level, runs = np.random.default_rng(n), 0.8, []
    for _ in range(RUNS // 2):
        evidence = Evidence([graded(rng, n)], "calibration", ordered=True)
        probability, label = graded(rng, TESTED)
        runs.append(evidence.sets(probability[None], level)[np.arange(TESTED), label].mean())
    expected, error = math.ceil((n + 1) * level - 1e-9) / (n + 1), np.std(runs) / math.sqrt(len(runs))
    assert abs(np.mean(runs) - expected) <= 4 * error
    assert error < 0.008


def test_an_interval_is_the_smallest_around_the_grades_above_a_limit() -> None:
    rng = np.random.default_rng(3)
    probability, _ = graded(rng, 300)
    for limit in (0.1, 0.2, 0.35):
        expected = np.array([smallest_interval(row) for row in probability >= limit])
        assert np.array_equal(unimodal(probability) >= limit, expected)
    parts = [graded(rng, 60), graded(rng, 60)]
    for level in LEVELS:
        for by_class in (False, True):  # limits of their own per class and fold
            given = np.stack([probability, graded(rng, 300)[0]])
            found = Evidence(parts, "folds", ordered=True).sets(given, level, by_class)
            assert np.array_equal(found, [smallest_interval(row) for row in found])


def test_the_file_knows_that_classes_are_grades(tmp_path: Path) -> None:
    file, (known, label) = weights_with(tmp_path), graded(np.random.default_rng(0), 30)
    names = [f"p{i}" for i in range(30)]
    write_evidence(file, known, label, names, names, "calibration", ordered=True)
    write_evidence(file, known, label, names, names, "folds", "1, 0")  # as `comparing` adds its test parts
    found = evidence_of(file)
    assert found is not None
    assert found.ordered
    assert "intervals of grades" in found.described(known[:1], list("abcde"))["from"]
    several = evidence_of([str(file), str(file)])
    assert several is not None
    assert several.ordered
