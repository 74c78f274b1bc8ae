# SPDX-License-Identifier: Apache-2.0
"""The interval of the AUC holds the truth as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.metrics.delong import auc_intervals
from scripts.metrics.scores import weighted_auc

from benchmarks.interval_coverage import auc_rows, binormal


def test_the_simulated_patients_have_the_auc_they_are_said_to_have() -> None:
    for per_patient in (1, 3):
        score, label, _ = binormal(40_000, per_patient, 0.85, 0.3, (1,))
        assert weighted_auc(score, label == 1, np.ones((1, len(label))))[0] == pytest.approx(0.85, abs=0.006)


@pytest.mark.slow
@pytest.mark.parametrize("auc", [0.7, 0.85, 0.95])
@pytest.mark.parametrize("patients", [100, 200])
def test_the_interval_covers_the_truth_in_93_to_97_percent(patients: int, auc: float) -> None:
    """In 2,000 cohorts, so that the count itself is known to half a percent (standard error)."""
    inside = []
    for run in range(2000):
        score, label, patient = binormal(patients, 1, auc, 0.5, (run, patients, 1))
        lower, upper = auc_intervals(np.stack([1 - score, score], axis=1), label, patient)[1].bounds
        inside.append(lower <= auc <= upper)
    assert 0.93 <= np.mean(inside) <= 0.97


@pytest.mark.slow
def test_by_patient_it_covers_with_several_cases_each_and_by_case_it_would_not() -> None:
    ours, _ = auc_rows(patients=100, per_patient=3, auc=0.85, prevalence=0.5, runs=500, draws=50)
    assert ours["coverage"] > 0.92
    inside = []
    for run in range(500):
        score, label, _ = binormal(100, 3, 0.85, 0.5, (run, 100, 3))
        by_case = auc_intervals(np.stack([1 - score, score], axis=1), label, np.arange(300))[1]
        inside.append(by_case.lower <= 0.85 <= by_case.upper)
    assert np.mean(inside) < 0.88
