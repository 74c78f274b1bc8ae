"""The tables of metrics.json, with intervals."""

from __future__ import annotations

from typing import Any

from scripts.metrics.scores import DECISIONS, METRICS, OVERALL
from scripts.metrics.table import NAMES
from workbench.report.contents import Contents
from workbench.report.table import UNKNOWN, Table, number, with_interval


def metric_tables(contents: Contents) -> list[Table]:
    """Return the tables of one evaluation: classes, at the threshold, calibration."""
    metrics = contents.metrics
    if metrics is None:
        return []
    tables = [_metrics(contents, metrics)]
    if metrics.get("at_threshold"):
        tables.append(_threshold(contents, metrics["at_threshold"]))
    if metrics.get("calibration"):
        tables.append(_calibration(contents, metrics["calibration"]))
    return tables


def _metrics(contents: Contents, metrics: dict[str, Any]) -> Table:
    macro, classes = metrics["macro"], metrics["per_class"]
    rows = [["cases", str(macro["n"]), *(f"{row['n_positive']} of {row['n']}" for row in classes)]]
    for name in METRICS:
        rows.append([NAMES[name], *(with_interval(row, name) for row in (macro, *classes))])
    for name in OVERALL:
        if name in macro and (
            name != "quadratic_kappa" or len(classes) > 2
        ):  # of two classes there is one kappa
            rows.append([NAMES[name], with_interval(macro, name), *[UNKNOWN] * len(classes)])
    notes = [
        f"[ ]: 95% interval over {'patients' if contents.patients else 'cases'}. All: the mean over the "
        "classes, but accuracy is the share of all cases predicted right. Each class stands against the "
        "rest; the predicted class is the one with the highest probability.",
        *(f"{name}: {row['note']}." for name, row in _named(metrics) if row.get("note")),
    ]
    header = ["metric", "all", *(str(row["class"]) for row in classes)]
    return Table("Metrics [95% interval]", contents.cases, header, rows, notes)


def _named(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("All", metrics["macro"]), *((str(row["class"]), row) for row in metrics["per_class"])]


def _threshold(contents: Contents, row: dict[str, Any]) -> Table:
    rows = [[NAMES[name], with_interval(row, name)] for name in (*DECISIONS, "kappa", "net_benefit")]
    rows.append(["net benefit of treating every case", number(row["net_benefit_of_treating_all"])])
    return Table(
        f"Called {row['class']} from a probability of {number(row['threshold'])} [95% interval]",
        contents.cases,
        ["metric", "value"],
        rows,
        [
            f"Positive is {row['class']}. The threshold was chosen by "
            f"{row.get('chosen_by', 'the validation split, for the highest sensitivity + specificity')}."
        ],
    )


def _calibration(contents: Contents, found: dict[str, float]) -> Table:
    rows = [
        [NAMES[name], number(found[f"{name}_before"]), number(found[f"{name}_after"])]
        for name in ("brier", "ece", "log_loss")
        if f"{name}_before" in found
    ]
    fitted = "The temperature was fitted on the validation split."
    none = "No temperature was fitted, and 1.00 changes nothing."
    return Table(
        f"Calibration: logits divided by the temperature {found['temperature']:.2f}",
        contents.cases,
        ["metric", "before", "after"],
        rows,
        [none if found["temperature"] == 1 else fitted],
    )
