# SPDX-License-Identifier: Apache-2.0
"""The tables of a report: the data and the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.engines.labelled import set_table
from scripts.figures.table import UNKNOWN, Table, counted, number, with_interval
from scripts.metrics.registry import DECISIONS, METRICS, OF_GRADES, OVERALL, TITLES
from workbench.measure.by_class import class_table
from workbench.report.contents import Contents
from workbench.report.dataset import Summary

AXES = "Right–left × anterior–posterior × superior–inferior"
CHOSEN = "the validation split, for the highest sensitivity + specificity"
"""How a threshold was chosen in older folders that do not record it."""


def metric_tables(contents: Contents) -> list[Table]:
    """Return the tables of metrics.json, with intervals: per class, at the threshold, calibration, prediction sets."""
    metrics = contents.metrics
    if metrics is None:
        return []
    macro, classes = metrics["macro"], metrics["per_class"]
    rows = [["cases", str(macro["n"]), *(f"{row['n_positive']} of {row['n']}" for row in classes)]]
    for name in METRICS:
        rows.append([TITLES[name], *(with_interval(row, name) for row in (macro, *classes))])
    for name in OVERALL:
        if name in macro and (name not in OF_GRADES or len(classes) > 2):
            rows.append([TITLES[name], with_interval(macro, name), *[UNKNOWN] * len(classes)])
    named = {"All": macro, **{str(row["class"]): row for row in classes}}
    notes = [
        f"[ ]: 95% interval over {'patients' if contents.patients else 'cases'}. All: the mean over the "
        "classes, but accuracy is the share of all cases predicted right. Each class stands against the "
        "rest; the predicted class is the one with the highest probability.",
        *(f"{name}: {row['note']}." for name, row in named.items() if row.get("note")),
    ]
    header = ["metric", "all", *(str(row["class"]) for row in classes)]
    tables = [Table("Metrics [95% interval]", contents.cases, header, rows, notes)]
    if row := metrics.get("at_threshold"):
        title = f"Called {row['class']} from a probability of {number(row['threshold'])} [95% interval]"
        chosen = f"The threshold was chosen by {row.get('chosen_by', CHOSEN)}."
        rows = [[TITLES[name], with_interval(row, name)] for name in (*DECISIONS, "kappa", "net_benefit")]
        rows.append(["net benefit of treating every case", number(row["net_benefit_of_treating_all"])])
        notes = [f"Positive is {row['class']}. {chosen}"]
        tables.append(Table(title, contents.cases, ["metric", "value"], rows, notes))
    if found := metrics.get("calibration"):
        title = f"Calibration: logits divided by the temperature {found['temperature']:.2f}"
        rows = [
            [TITLES[name], number(found[f"{name}_before"]), number(found[f"{name}_after"])]
            for name in ("brier", "ece", "log_loss")
            if f"{name}_before" in found
        ]
        note = "The temperature was fitted on the validation split."
        if found["temperature"] == 1:
            note = "No temperature was fitted, and 1.00 changes nothing."
        tables.append(Table(title, contents.cases, ["metric", "before", "after"], rows, [note]))
    if sets := metrics.get("prediction_sets"):
        tables.append(set_table(sets, contents.cases))
    return tables


def split_table(summary: Summary) -> Table:
    """Return the table of cases, patients and classes of each split."""
    splits = summary["splits"]
    classes = list(dict.fromkeys(name for split in splits.values() for name in split["classes"]))
    rows, notes = (
        [],
        ["Training fits the weights; validation chooses the checkpoint and calibrates classes; test is read once."],
    )
    notes += ["Calibration is for prediction sets alone."] if "calibration" in splits else []
    for name, split in splits.items():
        patients = UNKNOWN if split["patients"] is None else f"{split['patients']:,}"
        counts = (f"{split['classes'].get(label, 0):,}" for label in classes)
        rows.append([name, f"{split['cases']:,}", patients, *counts])
    if all(split["patients"] is None for split in splits.values()):
        notes.append("Patients are unknown: each case counts as one.")
    header = ["split", "cases", "patients", *classes]
    return Table(f"Cases and patients of each split, {summary['name']}", _cases(summary), header, rows, notes)


def missing_table(summary: Summary) -> Table:
    """Return the table of how many cases of each split lack each phase."""
    splits = summary["splits"]
    rows = []
    for phase in next(iter(splits.values()))["missing"]:
        lost = {name: sum(split["missing"][phase].values()) for name, split in splits.items()}
        cells = [_share(lost[name], split["cases"]) for name, split in splits.items()]
        rows.append([phase, *cells, _share(sum(lost.values()), _total(summary))])
    header = ["phase", *(f"{name} (n = {split['cases']:,})" for name, split in splits.items()), "all"]
    return Table(f"Cases without a phase, {summary['name']}", _cases(summary), header, rows)


def site_table(summary: Summary) -> Table:
    """Return the table of the classes at each site, for cases that name their site."""
    sites: dict[str, dict[str, int]] = summary["sites"]
    total = sum(sum(counts.values()) for counts in sites.values())
    rows = [
        [site, f"{sum(counts.values()):,}", *(f"{counts.get(name, 0):,}" for name in summary["classes"])]
        for site, counts in sites.items()
    ]
    header, n = ["site", "cases", *summary["classes"]], f"n = {counted(total, 'labelled case')}"
    return Table(f"Cases of each site, {summary['name']}", n, header, rows)


def volume_table(summary: Summary, config: dict[str, Any]) -> Table:
    """Return the table of voxel spacing and size of the volumes on disk, and of the network's grid."""
    notes = [f"{AXES}; the smallest and the largest of each axis. network: the grid that it sees."]
    rows, read = [], 0
    for phase, found in summary["volumes"].items():
        read += found["n"]
        cells = [UNKNOWN] * 6
        if "spacing" in found:
            cells = [*_columns(found["spacing"], ".2f"), *_columns(found["voxels"], ".0f")]
        rows.append([phase, f"{found['n']:,} of {found['present']:,}", *cells])
        if found.get("unreadable"):
            notes.append(f"{phase}: {counted(found['unreadable'], 'volume')} could not be read.")
        elif 0 < found["n"] < found["present"]:
            notes.append(f"{phase}: {found['n']:,} volumes, spread evenly over the list, were looked at.")
        if "reason" in found:
            notes.append(f"{phase}: not available, {found['reason']}.")
    if config:
        spacing, size = ([[value] * 3 for value in config[key]] for key in ("spacing", "grid_size"))
        unknown = [UNKNOWN] * 2
        cells = [_columns(spacing, ".2f")[0], *unknown, _columns(size, ".0f")[0], *unknown]
        rows.append(["network", UNKNOWN, *cells])
    ranges = ["median", "smallest", "largest"]
    header = ["phase", "volumes read", *(f"{what}, {of}" for what in ("mm", "voxels") for of in ranges)]
    title = f"Spacing and size of the volumes as they lie on disk, {summary['name']}"
    return Table(title, f"n = {counted(read, 'volume')}", header, rows, notes)


def data_tables(summary: Summary, config: dict[str, Any]) -> list[Table]:
    """Return all tables of a dataset except that of its splits; none if there is no summary."""
    if "reason" in summary or not summary["splits"]:
        return []
    sites = [site_table(summary)] if summary["sites"] else []
    measures = summary.get("measures")
    by_class = [class_table(measures, summary["classes"], f"Measures, {summary['name']}")] if measures else []
    return [missing_table(summary), *sites, *by_class, volume_table(summary, config)]


def _columns(axes: Sequence[Sequence[float]], digits: str) -> list[str]:
    """Return median, minimum and maximum of three axes as text, from [minimum, median, maximum] of each."""
    return [" × ".join(format(float(axis[at]), digits) for axis in axes) for at in (1, 0, 2)]


def _total(summary: Summary) -> int:
    return sum(split["cases"] for split in summary["splits"].values())


def _cases(summary: Summary) -> str:
    return f"n = {counted(_total(summary), 'case')}"


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.0f}%)"
