# SPDX-License-Identifier: Apache-2.0
"""Coverage of the 95% intervals, on simulated patients whose true AUC and calibration error are known.

AUC: scores of the two classes are normal with equal variance (binormal), so that the true AUC is known
exactly; compares the interval of the bundle (DeLong on the logit scale) with the percentile bootstrap. With
`--cases_per_patient` above 1 the cases of a patient share a class and half of the variance of their scores.
Calibration error: probabilities overconfident by a known factor; its true value is taken from a million cases.

python -m benchmarks.interval_coverage --output docs/figures/interval_coverage.csv
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import norm
from scripts.metrics.delong import auc_intervals
from scripts.metrics.interval import patient_weights, percentile_interval
from scripts.metrics.rows import confidence_intervals
from scripts.metrics.scores import expected_calibration_error, weighted_auc
from tqdm import tqdm

FIELDS = ("metric", "patients", "cases", "prevalence", "truth", "method", "runs", "coverage", "below", "width")


def binormal(
    patients: int, per_patient: int, auc: float, prevalence: float, seed: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, labels and patients of the cases of a cohort with a known AUC."""
    rng = np.random.default_rng(list(seed))
    label = np.repeat(np.arange(patients) < round(patients * prevalence), per_patient)
    patient = np.repeat(np.arange(patients), per_patient)
    # equal unit variances: AUC = Phi(shift / sqrt 2); a random effect per patient correlates its cases
    share = 0.5 if per_patient > 1 else 0.0
    noise = np.sqrt(share) * rng.normal(size=patients)[patient] + np.sqrt(1 - share) * rng.normal(size=len(label))
    return expit(noise + np.sqrt(2) * norm.ppf(auc) * label), label.astype(int), patient


def auc_rows(
    patients: int, per_patient: int, auc: float, prevalence: float, runs: int, draws: int
) -> list[dict[str, Any]]:
    """Return coverage and width of both intervals of the AUC."""
    found: dict[str, list[tuple[float, float]]] = {"DeLong, logit": [], "percentile bootstrap": []}
    for run in range(runs):
        score, label, patient = binormal(patients, per_patient, auc, prevalence, (run, patients, per_patient))
        ours = auc_intervals(np.stack([1 - score, score], axis=1), label, patient)[1]
        found["DeLong, logit"].append(tuple(ours.bounds or (np.nan, np.nan)))  # type: ignore[arg-type]
        values = [weighted_auc(score, label == 1, w) for w in patient_weights(patient, draws, run)]
        theirs = percentile_interval(np.concatenate(values), patients, run)
        found["percentile bootstrap"].append(tuple(theirs.bounds or (np.nan, np.nan)))  # type: ignore[arg-type]
    about = {"metric": "auc", "patients": patients, "cases": patients * per_patient, "prevalence": prevalence}
    return [about | _summary(np.array(bounds), auc, method) for method, bounds in found.items()]


def overconfident(cases: int, factor: float, seed: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities [n, 2] whose logits are too large by a factor, and labels."""
    rng = np.random.default_rng(list(seed))
    logit = 1.5 * rng.normal(size=cases)
    label = (rng.random(cases) < expit(logit)).astype(int)
    said = expit(factor * logit)
    return np.stack([1 - said, said], axis=1), label


def ece_rows(patients: int, factor: float, runs: int, draws: int) -> list[dict[str, Any]]:
    """Return coverage and width of the interval of the expected calibration error."""
    truth = float(expected_calibration_error(*overconfident(1_000_000, factor, (0, 1)))[0])
    truth = 0.0 if factor == 1 else truth
    bounds = []
    for run in range(runs):
        data = overconfident(patients, factor, (run, patients))
        bounds.append(confidence_intervals(*data, draws=draws, seed=run)[-1]["ece"].bounds)
    about = {"metric": "ece", "patients": patients, "cases": patients, "prevalence": 0.5}
    return [about | _summary(np.array(bounds), truth, "bootstrap, for an upward bias")]


def _summary(bounds: np.ndarray, truth: float, method: str) -> dict[str, Any]:
    """Return how often intervals [runs, 2] cover the truth, how often they lie below it, and their mean width."""
    inside = (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
    return {
        "truth": round(truth, 4),
        "method": method,
        "runs": len(bounds),
        "coverage": round(float(inside.mean()), 4),
        "below": round(float((bounds[:, 1] < truth).mean()), 4),
        "width": round(float(np.nanmean(bounds[:, 1] - bounds[:, 0])), 4),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="simulated cohorts per row")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap resamples")
    parser.add_argument("--patients", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--aucs", type=float, nargs="+", default=[0.7, 0.85, 0.95])
    parser.add_argument("--prevalences", type=float, nargs="+", default=[0.5, 0.25])
    parser.add_argument("--cases_per_patient", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per setting and method")
    given = parser.parse_args(arguments)
    settings = [
        (patients, per_patient, auc, prevalence)
        for per_patient in given.cases_per_patient
        for prevalence in given.prevalences
        for patients in given.patients
        for auc in given.aucs
    ]
    rows: list[dict[str, Any]] = []
    for patients, per_patient, auc, prevalence in tqdm(settings, "AUC"):
        rows += auc_rows(patients, per_patient, auc, prevalence, given.runs, given.draws)
    for patients in tqdm(given.patients, "calibration error"):
        for factor in (1.0, 1.5, 3.0):
            rows += ece_rows(patients, factor, min(given.runs, 500), min(given.draws, 500))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    with given.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
