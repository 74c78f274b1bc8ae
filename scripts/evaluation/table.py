"""The metrics as a text table that is read at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.evaluation.metrics import MACRO, METRICS
from scripts.evaluation.plots.style import shorten

HEADINGS = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced acc.",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "f1": "F1",
}


def format_table(rows: Sequence[dict[str, Any]], title: str = "", patients: int | None = None) -> str:
    """Lay the rows of `classification_table` out as aligned text.

    Args:
        rows: one per class, then the macro row.
        title: first line, e.g. the name of the split.
        patients: number of patients behind the intervals, to be named in the legend.

    Returns:
        The table, a legend and the notes of rows with undefined metrics; no newline at the end.

    Example:
        >>> from scripts.evaluation.metrics import classification_table
        >>> p = [[.9, .1], [.6, .4], [.7, .3], [.2, .8]]
        >>> rows = classification_table(p, [0, 0, 1, 1], ["low", "high"])
        >>> print(format_table(rows).splitlines()[1])
        low    2 of 4  0.750  0.750     0.750          1.000        0.500        0.800
    """
    lines = [["class", "cases", *HEADINGS.values()]]
    for row in rows:
        count = str(row["n"]) if row["n_positive"] is None else f"{row['n_positive']} of {row['n']}"
        lines.append([shorten(str(row["class"])), count, *(_cell(row, metric) for metric in METRICS)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    rule = "-" * max(map(len, text))
    has_interval = any(row.get("auc_interval") or row.get("accuracy_interval") for row in rows)
    legend = [
        "Each class against the rest; the predicted class is the one with the highest probability.",
        f"{MACRO}: mean over the classes; its accuracy is the share of all cases predicted right.",
    ]
    if has_interval:
        over = "" if patients is None else f" over {patients} patients"
        legend.append(f"[ ]: 95% bootstrap interval{over}.")
    if any(row[metric] is None for row in rows for metric in METRICS):
        legend.append("-: undefined.")
    notes = [f"{row['class']}: {row['note']}" for row in rows if row["note"]]
    return "\n".join([*([title] if title else []), text[0], *text[1:-1], rule, text[-1], "", *legend, *notes])


def _cell(row: dict[str, Any], metric: str) -> str:
    """Write one metric with its interval, if it has one."""
    if row[metric] is None:
        return "-"
    interval = row.get(f"{metric}_interval")
    bounds = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{row[metric]:.3f}{bounds}"
