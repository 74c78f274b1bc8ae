# SPDX-License-Identifier: Apache-2.0
"""Warnings about the metrics, about the reported split, and about the code that ran."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scripts.figures.table import counted, number
from scripts.metrics.registry import TITLES
from workbench.report.contents import Contents

FEWEST_CASES = 10  # Fewer cases of a class say little about it
WIDEST_INTERVAL = 0.2  # Wider 95% intervals leave a metric largely unknown
LARGEST_CALIBRATION_ERROR = 0.05  # An interval of the calibration error above this is warned of
LEAST_CHANGE = 5e-4  # Smallest change of a calibration score that shows in its third decimal
PART = {
    "training": "fitted the weights",
    "validation": "chose the checkpoint and its calibration",
    "calibration": "calibrated the prediction sets",
}
"""Role of the cases of a split in a training."""


@dataclass(frozen=True)
class Caution:
    """A warning: what was found, with its number, and what that means and what to do."""

    found: str
    advice: str


def score_cautions(contents: Contents) -> Iterator[Caution]:
    """Yield the warnings about metrics, classes with few cases, and probabilities."""
    metrics = contents.metrics
    if metrics is None:
        yield Caution(
            f"No case of the {contents.split} split has a known class.",
            "Nothing says how good the model is. Evaluate it on cases whose class is known.",
        )
        return
    few = {row["class"]: row["n_positive"] for row in metrics["per_class"] if row["n_positive"] < FEWEST_CASES}
    if few:
        step = 100 / max(1, min(few.values()))
        counts = ", ".join(f"{name} has {counted(number_of, 'case')}" for name, number_of in few.items())
        yield Caution(
            f"Classes with fewer than {FEWEST_CASES} cases in the {contents.split} split: {counts}.",
            f"One case more or less changes a sensitivity by up to {step:.0f} percentage points. Collect "
            "more cases, or compare by cross-validation (docs/evaluation.md).",
        )
    for row in metrics["per_class"]:
        if row["auc"] is None:
            yield Caution(
                f"Some metrics are undefined: {row['note']}.",
                "The mean over the classes leaves this class out, and cannot be compared with one that has it.",
            )
    yield from _intervals(metrics)
    yield from _drop(contents, metrics)
    yield from _calibration(contents, metrics)


def _intervals(metrics: dict[str, Any]) -> Iterator[Caution]:
    """Warn of an interval that reaches down to guessing, or that is wide."""
    auc, accuracy = (metrics["macro"].get(f"{metric}_interval") for metric in ("auc", "accuracy"))
    if auc and auc[0] <= 0.5:
        yield Caution(
            f"The 95% interval of the AUC begins at {number(auc[0])}; 0.5 is guessing.",
            "These cases do not show that the model has learned anything. Look at the learning curves, and "
            "at whether the first training cases show the lesion; or test on more cases.",
        )
    most = max(row["n_positive"] for row in metrics["per_class"]) / metrics["n"]
    if accuracy and accuracy[0] <= most < 1:
        yield Caution(
            f"The 95% interval of the accuracy begins at {number(accuracy[0])}; always naming the most "
            f"frequent class gives {number(most)}.",
            "The accuracy alone does not show that the model is of use. Read sensitivity and specificity.",
        )
    for metric, bounds in (("auc", auc), ("accuracy", accuracy)):
        if bounds and bounds[1] - bounds[0] > WIDEST_INTERVAL:
            yield Caution(
                f"The 95% interval of the {TITLES[metric]} is {number(bounds[1] - bounds[0])} wide, from "
                f"{number(bounds[0])} to {number(bounds[1])}.",
                "The true value may lie anywhere in it. More cases narrow it: four times as many halve it.",
            )


def _drop(contents: Contents, metrics: dict[str, Any]) -> Iterator[Caution]:
    """Warn if a validation score of the chosen checkpoint lies above the interval of the test."""
    chosen = [row for row in contents.history if row["best"]]
    if not chosen or contents.split != "test":
        return
    for metric in ("auc", "accuracy"):
        before, bounds = chosen[-1][f"validation_{metric}"], metrics["macro"].get(f"{metric}_interval")
        if bounds and math.isfinite(before) and before > bounds[1]:
            yield Caution(
                f"The {TITLES[metric]} falls from {number(before)} on the validation split to "
                f"{number(metrics['macro'][metric])} on the test split, below the 95% interval's upper end "
                f"of {number(bounds[1])}.",
                "The drop is larger than chance in the test cases explains. The checkpoint was chosen on few "
                "validation cases, or the test cases differ (site, scanner, class frequencies). Report the "
                "test.",
            )


def _calibration(contents: Contents, metrics: dict[str, Any]) -> Iterator[Caution]:
    macro, known = metrics["macro"], metrics.get("calibration")
    off = contents.config.get("calibrate") is False
    if contents.models == 1 and (not known or (known["temperature"] == 1 and off)):
        error = f" (expected calibration error {number(macro['ece'])})" if "ece" in macro else ""
        yield Caution(
            f"The model was not calibrated{error}.",
            "Its probabilities may be too extreme: use them to rank cases, not as a risk. Train with --calibrate true.",
        )
    elif known and known["temperature"] != 1:
        yield from _worse_by_calibration(contents, known)
    elif known:
        yield Caution(
            "No temperature was fitted: the validation split is too small to determine one, or all of its cases "
            "are predicted right.",
            "The probabilities are those of the network, which may be too sure of itself. Use them to rank "
            "cases, or validate on more.",
        )
    bounds = macro.get("ece_interval")
    if bounds and bounds[0] > LARGEST_CALIBRATION_ERROR:
        yield Caution(
            f"The expected calibration error is {number(macro['ece'])}, 95% interval {number(bounds[0])} to "
            f"{number(bounds[1])}.",
            "Probabilities are further from the truth than chance explains. Do not use them as a risk; the "
            "reliability figure shows in which direction they err.",
        )


def _worse_by_calibration(contents: Contents, known: dict[str, float]) -> Iterator[Caution]:
    """Warn if the temperature fitted on the validation split makes the reported probabilities worse."""
    worse = []
    for name in ("log_loss", "brier", "ece"):
        before, after = known.get(f"{name}_before"), known.get(f"{name}_after")
        if before is not None and after is not None and after - before > LEAST_CHANGE:
            worse.append(f"{TITLES[name].partition(' (')[0]} from {number(before)} to {number(after)}")
    if worse:
        yield Caution(
            f"Calibration made the probabilities of the {contents.split} split worse: {', '.join(worse)}.",
            f"The temperature {known['temperature']:.2f} was fitted on the validation split, which is small "
            "or differs from these cases. Use more validation cases, or train with --calibrate false and "
            "compare.",
        )


def run_cautions(contents: Contents) -> Iterator[Caution]:
    """Yield the warnings about the reported split and the code that ran."""
    if contents.split in PART and contents.same_data:
        yield Caution(
            f"The {contents.n} reported cases of the {contents.split} split {PART[contents.split]}.",
            "The figures are too good. Only cases that had no part in the training say how the model does on "
            "new ones: evaluate with --split test.",
        )
    ran = {"training": contents.training.get("git"), "evaluation": contents.evaluation.get("git")}
    for what, git in ran.items():
        if git is not None and git["dirty"]:
            yield Caution(
                f"The code of the {what} differed from its git revision {git['revision'][:10]}.",
                "Nobody can run the same code again from git alone; the results folder of the training has a "
                "copy in scripts/. Commit before a training whose figures are to be published.",
            )
    if not any((git or {}).get("revision") for git in ran.values()):
        yield Caution(
            "No git revision was recorded.",
            "The code ran outside a git repository, or without git. The copy in the training's scripts/ is "
            "what ran; keep it with the figures.",
        )
