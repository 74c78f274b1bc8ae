"""The metrics as a text table that is read at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.figures.table import aligned, number, on_screen, with_interval
from scripts.figures.text import shorten
from scripts.metrics.registry import DECISIONS, HEADINGS, MACRO, METRICS, OVERALL, TITLES


def format_table(
    rows: Sequence[Mapping[str, Any]],
    title: str = "",
    patients: int | None = None,
    at_threshold: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> str:
    """Lay the rows of `classification_table` out as aligned text.

    Args:
        rows: one per class, then the macro row.
        title: first line, e.g. the name of the split.
        patients: number of patients behind the intervals, to be named in the legend.
        at_threshold: from `threshold_row`.
        calibration: temperature, and brier_before and ece_before, without it.

    Returns:
        The table, a legend and the notes of rows with undefined metrics, then all classes together with their
        intervals; no newline at the end.

    >>> from scripts.metrics.rows import classification_table
    >>> p = [[.9, .1], [.6, .4], [.7, .3], [.2, .8]]
    >>> rows = classification_table(p, [0, 0, 1, 1], ["low", "high"])
    >>> print(format_table(rows).splitlines()[1])
    low    2 of 4  0.750  0.833      0.750     0.750          1.000        0.500        0.800
    """
    blocks = [_classes(rows), _overall(rows, patients, calibration)]
    if at_threshold is not None:
        blocks.append(_threshold(at_threshold))
    text = "\n\n".join(blocks)
    return f"{title}\n{text}" if title else text


def _classes(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write one line per class and the macro line, with legend and notes."""
    lines = [["class", "cases", *HEADINGS.values()]]
    for row in rows:
        count = str(row["n"]) if row["n_positive"] is None else f"{row['n_positive']} of {row['n']}"
        lines.append(
            [shorten(str(row["class"])), count, *(on_screen(number(row[metric])) for metric in METRICS)]
        )
    text = aligned(lines).split("\n")
    legend = [
        "Each class against the rest; the predicted class is the one with the highest probability.",
        f"{MACRO}: mean over the classes; its accuracy is the share of all cases predicted right.",
    ]
    if any(row[metric] is None for row in rows for metric in METRICS):
        legend.append("-: undefined.")
    notes = [f"{row['class']}: {row['note']}" for row in rows if row["note"]]
    return "\n".join([*text[:-1], "-" * max(map(len, text)), text[-1], "", *legend, *notes])


def _overall(
    rows: Sequence[Mapping[str, Any]], patients: int | None, calibration: Mapping[str, Any] | None
) -> str:
    """Write the macro row line by line, with intervals."""
    macro, temperature = rows[-1], 1.0 if calibration is None else calibration["temperature"]
    has_interval = any(macro.get(f"{metric}_interval") for metric in (*METRICS, *OVERALL))
    over = "" if patients is None else f" over {patients} patients"
    lines = [f"All classes together{f' [95% interval{over}]' if has_interval else ''}:"]
    for metric in (*METRICS, *OVERALL):
        if metric == "quadratic_kappa" and len(rows) < 4:  # with two classes there is but one kappa
            continue
        line = _line(macro, metric)
        if calibration is not None and temperature != 1 and f"{metric}_before" in calibration:
            before = calibration[f"{metric}_before"]
            line += f"   {before:.3f} before division by temperature {temperature:.2f}"
        lines.append(line)
    return "\n".join(lines)


def _threshold(row: Mapping[str, Any]) -> str:
    """Write what the threshold of the validation split does."""
    named = shorten(str(row["class"]))
    at = f"{named} (the positive class) from P({named}) = {row['threshold']:.3f}"
    lines = [f"At the model's threshold, {at}:"]
    if "chosen_by" in row:
        lines.append(f"  chosen by {row['chosen_by']}")
    lines += [_line(row, metric) for metric in (*DECISIONS, "kappa", "net_benefit")]
    lines[-1] += f"   {row['net_benefit_of_treating_all']:.3f} if every case were called {row['class']}"
    return "\n".join(lines)


def _line(row: Mapping[str, Any], metric: str) -> str:
    """Write one metric with its interval, if it has one."""
    return f"  {TITLES[metric]:<41}{on_screen(with_interval(row, metric))}"
