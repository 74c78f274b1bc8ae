# SPDX-License-Identifier: Apache-2.0
"""Results of an evaluation with labels: metrics.json, ROC, confusion matrix and the printed table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts import from_workbench
from scripts.engines.environment import write_metrics
from scripts.figures.curves import confusion_figure, roc_figure
from scripts.figures.table import format_table
from scripts.metrics.rows import classification_table, confidence_intervals, threshold_row
from scripts.metrics.scores import brier_score, expected_calibration_error, mean_log_loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class LabelledPredictions:
    """The predictions of n cases whose class is known.

    Attributes:
        probability: [n, K].
        label: [n], index of the true class.
        patients: the patient of each case.
        uncalibrated: [n, K], the probabilities before the division by the temperature, where known.
        temperature: temperature of the model, where known.
        threshold: with two classes, the threshold of the model, where known.
        positive: with two classes, the name of the positive one.
        members: number of models whose probabilities were averaged.
    """

    probability: np.ndarray
    label: np.ndarray
    patients: Sequence[str]
    uncalibrated: np.ndarray | None = None
    temperature: float | None = None
    threshold: float | None = None
    positive: str | None = None
    members: int = 1


def write_results(
    output_dir: Path,
    found: LabelledPredictions,
    classes: Sequence[str],
    name: str,
    seed: int | None,
    draws: int,
    device: str,
) -> tuple[list[dict[str, Any]], dict[str, Figure]]:
    """Compute everything that needs labels, write it into `output_dir` and print the table.

    Args:
        output_dir: folder of the results.
        found: the predictions.
        classes: K class names.
        name: what is evaluated, e.g. "test".
        seed: seed of the evaluated run; recorded, and used for the bootstrap (0 when None).
        draws: number of bootstrap resamples; 0 for no intervals.
        device: device on which the network ran.

    Returns:
        The rows of the table, and the figures by name.
    """
    random: dict[str, Any] = {"patients": found.patients, "draws": draws, "seed": seed or 0}
    data = (found.probability, found.label)
    intervals = confidence_intervals(*data, **random) if draws > 0 else []
    rows = classification_table(*data, classes, intervals or None)
    at_threshold = None
    if found.threshold is not None:
        at_threshold = threshold_row(*data, classes, found.threshold, **random, positive=found.positive)
        at_threshold["chosen_by"] = threshold_source(found.members, found.threshold)
    calibration = _calibration(found, rows[-1])
    write_metrics(
        output_dir / "metrics.json",
        rows,
        classes,
        name,
        seed,
        intervals[-1] if intervals else {},
        device,
        at_threshold,
        calibration,
        found.positive,
    )
    figures = _figures(output_dir, found, classes, name, rows, random)
    number = len(set(found.patients))
    patients = None if number == len(found.label) else number  # one case each, or no patient is named at all
    title = f"{name}: {len(found.label)} cases" + ("" if patients is None else f", {patients} patients")
    print(f"\n{format_table(rows, title, patients, at_threshold, calibration)}\n", flush=True)
    return rows, figures


def threshold_source(members: int, threshold: float) -> str:
    """Say where the threshold of a model, or of an ensemble, comes from."""
    if members > 1:
        return f"the mean of the thresholds that {members} models fitted, each on its validation split"
    if threshold == 0.5:
        return "default, as no threshold was fitted on the validation split"
    return "the validation split, for the highest sensitivity + specificity"


def _calibration(found: LabelledPredictions, macro: dict[str, Any]) -> dict[str, float] | None:
    """Return the temperature and the scores before and after dividing by it; None where it is not known."""
    if found.temperature is None or found.uncalibrated is None:
        return None
    scores = {"temperature": found.temperature}
    for name, measure in (("brier", brier_score), ("ece", expected_calibration_error)):
        scores[f"{name}_before"] = float(measure(found.uncalibrated, found.label)[0])
        scores[f"{name}_after"] = macro[name]
    scores["log_loss_before"] = mean_log_loss(found.uncalibrated, found.label)
    scores["log_loss_after"] = mean_log_loss(found.probability, found.label)
    return scores


def _figures(
    output_dir: Path,
    found: LabelledPredictions,
    classes: Sequence[str],
    name: str,
    rows: Sequence[dict[str, Any]],
    random: dict[str, Any],
) -> dict[str, Figure]:
    """Draw and write the figures."""
    data = (found.probability, found.label, classes, name)
    random = random | {"draws": min(random["draws"], 500)}  # enough for a band, which is drawn for each class
    figures = {
        "roc": roc_figure(
            *data,
            intervals=[row.get("auc_interval") for row in rows],
            **random,
            positive=found.positive,
            path=output_dir / "roc.png",
        ),
        "confusion_matrix": confusion_figure(*data, positive=found.positive, path=output_dir / "confusion_matrix.png"),
    }
    if further := from_workbench("report.report"):
        figures |= further.probability_figures(output_dir, found, classes, name, rows, random)
    return figures
