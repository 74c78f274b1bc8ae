# SPDX-License-Identifier: Apache-2.0
"""Results of an evaluation with labels: metrics.json, ROC, confusion matrix and the printed table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts import from_workbench
from scripts.cases.groups import Grouping
from scripts.cases.positive import positive_index
from scripts.engines.environment import write_metrics
from scripts.figures.curves import confusion_figure, roc_figure
from scripts.figures.subgroup_tables import gap_rows, group_rows, subgroup_tables
from scripts.figures.table import Table, bounds_text, format_table, number
from scripts.files.atomic import write_table
from scripts.metrics.interval import number_patients, patient_weights, percentile_interval, wilson_interval
from scripts.metrics.prediction_sets import LEVELS, Evidence, decision
from scripts.metrics.rows import classification_table, confidence_intervals, threshold_row
from scripts.metrics.scores import brier_score, expected_calibration_error, mean_log_loss
from scripts.metrics.subgroups import Labelled, compare_groups

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
        evidence: calibration cases for prediction sets, where there are any.
        by_model: [M, n, K], the probabilities that these are about.
        groups: the group of each case, by each column that is asked for.
    """

    probability: np.ndarray
    label: np.ndarray
    patients: Sequence[str]
    uncalibrated: np.ndarray | None = None
    temperature: float | None = None
    threshold: float | None = None
    positive: str | None = None
    members: int = 1
    evidence: Evidence | None = None
    by_model: np.ndarray | None = None
    groups: Sequence[Grouping] = ()


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
    sets = set_scores(found, classes, name, draws, seed or 0)
    subgroups = write_subgroups(output_dir, found, classes, draws, seed or 0, sets)
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
        sets,
        subgroups,
    )
    figures = _figures(output_dir, found, classes, name, rows, random, subgroups)
    number = len(set(found.patients))
    patients = None if number == len(found.label) else number  # one case each, or no patient is named at all
    title = f"{name}: {len(found.label)} cases" + ("" if patients is None else f", {patients} patients")
    print(f"\n{format_table(rows, title, patients, at_threshold, calibration)}\n", flush=True)
    tables = [] if sets is None else [set_table(sets, "")]
    for table in [*tables, *subgroup_tables(subgroups, "")]:
        print("\n".join([table.title, table.text(), *table.notes[:1], ""]), flush=True)
    return rows, figures


def write_subgroups(
    output_dir: Path,
    found: LabelledPredictions,
    classes: Sequence[str],
    draws: int,
    seed: int,
    sets: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Compute the metrics of each group, and write subgroups.csv and subgroup_gaps.csv, or remove those of before.

    A column that no case has gives a line in place of a table.
    """
    for grouping in found.groups:
        if grouping.unknown:
            print(f"by {grouping.by}: nothing to show, as no case has a value of it")
    data = (found.probability, found.label, classes, found.patients, draws, seed, found.threshold)
    positive = positive_index(classes, found.positive) if len(classes) == 2 else 1
    subgroups = compare_groups(Labelled(*data, positive), [one for one in found.groups if not one.unknown])
    for file, rows in (("subgroups.csv", group_rows(subgroups, sets)), ("subgroup_gaps.csv", gap_rows(subgroups))):
        if rows:
            write_table(output_dir / file, rows[0], [row.values() for row in rows])
        else:
            (output_dir / file).unlink(missing_ok=True)
    return subgroups


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


def set_scores(
    found: LabelledPredictions, classes: Sequence[str], name: str, draws: int, seed: int
) -> dict[str, Any] | None:
    """Return how often prediction sets hold the true class and how many classes they hold; None without evidence.

    For all cases, and those of each class and group: at each level `coverage`, `size` (mean number of classes) and
    `decided` (share of sets of one class), and under `by_class` the same of the sets per class. The 95% interval of
    the coverage is Wilson's for as many cases as there are patients; that of the size is a bootstrap over patients.
    """
    if found.evidence is None or found.by_model is None:
        return None
    evidence, label = found.evidence, found.label
    told = {"from": evidence.note, "source": evidence.source, "calibration_cases": evidence.count()}
    told |= {"calibration_cases_of_class": {one: evidence.count(k) for k, one in enumerate(classes)}}
    if name == evidence.source:
        return told | {"groups": []}  # the sets come from these very cases
    groups = {"all": np.ones(len(label), dtype=bool)} | {f"class {one}": label == k for k, one in enumerate(classes)}
    for grouping in found.groups:
        own = np.array(grouping.group, dtype=object)
        groups |= {f"{grouping.by} {one}": own == one for one in grouping.order if len(grouping.order) > 1}

    sets = {
        (level, by_class): evidence.sets(found.by_model, level, by_class)
        for level in LEVELS
        for by_class in (False, True)
    }

    def scores(inside: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
        hit, size = inside[np.arange(len(label)), label][chosen], inside.sum(axis=1)[chosen].astype(float)
        patient = number_patients([one for one, there in zip(found.patients, chosen, strict=True) if there], len(hit))
        bounds = None
        if draws > 0:
            weights = np.concatenate(list(patient_weights(patient, draws, seed)))
            bounds = percentile_interval(weights @ size / weights.sum(axis=1), int(patient.max()) + 1, seed).bounds
        return {
            "coverage": float(hit.mean()),
            "coverage_interval": wilson_interval(float(hit.mean()), int(patient.max()) + 1),
            "size": float(size.mean()),
            "size_interval": bounds,
            "decided": float(np.mean([decision(row) == "decided" for row in inside[chosen]])),
        }

    listed = []
    for group, chosen in groups.items():
        if not chosen.any():
            continue
        levels = [
            {"level": level, **scores(sets[level, False], chosen), "by_class": scores(sets[level, True], chosen)}
            for level in LEVELS
        ]
        listed.append({"group": group, "n": int(chosen.sum()), "levels": levels})
    return told | {"groups": listed}


def set_table(sets: Mapping[str, Any], n: str) -> Table:
    """Return the table of `set_scores`: coverage at each level, and at 90% the size and the share that is decided."""
    rows = []
    for group in sets["groups"]:
        row = [f"{group['group']} ({group['n']})"]
        row += [number(at["coverage"]) + bounds_text(*at["coverage_interval"]) for at in group["levels"]]
        (at,) = (one for one in group["levels"] if one["level"] == 0.9)
        size = number(at["size"]) + bounds_text(*(at["size_interval"] or (None, None)))
        rows.append([*row, size, f"{at['decided']:.0%}", number(at["by_class"]["coverage"])])
    header = ["cases", *(f"at {level:.0%}" for level in LEVELS)]
    header += ["classes per set, at 90%", "decided, at 90%", "sets per class, at 90%"]
    each = ", ".join(f"{count} {name}" for name, count in sets["calibration_cases_of_class"].items())
    notes = [
        f"From {sets['from']} ({each})." + ("" if rows else " They say nothing about the coverage on themselves."),
        "A set holds the classes that the model cannot rule out, and is decided if it holds one. Sets per class are to "
        "hold the true class equally often in each class. Of cases from elsewhere than the calibration cases, fewer "
        "sets may hold it.",
    ]
    return Table("Prediction sets: share that holds the true class [95% interval]", n, header, rows, notes)


def _figures(
    output_dir: Path,
    found: LabelledPredictions,
    classes: Sequence[str],
    name: str,
    rows: Sequence[dict[str, Any]],
    random: dict[str, Any],
    subgroups: Sequence[Mapping[str, Any]],
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
        figures |= further.probability_figures(output_dir, found, classes, name, rows, random, subgroups)
    return figures
