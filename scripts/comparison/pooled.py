"""The predictions of a whole cross-validation as those of one model, which never saw the case it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scripts.evaluation import Predictions, read_predictions, write_predictions

from .jobs import Job, Place


def pooled_predictions(parts: Sequence[Predictions]) -> Predictions:
    r"""Average the predictions of each case over repeats and seeds.

    .. math:: p_i = \frac{1}{RS} \sum_{r=1}^{R} \sum_{s=1}^{S} p_{i r s}

    where :math:`p_{irs}` is what the network of repeat r and seed s said that had case i in its test part.
    Within one repeat every case is predicted once; the folds together are all cases.

    Args:
        parts: test predictions of every job of one strategy.

    Returns:
        One row per case, sorted by name.
    """
    found: dict[str, list[np.ndarray]] = {}
    label: dict[str, int | None] = {}
    patient: dict[str, str] = {}
    for part in parts:
        labels, patients = part.labels or [None] * len(part.cases), part.patients or part.cases
        for i, case in enumerate(part.cases):
            found.setdefault(case, []).append(part.probabilities[i])
            label[case], patient[case] = labels[i], patients[i]
    cases = sorted(found)
    return Predictions(
        cases=cases,
        probabilities=np.stack([np.mean(found[case], axis=0) for case in cases]),
        classes=parts[0].classes,
        labels=[label[case] for case in cases],
        patients=[patient[case] for case in cases],
    )


def write_pooled(place: Place, jobs: Sequence[Job], positive: str | None = None) -> dict[str, Path]:
    """Write predictions/<strategy>.csv for each strategy, and return the files by strategy.

    Args:
        place: where the jobs left theirs.
        jobs: all jobs.
        positive: the positive one of two classes, named in the files.
    """
    files = {}
    for strategy in dict.fromkeys(job.strategy for job in jobs):
        chosen = [job for job in jobs if job.strategy == strategy]
        pooled = pooled_predictions(
            [read_predictions(place.output(job) / "predictions.csv") for job in chosen]
        )
        files[strategy] = write_predictions(
            place.folder / "predictions" / f"{strategy}.csv",
            pooled.cases,
            pooled.probabilities,
            pooled.classes,
            pooled.labels,
            patients=pooled.patients,
            positive=positive,
        )
    return files
