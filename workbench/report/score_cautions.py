"""Warnings about what was measured."""

from __future__ import annotations

import math
from typing import Any

from scripts.metrics.table import NAMES
from workbench.report.cautions import Caution
from workbench.report.contents import Contents
from workbench.report.table import counted, number

FEWEST_CASES = 10
"""Cases of a class below which its figures say little."""
WIDEST_INTERVAL = 0.2
"""Width of a 95% interval above which a metric is hardly known."""
LARGEST_CALIBRATION_ERROR = 0.05
"""Expected calibration error that the interval must reach down to."""

LEAST_CHANGE = 5e-4
"""Change of a calibration score that shows in its third digit."""


def score_cautions(contents: Contents) -> list[Caution]:
    """Return the warnings about metrics, classes with few cases, and probabilities."""
    metrics = contents.metrics
    if metrics is None:
        advice = "Nothing says how good the model is. Evaluate it on cases whose class is known."
        return [Caution(f"No case of the {contents.split} split has a known class.", advice)]
    return [
        *_few_cases(contents, metrics),
        *_undefined(metrics),
        *_no_better_than_guessing(metrics),
        *_wide_intervals(metrics),
        *_drop(contents, metrics),
        *_calibration(contents, metrics),
    ]


def _few_cases(contents: Contents, metrics: dict[str, Any]) -> list[Caution]:
    few = {
        row["class"]: row["n_positive"] for row in metrics["per_class"] if row["n_positive"] < FEWEST_CASES
    }
    if not few:
        return []
    step = 100 / max(1, min(few.values()))
    counts = ", ".join(f"{name} has {counted(number_of, 'case')}" for name, number_of in few.items())
    return [
        Caution(
            f"Classes with fewer than {FEWEST_CASES} cases in the {contents.split} split: {counts}.",
            f"One case more or less changes a sensitivity by up to {step:.0f} percentage points. Collect "
            "more "
            "cases, or compare by cross-validation (docs/evaluation.md).",
        )
    ]


def _undefined(metrics: dict[str, Any]) -> list[Caution]:
    return [
        Caution(
            f"Some metrics are undefined: {row['note']}.",
            "The mean over the classes leaves this class out, and cannot be compared with one that has it.",
        )
        for row in metrics["per_class"]
        if row["auc"] is None
    ]


def _no_better_than_guessing(metrics: dict[str, Any]) -> list[Caution]:
    macro, found = metrics["macro"], []
    auc, accuracy = macro.get("auc_interval"), macro.get("accuracy_interval")
    if auc and auc[0] <= 0.5:
        found.append(
            Caution(
                f"The 95% interval of the AUC begins at {number(auc[0])}; 0.5 is guessing.",
                "These cases do not show that the model has learned anything. Look at the learning curves, "
                "and at "
                "whether the first training cases show the lesion; or test on more cases.",
            )
        )
    most = max(row["n_positive"] for row in metrics["per_class"]) / metrics["n"]
    if accuracy and accuracy[0] <= most < 1:
        found.append(
            Caution(
                f"The 95% interval of the accuracy begins at {number(accuracy[0])}; always naming the most "
                f"frequent class gives {number(most)}.",
                "The accuracy alone does not show that the model is of use. Read sensitivity and "
                "specificity.",
            )
        )
    return found


def _wide_intervals(metrics: dict[str, Any]) -> list[Caution]:
    found = []
    for metric in ("auc", "accuracy"):
        bounds = metrics["macro"].get(f"{metric}_interval")
        if bounds and bounds[1] - bounds[0] > WIDEST_INTERVAL:
            name = NAMES[metric]
            found.append(
                Caution(
                    f"The 95% interval of the {name} is {number(bounds[1] - bounds[0])} wide, from "
                    f"{number(bounds[0])} to {number(bounds[1])}.",
                    "The true value may lie anywhere in it. More cases narrow it: four times as many halve "
                    "it.",
                )
            )
    return found


def _drop(contents: Contents, metrics: dict[str, Any]) -> list[Caution]:
    """Compare the chosen checkpoint's validation scores with the interval of the test."""
    chosen = [row for row in contents.history if row["best"]]
    if not chosen or contents.split != "test":
        return []
    found = []
    for metric in ("auc", "accuracy"):
        before, bounds = chosen[-1][f"validation_{metric}"], metrics["macro"].get(f"{metric}_interval")
        if bounds and math.isfinite(before) and before > bounds[1]:
            after = metrics["macro"][metric]
            found.append(
                Caution(
                    f"The {NAMES[metric]} falls from {number(before)} on the validation split to "
                    f"{number(after)} on "
                    f"the test split, below the 95% interval's upper end of {number(bounds[1])}.",
                    "The drop is larger than chance in the test cases explains. The checkpoint was chosen "
                    "on few "
                    "validation cases, or the test cases differ (site, scanner, class frequencies). Report "
                    "the test.",
                )
            )
    return found


def _worse_by_calibration(contents: Contents, known: dict[str, float]) -> list[Caution]:
    """Warn where the temperature that fits the validation split makes probabilities worse here."""
    worse = []
    for name in ("log_loss", "brier", "ece"):
        before, after = known.get(f"{name}_before"), known.get(f"{name}_after")
        if before is not None and after is not None and after - before > LEAST_CHANGE:
            worse.append(f"{NAMES[name].partition(' (')[0]} from {number(before)} to {number(after)}")
    if not worse:
        return []
    return [
        Caution(
            f"Calibration made the probabilities of the {contents.split} split worse: {', '.join(worse)}.",
            f"The temperature {known['temperature']:.2f} was fitted on the validation split, which is small "
            "or differs from these cases. Use more validation cases, or train with --calibrate false and "
            "compare.",
        )
    ]


def _calibration(contents: Contents, metrics: dict[str, Any]) -> list[Caution]:
    macro, known, found = metrics["macro"], metrics.get("calibration"), []
    off = contents.config.get("calibrate") is False
    if contents.models == 1 and (not known or (known["temperature"] == 1 and off)):
        found.append(
            Caution(
                "The model was not calibrated"
                + (f" (expected calibration error {number(macro['ece'])})." if "ece" in macro else "."),
                "Its probabilities may be too extreme: use them to rank cases, not as a risk. Train with "
                "--calibrate true.",
            )
        )
    elif known and known["temperature"] != 1:
        found += _worse_by_calibration(contents, known)
    elif known:
        found.append(
            Caution(
                "No temperature was fitted: the validation split is too small to tell one, or all of it is "
                "predicted right.",
                "The probabilities are those of the network, which may be too sure of itself. Use them to "
                "rank cases, or validate on more.",
            )
        )
    bounds = macro.get("ece_interval")
    if bounds and bounds[0] > LARGEST_CALIBRATION_ERROR:
        found.append(
            Caution(
                f"The expected calibration error is {number(macro['ece'])}, 95% interval "
                f"{number(bounds[0])} to "
                f"{number(bounds[1])}.",
                "Probabilities are further from the truth than chance explains. Do not use them as a risk; "
                "the "
                "reliability figure shows in which direction they err.",
            )
        )
    return found
